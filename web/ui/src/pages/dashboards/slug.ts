/** Names in addresses. */

/** A title as a name for addresses, as the server makes it. */
export function slugOf(title: string): string {
  const name = title
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return name === "" ? "dashboard" : name.slice(0, 100);
}
