/** The walk through Hosts and Settings. */

/** The mock server has neither settings nor what the tiles ask for. */
export const onMock = false;

export async function portraits() {
  return [
    ["hosts", "/hosts", ".host-tile"],
    ["hosts-table", "/hosts?view=table", ".host-table tbody tr"],
    ["host", "/hosts/shop-app-1", ".panel canvas"],
    ["settings", "/settings", ".settings-list tbody tr"],
  ];
}

export async function steps(walk) {
  const { page } = walk;
  await walk.step("hosts are tiles with their figures, or a table", async () => {
    await walk.open("/hosts");
    await walk.until("the shop's three", async () => (await page.locator(".host-tile").count()) >= 3);
    await walk.until(
      "they measure themselves",
      async () =>
        /\d+ %/.test(
          (await page
            .locator(".meter-number")
            .first()
            .textContent()
            .catch(() => "")) ?? "",
        ),
      60_000,
    );
    await page.keyboard.press("v");
    await walk.until("the table", async () => (await page.locator(".host-table tbody tr").count()) >= 3);
  });
  await walk.step("a host shows lines, figures and alerts on one time axis", async () => {
    await page.locator(".host-table").getByRole("link", { name: "shop-app-1" }).click();
    await walk.until("its address", async () => new URL(page.url()).pathname === "/hosts/shop-app-1");
    await walk.until("charts", async () => (await page.locator(".panel canvas").count()) >= 3, 60_000);
    const lefts = await page
      .locator(".panel-chart .u-over")
      .evaluateAll((plots) => plots.map((plot) => Math.round(plot.getBoundingClientRect().left)));
    walk.check(new Set(lefts).size === 1, `the axes begin at ${lefts.join(", ")}`);
    await page.locator(".panel-logs").scrollIntoViewIfNeeded();
    await walk.until("lines", async () => (await page.locator(".panel-logs .row").count()) > 0);
  });
  await walk.step("settings are searched, and say where they came from", async () => {
    await walk.open("/settings");
    await walk.until("all of them", async () => (await page.locator(".settings-list tbody tr").count()) > 40);
    await page.keyboard.press("/");
    await page.keyboard.type("data_dir");
    const row = page.locator(".settings-list tbody tr").first();
    await walk.until("one is left, from its flag", async () =>
      /server\.data_dir.*from --data-dir/.test((await row.textContent()) ?? ""),
    );
  });
}
