/** The panel of the time picker: presets, free text, from and to, freeze. */
import { useEffect, useRef, useState } from "preact/hooks";
import "../styles/time-panel.css";
import { FreezeIcon } from "../app/icons";
import { zone } from "../app/preferences";
import { serverNow } from "./clock";
import { fullTime } from "./format";
import { absoluteRange, parseRangeText, presets } from "./range";
import { setRange, timeRange, writtenRange } from "./range-state";

export function TimePanel({ close }: { readonly close: () => void }) {
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
