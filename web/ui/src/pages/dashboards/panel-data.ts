/** Asks what a panel asks, and lays the answers out for the way it is shown. */
import { answered, failed, type Answer } from "../../api/answer";
import type { Panel, Query } from "../../api/dashboards";
import type { AttributeValue, LogRecord } from "../../api/log-record";
import { fetchHistogram, searchLogs, type AnswerColumn, type AnswerRow, type Question } from "../../api/logs";
import { fetchInstant, fetchRange, type Labels, type Series } from "../../api/metrics";
import { chartDataOf, filledName, labelsText, lineOf, type ChartData, type ChartLine } from "../../chart/chart-data";
import { heatOf, type Heat } from "../../chart/heat";
import { isoOf, roundStep, type TimeRange } from "../../time/range";
import { second, spanParameter } from "../../time/span";
import { fillLogs, fillPromql, type Choices, type Span } from "./variables";

export interface TableColumn {
  readonly name: string;
  readonly isNumber: boolean;
}

export type PanelAnswer =
  | { readonly kind: "chart"; readonly data: ChartData; readonly range: TimeRange }
  | { readonly kind: "numbers"; readonly lines: readonly ChartLine[]; readonly leftOut: number }
  | { readonly kind: "heatmap"; readonly heat: Heat | undefined; readonly range: TimeRange }
  | {
      readonly kind: "table";
      readonly columns: readonly TableColumn[];
      readonly rows: readonly AnswerRow[];
      readonly leftOut: number;
    }
  | { readonly kind: "logs"; readonly query: string; readonly records: readonly LogRecord[] };

/** Windows of StatsD are this long; no question needs a finer step. */
const finestMs = 10 * second;
/** Points across a chart. */
const pointsWanted = 200;
/** Lines, rows and records when a panel does not say how many. */
const usual = { lines: 50, rows: 200, records: 100, numbers: 40 };

/** The step of a dashboard's questions over a range. */
export function stepOf(range: TimeRange): number {
  return Math.max(finestMs, roundStep(range.to - range.from, pointsWanted));
}

/** Asks everything that a panel asks. */
export async function askPanel(
  panel: Panel,
  choices: Choices,
  range: TimeRange,
  signal: AbortSignal,
): Promise<Answer<PanelAnswer>> {
  const grid = gridOf(range);
  const span: Span = { range, stepMs: grid.step * second };
  const queries = (panel.queries ?? []).map((query) => ({
    ...query,
    ...(query.promql === undefined ? {} : { promql: fillPromql(query.promql, choices, span) }),
    ...(query.logs === undefined ? {} : { logs: fillLogs(query.logs, choices, span) }),
  }));
  const asking = { panel, queries, grid, range, signal };
  switch (panel.type) {
    case "chart":
      return askChart(asking);
    case "heatmap":
      return askHeat(asking);
    case "table":
      return askTable(asking);
    case "logs":
      return askRecords(asking);
    default:
      return askNumbers(asking, panel.queries ?? []);
  }
}

interface Grid {
  /** Unix seconds, aligned to the step, so that the same moment has the same value in every answer. */
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

interface Asking {
  readonly panel: Panel;
  readonly queries: readonly Query[];
  readonly grid: Grid;
  readonly range: TimeRange;
  readonly signal: AbortSignal;
}

interface Named {
  readonly label: string;
  readonly series: readonly Series[];
}

function gridOf(range: TimeRange): Grid {
  const step = stepOf(range) / second;
  const start = Math.ceil(range.from / second / step) * step;
  return { start, end: Math.max(start, Math.floor(range.to / second / step) * step), step };
}

async function askChart(asking: Asking): Promise<Answer<PanelAnswer>> {
  const { grid, range, panel } = asking;
  const named = await everySeries(asking);
  if (!named.ok) return named;
  const data = chartDataOf(named.value, grid.start, grid.end, grid.step, panel.limit ?? usual.lines);
  return answered({ kind: "chart", data, range });
}

async function askHeat(asking: Asking): Promise<Answer<PanelAnswer>> {
  const { grid, range } = asking;
  const named = await everySeries(asking);
  if (!named.ok) return named;
  const series = named.value.flatMap(({ series }) => series);
  return answered({ kind: "heatmap", heat: heatOf(series, grid.start, grid.end, grid.step), range });
}

/** Stats, gauges and bars: a question about the whole range is asked once, at its end. */
async function askNumbers(asking: Asking, written: readonly Query[]): Promise<Answer<PanelAnswer>> {
  const { grid, range, panel, signal } = asking;
  const lines: ChartLine[] = [];
  for (const [index, query] of asking.queries.entries()) {
    const isOfRange = /\$\{?__range/.test(written[index]?.promql ?? "");
    if (query.promql !== undefined && isOfRange) {
      const answer = await fetchInstant(query.promql, range.to / second, signal);
      if (!answer.ok) return answer;
      for (const { metric, value } of answer.value) {
        const name = nameOf(query.name ?? "", metric);
        lines.push(lineOf(name, metric, [value === undefined ? null : Number(value[1])]));
      }
      continue;
    }
    const named = await seriesOf(query, asking);
    if (!named.ok) return named;
    lines.push(...chartDataOf([named.value], grid.start, grid.end, grid.step, Infinity).lines);
  }
  const most = panel.limit ?? usual.numbers;
  return answered({ kind: "numbers", lines: lines.slice(0, most), leftOut: Math.max(0, lines.length - most) });
}

/** Series as rows: their labels and their value at the end; rows of the search language as they come. */
async function askTable({ panel, queries, range, signal }: Asking): Promise<Answer<PanelAnswer>> {
  const columns = new Map<string, TableColumn>();
  const rows: AnswerRow[] = [];
  const keyed = new Map<string, Record<string, AttributeValue>>();
  for (const [index, query] of queries.entries()) {
    if (query.logs !== undefined) {
      const answer = await tableRows({ q: query.logs, ...writtenRange(range) }, panel.limit ?? usual.rows, signal);
      if (!answer.ok) return answer;
      for (const { name, type } of answer.value.columns) columns.set(name, { name, isNumber: type === "number" });
      rows.push(...answer.value.rows);
      continue;
    }
    const answer = await fetchInstant(query.promql ?? "", range.to / second, signal);
    if (!answer.ok) return answer;
    const valueName = query.name ?? (queries.length === 1 ? "value" : `value ${index + 1}`);
    for (const { metric, value } of answer.value) {
      const labels = Object.entries(metric).map(
        ([name, text]) => [name === "__name__" ? "metric" : name, text] as const,
      );
      for (const [name] of labels) if (!columns.has(name)) columns.set(name, { name, isNumber: false });
      // Values of several questions about the same thing stand in one row.
      const key = JSON.stringify(labels.toSorted(([one], [other]) => (one < other ? -1 : 1)));
      const row = keyed.get(key) ?? Object.fromEntries(labels);
      if (value !== undefined) row[valueName] = Number(value[1]);
      if (!keyed.has(key)) {
        keyed.set(key, row);
        rows.push(row);
      }
    }
    columns.set(valueName, { name: valueName, isNumber: true });
  }
  const wanted = panel.columns ?? [];
  const all = [...columns.values()];
  const shown =
    wanted.length === 0
      ? [...all.filter(({ isNumber }) => !isNumber), ...all.filter(({ isNumber }) => isNumber)]
      : wanted.map((name) => columns.get(name) ?? { name, isNumber: false });
  const most = panel.limit ?? usual.rows;
  return answered({
    kind: "table",
    columns: shown,
    rows: rows.slice(0, most),
    leftOut: Math.max(0, rows.length - most),
  });
}

async function askRecords({ panel, queries, range, signal }: Asking): Promise<Answer<PanelAnswer>> {
  const query = queries[0]?.logs ?? "";
  const records: LogRecord[] = [];
  const answer = await searchLogs(
    { q: query, ...writtenRange(range), limit: panel.limit ?? usual.records },
    { record: (record) => void records.push(record), progress: () => undefined },
    signal,
  );
  return answer.ok ? answered({ kind: "logs", query, records }) : answer;
}

async function everySeries(asking: Asking): Promise<Answer<readonly Named[]>> {
  const answers = await Promise.all(asking.queries.map((query) => seriesOf(query, asking)));
  const refused = answers.find((answer) => !answer.ok);
  if (refused?.ok === false) return failed(refused.failure);
  return answered(answers.flatMap((answer) => (answer.ok ? [answer.value] : [])));
}

async function seriesOf(query: Query, { grid, range, signal }: Asking): Promise<Answer<Named>> {
  const label = query.name ?? "";
  if (query.promql !== undefined) {
    const answer = await fetchRange(query.promql, grid.start, grid.end, grid.step, signal);
    return answer.ok ? answered({ label, series: answer.value }) : answer;
  }
  const question = { q: query.logs ?? "", ...writtenRange(range) };
  if (question.q.includes("|")) return rowsAsSeries(question, label, signal);
  const by = query.by ?? "";
  const answer = await fetchHistogram(question, signal, { by, interval: spanParameter(grid.step * second) });
  if (!answer.ok) return answer;
  // Buckets without records are not told: they hold none.
  const points = Math.floor((grid.end - grid.start) / grid.step + 1e-6) + 1;
  const series = new Map<string, [number, string][]>();
  for (const { time, counts } of answer.value.buckets) {
    const at = Math.round((Date.parse(time) / second - grid.start) / grid.step);
    for (const [value, count] of Object.entries(counts)) {
      const values =
        series.get(value) ?? Array.from({ length: points }, (_, number) => [grid.start + number * grid.step, "0"]);
      const point = values[at];
      if (point !== undefined) point[1] = String(count);
      series.set(value, values as [number, string][]);
    }
  }
  const labelled = [...series].map(([value, values]) => ({
    metric: (by === "" ? {} : { [by]: value === "" ? `no ${by}` : value }) as Labels,
    values,
  }));
  return answered({ label: label === "" && by === "" ? "lines" : label, series: labelled });
}

/** Rows with a time and numbers are lines; the other columns are their labels. A row without time counts for the end. */
async function rowsAsSeries(question: Question, label: string, signal: AbortSignal): Promise<Answer<Named>> {
  const answer = await tableRows(question, 10_000, signal);
  if (!answer.ok) return answer;
  const { columns, rows } = answer.value;
  const time = columns.find(({ type }) => type === "time");
  const numbers = columns.filter(({ type }) => type === "number");
  const texts = columns.filter(({ type }) => type === "text");
  const series = new Map<string, { metric: Labels; values: [number, string][] }>();
  for (const row of rows) {
    const labels = texts.map(({ name }) => [name, String(row[name] ?? "")] as const);
    const at = time === undefined ? Date.parse(question.to) : Date.parse(String(row[time.name]));
    for (const { name } of numbers) {
      const metric = Object.fromEntries([...labels, ...(numbers.length > 1 ? [["__name__", name] as const] : [])]);
      const key = JSON.stringify(metric);
      const line = series.get(key) ?? { metric, values: [] };
      line.values.push([at / second, String(row[name])]);
      series.set(key, line);
    }
  }
  for (const { values } of series.values()) values.sort(([one], [other]) => one - other);
  return answered({ label, series: [...series.values()] });
}

async function tableRows(
  question: Question,
  limit: number,
  signal: AbortSignal,
): Promise<Answer<{ columns: readonly AnswerColumn[]; rows: readonly AnswerRow[] }>> {
  let columns: readonly AnswerColumn[] = [];
  const rows: AnswerRow[] = [];
  const fromRecord = ({ time, level, service, host, message }: LogRecord): AnswerRow =>
    ({ time, level: level ?? "", service: service ?? "", host: host ?? "", message: message ?? "" }) as AnswerRow;
  const answer = await searchLogs(
    { ...question, limit },
    {
      record: (record) => void rows.push(fromRecord(record)),
      row: (row) => void rows.push(row),
      columns: (told) => void (columns = told),
      progress: () => undefined,
    },
    signal,
  );
  if (!answer.ok) return answer;
  if (columns.length === 0)
    columns = ["time", "level", "service", "host", "message"].map((name) => ({
      name,
      type: name === "time" ? "time" : "text",
    }));
  return answered({ columns, rows });
}

function nameOf(template: string, labels: Labels): string {
  if (template === "") return labelsText(labels);
  return template.includes("{{") ? filledName(template, labels) : template;
}

function writtenRange({ from, to }: TimeRange): { from: string; to: string } {
  return { from: isoOf(from), to: isoOf(to) };
}

/** The one number of a line that a panel shows. */
export function calculated(line: ChartLine, calc: Panel["calc"]): number | undefined {
  const known = line.values.filter((value) => value !== null);
  const [first] = known;
  switch (calc) {
    case "first":
      return first;
    case "mean":
      return line.mean;
    case "min":
      return line.lowest;
    case "max":
      return line.highest;
    case "sum":
      return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
    case "change":
      return first === undefined || line.last === undefined ? undefined : line.last - first;
    default:
      return line.last;
  }
}
