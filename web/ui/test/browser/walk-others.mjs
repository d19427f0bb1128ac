/** The walk through Home, Metrics, Trace and Alerts. */

export async function walkHome(walk) {
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

export async function walkMetrics(walk) {
  const { page } = walk;
  const names = page.locator(".metric-name");
  await walk.step("metrics are found by name and drawn", async () => {
    await walk.open("/explore");
    await walk.until("names are listed", async () => (await names.count()) > 0);
    await page.keyboard.press("/");
    await page.keyboard.type("web");
    await walk.until("only names with web", async () => {
      const titles = await names.evaluateAll((buttons) => buttons.map((button) => button.getAttribute("title") ?? ""));
      return titles.length > 0 && titles.every((title) => title.includes("web")) ? true : titles;
    });
    const timer = page.locator(".metric-name", { has: page.locator(".metric-distribution") }).first();
    await ((await timer.count()) > 0 ? timer : names.first()).click();
    await walk.until("a chart is drawn", async () => (await page.locator(".chart canvas").count()) > 0);
    await walk.until("the legend has numbers", async () =>
      /\d/.test((await page.locator(".legend tbody").first().textContent()) ?? ""),
    );
  });
  await walk.step("the crosshair tells values", async () => {
    const box = await page.locator(".chart").first().boundingBox();
    // Towards the right edge, where even a server that was just started has values.
    for (const share of [0.97, 0.99, 0.985]) await page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
    await walk.until("a tooltip with a number", async () =>
      /\d/.test(
        (await page
          .locator(".chart-tooltip .tooltip-number")
          .first()
          .textContent({ timeout: 2000 })
          .catch(() => "")) ?? "",
      ),
    );
    await walk.screenshot("metrics-tooltip");
  });
  await walk.step("a metric is split by a label, one line shown alone", async () => {
    await walk.until(
      "labels are offered",
      async () => (await page.getByLabel("split by").locator("option").count()) > 1,
    );
    await page.getByLabel("split by").selectOption("host");
    await walk.until("the address says so", async () => page.url().includes("split=host"));
    await walk.until("a line a host, and no percentile left", async () => {
      const names = await page.locator(".legend-name").allTextContents();
      return names.length > 0 && !names.some((name) => /^p\d+$/.test(name.trim()));
    });
    await page.locator(".legend-name").first().click();
    await walk.until(
      "it is shown alone",
      async () => (await page.locator('.legend-name[aria-pressed="true"]').count()) > 0,
    );
  });
  await walk.step("logs of the same time stand below", async () => {
    await walk.until("rows", async () => (await page.locator(".related-rows .row").count()) > 0);
  });
  await walk.step("dragging over a chart zooms", async () => {
    const box = await page.locator(".chart .u-over").first().boundingBox();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.98, box.y + 70, { steps: 5 });
    await page.mouse.up();
    await walk.until("the range is absolute", async () => /from=\d{4}-/.test(page.url()));
    await page.goBack();
  });
  await walk.step("PromQL is drawn, and refused in place when wrong", async () => {
    const box = page.getByRole("combobox", { name: "PromQL expression" });
    await box.fill('count({__name__=~"web.*"})');
    await box.press("Enter");
    await walk.until("the address has it", async () => page.url().includes("expr="));
    await walk.expecting("400", async () => {
      await box.fill("sum(rate(");
      await box.press("Enter");
      await walk.until("the refusal is shown", async () => (await page.locator(".query-message").count()) === 1);
    });
  });
}

export async function walkTrace(walk) {
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
  const path = new URL(page.url()).pathname;
  await walk.step("a tick selects its record", async () => {
    await page.locator(".lane-tick").last().click();
    await walk.until("its fields are open", async () => (await page.locator(".trace-rows .detail").count()) === 1);
  });
  await walk.step("a trace id pasted on Home opens it", async () => {
    await walk.open("/");
    await page.getByLabel("Search the logs, or paste a trace id").fill(path.split("/").at(-1));
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
  return path;
}

export async function walkAlerts(walk) {
  const { page } = walk;
  await walk.step("alerts are listed with their value, or it is said how to load rules", async () => {
    await walk.open("/alerts");
    await walk.until(
      "rules or help",
      async () =>
        (await page.locator(".alerts tbody tr").count()) > 0 ||
        (await page.getByRole("heading", { name: "No rules are loaded" }).count()) === 1,
    );
    if ((await page.locator(".alerts tbody tr").count()) > 0) {
      await page.locator(".alerts").getByRole("link", { name: "Chart" }).first().click();
      await walk.until(
        "the chart of its expression",
        async () => new URL(page.url()).pathname === "/explore" && page.url().includes("expr="),
      );
      await page.goBack();
    }
  });
  await walk.step("two keys lead to every page", async () => {
    for (const [key, path] of [
      ["h", "/"],
      ["l", "/logs"],
      ["m", "/explore"],
      ["t", "/trace/find"],
      ["a", "/alerts"],
      ["i", "/ingest"],
    ]) {
      await page.keyboard.press("Escape");
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await walk.until(`g ${key} leads to ${path}`, async () => new URL(page.url()).pathname === path);
    }
  });
}
