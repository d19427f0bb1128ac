/**
 * A million rows in the list: loads them all page by page as a reader's End key would, then scrolls and jumps about and
 * checks that every place shows the right rows. The rows are made up on the way, so that any server will do. Frame times
 * go to the report; they are no assertion, since machines differ.
 */

const rows = Number(process.env.LONG_LIST_ROWS ?? 1_000_000);
const newest = Date.parse("2026-11-22T04:00:00Z");
const levels = ["info", "info", "info", "debug", "warn", "error"];

export async function scrollLongList(walk, browser) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.route("**/api/v1/logs/search?*", (route) =>
    route.fulfill({ contentType: "application/x-ndjson", body: pageOfRows(new URL(route.request().url())) }),
  );
  await walk.step(`a list of ${rows} rows loads and scrolls`, async () => {
    await page.goto(`${walk.base}/logs?from=2026-11-20T00:00:00Z&to=2026-11-22T04:00:00Z`);
    const list = page.locator(".list");
    await list.waitFor();
    const loaded = async () => Number(await list.getAttribute("aria-rowcount")) - 1;
    await walk.until(
      "all pages are loaded",
      async () => {
        await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
        return (await loaded()) >= rows ? true : loaded();
      },
      300_000,
    );
    await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await walk.until("the last row is at the bottom", async () =>
      ((await page.locator(".list-rows").textContent()) ?? "").includes(`row ${rows - 1} of`),
    );
    const seen = await list.evaluate(scrollAbout, rows);
    walk.check(seen.wrong === 0, `${seen.wrong} of ${seen.places} places left a blank or showed other rows`);
    const figures = { rows, ...seen, heapMegabytes: Math.round(seen.heap / 1e6) };
    walk.figure("long list", figures);
    console.log(
      `          ${rows} rows: a wheel's frame p50 ${seen.wheel.p50} ms, p95 ${seen.wheel.p95} ms; a jump's p50 ${seen.jump.p50} ms, p95 ${seen.jump.p95} ms; heap ${figures.heapMegabytes} MB`,
    );
  });
  await page.close();
}

/** Runs in the page: wheels through some screens, then jumps to places all over, and times each frame. */
async function scrollAbout(element, rows) {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const height = element.scrollHeight / rows;
  let wrong = 0;
  let places = 0;
  const check = () => {
    places += 1;
    const box = element.getBoundingClientRect();
    const shown = [...element.querySelectorAll(".list-place")];
    const covered = shown.some((place) => {
      const { top, bottom } = place.getBoundingClientRect();
      return top <= box.top + 60 && bottom > box.top + 24;
    });
    const expected = Math.floor(element.scrollTop / height);
    const near = shown.some((place) => Math.abs(Number(place.dataset.index) - expected) <= 2);
    if (!covered || !near) wrong += 1;
  };
  const times = async (count, move) => {
    const taken = [];
    await frame();
    for (let turn = 0; turn < count; turn += 1) {
      const before = performance.now();
      move(turn);
      await frame();
      taken.push(performance.now() - before);
      if (turn % 10 === 0) {
        await frame();
        check();
        await frame();
      }
    }
    taken.sort((left, right) => left - right);
    const at = (share) => Math.round(taken[Math.floor(taken.length * share)] * 10) / 10;
    return { p50: at(0.5), p95: at(0.95) };
  };
  element.scrollTop = element.scrollHeight / 2;
  const wheel = await times(300, () => (element.scrollTop += 300));
  const jump = await times(
    200,
    (turn) => (element.scrollTop = (((turn * 7919) % 1000) / 1000) * (element.scrollHeight - element.clientHeight)),
  );
  return { wrong, places, wheel, jump, heap: performance.memory?.usedJSHeapSize ?? 0 };
}

/** The rows that a search goes on with, newest first. */
function pageOfRows(url) {
  const cursor = url.searchParams.get("cursor");
  const first =
    cursor === null ? 0 : Number(cursor.split("-")[1] === undefined ? 0 : rows - Number(cursor.split("-")[1]));
  const limit = Number(url.searchParams.get("limit") ?? 200);
  const end = Math.min(rows, first + limit);
  const lines = [];
  for (let at = first; at < end; at += 1) {
    const seq = rows - 1 - at;
    const record = {
      id: `${(newest - at * 100) * 1e6}-${seq}`,
      seq,
      time: new Date(newest - at * 100).toISOString(),
      level: levels[at % levels.length],
      service: "web",
      host: "h1",
      message: `row ${at} of a long list, as long as lines usually are when a server says what it did`,
    };
    lines.push(`{"record":${JSON.stringify(record)}}\n`);
  }
  const last = rows - end;
  const summary = {
    rows: end - first,
    scanned_rows: end - first,
    scanned_bytes: 0,
    elapsed_ms: 1,
    partial: false,
    next_cursor: end < rows ? `0-${last}` : null,
  };
  lines.push(`{"summary":${JSON.stringify(summary)}}\n`);
  return lines.join("");
}
