/** The saved views as the page knows them, and which of them is shown. */
import { createRemote } from "../api/remote";
import { fetchViews, removeView, saveView, type SavedView } from "../api/views";
import { withSearch } from "../app/address";
import { place, type Place } from "../app/location";
import { toast } from "../app/toast";

const views = createRemote<{ views: SavedView[] }>();

export const savedViews = views.value;
export const viewsFailure = views.failure;

export function loadViews(): Promise<void> {
  return views.load(fetchViews);
}

/** What of an address makes a view: one line of it, and that it is live, are passing. */
export function viewAddress({ path, parameters }: Place): string {
  const kept = new URLSearchParams(parameters);
  kept.delete("line");
  kept.delete("live");
  return withSearch(path, kept);
}

/** The saved view that is shown just as it was saved. */
export function shownView(): SavedView | undefined {
  const here = viewAddress(place.value);
  return views.value.value?.views.find(({ address }) => address === here);
}

export async function saveThisView(name: string): Promise<boolean> {
  const saved = await saveView(name, viewAddress(place.peek()));
  toast(saved.ok ? `Saved as “${saved.value.name}”` : saved.failure.message);
  await loadViews();
  return saved.ok;
}

export async function forgetView(view: SavedView): Promise<void> {
  const removed = await removeView(view.name);
  toast(removed.ok ? `“${view.name}” is forgotten` : removed.failure.message);
  await loadViews();
}
