/** The walk through Metrics: names, charts, splitting, PromQL. */

/** A metric to draw: a distribution if there is one. */
export async function portraits(walk) {
  const response = await walk.page.request.get(`${walk.base}/api/v1/metrics?limit=500`);
  const { metrics } = await response.json();
  const name = (metrics.find(({ type }) => type === "distribution") ?? metrics[0])?.name ?? "";
  return [["metrics", `/explore?name=${encodeURIComponent(name)}`, ".chart canvas"]];
}

export async function steps(walk) {
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
  await walk.step("a moment is clicked, and the lines around it stand below", async () => {
    await walk.open("/explore?name=web.request.duration");
    await walk.until("a chart", async () => (await page.locator(".chart .u-over").count()) > 0);
    const box = await page.locator(".chart .u-over").first().boundingBox();
    await page.mouse.click(box.x + box.width * 0.9, box.y + box.height * 0.8);
    await walk.until("the address has it", async () => /[?&]at=\d{4}-/.test(page.url()));
    await walk.until("the heading says so", async () =>
      /Logs around/.test(
        (await page
          .locator(".related h3")
          .textContent()
          .catch(() => "")) ?? "",
      ),
    );
    await page.getByRole("button", { name: "Whole time" }).click();
    await walk.until("let go", async () => !page.url().includes("at="));
  });
  await walk.step("a logarithmic scale, gaps and small multiples stand in the address", async () => {
    await page.getByRole("button", { name: "Log", exact: true }).click();
    await page.getByLabel("gaps").selectOption("join");
    await walk.until("both", async () => page.url().includes("scale=log") && page.url().includes("gaps=join"));
    await walk.until("labels", async () => (await page.getByLabel("split by").locator("option").count()) > 1);
    await page.getByLabel("split by").selectOption({ index: 1 });
    await page.getByRole("button", { name: "Small multiples" }).click();
    await walk.until(
      "a chart each, or one line alone",
      async () => (await page.locator(".multiple canvas, .legend tbody tr").count()) > 0,
    );
    await walk.screenshot("metrics-multiples");
  });
  await walk.step("a chart becomes an alert rule", async () => {
    await walk.open("/explore?name=web.request.duration");
    await page.getByRole("button", { name: "Make an alert" }).click();
    const rule = page.getByLabel("The rule as YAML");
    await walk.until("it is written", async () => (await rule.inputValue()).includes("- alert: WebRequestDuration"));
    await page.getByLabel("above").fill("1234");
    await walk.until("with the threshold", async () => (await rule.inputValue()).includes("> 1234"));
    await walk.axe("metrics-alert");
    await walk.screenshot("metrics-alert");
    await page.getByRole("button", { name: "Close" }).click();
  });
  await walk.step("a spike leads to a trace", async () => {
    await walk.open("/explore?name=web.request.duration");
    await walk.until("dots", async () => (await page.locator(".chart-dot").count()) > 0, 60_000);
    // The highest dot stands for the slowest request.
    const dots = page.locator(".chart-dot");
    const tops = await dots.evaluateAll((all) => all.map((dot) => parseFloat(dot.style.top)));
    await dots.nth(tops.indexOf(Math.min(...tops))).click();
    await walk.until("its trace", async () => /\/trace\/[0-9a-f]{32}$/.test(new URL(page.url()).pathname));
    await walk.until("its lines", async () => (await page.locator(".trace-row").count()) > 0);
  });
  await walk.step("PromQL is drawn, and refused in place when wrong", async () => {
    await walk.open("/explore");
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
