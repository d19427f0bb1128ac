/** The bar at the top of every page: the page's question on the left, then time, live, saved views and share. */
import type { ComponentChildren, FunctionComponent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { TimePicker } from "../time/time-picker";
import { later } from "./later";
import { ShareIcon, ViewsIcon } from "./icons";

export { share } from "./share";

interface TopBarProps {
  readonly title: string;
  /** The query box or whatever asks the page's question. */
  readonly children?: ComponentChildren;
  readonly withTime?: boolean;
  /** Buttons between time and share. */
  readonly actions?: ComponentChildren;
}

const SharePanel = later(async () => (await import("./share-panel")).SharePanel);
const ViewsPanel = later(async () => (await import("../views/views-panel")).ViewsPanel);

export function TopBar({ title, children, withTime = false, actions }: TopBarProps) {
  return (
    <header class={withTime ? "top-bar" : "top-bar top-bar-timeless"}>
      <h1 class={children === undefined ? "top-title" : "visually-hidden"}>{title}</h1>
      <div class="top-question">{children}</div>
      {withTime && <TimePicker />}
      {actions}
      <PanelButton label="Views" title="Saved views" icon={ViewsIcon}>
        {(close) => <ViewsPanel close={close} />}
      </PanelButton>
      <PanelButton label="Share" title="Take this view elsewhere; y copies its link" icon={ShareIcon}>
        {(close) => <SharePanel withTime={withTime} close={close} />}
      </PanelButton>
    </header>
  );
}

interface PanelButtonProps {
  readonly label: string;
  readonly title: string;
  readonly icon: FunctionComponent;
  children(close: () => void): ComponentChildren;
}

/** A button with a panel below it, which a press elsewhere and Escape close. */
function PanelButton({ label, title, icon: Icon, children }: PanelButtonProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const onPress = (event: MouseEvent): void => {
      if (event.target instanceof Node && root.current?.contains(event.target) === false) setOpen(false);
    };
    document.addEventListener("mousedown", onPress);
    return () => document.removeEventListener("mousedown", onPress);
  }, [open]);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <div
      class="top-panel"
      ref={root}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.preventDefault();
        close();
      }}
    >
      <button
        ref={button}
        type="button"
        class="button"
        aria-expanded={open}
        title={title}
        onClick={() => setOpen(!open)}
      >
        <Icon />
        <span class="button-label">{label}</span>
      </button>
      {open && children(close)}
    </div>
  );
}
