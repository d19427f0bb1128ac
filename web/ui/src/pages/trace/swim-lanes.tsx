/** The trace as a picture made from logs alone: a lane for each service, a tick for each record, coloured by level. */
import { levelClass } from "../../api/log-record";
import { plainLine } from "../../list/line-text";
import { formatSpan } from "../../time/span";
import type { Lane } from "./lanes";

interface SwimLanesProps {
  readonly lanes: readonly Lane[];
  /** Milliseconds from the first record to the last. */
  readonly duration: number;
  readonly selected: string | undefined;
  onSelect(recordId: string): void;
}

const marks = [0, 0.25, 0.5, 0.75, 1];

export function SwimLanes({ lanes, duration, selected, onSelect }: SwimLanesProps) {
  // A little air on both sides, so that the first and the last tick stand whole.
  const place = (offset: number): string => `${1 + (duration === 0 ? 0 : offset / duration) * 98}%`;
  return (
    <div class="lanes" role="group" aria-label="Records of each service over time">
      <div class="lane lane-axis" aria-hidden="true">
        <span />
        <span class="lane-track">
          {marks.map((share) => (
            <span
              key={share}
              class={share === 1 ? "lane-mark lane-mark-last" : "lane-mark"}
              style={{ left: place(share * duration) }}
            >
              {share === 0 ? "0" : formatSpan(share * duration)}
            </span>
          ))}
        </span>
      </div>
      {lanes.map(({ service, host, ticks, first, last, errors }) => (
        <div key={`${service} ${host}`} class="lane">
          <span class="lane-name" title={`${service} on ${host}`}>
            <strong>{service === "" ? "no service" : service}</strong> <span class="muted">{host}</span>
            {errors > 0 && (
              <span class="bad-text">
                {" "}
                {errors} {errors === 1 ? "error" : "errors"}
              </span>
            )}
          </span>
          <span class="lane-track">
            {marks.map((share) => (
              <span key={share} class="lane-grid" style={{ left: place(share * duration) }} />
            ))}
            <span class="lane-span" style={{ left: place(first), right: `calc(100% - ${place(last)})` }} />
            {ticks.map(({ record, offset }) => (
              <button
                type="button"
                key={record.id}
                class={`lane-tick swatch-${levelClass(record.level)} ${record.id === selected ? "lane-tick-selected" : ""}`}
                style={{ left: place(offset) }}
                title={`+${formatSpan(offset)} ${plainLine((record.message ?? "").slice(0, 160))}`}
                aria-label={`${record.level ?? "no level"} of ${service} after ${formatSpan(offset)}`}
                onClick={() => onSelect(record.id)}
              />
            ))}
          </span>
        </div>
      ))}
    </div>
  );
}
