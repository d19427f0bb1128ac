/** The unit tests: pure functions only, no browser; what needs one is in test/browser. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["test/unit/**/*.test.ts"], environment: "node" },
});
