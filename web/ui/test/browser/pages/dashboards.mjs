/** The walk through Dashboards: the list, the built-in set on live data, and the journey from nothing to a saved dashboard. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The mock server has no dashboards. */
export const onMock = false;

export async function portraits() {
  return [
    ["dashboards", "/d", ".dashboards-table tbody tr"],
    ["dashboard-hosts", "/d/hosts", ".panel canvas"],
    ["dashboard-statsd", "/d/statsd", ".panel .stat-number"],
    ["dashboard-ingest", "/d/ingest", ".panel canvas"],
    ["dashboard-server", "/d/taffrail", ".panel .stat-number"],
    ["dashboard-editor", "/d/hosts?edit=1", ".yaml-text"],
  ];
}

const board = `title: Walked
variables:
- name: host
  label: host
  of: '{"host.cpu.busy"}'
  multi: true
  all: true
rows:
- panels:
  - title: Requests
    unit: /s
    draw: stacked
    queries:
    - promql: sum by (route) (rate({"web.requests"}[$__rate_interval]))
      name: '{{route}}'
  - title: Errors of $host
    type: logs
    queries:
    - logs: level:>=error host:$host
`;

const grafana = {
  title: "From Grafana",
  panels: [
    {
      type: "timeseries",
      title: "Busy",
      gridPos: { x: 0, y: 0, w: 12, h: 8 },
      targets: [{ expr: '{"host.cpu.busy"}', legendFormat: "{{host}}" }],
      fieldConfig: { defaults: { unit: "percentunit" }, overrides: [{}] },
    },
    { type: "nodeGraph", title: "Nodes", gridPos: { x: 12, y: 0, w: 12, h: 8 } },
  ],
};

export async function steps(walk) {
  const { page } = walk;
  await walk.step("the built-in dashboards are listed, and one opens with live panels", async () => {
    await walk.open("/d");
    await walk.until("four of them", async () => (await page.locator(".dashboards-table tbody tr").count()) >= 4);
    await page.getByRole("link", { name: "Hosts", exact: true }).last().click();
    await walk.until("its address", async () => new URL(page.url()).pathname === "/d/hosts");
    await walk.until("numbers", async () =>
      /\d/.test((await page.locator(".stat-number").first().textContent()) ?? ""),
    );
    await walk.until("charts", async () => (await page.locator(".panel canvas").count()) > 2, 60_000);
  });
  await walk.step("a variable narrows every panel and stands in the address", async () => {
    await page.locator(".multi-select summary").click();
    await page.locator(".multi-options").getByLabel("shop-app-1").check();
    await walk.until("the address has it", async () => page.url().includes("var-host=shop-app-1"));
    await walk.until("one line is left", async () => {
      const names = await page
        .getByRole("region", { name: "Processor busy" })
        .locator(".legend-name")
        .allTextContents();
      return names.join() === "shop-app-1" ? true : names;
    });
    await page.reload();
    await walk.until("it stays after a reload", async () =>
      ((await page.locator(".multi-chosen").textContent()) ?? "").includes("shop-app-1"),
    );
  });
  await walk.step("a panel is enlarged, and the back button shows all again", async () => {
    const panel = page.getByRole("region", { name: "Processor busy" });
    await panel.hover();
    await panel.getByRole("button", { name: "Enlarge" }).click();
    await walk.until("alone", async () => (await page.locator(".board-alone .panel").count()) === 1);
    await page.goBack();
    await walk.until("all", async () => (await page.locator(".panel").count()) > 5);
  });
  await walk.step("a dashboard is built: written, mended where it is wrong, saved", async () => {
    await walk.open("/d");
    // What an earlier walk over the same data left behind.
    await page.request.delete(`${walk.base}/api/v1/dashboards/walked`);
    await page.getByRole("button", { name: "New dashboard" }).click();
    const text = page.locator(".yaml-text");
    await text.fill(board.replace("sum by (route)", "sum by route)"));
    await walk.until("the mistake is told with its place", async () =>
      /^\d+:\d+/.test(
        (await page
          .locator(".yaml-problem")
          .first()
          .textContent()
          .catch(() => "")) ?? "",
      ),
    );
    walk.check(
      await page.getByRole("button", { name: "Save", exact: true }).isDisabled(),
      "a wrong text cannot be saved",
    );
    await text.fill(board);
    await walk.until("nothing is wrong", async () => (await page.locator(".yaml-problem").count()) === 0);
    await walk.until("the view follows", async () => (await page.locator(".panel").count()) === 2);
    await walk.screenshot("dashboard-new");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await walk.until("it has an address", async () => new URL(page.url()).pathname === "/d/walked");
  });
  await walk.step("two editors do not overwrite each other", async () => {
    const uri = `${walk.base}/api/v1/dashboards/walked`;
    const there = await (await page.request.get(uri)).json();
    const other = await page.request.put(uri, {
      data: there.yaml.replace("title: Walked", "title: Walked by another"),
      headers: { "content-type": "application/yaml", "if-match": `"${there.version}"` },
    });
    walk.check(other.ok(), `the other editor was answered ${other.status()}`);
    await page.locator(".yaml-text").fill(board.replace("title: Walked", "title: Walked here"));
    const save = page.getByRole("button", { name: "Save", exact: true });
    await walk.until("it can be saved", async () => !(await save.isDisabled()));
    await walk.expecting("412", async () => {
      await save.click();
      await walk.until("it is refused", async () =>
        (
          (await page
            .locator(".editor-failure")
            .textContent()
            .catch(() => "")) ?? ""
        ).includes("changed since"),
      );
    });
    await page.getByRole("button", { name: /Keep my text/ }).click();
    await walk.until("the version is known", async () => (await page.locator(".editor-failure").count()) === 0);
    await save.click();
    await walk.until(
      "it is saved",
      async () => ((await (await page.request.get(uri)).json()).title ?? "") === "Walked here",
    );
  });
  await walk.step("a chart of Metrics is added to it", async () => {
    await walk.open("/explore?name=web.requests");
    await walk.until("a chart", async () => (await page.locator(".chart canvas").count()) > 0);
    await page.getByRole("button", { name: "Add to dashboard" }).click();
    await page.locator(".ways-board", { hasText: "Walked here" }).click();
    await walk.until("the dashboard opens", async () => new URL(page.url()).pathname === "/d/walked");
    await walk.until("with one panel more", async () => (await page.locator(".panel").count()) === 3);
  });
  await walk.step("what Grafana exports is taken, and what it could not map is said", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "walk-")), "grafana.json");
    writeFileSync(file, JSON.stringify(grafana));
    await walk.open("/d");
    await page.locator('input[type="file"]').setInputFiles(file);
    await walk.until("the list of what is missing", async () => (await page.locator(".not-mapped li").count()) === 2);
    await walk.until("its panel is drawn", async () => (await page.locator(".panel canvas").count()) === 1);
    await walk.screenshot("dashboard-import");
  });
  await walk.step("it is removed again", async () => {
    // Leaving the text that was not saved asks, and so does removing.
    const accept = (dialog) => void dialog.accept();
    page.on("dialog", accept);
    await walk.open("/d/walked?edit=1");
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await walk.until("the list", async () => new URL(page.url()).pathname === "/d");
    page.off("dialog", accept);
  });
}
