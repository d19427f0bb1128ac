/** A search that takes its time: progress is shown, Cancel stops it, and what has come stays. */
import { startMock } from "../mock/serve.mjs";

export async function cancelSlowSearch(walk, browser) {
  const mock = await startMock({ rows: 2000, slowMs: 1500 });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await walk.step("a slow search shows progress and is cancelled", async () => {
    await page.goto(`${mock.url}/logs`);
    await walk.until("progress is shown", async () =>
      ((await page.locator(".searching").textContent({ timeout: 5000 })) ?? "").includes("rows scanned"),
    );
    await page.getByRole("button", { name: "Cancel" }).click();
    await walk.until("it is over", async () => (await page.locator(".searching").count()) === 0, 1000);
    await walk.until("the server was told", async () => mock.cancelled() === 1 || mock.cancelled());
    walk.check(
      (await page.locator(".toolbar-summary").textContent()).includes("Cancelled"),
      "the summary says it was cancelled",
    );
  });
  await page.close();
  mock.stop();
}
