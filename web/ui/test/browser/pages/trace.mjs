/** The walk through Trace: from a line to its trace and about in it. */

/** The trace that the steps opened. */
let path = "/trace/find";

export const portraits = () => [
  ["traces", "/trace/find", ".trace-list tbody tr"],
  ["trace", path, ".trace-row"],
];

export async function steps(walk) {
  const { page } = walk;
  await walk.step("a trace opens from a line", async () => {
    await walk.open("/logs?q=trace_id:*+AND+service:checkout&from=now-3h");
    await walk.until("rows", async () => (await page.locator(".list-rows .list-place > .row").count()) > 0);
    await page.locator(".list-rows .list-place > .row").first().click();
    await page.locator(".detail").getByRole("link", { name: "Trace", exact: true }).click();
    await walk.until("the trace's page", async () => /\/trace\/[0-9a-f]{32}$/.test(new URL(page.url()).pathname));
    await walk.until("lanes of several services", async () => (await page.locator(".lane").count()) > 2);
    await walk.until("records", async () => (await page.locator(".trace-row").count()) > 1);
  });
  path = new URL(page.url()).pathname;
  await walk.step("a tick selects its record", async () => {
    await page.locator(".lane-tick").last().click();
    await walk.until("its fields are open", async () => (await page.locator(".trace-rows .detail").count()) === 1);
  });
  await walk.step("a trace id pasted on Home opens it", async () => {
    await walk.open("/");
    await page.getByLabel("Search the logs, or paste anything").fill(path.split("/").at(-1));
    await page.keyboard.press("Enter");
    await walk.until("the trace again", async () => new URL(page.url()).pathname === path);
  });
  await walk.step("a trace id that nothing carries is said so", async () => {
    await walk.expecting("404", async () => {
      await walk.open(`/trace/${"deadbeef".repeat(4)}`);
      await walk.until(
        "said",
        async () => (await page.getByRole("heading", { name: "Nothing carries this trace id" }).count()) === 1,
      );
    });
  });
}
