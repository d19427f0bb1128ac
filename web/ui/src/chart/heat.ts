/**
 * How values are spread over time, as cells of a heat map: from native histograms, or from the series of a classic one (label
 * `le`, each holding what the ones below it hold). Pure; drawing is in `heat-map.tsx`.
 */
import type { NativeHistogram, Series } from "../api/metrics";

/** A row of cells: values from `low` to `high`, and for each time how many there were; rows go upwards. */
export interface HeatRow {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

export interface Heat {
  /** Unix seconds, the same step throughout. */
  readonly times: readonly number[];
  readonly rows: readonly HeatRow[];
  readonly most: number;
}

/** Rows that native histograms are gathered into: finer ones are thinner than a line of text is high. */
const rowsWanted = 36;

/** Undefined when the answer holds no distribution. */
export function heatOf(series: readonly Series[], start: number, end: number, step: number): Heat | undefined {
  const points = Math.floor((end - start) / step + 1e-6) + 1;
  const times = Array.from({ length: points }, (_, at) => start + at * step);
  const isNative = series.some(({ histograms }) => histograms !== undefined);
  const rows = isNative ? rowsOfNative(series, start, step, points) : rowsOfClassic(series, start, step, points);
  const most = rows.reduce((highest, { counts }) => Math.max(highest, ...counts), 0);
  return rows.length === 0 || most === 0 ? undefined : { times, rows, most };
}

function rowsOfNative(series: readonly Series[], start: number, step: number, points: number): readonly HeatRow[] {
  const all = series.flatMap(({ histograms = [] }) => histograms.map(([time, one]) => [time, bucketsOf(one)] as const));
  let low = Infinity;
  let high = 0;
  for (const [, buckets] of all)
    for (const bucket of buckets) {
      if (bucket.low > 0) low = Math.min(low, bucket.low);
      high = Math.max(high, bucket.high);
    }
  if (!(high > 0) || !Number.isFinite(low)) return [];
  const size = Math.log(high / low) / rowsWanted;
  const rows = Array.from({ length: rowsWanted }, (_, at) => ({
    low: low * Math.exp(size * at),
    high: low * Math.exp(size * (at + 1)),
    counts: Array<number>(points).fill(0),
  }));
  for (const [time, buckets] of all) {
    const at = Math.round((time - start) / step);
    if (at < 0 || at >= points) continue;
    for (const { low: from, high: to, count } of buckets) {
      // What a bucket holds is shared among the rows that it covers, by their share of it on the scale.
      const first = from <= low ? 0 : Math.log(from / low) / size;
      const last = Math.min(rowsWanted, Math.max(first + 1e-9, Math.log(to / low) / size));
      for (let row = Math.floor(first); row < last && row < rowsWanted; row += 1) {
        const share = (Math.min(row + 1, last) - Math.max(row, first)) / (last - first);
        const counts = rows[row]?.counts;
        if (counts !== undefined) counts[at] = (counts[at] ?? 0) + count * share;
      }
    }
  }
  return trimmed(rows);
}

interface Bucket {
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

function bucketsOf({ buckets = [] }: NativeHistogram): readonly Bucket[] {
  return buckets
    .map(([, low, high, count]) => ({ low: Number(low), high: Number(high), count: Number(count) }))
    .filter(({ high, count }) => high > 0 && Number.isFinite(high) && count > 0);
}

function rowsOfClassic(series: readonly Series[], start: number, step: number, points: number): readonly HeatRow[] {
  const ends = new Map<number, number[]>();
  for (const { metric, values = [] } of series) {
    const end = metric["le"] === "+Inf" ? Infinity : Number(metric["le"]);
    if (Number.isNaN(end)) continue;
    const counts = ends.get(end) ?? Array<number>(points).fill(0);
    for (const [time, text] of values) {
      const at = Math.round((time - start) / step);
      const value = Number(text);
      if (at >= 0 && at < points && Number.isFinite(value)) counts[at] = (counts[at] ?? 0) + value;
    }
    ends.set(end, counts);
  }
  const sorted = [...ends].sort(([one], [other]) => one - other);
  const rows = sorted.map(([high, counts], index) => {
    const below = sorted[index - 1];
    const own = counts.map((count, at) => Math.max(0, count - (below?.[1][at] ?? 0)));
    return { low: below?.[0] ?? Math.min(0, high), high, counts: own };
  });
  return trimmed(rows);
}

/** Without the empty rows above and below. */
function trimmed(rows: readonly HeatRow[]): readonly HeatRow[] {
  const isFull = ({ counts }: HeatRow): boolean => counts.some((count) => count > 0);
  return rows.slice(Math.max(0, rows.findIndex(isFull)), rows.findLastIndex(isFull) + 1);
}
