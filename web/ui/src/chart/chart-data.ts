/** Turns the answers of range queries into the columns that the chart library draws, and into the numbers of the legend. */
import { levels } from "../api/log-record";
import type { Labels, Series } from "../api/metrics";

/** One line of a chart. */
export interface ChartLine {
  readonly name: string;
  readonly labels: Labels;
  /** The style sheet's colour of what it stands for, where that has one. */
  readonly colour?: string;
  /** A value for every time of the chart; null where there is none. */
  readonly values: readonly (number | null)[];
  readonly last: number | undefined;
  readonly lowest: number | undefined;
  readonly highest: number | undefined;
  readonly mean: number | undefined;
}

export interface ChartData {
  /** Unix seconds, the same step throughout. */
  readonly times: readonly number[];
  readonly lines: readonly ChartLine[];
  /** Lines left out because there were too many. */
  readonly leftOut: number;
}

/** An answer with the name for its lines: a text whose `{{label}}` are replaced; empty names them by their labels. */
export interface NamedAnswer {
  readonly label: string;
  readonly series: readonly Series[];
}

/** More lines than this nobody tells apart; the largest are kept. */
export const linesUsual = 24;

/** Puts all series on one grid of times. */
export function chartDataOf(
  answers: readonly NamedAnswer[],
  start: number,
  end: number,
  step: number,
  linesMax = linesUsual,
): ChartData {
  const points = Math.floor((end - start) / step + 1e-6) + 1;
  const times = Array.from({ length: points }, (_, at) => start + at * step);
  const lines = answers.flatMap(({ label, series }) =>
    series.map(({ metric, values = [] }) => {
      const column: (number | null)[] = Array<number | null>(points).fill(null);
      for (const [time, text] of values) {
        const at = Math.round((time - start) / step);
        const value = Number(text);
        if (at >= 0 && at < points && Number.isFinite(value)) column[at] = value;
      }
      return lineOf(lineName(label, metric, series.length), metric, column);
    }),
  );
  const ordered =
    answers.length === 1
      ? lines.toSorted((left, right) => (right.mean ?? -Infinity) - (left.mean ?? -Infinity))
      : lines;
  return { times, lines: ordered.slice(0, linesMax), leftOut: Math.max(0, ordered.length - linesMax) };
}

/** Labels as they are read: values alone for one label, `name=value` for more. */
export function labelsText(labels: Labels): string {
  const { __name__: name, ...rest } = labels;
  const entries = Object.entries(rest);
  const [only] = entries;
  if (entries.length === 0) return name ?? "all";
  if (entries.length === 1 && only !== undefined && name === undefined)
    return only[1] === "" ? `no ${only[0]}` : only[1];
  const text = entries.map(([label, value]) => `${label}=${value}`).join(" ");
  return name === undefined ? text : `${name} ${text}`;
}

function lineName(label: string, labels: Labels, siblings: number): string {
  if (label === "") return labelsText(labels);
  if (label.includes("{{")) return filledName(label, labels);
  return siblings === 1 ? label : `${label} ${labelsText(labels)}`;
}

/** `{{label}}` replaced by the label's value. */
export function filledName(template: string, labels: Labels): string {
  return template.replace(/\{\{\s*([^}]+?)\s*\}\}/g, (_, name: string) => labels[name] ?? "").trim();
}

/** Severities keep their colours wherever they are drawn. */
function ownColour(labels: Labels): { readonly colour?: string } {
  const { level } = labels;
  if (level === undefined || Object.keys(labels).length !== 1) return {};
  return { colour: (levels as readonly string[]).includes(level) ? `--fill-${level}` : "--fill-none" };
}

export function lineOf(name: string, labels: Labels, values: readonly (number | null)[]): ChartLine {
  const known = values.filter((value) => value !== null);
  if (known.length === 0)
    return {
      name,
      labels,
      ...ownColour(labels),
      values,
      last: undefined,
      lowest: undefined,
      highest: undefined,
      mean: undefined,
    };
  let lowest = Infinity;
  let highest = -Infinity;
  let sum = 0;
  for (const value of known) {
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
    sum += value;
  }
  return { name, labels, ...ownColour(labels), values, last: known.at(-1), lowest, highest, mean: sum / known.length };
}
