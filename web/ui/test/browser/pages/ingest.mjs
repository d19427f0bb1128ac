/** The walk through Ingest: agents in all their states, opened by keyboard, filtered, gone and missing. */

/** The list, and an agent open: the first that says how it does. */
export async function portraits(walk) {
  const response = await walk.page.request.get(`${walk.base}/api/v1/agents`);
  const { agents } = await response.json();
  const agent = agents.find(({ report }) => report !== null)?.agent ?? "";
  return [
    ["ingest", "/ingest", ".agents tr.agent"],
    ["ingest-open", `/ingest?agent=${agent}`, ".agent-detail"],
  ];
}

export async function steps(walk) {
  const { page } = walk;
  const agents = page.locator(".agents tr.agent");
  await walk.step("agents are listed with their state, above this server's sources", async () => {
    await walk.open("/ingest");
    await walk.until("agents", async () => (await agents.count()) > 0);
    const states = await page.locator(".agents .state").allTextContents();
    walk.check(
      states.every((state) => ["ok", "lagging", "silent"].includes(state)),
      `states: ${states}`,
    );
    await walk.until(
      "sources",
      async () => (await page.getByRole("region", { name: "Sources" }).locator("tbody tr").count()) > 0,
    );
  });
  await walk.step("an agent opens by keyboard and says how it does", async () => {
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await walk.until("it is open", async () => (await page.locator(".agent-detail").count()) === 1);
    walk.check(/agent=[0-9a-f]{32}/.test(page.url()), `the address says which: ${page.url()}`);
    for (const part of ["Sources", "Delivers to"]) {
      const rows = page.locator(".agent-detail").getByRole("region", { name: part }).locator("tbody tr");
      await walk.until(`rows of ${part}`, async () => (await rows.count()) > 0);
    }
    await page.keyboard.press("Enter");
    await walk.until("it is closed again", async () => (await page.locator(".agent-detail").count()) === 0);
  });
  await walk.step("agents are filtered, and the address keeps the filter", async () => {
    await page.keyboard.press("/");
    await page.keyboard.type("no such thing");
    await walk.until("none is left", async () => (await agents.count()) === 0);
    walk.check(page.url().includes("filter="), page.url());
    await page.getByLabel("Filter the agents").fill("files");
    await walk.until("those that read files", async () => (await agents.count()) > 0);
    await page.getByLabel("Filter the agents").fill("");
  });
  await walk.step("an agent's own log is one click away", async () => {
    await page.locator(".agent-ways a").first().click();
    await walk.until("its log", async () => {
      const url = new URL(page.url());
      return url.pathname === "/logs" && url.searchParams.get("q").startsWith("service:taffrail-agent host:");
    });
    await page.goBack();
    await walk.until("back", async () => (await agents.count()) > 0);
  });
  await walk.step("without agents it is said how to start one", async () => {
    const none = { now: new Date().toISOString(), lagging_after_seconds: 60, agents: [] };
    await page.route("**/api/v1/agents", (route) => route.fulfill({ json: none }));
    await walk.open("/ingest");
    await page.getByRole("heading", { name: "No agent has delivered here yet" }).waitFor();
    await walk.axe("ingest-empty");
    await walk.screenshot("ingest-empty");
    await page.unroute("**/api/v1/agents");
  });
  await walk.step("a server that is away is said so, and found again", async () => {
    await walk.expecting("ERR_FAILED", async () => {
      await page.route("**/api/v1/agents", (route) => route.abort());
      await walk.open("/ingest");
      await page.locator(".ingest .warning-text").first().waitFor();
      await walk.screenshot("ingest-away");
      await page.unroute("**/api/v1/agents");
      await walk.until("agents again", async () => (await agents.count()) > 0);
    });
    await walk.until(
      "the message is gone",
      async () => (await page.locator(".ingest > section > .warning-text").count()) === 0,
    );
  });
}
