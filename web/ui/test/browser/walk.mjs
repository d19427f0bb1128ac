/**
 * Walks through every page in a real Chromium: clicks, types, drags, checks what is shown, runs axe, and keeps
 * screenshots in both themes and at a phone's width.
 *
 *   BASE_URL     a running server with the demo's data; without it a mock server is started
 *   OUTPUT_DIR   where screenshots and report.json go (default test/browser/output)
 *
 * The parts, in order: walk-others.mjs (Home, Metrics, Trace, Alerts), walk-logs.mjs (Logs), walk-ingest.mjs (Ingest);
 * with the mock also slow-search.mjs and long-list.mjs (LONG_LIST=no leaves the latter out).
 */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startMock } from "../mock/serve.mjs";
import { launchBrowser } from "./browser.mjs";
import { Walk } from "./checks.mjs";
import { scrollLongList } from "./long-list.mjs";
import { cancelSlowSearch } from "./slow-search.mjs";
import { walkIngest } from "./walk-ingest.mjs";
import { walkLogs } from "./walk-logs.mjs";
import { walkAlerts, walkHome, walkMetrics, walkTrace } from "./walk-others.mjs";

const outputDirectory = process.env.OUTPUT_DIR ?? fileURLToPath(new URL("output", import.meta.url));
mkdirSync(outputDirectory, { recursive: true });
const mock = process.env.BASE_URL === undefined ? await startMock() : undefined;
const base = (process.env.BASE_URL ?? mock.url).replace(/\/$/, "");
const browser = await launchBrowser();
const context = await browser.newContext({
  viewport: { width: 1440, height: 900 },
  colorScheme: "light",
  acceptDownloads: true,
});
const walk = new Walk(await context.newPage(), base, outputDirectory);
console.log(`walking ${base}`);

await walkHome(walk);
await walkLogs(walk);
await walkMetrics(walk);
const tracePath = await walkTrace(walk);
await walkAlerts(walk);
await walkIngest(walk);
await portraits(tracePath);
if (mock !== undefined) await cancelSlowSearch(walk, browser);
if (mock !== undefined && process.env.LONG_LIST !== "no") await scrollLongList(walk, browser);

walk.writeReport();
await browser.close();
mock?.stop();
console.log(
  walk.failures.length === 0
    ? `all well; screenshots in ${outputDirectory}`
    : `${walk.failures.length} failures:\n${walk.failures.join("\n")}`,
);
process.exit(walk.failures.length === 0 ? 0 : 1);

/** Every page in both themes and on a phone: a picture, axe, and nothing beyond the edge. */
async function portraits(trace) {
  const { page } = walk;
  const timer = await firstMetric();
  const agent = await firstAgent();
  const pages = [
    ["home", "/", ".rate-number"],
    ["logs", "/logs", ".list-rows .row"],
    ["logs-filtered", "/logs?q=level:error", ".list-rows .row"],
    ["patterns", "/logs?view=patterns", ".patterns-table tbody tr"],
    ["metrics", `/explore?name=${encodeURIComponent(timer)}`, ".chart canvas"],
    ["traces", "/trace/find", ".trace-list tbody tr"],
    ["trace", trace, ".trace-row"],
    ["alerts", "/alerts", "main > *"],
    ["ingest", "/ingest", ".agents tr.agent"],
    ["ingest-open", `/ingest?agent=${agent}`, ".agent-detail"],
  ];
  for (const [size, width, height] of [
    ["desk", 1440, 900],
    ["phone", 390, 844],
  ]) {
    await page.setViewportSize({ width, height });
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const [name, path, ready] of pages) {
        const title = `${name}-${size}-${scheme}`;
        await walk.step(`portrait ${title}`, async () => {
          await walk.open(path);
          await page.locator(ready).first().waitFor({ timeout: 10_000 });
          await page.waitForTimeout(500);
          await walk.nothingOverflows(title);
          await walk.axe(title);
          await walk.screenshot(title);
        });
      }
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

/** An agent to open: the first that says how it does. */
async function firstAgent() {
  const response = await walk.page.request.get(`${base}/api/v1/agents`);
  const { agents } = await response.json();
  return agents.find(({ report }) => report !== null)?.agent ?? "";
}

/** A metric to draw: a distribution if there is one. */
async function firstMetric() {
  const response = await walk.page.request.get(`${base}/api/v1/metrics?limit=500`);
  const { metrics } = await response.json();
  return (metrics.find(({ type }) => type === "distribution") ?? metrics[0])?.name ?? "";
}
