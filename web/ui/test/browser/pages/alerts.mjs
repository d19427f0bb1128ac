/** The walk through Alerts. */

export const portraits = () => [["alerts", "/alerts", "main > *"]];

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
}
