/** The questions about metrics: our list of names, and Prometheus' API for the rest. */
import { answered, failed, type Answer } from "./answer";
import { getJson, type Parameters } from "./request";

export type MetricType = "counter" | "gauge" | "distribution" | "set";

export interface Metric {
  readonly name: string;
  readonly type: MetricType;
  readonly unit?: string;
  readonly series: number;
}

export type Labels = Readonly<Record<string, string>>;

/** One line of a chart: its labels and (Unix seconds, value as text) pairs. */
export interface Series {
  readonly metric: Labels;
  readonly values?: readonly (readonly [number, string])[];
  /** Of native histograms. */
  readonly histograms?: readonly (readonly [number, NativeHistogram])[];
}

/** A distribution of values at a moment: each bucket is [rule of its ends, low end, high end, count]. */
export interface NativeHistogram {
  readonly count: string;
  readonly sum: string;
  readonly buckets?: readonly (readonly [number, string, string, string])[];
}

/** One value of an instant query. */
export interface InstantValue {
  readonly metric: Labels;
  readonly value?: readonly [number, string];
}

export interface Exemplar {
  readonly labels: Labels;
  readonly value: string;
  /** Unix seconds. */
  readonly timestamp: number;
}

export interface SeriesExemplars {
  readonly seriesLabels: Labels;
  readonly exemplars: readonly Exemplar[];
}

interface Envelope<Data> {
  readonly status: "success" | "error";
  readonly data?: Data;
  readonly error?: string;
}

export function fetchMetrics(
  search: string,
  limit: number,
  signal: AbortSignal,
): Promise<Answer<{ metrics: Metric[] }>> {
  return getJson("/api/v1/metrics", { search, limit }, signal);
}

/** A range query; start, end and step in seconds. */
export async function fetchRange(
  query: string,
  start: number,
  end: number,
  step: number,
  signal: AbortSignal,
): Promise<Answer<readonly Series[]>> {
  const answer = await prometheus<{ resultType: string; result: Series[] }>(
    "/api/v1/query_range",
    { query, start, end, step },
    signal,
  );
  return answer.ok ? answered(answer.value.result) : answer;
}

/** An instant query at Unix seconds; a single number is one value without labels. */
export async function fetchInstant(
  query: string,
  time: number,
  signal: AbortSignal,
): Promise<Answer<readonly InstantValue[]>> {
  const answer = await prometheus<{ resultType: string; result: unknown }>("/api/v1/query", { query, time }, signal);
  if (!answer.ok) return answer;
  const { resultType, result } = answer.value;
  if (resultType === "vector") return answered(result as InstantValue[]);
  if (resultType === "scalar") return answered([{ metric: {}, value: result as [number, string] }]);
  return failed({ kind: "refused", message: `The expression gives a ${resultType}, not values to show` });
}

/** The values of a label among the series that a selector matches, or among all. */
export function fetchLabelValues(
  label: string,
  selector: string | undefined,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Answer<string[]>> {
  return prometheus(
    `/api/v1/label/${encodeURIComponent(label)}/values`,
    { "match[]": selector, start, end, limit: 1000 },
    signal,
  );
}

/** The label sets of the series that a selector matches. */
export function fetchSeries(
  selector: string,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Answer<Labels[]>> {
  return prometheus("/api/v1/series", { "match[]": selector, start, end }, signal);
}

export function fetchExemplars(
  query: string,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Answer<SeriesExemplars[]>> {
  return prometheus("/api/v1/query_exemplars", { query, start, end }, signal);
}

/** Asks Prometheus' API and opens its envelope. */
export async function prometheus<Data>(
  path: string,
  parameters: Parameters,
  signal?: AbortSignal,
): Promise<Answer<Data>> {
  const answer = await getJson<Envelope<Data>>(path, parameters, signal);
  if (!answer.ok) return answer;
  const { status, data, error } = answer.value;
  if (status === "success" && data !== undefined) return answered(data);
  return failed({ kind: "refused", message: error ?? "The server refused the question" });
}
