/** The walk through Alerts: from the list to one alert, from its lines to Logs, and a silence from its making to its end. */

export const portraits = async (walk) => {
  const found = await firstAlert(walk);
  return [
    ["alerts", "/alerts", "main > *"],
    ["silences", "/alerts?view=silences", ".silences > *"],
    ...(found === undefined ? [] : [["alert", found, ".alert-head"]]),
    ["silence-form", `/alerts?silence=${encodeURIComponent('service="checkout"')}`, ".silence-form"],
  ];
};

/** The address of the first alert that is listed; undefined where nothing fires. */
async function firstAlert(walk) {
  await walk.open("/alerts");
  await walk.page.locator("main > *").first().waitFor();
  const link = walk.page.locator(".alert-name").first();
  await link.waitFor({ timeout: 5000 }).catch(() => undefined);
  return (await link.count()) === 0 ? undefined : await link.getAttribute("href");
}

export async function steps(walk) {
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
  await walk.step("from an alert to the exact line in three clicks", async () => {
    const href = await firstAlert(walk);
    if (href === undefined) return;
    await page.locator(".alert-name").first().click();
    await page.locator(".alert-head").waitFor();
    walk.check(new URL(page.url()).pathname.startsWith("/alerts/"), "the alert has an address of its own");
    const line = page.locator(".alert-line").first();
    if ((await line.count()) === 0) return;
    await line.click();
    await walk.until("Logs at the line", async () => {
      const address = new URL(page.url());
      return address.pathname === "/logs" && address.searchParams.get("line") !== null;
    });
    await page.goBack();
    await page.locator(".alert-head").waitFor();
  });
  await walk.step("its rule is edited and rehearsed", async () => {
    const href = await firstAlert(walk);
    if (href === undefined) return;
    await walk.open(href);
    await page.getByRole("button", { name: "Edit and rehearse" }).click();
    const rule = await page.getByLabel("The rule as YAML").inputValue();
    walk.check(rule.startsWith("alert: "), `the rule as YAML: ${rule}`);
    await page.getByRole("button", { name: "Rehearse", exact: true }).click();
    await page.getByText(/It would (not )?have fired/).waitFor();
    await page.locator(".rehearsal").scrollIntoViewIfNeeded();
    await walk.screenshot("rehearsal");
  });
  await walk.step("an alert that nobody knows says so", async () => {
    await walk.expecting("404", async () => {
      await walk.open("/alerts/0000000000000000");
      await page.getByRole("heading", { name: "This alert is not known" }).waitFor();
    });
  });
  await walk.step("a silence is made, shown and ended", async () => {
    await walk.open("/alerts?view=silences");
    await page.getByRole("button", { name: "New silence" }).click();
    await page.getByLabel("alerts with").fill("service=checkout, severity");
    await page.getByText("is no matcher").waitFor();
    await page.getByLabel("alerts with").fill("service=walked");
    await page.getByLabel("for", { exact: true }).fill("45m");
    await page.getByLabel("reason").fill("the walk looks at it");
    await page.getByLabel("author").fill("walker");
    await page.getByRole("button", { name: "Silence", exact: true }).click();
    const row = page.locator(".silence-table tbody tr", { hasText: "the walk looks at it" });
    await row.waitFor();
    await row.getByRole("button", { name: "End now" }).click();
    await row.waitFor({ state: "detached" });
  });
}
