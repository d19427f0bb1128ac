/**
 * How the page is built and, in development, served: Preact's JSX, modern browsers only (so that `light-dark()` stays as
 * written), no inline code (the server sends a strict content security policy), and the API proxied to a running server.
 */
import { defineConfig } from "vite";

const server = process.env["TAFFRAIL_URL"] ?? "http://127.0.0.1:6464";

interface ModuleGraph {
  getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null;
}

const entry = `${import.meta.dirname}/src/main.tsx`;
const logsPage = `${import.meta.dirname}/src/pages/logs/logs-page.tsx`;

/** The modules that nearly every visit needs: what the entry and the Logs page import, and not only when asked. */
let shell: ReadonlySet<string> | undefined;

/** One file holds them: it packs better than a dozen, and costs one request. Other pages' modules stay out by themselves. */
function chunkOf(id: string, graph: ModuleGraph): string | null {
  shell ??= reachable([entry, logsPage], graph);
  return shell.has(id) && id !== entry ? "shell" : null;
}

function reachable(entries: readonly string[], graph: ModuleGraph): ReadonlySet<string> {
  const found = new Set<string>();
  const waiting = [...entries];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    waiting.push(...(graph.getModuleInfo(id)?.importedIds ?? []));
  }
  return found;
}

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: ["chrome123", "firefox125", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
    sourcemap: false,
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: chunkOf, debugName: "shell" }] } } },
  },
  server: {
    proxy: { "/api": server, "/healthz": server },
  },
});
