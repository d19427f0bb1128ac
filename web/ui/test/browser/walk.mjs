/**
 * Walks through every page in a real Chromium: clicks, types, drags, checks what is shown, runs axe, and keeps
 * screenshots in both themes and at a phone's width.
 *
 *   BASE_URL     a running server with the demo's data; without it a mock server is started
 *   OUTPUT_DIR   where screenshots and report.json go (default test/browser/output)
 *   PAGES        the only pages to walk, as `logs,trace` (default all)
 *   LONG_LIST    `no` leaves the long list out
 *
 * Each file of `pages/` is one page's part and is found by itself. It may export
 *
 *   steps(walk)       what is done there
 *   portraits(walk)   pictures to take: [name, address, what must be there][]; each is taken in both themes, on a desk and
 *                     on a phone, with axe and a look at what reaches beyond the edge
 *   onMock            false when the page needs a real server: it is left out where there is none
 */
import { mkdirSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startMock } from "../mock/serve.mjs";
import { launchBrowser } from "./browser.mjs";
import { Walk } from "./checks.mjs";
import { scrollLongList } from "./long-list.mjs";
import { cancelSlowSearch } from "./slow-search.mjs";

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

const pages = await findPages();
for (const { steps } of pages) await steps?.(walk);
await takePortraits();
const wholeWalk = process.env.PAGES === undefined;
if (wholeWalk && mock !== undefined) await cancelSlowSearch(walk, browser);
if (wholeWalk && process.env.LONG_LIST !== "no") await scrollLongList(walk, browser);

walk.writeReport();
await browser.close();
mock?.stop();
console.log(
  walk.failures.length === 0
    ? `all well; screenshots in ${outputDirectory}`
    : `${walk.failures.length} failures:\n${walk.failures.join("\n")}`,
);
process.exit(walk.failures.length === 0 ? 0 : 1);

/** The parts of the walk, by the names of their files. */
async function findPages() {
  const wanted = process.env.PAGES?.split(",");
  const folder = new URL("pages/", import.meta.url);
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".mjs"))
    .sort();
  const found = [];
  for (const name of names) {
    if (wanted !== undefined && !wanted.includes(name.replace(/\.mjs$/, ""))) continue;
    const part = await import(new URL(name, folder).href);
    if (mock === undefined || part.onMock !== false) found.push(part);
  }
  return found;
}

/** Every page in both themes and on a phone: a picture, axe, and nothing beyond the edge. */
async function takePortraits() {
  const { page } = walk;
  const portraits = [];
  for (const part of pages) portraits.push(...((await part.portraits?.(walk)) ?? []));
  for (const [size, width, height] of [
    ["desk", 1440, 900],
    ["phone", 390, 844],
  ]) {
    await page.setViewportSize({ width, height });
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const [name, path, ready] of portraits) {
        const title = `${name}-${size}-${scheme}`;
        await walk.step(`portrait ${title}`, async () => {
          await walk.open(path);
          await page.locator(ready).first().waitFor({ timeout: 60_000 });
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
