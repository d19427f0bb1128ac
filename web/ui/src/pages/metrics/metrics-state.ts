/** The Metrics page's state: the list of names, the chosen metric and its charts, their exemplars, and the logs beside. */
import { computed, signal } from "@preact/signals";
import { answered, failed, type Answer } from "../../api/answer";
import type { LogRecord } from "../../api/log-record";
import { fetchFacets, searchLogs } from "../../api/logs";
import { fetchExemplars, fetchMetrics, fetchRange, fetchSeries, type Exemplar, type Metric } from "../../api/metrics";
import { createRemote } from "../../api/remote";
import { amend, parameter } from "../../app/location";
import { chartDataOf, type ChartData, type NamedAnswer } from "../../chart/chart-data";
import type { Gaps, Scale } from "../../chart/chart-shape";
import { heatOf, type Heat } from "../../chart/heat";
import { quoted } from "../../query/query-text";
import { isoOf, type TimeRange } from "../../time/range";
import { runAgain, timeRange } from "../../time/range-state";
import { second } from "../../time/span";
import { planOf, stepOf, unknownMetric, type PlannedChart } from "./metric-plan";

/** Names that one answer lists; typing narrows on the server. */
const namesMax = 500;
const relatedRows = 60;

/** A chart with its answer. */
export interface DrawnChart {
  readonly plan: PlannedChart;
  readonly data: ChartData;
  readonly exemplars: readonly Exemplar[];
  /** Of a chart that is a heat map. */
  readonly heat?: Heat | undefined;
}

/** Logs of the same time, with the query that found them. */
export interface RelatedLogs {
  readonly query: string;
  /** The time that they are of. */
  readonly range: TimeRange;
  readonly records: readonly LogRecord[];
}

export const metricName = computed(() => parameter("name"));
export const aggregation = computed(() => parameter("agg"));
export const split = computed(() => parameter("split"));
export const expression = computed(() => parameter("expr"));
export const scale = computed<Scale>(() => (parameter("scale") === "log" ? "log" : "linear"));
export const gaps = computed<Gaps>(() => {
  const written = parameter("gaps");
  return written === "join" || written === "zero" ? written : "gap";
});
export const isMultiples = computed(() => parameter("multiples") !== "" && split.value !== "");
/** The moment that was clicked: the logs below are those around it. */
export const pinned = computed(() => {
  const time = Date.parse(parameter("at"));
  return Number.isNaN(time) ? undefined : time;
});

export const search = signal("");
export const names = createRemote<readonly Metric[]>();
export const labels = createRemote<readonly string[]>();
export const charts = createRemote<readonly DrawnChart[]>();
export const related = createRemote<RelatedLogs>();
/** The range of the charts on screen: it changes with them, not before. */
export const drawnRange = signal<TimeRange>({ from: 0, to: 1 });

/** The chosen metric as the list knows it. */
export const metric = computed<Metric | undefined>(() => {
  const name = metricName.value;
  if (name === "") return undefined;
  return known.value.get(name) ?? unknownMetric(name);
});
/** Every metric that a list ever told. */
const known = signal<ReadonlyMap<string, Metric>>(new Map());

export async function loadNames(): Promise<void> {
  const wanted = search.peek();
  await names.load(async (signal) => {
    const answer = await fetchMetrics(wanted, namesMax, signal);
    return answer.ok ? answered(answer.value.metrics) : answer;
  });
  learn(names.value.peek() ?? []);
}

/** Asks for the charts that the address describes. */
export async function loadCharts(): Promise<void> {
  const range = timeRange.peek();
  const text = expression.peek();
  const name = metricName.peek();
  if (text === "" && name === "") {
    charts.stop(true);
    return;
  }
  await charts.load(async (signal) => {
    if (text === "" && !known.peek().has(name)) {
      const answer = await fetchMetrics(name, namesMax, signal);
      if (answer.ok) learn(answer.value.metrics);
    }
    const plans =
      text !== ""
        ? [{ title: "expression", unit: "", queries: [{ expression: text, label: "" }] }]
        : planOf(known.peek().get(name) ?? unknownMetric(name), aggregation.peek(), split.peek(), range);
    const answers = await Promise.all(plans.map((plan) => drawn(plan, range, signal)));
    const refused = answers.find((answer) => !answer.ok);
    if (refused?.ok === false) return failed(refused.failure);
    if (!signal.aborted) drawnRange.value = range;
    return answered(answers.flatMap((answer) => (answer.ok ? [answer.value] : [])));
  });
}

/** The labels that the metric can be split by. */
export function loadLabels(): void {
  const name = metricName.peek();
  if (name === "" || expression.peek() !== "") {
    labels.stop(true);
    return;
  }
  const { from, to } = timeRange.peek();
  void labels.load(async (signal) => {
    const answer = await fetchSeries(`{"${name.replace(/["\\]/g, "\\$&")}"}`, from / second, to / second, signal);
    if (!answer.ok) return answer;
    const found = new Set(answer.value.flatMap((series) => Object.keys(series)));
    return answered([...found].filter((label) => label !== "__name__" && label !== "quantile").sort());
  });
}

/** Logs of the same time: of the service that the metric's name begins with, of the host that is shown alone. */
export function loadRelated(solo: ReadonlySet<string>): void {
  const range = relatedRange();
  const question = { from: isoOf(range.from), to: isoOf(range.to) };
  const service =
    (metricName.peek() || (/[{(,\s]"?([a-z][\w-]*)[._]/i.exec(` ${expression.peek()}`)?.[1] ?? "")).split(
      /[._]/,
      1,
    )[0] ?? "";
  const shownLabels =
    charts.value
      .peek()
      ?.flatMap(({ data }) => data.lines.filter(({ name }) => solo.has(name)).map((line) => line.labels)) ?? [];
  void related.load(async (signal) => {
    const facets = await fetchFacets({ ...question, q: "" }, ["service", "host"], 200, signal);
    const valuesOf = (field: string): readonly string[] =>
      (facets.ok ? (facets.value.facets.find((facet) => facet.field === field)?.values ?? []) : []).map(
        ({ value }) => value,
      );
    const hosts = [...new Set(shownLabels.map((labels) => labels["host"] ?? ""))].filter((host) =>
      valuesOf("host").includes(host),
    );
    const clauses = [
      valuesOf("service").includes(service) ? `service:${quoted(service)}` : "",
      hosts.length === 1 ? `host:${quoted(hosts[0] ?? "")}` : "",
    ];
    const query = clauses.filter((clause) => clause !== "").join(" ");
    const records: LogRecord[] = [];
    const answer = await searchLogs(
      { ...question, q: query, limit: relatedRows },
      { record: (record) => void records.push(record), progress: () => undefined },
      signal,
    );
    return answer.ok ? answered({ query, range, records }) : answer;
  });
}

/** Around the pinned moment as far as one point of the chart reaches, or the whole time shown. */
function relatedRange(): TimeRange {
  const range = timeRange.peek();
  const at = pinned.peek();
  if (at === undefined) return range;
  const reach = Math.max(stepOf(range), 15 * second);
  return { from: at - reach, to: at + reach };
}

export function choose(name: string): void {
  amend({ name, split: null, agg: null, expr: null, multiples: null, at: null });
}

export function submitExpression(text: string): void {
  amend({ expr: text, ...(text === "" ? {} : { name: null, split: null, agg: null }) });
  runAgain();
}

async function drawn(plan: PlannedChart, range: TimeRange, signal: AbortSignal): Promise<Answer<DrawnChart>> {
  const step = stepOf(range) / second;
  // The grid is aligned to the step, so that the same moment has the same value in every answer.
  const start = Math.ceil(range.from / second / step) * step;
  const end = Math.floor(range.to / second / step) * step;
  const [exemplars, ...answers] = await Promise.all([
    plan.exemplarsOf === undefined ? answered([]) : fetchExemplars(plan.exemplarsOf, start, end, signal),
    ...plan.queries.map(({ expression }) => fetchRange(expression, start, Math.max(start, end), step, signal)),
  ]);
  const named: NamedAnswer[] = [];
  for (const [index, answer] of answers.entries()) {
    if (!answer.ok) return answer;
    named.push({ label: plan.queries[index]?.label ?? "", series: answer.value });
  }
  if (plan.isHeat === true) {
    const series = named.flatMap(({ series }) => series);
    const heat = heatOf(series, start, Math.max(start, end), step);
    return answered({ plan, data: { times: [], lines: [], leftOut: 0 }, exemplars: [], heat });
  }
  // Exemplars are a help beside the lines: without them the chart is still whole.
  const dots = exemplars.ok ? exemplars.value.flatMap((series) => series.exemplars) : [];
  return answered({ plan, data: chartDataOf(named, start, Math.max(start, end), step), exemplars: dots });
}

function learn(metrics: readonly Metric[]): void {
  const all = new Map(known.peek());
  for (const one of metrics) all.set(one.name, one);
  known.value = all;
}
