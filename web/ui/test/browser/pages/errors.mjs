/** The walk through Errors: from the list to a group, its stack, what is decided about it, and what a deploy changed. */

let path = "/errors";
let deploy = "";

export const portraits = () => [
  ["errors", "/errors?state=all&from=now-1d", ".error-groups tbody tr"],
  ["error", path, ".error-head"],
  ...(deploy === "" ? [] : [["deploy", deploy, ".deploy-tables"]]),
];

export async function steps(walk) {
  const { page } = walk;
  await walk.step("errors are listed by group, and one opens with its stack", async () => {
    await walk.open("/errors?state=all&from=now-1d");
    await walk.until("groups", async () => (await page.locator(".error-groups tbody tr").count()) > 0);
    await page.locator(".error-link").first().click();
    await walk.until("the group", async () => (await page.locator(".error-head").count()) === 1);
    await walk.until("its message or stack", async () => (await page.locator(".stack").count()) === 1);
  });
  path = `${new URL(page.url()).pathname}?from=now-1d`;
  await walk.step("a group is resolved and opened again", async () => {
    const state = page.locator(".error-head .state").first();
    if ((await state.textContent()) === "resolved") await page.getByRole("button", { name: "Reopen" }).click();
    await page.getByRole("button", { name: "Resolve", exact: true }).click();
    await walk.until("resolved", async () => (await state.textContent()) === "resolved");
    await page.getByRole("button", { name: "Reopen" }).click();
    await walk.until("open", async () => (await state.textContent()) === "open");
  });
  await walk.step("the flag of a deploy over the histogram leads to what it changed", async () => {
    await walk.open("/logs?from=now-3h");
    const flags = page.locator(".annotation-deploy");
    try {
      await walk.until("flags", async () => (await flags.count()) > 0);
    } catch {
      // A server without a deploy in its data has none.
      return;
    }
    await flags.last().locator(".annotation-flag").click();
    await walk.until("what it changed", async () => (await page.locator(".deploy-tables").count()) === 1);
    deploy = new URL(page.url()).pathname + new URL(page.url()).search;
  });
}
