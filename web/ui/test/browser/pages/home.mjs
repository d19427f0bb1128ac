/** The walk through Home: what is arriving, senders, a question typed there. */

export const portraits = () => [["home", "/", ".rate-number"]];

export async function steps(walk) {
  const { page } = walk;
  await walk.step("home tells what is arriving", async () => {
    await walk.open("/");
    await walk.until(
      "sources are listed",
      async () => (await page.getByRole("region", { name: "Sources" }).locator("tbody tr").count()) > 0,
    );
    await walk.until(
      "rates are shown",
      async () => /\d/.test(await page.locator(".rate-number").first().textContent()),
      15_000,
    );
    const snippet = await page.locator(".snippet-code").first().textContent();
    walk.check(/\/dev\/udp\/[\w.:-]+\/\d+/.test(snippet), `the StatsD command has an address: ${snippet}`);
  });
  await walk.step("a sender's tick turns green on its first line", async () => {
    await page.getByRole("button", { name: /Logs over HTTP/ }).click();
    const response = await page.request.post(`${walk.base}/api/v1/logs`, {
      data: '{"level":"info","service":"web","message":"hello from the walk"}\n',
      headers: { "content-type": "application/x-ndjson" },
    });
    walk.check(response.ok(), `the line was answered ${response.status()}`);
    await walk.until(
      "it says received",
      async () => (await page.locator(".sender-state").textContent()).includes("received"),
      10_000,
    );
  });
  await walk.step("a question typed on Home is searched", async () => {
    await page.keyboard.press("/");
    await page.keyboard.type("level:error");
    await page.keyboard.press("Enter");
    await walk.until(
      "Logs opens",
      async () => new URL(page.url()).pathname === "/logs" && page.url().includes("level:error"),
    );
    await page.goBack();
    await walk.until("Home again", async () => new URL(page.url()).pathname === "/");
  });
}
