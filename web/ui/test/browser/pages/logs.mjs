/** The walk through the Logs page: search, complete, fail, drag, open, filter, tail, export. */

/** Words that only this walk sends, so that its own lines can be told from all others. */
const mark = `walk${Date.now().toString(36)}`;

export const portraits = () => [
  ["logs", "/logs", ".list-rows .row"],
  ["logs-filtered", "/logs?q=level:error", ".list-rows .row"],
  ["patterns", "/logs?view=patterns", ".patterns-table tbody tr"],
];

export async function steps(walk) {
  const { page } = walk;
  const rows = page.locator(".list-rows .list-place > .row");
  const query = page.getByRole("combobox", { name: "Search the logs" });
  const total = async () =>
    Number(
      ((await page.locator(".toolbar-summary strong").first().textContent({ timeout: 5000 })) ?? "").replace(/\D/g, ""),
    );
  const submit = async (text) => {
    await query.fill(text);
    await query.press("Escape");
    await query.press("Enter");
    await walk.until(
      `the address holds ${text}`,
      async () => (new URL(page.url()).searchParams.get("q") ?? "") === text,
    );
    await page.waitForTimeout(150);
    await walk.until("the search is over", async () => (await page.locator(".searching").count()) === 0);
  };

  await walk.step("lines of our own arrive", async () => {
    await walk.open("/logs");
    await send(page, [
      {
        level: "error",
        service: "web",
        host: "walk-host",
        message: `<img src=x onerror="document.title='owned'"> <script>document.title='owned'</script> ${mark}`,
      },
      {
        level: "warn",
        service: "web",
        host: "walk-host",
        message: `\u001b[31mred\u001b[0m bell \u0007 ${mark}`,
        nested: { list: [1, { two: 2 }] },
      },
    ]);
  });

  // The mock server knows no stages.
  if (process.env.BASE_URL !== undefined)
    await walk.step("stages make a table, and one that is empty says why", async () => {
      await walk.open("/logs");
      await submit("* | stats count() by service | sort -count");
      const table = page.locator(".answer-table");
      await walk.until("the table has rows", async () => (await table.locator("tbody tr").count()) > 1);
      await walk.until("its columns are named", async () =>
        /service\s*count/.test((await table.locator("thead").textContent()) ?? ""),
      );
      await submit("servce:web | head 5");
      await walk.until("the field that was meant is named", async () =>
        ((await page.locator(".reasons").textContent()) ?? "").includes("did you mean service"),
      );
    });

  await walk.step("the list has rows, the histogram bars, the facets counts", async () => {
    await walk.open("/logs");
    await walk.until("rows are shown", async () => (await rows.count()) > 10);
    await walk.until("a count is shown", async () => (await total()) > 10);
    await walk.until(
      "bars are drawn",
      async () =>
        (
          await page
            .locator(".histogram-bars path")
            .evaluateAll((paths) => paths.map((path) => path.getAttribute("d") ?? "").join(""))
        ).length > 20,
    );
    await walk.until("the facet of services names web", async () =>
      (await page.getByRole("complementary", { name: "Counts by field" }).textContent()).includes("web"),
    );
  });

  await walk.step("a search finds what it asks for", async () => {
    const all = await total();
    await submit("level:error");
    await walk.until("fewer rows", async () => (await total()) < all);
    const letters = await page.locator(".list-rows .cell-level").allTextContents();
    walk.check(
      letters.length > 0 && letters.every((letter) => letter === "E"),
      `letters of an error search: ${letters.slice(0, 20)}`,
    );
    walk.check((await page.title()).includes("level:error"), "the tab's title names the query");
  });

  await walk.step("completion offers fields, then values", async () => {
    await query.fill("");
    await query.pressSequentially("serv", { delay: 30 });
    const options = page.getByRole("listbox", { name: "Suggestions" }).getByRole("option");
    await walk.until("service is offered", async () =>
      (await options.allTextContents()).some((text) => text.startsWith("service")),
    );
    await query.press("Tab");
    await walk.until("web is offered", async () =>
      (await options.allTextContents()).some((text) => text.startsWith("web")),
    );
    await query.pressSequentially("web", { delay: 30 });
    await walk.until("only fitting values are offered", async () =>
      (await options.allTextContents()).every((text) => text.includes("web")),
    );
    await query.press("ArrowDown");
    await query.press("Enter");
    await query.press("Enter");
    await walk.until("rows of web only", async () => {
      const services = await page.locator(".list-rows .cell-field:nth-child(3)").allTextContents();
      return services.length > 0 && services.every((service) => service === "web") ? true : services.slice(0, 5);
    });
  });

  await walk.step("a query that cannot be read is explained in place", async () => {
    await walk.expecting("400", async () => {
      await submit("level:error AND (timeout");
      await walk.until(
        "the message stands below the box",
        async () => (await page.locator(".query-message").count()) === 1,
      );
      await walk.until("the place is underlined", async () => (await page.locator(".query-error-at").count()) === 1);
      await walk.axe("Logs with an error");
      await walk.screenshot("logs-query-error");
    });
  });

  await walk.step("dragging over the histogram zooms in and back undoes it", async () => {
    await submit("");
    await walk.until("a count is shown", async () => (await total()) > 10);
    const before = await total();
    const box = await page.locator(".histogram-plot").boundingBox();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 25, { steps: 4 });
    await page.mouse.move(box.x + box.width * 0.99, box.y + 25, { steps: 4 });
    await page.mouse.up();
    await walk.until("the range is absolute", async () => /from=\d{4}-/.test(page.url()));
    await walk.until("there are fewer rows", async () => {
      const now = await total();
      return (now < before && now > 0) || now;
    });
    await page.goBack();
    await walk.until("the range is as before", async () => !/from=\d{4}-/.test(page.url()));
  });

  await walk.step("a row opens by key, its fields filter", async () => {
    await submit("service:web");
    await page.locator(".list").focus();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await walk.until("the detail is open", async () => (await page.locator(".detail").count()) === 1);
    // Counts that are being asked for anew are pale for a moment.
    await walk.until("the counts are there", async () => (await page.locator(".facets-loading").count()) === 0);
    await walk.axe("Logs with an open row");
    await walk.screenshot("logs-open-row");
    const host = await page.locator('tr[data-field="host"]').getAttribute("data-value");
    await page.getByRole("button", { name: "Filter for host" }).click();
    await walk.until(
      "the query filters for the host",
      async () => (await query.inputValue()).includes(`host:`) && (await query.inputValue()).includes(host),
    );
    await page.locator(".list").focus();
    await page.keyboard.press("Escape");
  });

  await walk.step("the lines around a row are shown", async () => {
    await walk.until("rows are shown", async () => (await rows.count()) > 0);
    await page.locator(".list").focus();
    await page.keyboard.press("j");
    await page.keyboard.press("c");
    await walk.until("context lines", async () => (await page.locator(".context-lines .row").count()) > 1);
    await page.keyboard.press("Escape");
  });

  await walk.step("a facet filters for and out", async () => {
    await submit("");
    const facet = page.locator(".facet", { has: page.getByRole("heading", { name: "service" }) });
    await walk.until("web is a value", async () => (await facet.getByRole("button", { name: /^web/ }).count()) > 0);
    await facet.getByRole("button", { name: /^web/ }).first().click();
    await walk.until("filtered for", async () => (await query.inputValue()) === "service:web");
    await facet
      .getByRole("button", { name: /^web/ })
      .first()
      .click({ modifiers: ["Alt"] });
    await walk.until("filtered out", async () => (await query.inputValue()) === "-service:web");
  });

  await walk.step("patterns stand for like lines and lead to them", async () => {
    await submit("");
    await page.locator(".list").focus();
    await page.keyboard.press("p");
    const patterns = page.locator(".patterns-table tbody tr");
    await walk.until("patterns are listed", async () => (await patterns.count()) > 0);
    await patterns.first().locator(".pattern-button").click();
    await walk.until("filtered for one", async () => /^pattern:[0-9a-f]{16}$/.test(await query.inputValue()));
    await walk.until("its lines are there", async () => (await page.locator(".list-rows .row").count()) > 0);
  });

  await walk.step("keys wrap, jump to errors, show help", async () => {
    await submit("");
    await page.locator(".list").focus();
    await page.keyboard.press("w");
    await walk.until("lines are wrapped", async () => (await page.locator(".row-wrapped").count()) > 0);
    await page.keyboard.press("w");
    await page.keyboard.press("e");
    await walk.until(
      "an error is selected",
      async () => (await page.locator(".row-selected .cell-level").textContent()) === "E",
    );
    await page.keyboard.press("?");
    await walk.until("the help is open", async () => page.getByRole("dialog", { name: "Keys" }).isVisible());
    await walk.axe("the keys");
    await walk.screenshot("keys");
    await page.keyboard.press("Escape");
    await page.keyboard.press("t");
    await page.getByLabel("Any time").fill("2h ago");
    await walk.axe("the time picker");
    await walk.screenshot("time-picker");
    await page.keyboard.press("Enter");
    await walk.until("the range is two hours", async () => page.url().includes("from=now-2h"));
  });

  await walk.step("stored text stays text", async () => {
    await submit(mark);
    await walk.until("our two lines", async () => (await rows.count()) >= 2);
    walk.check(
      (await page.locator(".list-rows img, .list-rows script").count()) === 0,
      "markup of a line became elements",
    );
    walk.check((await page.title()) !== "owned", "script of a line ran");
    walk.check((await page.locator(".list-rows .ansi-red").count()) === 1, "the terminal colour is shown");
    walk.check(
      (await page.locator(".list-rows .escape", { hasText: "\\x07" }).count()) >= 1,
      "the control character is written out",
    );
    walk.check((await page.locator(".list-rows mark").count()) >= 2, "the search word is marked");
  });

  await walk.step("a link to a line leads back to it", async () => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await rows.first().click();
    await page.getByRole("button", { name: "Link", exact: true }).click();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    await page.goto(link);
    await walk.until("the line is open", async () => (await page.locator(".row-selected.row-open").count()) === 1);
    walk.check((await page.locator(".detail").textContent()).includes(mark), "the open line is ours");
  });

  await walk.step("further pages come as one scrolls", async () => {
    await walk.open("/logs?from=now-3h");
    await walk.until("rows are shown", async () => (await rows.count()) > 10);
    const loaded = async () => Number(await page.locator(".list").getAttribute("aria-rowcount"));
    const first = await loaded();
    for (let turn = 0; turn < 4; turn += 1) {
      await page.locator(".list").evaluate((list) => list.scrollTo(0, list.scrollHeight));
      await page.waitForTimeout(250);
    }
    walk.check((await loaded()) > first || first < 200, `rows after scrolling: ${await loaded()}, before: ${first}`);
  });

  await walk.step("loaded rows are exported", async () => {
    const download = page.waitForEvent("download");
    await page.getByLabel("Export rows").selectOption("ndjson");
    const file = await (await download).createReadStream();
    let text = "";
    for await (const chunk of file) text += chunk;
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    walk.check(
      lines.length > 10 && lines.every(({ id, time }) => id !== undefined && time !== undefined),
      "every exported line is a record",
    );
  });

  await walk.step("live: follows, pauses, counts what is held, resumes", async () => {
    await walk.open("/logs");
    await walk.until("rows are shown", async () => (await rows.count()) > 10);
    await submit(`"${mark}"`);
    await page.getByRole("button", { name: "Live" }).click();
    await walk.until("the tail is live", async () => (await page.locator(".tail-live").count()) === 1);
    await send(
      page,
      Array.from({ length: 60 }, (_, at) => ({
        level: "info",
        service: "web",
        host: "walk-host",
        message: `tail ${at} ${mark}`,
      })),
    );
    await walk.until(
      "the lines are shown",
      async () =>
        (await page.locator(".tail-summary").textContent()).includes("shown 60") ||
        page.locator(".tail-summary").textContent(),
    );
    await page.locator(".list").evaluate((list) => list.scrollTo(0, 300));
    await walk.until("it pauses", async () => (await page.locator(".live-bar").count()) === 1);
    await send(
      page,
      Array.from({ length: 7 }, (_, at) => ({
        level: "info",
        service: "web",
        host: "walk-host",
        message: `held ${at} ${mark}`,
      })),
    );
    await walk.until(
      "seven are held",
      async () =>
        (await page.locator(".live-bar").textContent()).includes("7 new") || page.locator(".live-bar").textContent(),
    );
    await walk.axe("Logs paused");
    await walk.screenshot("logs-live-paused");
    await page.getByRole("button", { name: "Resume" }).click();
    await walk.until("the newest is on top", async () => (await rows.first().textContent()).includes("held 6"));
    walk.check((await page.locator(".tail-summary").textContent()).includes("dropped 0"), "nothing was dropped");
    await page.getByRole("button", { name: "Live" }).click();
  });

  await walk.step("an empty answer helps on", async () => {
    await submit(`nothing${mark}nothing`);
    await walk.until(
      "suggestions",
      async () => (await page.getByRole("button", { name: "Without the query" }).count()) === 1,
    );
    await walk.screenshot("logs-empty");
    await walk.axe("Logs without rows");
    await page.getByRole("button", { name: "Without the query" }).click();
    await walk.until("rows again", async () => (await rows.count()) > 0);
  });
}

/** Sends records as a client would. */
async function send(page, records) {
  const body = records.map((record) => `${JSON.stringify(record)}\n`).join("");
  const response = await page.request.post(`${new URL(page.url()).origin}/api/v1/logs`, {
    data: body,
    headers: { "content-type": "application/x-ndjson" },
  });
  if (!response.ok()) throw new Error(`sending lines was answered ${response.status()}`);
}
