/**
 * A hundred thousand rows in the list: loads them all through the API as a reader's End key would, then jumps about and
 * checks that every place shows the right rows. Frame times are printed; they are no assertion, since machines differ.
 */
import { startMock } from "../mock/serve.mjs";

const rows = 100_000;

export async function scrollLongList(walk, browser) {
  const mock = await startMock({ rows: rows * 1.25, hours: 2 });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await walk.step(`a list of ${rows} rows loads and scrolls`, async () => {
    await page.goto(`${mock.url}/logs?from=now-3h`);
    const list = page.locator(".list");
    await list.waitFor();
    const loaded = async () => Number(await list.getAttribute("aria-rowcount"));
    await walk.until(
      "all pages are loaded",
      async () => {
        await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
        return (await loaded()) >= rows ? true : loaded();
      },
      180_000,
    );
    const seen = await list.evaluate(async (element) => {
      const times = [];
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      let wrong = 0;
      for (let jump = 0; jump < 120; jump += 1) {
        const target = ((jump * 7919) % 1000) / 1000;
        element.scrollTop = target * (element.scrollHeight - element.clientHeight);
        const before = performance.now();
        await frame();
        await frame();
        times.push((performance.now() - before) / 2);
        const places = [...element.querySelectorAll(".list-place")].map((place) => place.getBoundingClientRect());
        const box = element.getBoundingClientRect();
        const covered =
          places.some(({ top, bottom }) => top <= box.top + 60 && bottom > box.top + 24) &&
          places.some(({ top, bottom }) => top < box.bottom - 1 && bottom >= box.bottom - 40);
        if (!covered) wrong += 1;
      }
      times.sort((left, right) => left - right);
      return { wrong, p50: times[60], p95: times[114], heap: performance.memory?.usedJSHeapSize };
    });
    walk.check(seen.wrong === 0, `${seen.wrong} of 120 jumps left a blank`);
    console.log(
      `          ${await loaded()} rows: frame p50 ${seen.p50.toFixed(1)} ms, p95 ${seen.p95.toFixed(1)} ms, heap ${Math.round((seen.heap ?? 0) / 1e6)} MB`,
    );
  });
  await page.close();
  mock.stop();
}
