/**
 * The time range in the top bar: what it is, and the ways to change it: presets, free text, from and to, shift, zoom out,
 * freeze. The range itself lives in the address.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { ClockIcon, DownIcon, FreezeIcon, LeftIcon, RightIcon, ZoomOutIcon } from "../app/icons";
import { zone } from "../app/preferences";
import { serverNow } from "./clock";
import { briefTime, fullTime } from "./format";
import { absoluteRange, parseRangeText, presets, relativeLabel, shifted, widened } from "./range";
import { setAbsoluteRange, setRange, timeRange, writtenRange } from "./range-state";
import { formatSpan, minute } from "./span";

/** The element that the key `t` opens. */
export const timePickerId = "time-range";

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

function TimePanel({ close }: { readonly close: () => void }) {
  const range = timeRange.value;
  const [text, setText] = useState("");
  const [from, setFrom] = useState(fullTime(range.from, zone.value).slice(0, 19));
  const [to, setTo] = useState(fullTime(range.to, zone.value).slice(0, 19));
  const [problem, setProblem] = useState("");
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);

  const reading = { now: serverNow(), zone: zone.value };
  const preview = parseRangeText(text, reading);
  const apply = (typed: string): void => {
    const parsed = parseRangeText(typed, reading);
    if (parsed === undefined) {
      setProblem("Not understood. Try 3h ago, yesterday 17:30, 2026-11-20 08:00 to 09:30, or Unix seconds.");
      return;
    }
    setRange(parsed);
    close();
  };
  return (
    <div class="time-panel" role="dialog" aria-label="Time range">
      <form
        class="time-form"
        onSubmit={(event) => {
          event.preventDefault();
          apply(text);
        }}
      >
        <label class="field-label" for="time-text">
          Any time
        </label>
        <input
          ref={first}
          id="time-text"
          class="text-input"
          placeholder="3h ago · yesterday 17:30 · 08:00 to 09:30"
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setProblem("");
          }}
        />
        <p class="time-preview" role="status">
          {problem !== "" ? problem : preview === undefined ? "" : `${preview.from} → ${preview.to}`}
        </p>
      </form>
      <div class="time-presets">
        {presets.map((preset) => (
          <button
            type="button"
            key={preset.from}
            class="preset"
            aria-pressed={writtenRange.value.from === preset.from && writtenRange.value.to === "now"}
            onClick={() => {
              setRange({ from: preset.from, to: "now" });
              close();
            }}
          >
            {preset.label}
          </button>
        ))}
      </div>
      <form
        class="time-absolute"
        onSubmit={(event) => {
          event.preventDefault();
          apply(`${from} to ${to}`);
        }}
      >
        <label class="field-label" for="time-from">
          From ({zone.value === "utc" ? "UTC" : "local"})
        </label>
        <input
          id="time-from"
          class="text-input"
          value={from}
          spellcheck={false}
          onInput={(event) => setFrom(event.currentTarget.value)}
        />
        <label class="field-label" for="time-to">
          To
        </label>
        <input
          id="time-to"
          class="text-input"
          value={to}
          spellcheck={false}
          onInput={(event) => setTo(event.currentTarget.value)}
        />
        <div class="time-actions">
          <button
            type="button"
            class="button"
            title="Make the range absolute, so that a link shows the same for ever"
            onClick={() => {
              setRange(absoluteRange(range));
              close();
            }}
          >
            <FreezeIcon /> Freeze
          </button>
          <button type="submit" class="button button-main">
            Apply
          </button>
        </div>
      </form>
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
