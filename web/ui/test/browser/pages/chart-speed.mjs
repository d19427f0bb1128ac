/** How long a chart of 100 lines with 10,000 points each takes to be drawn. The figure is written down; nothing depends on it. */
import { fileURLToPath } from "node:url";
import { createServer } from "vite";

export async function steps(walk) {
  await walk.step("a chart of 100 lines and 10,000 points each is drawn", async () => {
    const root = fileURLToPath(new URL("../../..", import.meta.url));
    const server = await createServer({
      root,
      logLevel: "error",
      cacheDir: "node_modules/.vite-harness",
      server: { port: 0, host: "127.0.0.1", hmr: false },
    });
    await server.listen();
    const page = await walk.page.context().browser().newPage();
    try {
      const { port } = server.httpServer.address();
      await page.goto(`http://127.0.0.1:${port}/test/browser/harness/chart.html`);
      await page.waitForFunction(() => window.drawn !== undefined, undefined, { timeout: 60_000 });
      for (const draw of ["lines", "stacked"]) {
        const times = [];
        for (let round = 0; round < 5; round += 1) times.push(await page.evaluate((how) => window.drawn(how), draw));
        times.sort((one, other) => one - other);
        walk.figure(`chart 100 x 10,000 ${draw}, ms (median of 5; target 200)`, Math.round(times[2]));
      }
      walk.check((await page.locator("canvas").count()) === 1, "the chart is there");
    } finally {
      await page.close();
      await server.close();
    }
  });
}
