/** The curve of what a rule looks at: the line, the threshold, and bands where the alert fired, each a way to the logs of that time. */
import type { Zone } from "../../app/preferences";
import { value as valueText } from "../../app/number-format";
import { briefTime } from "../../time/format";

export interface Band {
  readonly from: number;
  readonly to: number;
  readonly href: string;
}

interface AlertCurveProps {
  /** Unix milliseconds. */
  readonly times: readonly number[];
  readonly values: readonly number[];
  readonly threshold: number | null;
  readonly bands: readonly Band[];
  readonly zone: Zone;
  readonly label: string;
}

const width = 1000;
const height = 180;
/** Air above and below the line. */
const air = 8;

export function AlertCurve({ times, values, threshold, bands, zone, label }: AlertCurveProps) {
  const from = times[0] ?? 0;
  const to = Math.max(times.at(-1) ?? 1, from + 1);
  const all = threshold === null ? values : [...values, threshold];
  const low = Math.min(...all);
  const high = Math.max(...all);
  const base = low > 0 && low < high * 0.75 ? 0 : low;
  const span = high > base ? high - base : 1;
  const x = (at: number): number => ((Math.min(to, Math.max(from, at)) - from) / (to - from)) * width;
  const y = (value: number): number => height - air - ((value - base) / span) * (height - 2 * air);
  // A gap of more than three steps is one: the series had no values there.
  const step = (to - from) / Math.max(1, times.length - 1);
  const line = times
    .map((at, index) => {
      const begins = index === 0 || at - (times[index - 1] ?? at) > step * 3;
      return `${begins ? "M" : "L"}${x(at).toFixed(1)} ${y(values[index] ?? 0).toFixed(1)}`;
    })
    .join("");
  const share = (at: number): string => `${((x(at) / width) * 100).toFixed(2)}%`;
  return (
    <figure class="alert-curve" aria-label={label}>
      <div class="alert-curve-scale muted" aria-hidden="true">
        <span>{valueText(high)}</span>
        <span>{valueText(base)}</span>
      </div>
      <div class="alert-curve-plot">
        <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
          {threshold !== null && <path class="alert-curve-threshold" d={`M0 ${y(threshold).toFixed(1)}H${width}`} />}
          <path class="alert-curve-line" d={line} />
        </svg>
        {bands.map((band) => (
          <a
            key={band.from}
            class="alert-curve-band"
            href={band.href}
            title="Firing: open the logs of this time"
            aria-label={`It fired from ${briefTime(band.from, zone, true)} to ${briefTime(band.to, zone, true)}: open the logs of this time`}
            style={{ left: share(band.from), width: `max(3px, calc(${share(band.to)} - ${share(band.from)}))` }}
          />
        ))}
        {threshold !== null && (
          <span class="alert-curve-limit" style={{ top: `${((y(threshold) / height) * 100).toFixed(2)}%` }}>
            {valueText(threshold)}
          </span>
        )}
      </div>
      <div class="alert-curve-times muted" aria-hidden="true">
        <span>{briefTime(from, zone)}</span>
        <span>{briefTime((from + to) / 2, zone)}</span>
        <span>{briefTime(to, zone)}</span>
      </div>
    </figure>
  );
}
