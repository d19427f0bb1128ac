/** The walk through what every page has: the keys that lead from one to another. */

export async function steps(walk) {
  const { page } = walk;
  await walk.step("two keys lead to every page", async () => {
    await walk.open("/");
    const links = await page
      .locator(".rail-link")
      .evaluateAll((all) => all.map((link) => [link.title, link.getAttribute("href")]));
    walk.check(links.length >= 6, `pages in the rail: ${links.length}`);
    for (const [title, path] of links) {
      const key = /\(g (.)\)/.exec(title)?.[1];
      await page.keyboard.press("Escape");
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await walk.until(`g ${key} leads to ${path}`, async () => new URL(page.url()).pathname === path);
    }
  });
}
