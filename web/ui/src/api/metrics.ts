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
  readonly values: readonly (readonly [number, string])[];
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
