/**
 * The walk through what people do with the Logs page once lines are on it: columns, saved views, the palette, pasting,
 * comparing, context, taking a view elsewhere; and what data that means harm looks like. Needs a real server.
 */

export const onMock = false;

/** Words that only this walk sends, so that its own lines can be told from all others. */
const mark = `work${Date.now().toString(36)}`;

export async function portraits(walk) {
  await sendHostile(walk);
  return [
    ["compare", "/logs?view=compare&from=now-30m", ".compare-table tbody tr"],
    ["hostile", `/logs?q=${mark}`, ".list-rows .row"],
    ["histogram-by-service", "/logs?by=service&cols=service,host~120", ".list-rows .row"],
  ];
}

export async function steps(walk) {
  const { page } = walk;
  const rows = page.locator(".list-rows .list-place > .row");
  const query = page.getByRole("combobox", { name: "Search the logs" });
  const address = () => new URL(page.url());
  const parameter = (name) => address().searchParams.get(name);

  await walk.step("columns are added, made wider, moved and taken away, and the address keeps it", async () => {
    await walk.open("/logs?cols=service,host");
    await walk.until("rows", async () => (await rows.count()) > 5);
    const edge = page.getByRole("separator", { name: /Width of the column host/ });
    await edge.focus();
    await page.keyboard.press("ArrowRight");
    await walk.until("host has a width", async () => /host~\d+/.test(parameter("cols") ?? "") || parameter("cols"));
    await page.getByRole("separator", { name: /Width of the column host/ }).focus();
    await page.keyboard.press("Shift+ArrowLeft");
    await walk.until("host stands first", async () => /^host~\d+,service$/.test(parameter("cols") ?? ""));
    const box = await page.getByRole("separator", { name: /Width of the column service/ }).boundingBox();
    await page.mouse.move(box.x + 3, box.y + 5);
    await page.mouse.down();
    await page.mouse.move(box.x + 63, box.y + 5, { steps: 4 });
    await page.mouse.up();
    await walk.until("service was dragged wider", async () => /service~\d+$/.test(parameter("cols") ?? ""));
    const kept = page.url();
    await page.reload();
    await walk.until("rows again", async () => (await rows.count()) > 5);
    walk.check(page.url() === kept, "the address is the same after a reload");
    const heads = await page.locator(".list-header .column-name").allTextContents();
    walk.check(heads.map((head) => head.trim()).join() === "time,host,service", `heads: ${heads}`);
    await page.locator(".list").focus();
    await page.keyboard.press("T");
    await walk.until("the times are hidden", async () => (await page.locator(".list-rows .cell-time").count()) === 0);
    await page.keyboard.press("T");
    await walk.until("and shown", async () => (await page.locator(".list-rows .cell-time").count()) > 0);
  });

  await walk.step("the histogram is stacked by another field, and back undoes it", async () => {
    await walk.open("/logs");
    await walk.until("rows", async () => (await rows.count()) > 5);
    await page.getByLabel("Stack the histogram by").selectOption("service");
    await walk.until("bars by service", async () => (await page.locator(".histogram-series-1").count()) === 1);
    walk.check(parameter("by") === "service", page.url());
    await page.goBack();
    await walk.until("by level again", async () => parameter("by") === null);
  });

  await walk.step("a view is saved, opened from the palette, and forgotten", async () => {
    await walk.open("/logs?q=level:error&cols=host,service&from=now-3h");
    await page.getByRole("button", { name: "Views" }).click();
    await page.getByLabel("Name of this view").fill(`Errors ${mark}`);
    await walk.axe("the saved views");
    await page.keyboard.press("Enter");
    await walk.until("it is said", async () =>
      ((await page.locator(".toast").textContent()) ?? "").includes(`Errors ${mark}`),
    );
    await walk.open("/");
    await page.keyboard.press("Control+k");
    await page.getByLabel("Search, paste, or name what to do").fill(mark);
    await walk.until("it is offered", async () =>
      (await page.getByRole("option").first().textContent()).includes(mark),
    );
    await walk.axe("the palette");
    await walk.screenshot("palette");
    await page.keyboard.press("Enter");
    await walk.until("the view as it was saved", async () => {
      const { pathname, searchParams } = address();
      return (
        pathname === "/logs" && searchParams.get("cols") === "host,service" && searchParams.get("from") === "now-3h"
      );
    });
    await page.getByRole("button", { name: "Views" }).click();
    await page.getByRole("button", { name: `Forget the view Errors ${mark}` }).click();
    await walk.until("it is gone", async () => (await page.getByText(`Errors ${mark}`, { exact: true }).count()) === 0);
  });

  await walk.step("the palette does what a key does", async () => {
    await walk.open("/logs");
    await walk.until("rows", async () => (await rows.count()) > 5);
    await page.keyboard.press("Control+k");
    await page.getByLabel("Search, paste, or name what to do").fill("wrap lines");
    await page.keyboard.press("Enter");
    await walk.until("lines are wrapped", async () => (await page.locator(".row-wrapped").count()) > 0);
  });

  await walk.step("a view is taken elsewhere as link, command and curl", async () => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await walk.open("/logs?q=level:error");
    await walk.until("rows", async () => (await rows.count()) > 0);
    for (const [what, expected] of [
      ["Link", /\/logs\?q=level:error&from=\d{4}-/],
      ["taffrail command", /^taffrail query level:error --from \S+ --to \S+ --server http/],
      ["curl command", /^curl -s '?http\S+\/api\/v1\/logs\/search\?q=level%3Aerror/],
    ]) {
      await page.getByRole("button", { name: "Share" }).click();
      await page.getByRole("button", { name: `Copy the ${what}` }).click();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      walk.check(expected.test(copied), `${what}: ${copied}`);
    }
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Share" }).click();
    await page.getByRole("button", { name: "Save the chart as PNG" }).click();
    const chunks = [];
    for await (const chunk of await (await download).createReadStream()) chunks.push(chunk);
    const picture = Buffer.concat(chunks);
    walk.check(
      picture.subarray(1, 4).toString() === "PNG" && picture.length > 2000,
      `a picture of ${picture.length} bytes`,
    );
  });

  const own = {
    level: "error",
    service: "walker",
    host: "walk-host",
    message: `the walker ${mark} lost its way at step 4711`,
    trace_id: "5bf92f3577b34da6a3ce929d0e0e4736",
    colour: "green",
  };
  await walk.step("a pasted line lands on the line", async () => {
    await send(walk, [own, { ...own, level: "info", message: `the walker ${mark} went on`, colour: "blue" }]);
    await paste(page, own.message);
    await walk.until("the line is open", async () => (await page.locator(".row-selected.row-open").count()) === 1);
    walk.check((await page.locator(".detail").textContent()).includes("step 4711"), "it is the line");
  });

  await walk.step("a pasted line that is not there lands on its pattern", async () => {
    await paste(page, own.message.replace("4711", "4712"));
    await walk.until("its pattern", async () => /^pattern:[0-9a-f]{16}$/.test(parameter("q") ?? "") || page.url());
    await walk.until("its like", async () => (await rows.count()) >= 1);
  });

  await walk.step("a stack trace, a time, a trace id, Kibana and Grafana are understood", async () => {
    await paste(page, "2026-11-22T03:10:00Z");
    await walk.until("the time", async () => parameter("from") === "2026-11-22T03:05:00.000Z" || page.url());
    await paste(page, own.trace_id);
    await walk.until("the trace", async () => address().pathname === `/trace/${own.trace_id}`);
    await paste(
      page,
      "https://kibana.example/app/discover#/?_g=(time:(from:now-2h,to:now))&_a=(query:(language:kuery,query:'service.name : web'))",
    );
    await walk.until("Kibana's query", async () => parameter("q") === "service:web" && parameter("from") === "now-2h");
    const pane = { queries: [{ expr: '{service_name="web"} |= `GET`', datasource: { type: "loki" } }], range: {} };
    await paste(page, `https://grafana.example/explore?panes=${encodeURIComponent(JSON.stringify({ a: pane }))}`);
    await walk.until("Grafana's query", async () => parameter("q") === 'service:web "GET"' || parameter("q"));
    await paste(page, `java.lang.Error: ${mark}\n\tat shop.A.b(A.java:1)\n\tat java.c.D.e(D.java:2)`);
    await walk.until("its headline", async () => (parameter("q") ?? "").includes(`java.lang.Error: ${mark}`));
  });

  await walk.step("the lines around a row, of the same field, with the filters kept or dropped", async () => {
    await walk.open(`/logs?q="${mark}" level:error&from=now-1h`);
    await walk.until("our line", async () => (await rows.count()) >= 1);
    await page.locator(".list").focus();
    await page.keyboard.press("j");
    await page.keyboard.press("c");
    const lines = page.locator(".context-lines .row");
    await walk.until("its neighbour that the filter leaves out", async () =>
      (await page.locator(".context-lines").textContent()).includes("went on"),
    );
    await page.getByLabel("keep the filters").check();
    await walk.until("only what is filtered for", async () => {
      const text = await page.locator(".context-lines").textContent();
      return text.includes("lost its way") && !text.includes("went on") ? true : text;
    });
    await page.getByLabel("keep the filters").uncheck();
    await page.getByLabel("Another field that the lines share").selectOption("colour");
    await walk.until("only those of its colour", async () => {
      const text = await page.locator(".context-lines").textContent();
      return (await lines.count()) >= 1 && !text.includes("went on") ? true : text;
    });
    await walk.axe("Logs with context");
    await walk.screenshot("logs-context");
  });

  await walk.step("a field's commonest values are counted, and the row stands beside the list", async () => {
    await page.getByRole("button", { name: "Commonest values of service" }).click();
    await walk.until("walker is one", async () => (await page.locator(".top-values").textContent()).includes("walker"));
    await page.locator(".list").focus();
    await page.keyboard.press("o");
    await walk.until("the panel", async () => (await page.locator(".logs-side .detail").count()) === 1);
    await walk.axe("Logs with the panel");
    await walk.screenshot("logs-beside");
    await page.keyboard.press("o");
  });

  await walk.step("a facet shows further values, and finds them", async () => {
    await send(
      walk,
      Array.from({ length: 30 }, (_, at) => ({ service: "walker", message: `${mark} ship`, ship: `ship-${at}` })),
    );
    await walk.open(`/logs?q="${mark} ship"`);
    await walk.until("rows", async () => (await rows.count()) > 0);
    await page.getByLabel("Add a field to the sidebar").selectOption("ship");
    const facet = page.locator(".facet", { has: page.getByRole("heading", { name: "ship" }) });
    await walk.until("ten of them", async () => (await facet.locator(".facet-value").count()) === 10);
    await facet.getByRole("button", { name: "20 others" }).click();
    await walk.until("all of them", async () => (await facet.locator(".facet-value").count()) === 30);
    await facet.getByLabel("Search the values of ship").fill("SHIP-27");
    await walk.until("the one", async () => (await facet.locator(".facet-value").count()) === 1);
    await page.getByRole("button", { name: "Take ship out of the sidebar" }).click();
  });

  await walk.step("rows that say the same are folded", async () => {
    await send(
      walk,
      Array.from({ length: 5 }, () => ({ service: "walker", message: `again and again ${mark}` })),
    );
    await walk.open(`/logs?q="again and again ${mark}"`);
    await walk.until("five rows", async () => (await rows.count()) === 5);
    await page.locator(".list").focus();
    await page.keyboard.press("d");
    await walk.until("one row", async () => (await rows.count()) === 1);
    walk.check((await page.locator(".row-repeats").textContent()) === "×5", "it says how many");
    walk.check(parameter("dedupe") === "1", "the address keeps it");
  });

  await walk.step("two marked stretches are compared", async () => {
    await walk.open("/logs?from=now-30m");
    await walk.until("rows", async () => (await rows.count()) > 5);
    await page.getByRole("button", { name: "Compare" }).click();
    await walk.until("both are marked", async () => (await page.locator(".histogram-band").count()) === 2);
    const box = await page.locator(".histogram-plot").boundingBox();
    for (const [from, to] of [
      [0.05, 0.35],
      [0.55, 0.95],
    ]) {
      await page.mouse.move(box.x + box.width * from, box.y + 30);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * to, box.y + 30, { steps: 5 });
      await page.mouse.up();
    }
    await walk.until("the address has both", async () => parameter("before") !== null && parameter("after") !== null);
    await walk.until("an answer", async () => (await page.getByRole("region", { name: "Patterns" }).count()) === 1);
    await walk.until("metrics too", async () => (await page.getByRole("region", { name: "Metrics" }).count()) === 1);
    await walk.axe("a comparison");
    await walk.screenshot("logs-compare");
    const kept = page.url();
    await page.reload();
    await walk.until(
      "the same again",
      async () => (await page.getByRole("region", { name: "Patterns" }).count()) === 1,
    );
    walk.check(page.url() === kept, "a reload keeps both stretches");
    await page.keyboard.press("b");
    await walk.until("rows again", async () => (await rows.count()) > 5);
  });

  await walk.step("a server that is away takes nothing from the screen, and is found again", async () => {
    await walk.open("/logs?from=now-3h");
    await walk.until("rows", async () => (await rows.count()) > 5);
    const before = await rows.count();
    await walk.expecting("ERR_FAILED", async () => {
      await page.route("**/api/**", (route) => route.abort());
      await query.fill("level:warn");
      await query.press("Escape");
      await query.press("Enter");
      await walk.until("it is said", async () =>
        /cannot be reached/.test(await page.locator(".logs-main").textContent()),
      );
      walk.check((await rows.count()) >= Math.min(before, 5), `rows stay: ${await rows.count()} of ${before}`);
      await walk.screenshot("logs-away");
      // Nobody presses anything: it asks again by itself.
      await page.unroute("**/api/**");
      await walk.until("warnings only", async () => {
        const letters = await page.locator(".list-rows .cell-level").allTextContents();
        return letters.length > 0 && letters.every((letter) => letter === "W");
      });
    });
  });

  await walk.step("a tail that is cut off resumes without a gap", async () => {
    await walk.open(`/logs?q="cut ${mark}"&live=1`);
    await walk.until("the tail is live", async () => (await page.locator(".tail-live").count()) === 1);
    await send(walk, [{ service: "walker", message: `cut ${mark} first` }]);
    await walk.until("the first", async () => (await rows.count()) === 1);
    await walk.expecting("ERR_", async () => {
      await page.context().setOffline(true);
      await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)));
      await send(walk, [{ service: "walker", message: `cut ${mark} second` }]);
      await page.context().setOffline(false);
      await send(walk, [{ service: "walker", message: `cut ${mark} third` }]);
      await walk.until("all three", async () => (await rows.count()) === 3 || rows.count());
    });
    walk.check((await page.locator(".tail-summary").textContent()).includes("dropped 0"), "nothing was dropped");
    await walk.until("the server's count is told", async () =>
      /received [1-9]/.test(await page.locator(".tail-summary").textContent()),
    );
  });

  await walk.step("what means harm is text everywhere", async () => {
    await sendHostile(walk);
    const dialogs = [];
    page.on("dialog", (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
    await walk.open(`/logs?q=${mark} service:hostile&cols=service,evil,host`);
    await walk.until("its lines", async () => (await rows.count()) >= 5);
    for (const where of [
      "/logs",
      "/logs?view=patterns&from=now-15m",
      "/logs?view=compare&from=now-15m",
      `/trace/${hostileTrace}`,
    ]) {
      await walk.open(where.includes("trace") ? where : `${where}${where.includes("?") ? "&" : "?"}q=service:hostile`);
      await walk.until(
        `something on ${where}`,
        async () => (await page.locator(".row, .patterns-table tbody tr, .compare section, .trace-row").count()) > 0,
      );
      await noHarm(where);
    }
    await walk.open(`/logs?q=${mark} service:hostile&cols=service,evil`);
    await walk.until("its lines", async () => (await rows.count()) >= 5);
    for (let row = 0; row < 5; row += 1) {
      await page.locator(".list").focus();
      await page.keyboard.press("j");
      await page.keyboard.press("Enter");
      await walk.until("it opens", async () => (await page.locator(".detail").count()) >= 1);
      await noHarm(`row ${row}`);
      await page.keyboard.press("Enter");
    }
    walk.check(dialogs.length === 0, `a script ran: ${dialogs}`);

    async function noHarm(where) {
      walk.check((await page.title()) !== "owned", `a script of ${where} ran`);
      const foreign = await page.locator("main img, main script, main iframe, main b").count();
      walk.check(foreign === 0, `markup became elements on ${where}`);
      const hidden = await page.evaluate(() =>
        /[\u0000\u202a-\u202e\u2066-\u2069]/.test(document.querySelector("main").textContent),
      );
      walk.check(!hidden, `marks that reorder text stand bare on ${where}`);
      await walk.nothingOverflows(where);
    }
  });
}

const hostileTrace = "6bf92f3577b34da6a3ce929d0e0e4736";

/** Markup, terminal codes, marks that turn text round, null bytes, a long line, five hundred fields. */
async function sendHostile(walk) {
  const markup = `<img src=x onerror="document.title='owned'"><script>alert(1)</script><iframe src="javascript:alert(2)"></iframe><b>bold</b>`;
  const common = { service: "hostile", host: "hostile-host", trace_id: hostileTrace, level: "error" };
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`field_${at}`, `${markup} ${at}`]));
  await send(walk, [
    { ...common, message: `${mark} ${markup}`, evil: markup, [markup.slice(0, 40)]: "a field's name" },
    {
      ...common,
      message: `${mark} \u001b[31mred\u001b[0m \u001b]0;owned\u0007 \u001b[2J \u0000null\u0000`,
      evil: "\u0000\u001b[5m",
    },
    { ...common, message: `${mark} \u202egnp.exe \u2066turned\u2069 round`, evil: "\u202eevil" },
    { ...common, message: `${mark} ${"long ".repeat(200_000)}`, evil: "x".repeat(20_000) },
    { ...common, message: `${mark} many fields`, ...many },
  ]);
}

/** Pastes into the palette, wherever one is. */
async function paste(page, text) {
  await page.keyboard.press("Control+k");
  const box = page.getByLabel("Search, paste, or name what to do");
  await box.waitFor();
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.evaluate((pasted) => navigator.clipboard.writeText(pasted), text);
  await box.press("Control+v");
  if (!text.includes("\n")) await box.press("Enter");
}

/** Sends records as a client would. */
async function send(walk, records) {
  const response = await walk.page.request.post(`${walk.base}/api/v1/logs`, {
    data: records.map((record) => `${JSON.stringify(record)}\n`).join(""),
    headers: { "content-type": "application/x-ndjson" },
  });
  if (!response.ok()) throw new Error(`sending lines was answered ${response.status()}: ${await response.text()}`);
}
