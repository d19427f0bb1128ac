/** Addresses of pages: a path and its parameters as text. Whoever goes there is in `location.ts`. */

/** Changes to parameters: null removes one. */
export type Amendments = Readonly<Record<string, string | null | undefined>>;

/** The address of a page with parameters; empty values are left out. */
export function hrefOf(path: string, parameters: Amendments = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, value);
  }
  return withSearch(path, search);
}

/** A path with parameters, written so that people can read it. */
export function withSearch(path: string, parameters: URLSearchParams): string {
  // Colons, commas and slashes may stand in a query as they are; times and field filters stay readable that way.
  const text = parameters.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
  return text === "" ? path : `${path}?${text}`;
}
