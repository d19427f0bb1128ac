/** The time range in the top bar: what it is, shift, zoom out, and the panel to change it. The range itself lives in the address. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ClockIcon, DownIcon, LeftIcon, RightIcon, ZoomOutIcon } from "../app/icons";
import { later } from "../app/later";
import { zone } from "../app/preferences";
import { serverNow } from "./clock";
import { briefTime, fullTime } from "./format";
import { relativeLabel, shifted, widened } from "./range";
import { setAbsoluteRange, timeRange, writtenRange } from "./range-state";
import { formatSpan, minute } from "./span";

/** The element that the key `t` opens. */
export const timePickerId = "time-range";

const TimePanel = later(async () => (await import("./time-panel")).TimePanel);

export function TimePicker() {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const written = writtenRange.value;
  const range = timeRange.value;
  const label = relativeLabel(written) ?? absoluteLabel(range.from, range.to);

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
    document.getElementById(timePickerId)?.focus();
  };
  return (
    <div
      class="time"
      ref={root}
      onKeyDown={(event) => {
        if (event.key === "Escape" && open) {
          event.preventDefault();
          close();
        }
      }}
    >
      <button
        type="button"
        class="icon-button time-step"
        aria-label="Shift the range back"
        title="Shift back"
        onClick={() => setAbsoluteRange(shifted(range, -1, serverNow()))}
      >
        <LeftIcon />
      </button>
      <button
        type="button"
        id={timePickerId}
        class="button time-button"
        aria-expanded={open}
        title={`${fullTime(range.from, "local")} – ${fullTime(range.to, "local")} local\n${fullTime(range.from, "utc")} – ${fullTime(range.to, "utc")} UTC`}
        onPointerEnter={TimePanel.preload}
        onClick={() => setOpen(!open)}
      >
        <ClockIcon />
        <span>{label}</span>
        <DownIcon />
      </button>
      <button
        type="button"
        class="icon-button time-step"
        aria-label="Shift the range on"
        title="Shift on"
        onClick={() => setAbsoluteRange(shifted(range, 1, serverNow()))}
      >
        <RightIcon />
      </button>
      <button
        type="button"
        class="icon-button time-step"
        aria-label="Zoom out"
        title="Twice as wide"
        onClick={() => setAbsoluteRange(widened(range, serverNow()))}
      >
        <ZoomOutIcon />
      </button>
      {open && <TimePanel close={close} />}
    </div>
  );
}

/** `Nov 20 17:30 – 18:05 · 35m`; the day is said once when both are the same. */
function absoluteLabel(from: number, to: number): string {
  const precise = to - from < 10 * minute;
  const start = briefTime(from, zone.value, precise);
  const end = briefTime(to, zone.value, precise);
  const sameDay = start.slice(0, 6) === end.slice(0, 6);
  return `${start} – ${sameDay ? end.replace(/^\w+ \d+ /, "") : end} · ${formatSpan(to - from)}`;
}
