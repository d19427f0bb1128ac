/** How values are laid out for drawing: stacked, gaps filled, what a logarithm has no place for left out. Pure. */
import type { ChartData } from "./chart-data";

export type Draw = "lines" | "area" | "stacked" | "bars" | "points";
export type Scale = "linear" | "log";
export type Gaps = "gap" | "join" | "zero";

export type Column = (number | null)[];

/** The columns as they are drawn, one for each line, in the lines' order; hidden ones add nothing to a stack. */
export function drawnColumns(
  data: ChartData,
  shown: readonly boolean[],
  draw: Draw,
  scale: Scale,
  gaps: Gaps,
): readonly Column[] {
  const isStack = draw === "stacked" || draw === "bars";
  const columns = data.lines.map(({ values }) => (gaps === "zero" ? zeroFilled(values) : (values as Column)));
  if (!isStack) return scale === "log" ? columns.map(positive) : columns;
  const sums = Array<number>(data.times.length).fill(0);
  return columns.map((column, index) => {
    if (shown[index] === false) return column;
    return column.map((value, at) => {
      if (value === null && draw === "bars") return null;
      sums[at] = (sums[at] ?? 0) + (value ?? 0);
      // Where nothing has a value the stack has none either.
      return value === null && columns.every((other) => other[at] === null) ? null : (sums[at] ?? null);
    });
  });
}

/** The scale of the values: from zero where that costs little, with air above; ends that were asked for are kept. */
export function valueRange(
  low: number | null,
  high: number | null,
  ends: { readonly min?: number | undefined; readonly max?: number | undefined; readonly fromZero: boolean },
): [number, number] {
  const [from, to] = freeRange(low, high, ends.fromZero);
  const min = ends.min ?? from;
  const max = Math.max(ends.max ?? to, Number.isFinite(high) ? (high ?? to) : to);
  return min < max ? [min, max] : [min, min + 1];
}

/** Whole powers of ten around the values. */
export function logRange(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !(low > 0) || !Number.isFinite(high)) return [0.1, 10];
  const from = 10 ** Math.floor(Math.log10(low));
  const to = 10 ** Math.ceil(Math.log10(high));
  return from < to ? [from, to] : [from, from * 10];
}

function freeRange(low: number | null, high: number | null, isFromZero: boolean): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : low > 0 ? [0, low * 1.25] : [low * 1.25, 0];
  const air = (high - low) * 0.08;
  const fromZero = low >= 0 && (isFromZero || low < high * 0.75);
  return [fromZero ? 0 : low - air, high + air];
}

function positive(column: Column): Column {
  return column.map((value) => (value !== null && value > 0 ? value : null));
}

/** Zero between the first value and the last, where there is none. */
function zeroFilled(values: readonly (number | null)[]): Column {
  const first = values.findIndex((value) => value !== null);
  const last = values.findLastIndex((value) => value !== null);
  return values.map((value, at) => (value === null && first >= 0 && at > first && at < last ? 0 : value));
}
