/** The link that shows others what is shown here. */
import { absoluteRange } from "../time/range";
import { timeRange } from "../time/range-state";
import { hrefOf } from "./address";
import { copyText } from "./clipboard";
import { place } from "./location";

/** The address; relative times are made absolute, so that the link shows the same tomorrow. */
export function shareLink(withTime: boolean): string {
  const { path, parameters } = place.value;
  const amendments: Record<string, string> = Object.fromEntries(parameters);
  if (withTime) Object.assign(amendments, absoluteRange(timeRange.value));
  delete amendments["live"];
  return window.location.origin + hrefOf(path, amendments);
}

export async function share(withTime: boolean): Promise<void> {
  await copyText(shareLink(withTime), "Link");
}
