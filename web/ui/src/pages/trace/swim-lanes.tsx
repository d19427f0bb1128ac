/** The trace as a picture: a lane for each service and host on one axis of time, its spans as bars, its records as ticks. */
import { levelClass } from "../../api/log-record";
import { plainLine } from "../../list/line-text";
import { formatSpan } from "../../time/span";
import type { Bar, Lane, Timeline } from "./lanes";

interface SwimLanesProps {
  readonly timeline: Timeline;
  readonly selected: string | undefined;
  onSelect(recordId: string): void;
}

const marks = [0, 0.25, 0.5, 0.75, 1];
/** Pixels of a row of bars. */
const barRow = 12;

export function SwimLanes({ timeline, selected, onSelect }: SwimLanesProps) {
  const { duration, lanes } = timeline;
  // A little air on both sides, so that the first and the last tick stand whole.
  const place = (offset: number): string => `${1 + (duration === 0 ? 0 : offset / duration) * 98}%`;
  return (
    <div class="lanes" role="group" aria-label="What each service did over time">
      <div class="lane lane-axis" aria-hidden="true">
        <span />
        <span class="lane-track trace-axis">
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
      {lanes.map((lane) => (
        <div key={`${lane.service} ${lane.host}`} class="lane" style={{ minHeight: `${heightOf(lane)}px` }}>
          <LaneName lane={lane} />
          <span class="lane-track">
            {marks.map((share) => (
              <span key={share} class="lane-grid" style={{ left: place(share * duration) }} />
            ))}
            {lane.bars.map((bar) => (
              <SpanBar key={bar.span.span_id} bar={bar} place={place} />
            ))}
            {lane.ticks.map(({ record, offset }) => (
              <button
                type="button"
                key={record.id}
                class={`lane-tick swatch-${levelClass(record.level)} ${record.id === selected ? "lane-tick-selected" : ""}`}
                style={{ left: place(offset) }}
                title={`+${formatSpan(offset)} ${plainLine((record.message ?? "").slice(0, 160))}`}
                aria-label={`${record.level ?? "no level"} of ${lane.service} after ${formatSpan(offset)}`}
                onClick={() => onSelect(record.id)}
              />
            ))}
          </span>
        </div>
      ))}
    </div>
  );
}

function LaneName({ lane: { service, host, errors } }: { readonly lane: Lane }) {
  return (
    <span class="lane-name" title={`${service} on ${host}`}>
      <strong>{service === "" ? "no service" : plainLine(service)}</strong> <span class="muted">{plainLine(host)}</span>
      {errors > 0 && (
        <span class="bad-text">
          {" "}
          {errors} {errors === 1 ? "error" : "errors"}
        </span>
      )}
    </span>
  );
}

function SpanBar({
  bar: { span, from, to, row },
  place,
}: {
  readonly bar: Bar;
  readonly place: (at: number) => string;
}) {
  return (
    <span
      class={span.errors > 0 ? "lane-span lane-span-failed" : "lane-span"}
      style={{ left: place(from), width: `calc(${place(to)} - ${place(from)})`, top: `${4 + row * barRow}px` }}
      title={`span ${span.span_id}: ${formatSpan(span.duration_ms)}, ${formatSpan(from)} after the begin`}
    >
      {formatSpan(span.duration_ms)}
    </span>
  );
}

function heightOf({ rows }: Lane): number {
  return 28 + Math.max(0, rows - 1) * barRow;
}
