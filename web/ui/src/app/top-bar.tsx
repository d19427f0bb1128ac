/** The bar at the top of every page: the page's question on the left, then time, live and share. */
import type { ComponentChildren } from "preact";
import { TimePicker } from "../time/time-picker";
import { timeRange } from "../time/range-state";
import { absoluteRange } from "../time/range";
import { copyText } from "./clipboard";
import { hrefOf } from "./address";
import { place } from "./location";
import { ShareIcon } from "./icons";

interface TopBarProps {
  readonly title: string;
  /** The query box or whatever asks the page's question. */
  readonly children?: ComponentChildren;
  readonly withTime?: boolean;
  /** Buttons between time and share. */
  readonly actions?: ComponentChildren;
}

export function TopBar({ title, children, withTime = false, actions }: TopBarProps) {
  return (
    <header class={withTime ? "top-bar" : "top-bar top-bar-timeless"}>
      <h1 class={children === undefined ? "top-title" : "visually-hidden"}>{title}</h1>
      <div class="top-question">{children}</div>
      {withTime && <TimePicker />}
      {actions}
      <button
        type="button"
        class="button top-share"
        title="Copy a link to this view, its time range made absolute (y)"
        onClick={() => void share(withTime)}
      >
        <ShareIcon />
        <span class="button-label">Share</span>
      </button>
    </header>
  );
}

/** Copies the address; relative times are made absolute, so that the link shows the same tomorrow. */
export async function share(withTime: boolean): Promise<void> {
  const { path, parameters } = place.peek();
  const amendments: Record<string, string> = Object.fromEntries(parameters);
  if (withTime) Object.assign(amendments, absoluteRange(timeRange.peek()));
  delete amendments["live"];
  await copyText(window.location.origin + hrefOf(path, amendments), "Link");
}
