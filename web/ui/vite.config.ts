/**
 * How the page is built and, in development, served: Preact's JSX, modern browsers only (so that `light-dark()` stays as
 * written), no inline code (the server sends a strict content security policy), and the API proxied to a running server.
 */
import { defineConfig } from "vite";

const server = process.env["TAFFRAIL_URL"] ?? "http://127.0.0.1:6464";

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: ["chrome123", "firefox125", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
    sourcemap: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // What nearly every visit needs is one file: it packs better than a dozen, and costs one request.
          groups: [
            {
              name: "shell",
              test: /node_modules\/(preact|@preact)|src\/(app|api|time|query|list|facets|pages\/logs\/(?!pattern-list|answer-table|empty-answer)|chart\/histogram)/,
            },
          ],
        },
      },
    },
  },
  server: {
    proxy: { "/api": server, "/healthz": server },
  },
});
