/** Views that somebody gave a name: addresses of the page, kept on the server for everybody. */
import { answered, failed, type Answer } from "./answer";
import { addressOf, failureOf, getJson, open } from "./request";

export interface SavedView {
  readonly name: string;
  /** A path of the page with its parameters. */
  readonly address: string;
  readonly saved: string;
}

export function fetchViews(signal: AbortSignal): Promise<Answer<{ views: SavedView[] }>> {
  return getJson("/api/v1/views", {}, signal);
}

/** Keeps an address under a name; what the name stood for before is replaced. */
export function saveView(name: string, address: string): Promise<Answer<SavedView>> {
  return change(name, { address }, "PUT");
}

export function removeView(name: string): Promise<Answer<SavedView>> {
  return change(name, {}, "DELETE");
}

async function change(name: string, parameters: Record<string, string>, method: string): Promise<Answer<SavedView>> {
  const path = addressOf(`/api/v1/views/${encodeURIComponent(name)}`, parameters);
  const opened = await open(path, "application/json", undefined, method);
  if (!opened.ok) return opened;
  try {
    return answered(((await opened.value.json()) as { view: SavedView }).view);
  } catch (cause) {
    return failed(failureOf(cause));
  }
}
