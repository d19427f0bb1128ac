/**
 * The page's address as a signal, and the only place that changes it. Every page keeps its whole state in the address, so
 * a link shows others the same view and the back button undoes a step.
 */
import { signal, type ReadonlySignal } from "@preact/signals";
import { withSearch, type Amendments } from "./address";
import { pageAt } from "./pages";

export interface Place {
  readonly path: string;
  readonly parameters: URLSearchParams;
}

const current = signal<Place>(read());

export const place: ReadonlySignal<Place> = current;

/** The value of a parameter, or the empty string. */
export function parameter(name: string): string {
  return current.value.parameters.get(name) ?? "";
}

/** Goes to another page (or address on this origin). */
export function go(href: string, how: "push" | "replace" = "push"): void {
  if (href === window.location.pathname + window.location.search) return;
  if (how === "push") window.history.pushState(null, "", href);
  else window.history.replaceState(null, "", href);
  current.value = read();
}

/** Changes some parameters of this page. `replace` is for changes that nobody wants to step back through. */
export function amend(amendments: Amendments, how: "push" | "replace" = "push"): void {
  const parameters = new URLSearchParams(current.peek().parameters);
  for (const [name, value] of Object.entries(amendments)) {
    if (value === null || value === undefined || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  go(withSearch(current.peek().path, parameters), how);
}

/** Makes links and the back button change the signal instead of loading the page anew. */
export function followLinks(): void {
  window.addEventListener("popstate", () => {
    current.value = read();
  });
  document.addEventListener("click", (event) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.origin !== window.location.origin) return;
    if (link.target !== "" || link.hasAttribute("download") || pageAt(link.pathname) === undefined) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

function read(): Place {
  return { path: window.location.pathname, parameters: new URLSearchParams(window.location.search) };
}
