/** Everything that carries one trace id, and which traces there are. */
import type { Answer } from "./answer";
import type { LogRecord } from "./log-record";
import type { Labels } from "./metrics";
import { getJson } from "./request";

export interface TraceService {
  readonly service: string;
  readonly host: string;
  readonly records: number;
}

export interface TraceExemplar {
  /** The series with its `__name__`. */
  readonly series: Labels;
  readonly time: string;
  readonly value: number;
  readonly span_id?: string;
}

/** What the lines of one span say of its begin and end. */
export interface TraceSpan {
  readonly span_id: string;
  readonly parent_span_id: string | null;
  /** What it was sent as, when it was sent as a span. */
  readonly name: string | null;
  readonly kind: string | null;
  readonly service: string;
  readonly host: string;
  readonly start: string;
  readonly duration_ms: number;
  /** From its lines alone, from a line that says how long it took, or from one that says both ends. */
  readonly known_by: "lines" | "duration" | "ends";
  readonly records: number;
  readonly errors: number;
}

/** A metric of one of the trace's hosts, around its time: Unix seconds and numbers as text. */
export interface HostMetric {
  readonly metric: Labels;
  readonly values?: readonly (readonly [number, string])[];
}

export interface Trace {
  readonly trace_id: string;
  readonly start: string | null;
  readonly end: string | null;
  readonly services: readonly TraceService[];
  /** From the first begin that a line tells of to the last end. */
  readonly duration_ms?: number | null;
  readonly spans?: readonly TraceSpan[];
  readonly host_metrics?: readonly HostMetric[];
  /** Oldest first. */
  readonly records: readonly LogRecord[];
  readonly exemplars: readonly TraceExemplar[];
  readonly partial: boolean | string;
}

export function fetchTrace(id: string, signal: AbortSignal): Promise<Answer<Trace>> {
  return getJson(`/api/v1/traces/${encodeURIComponent(id)}`, {}, signal);
}

/** A trace in short, as far as it lies in the range that was asked for. */
export interface TraceInShort {
  readonly trace_id: string;
  readonly start: string;
  readonly duration_ms: number;
  /** Who spoke first, and what. */
  readonly service: string;
  readonly name: string;
  readonly services: readonly { readonly service: string; readonly records: number }[];
  readonly records: number;
  readonly errors: number;
}

export interface TraceList {
  /** The newest first. */
  readonly traces: readonly TraceInShort[];
  readonly total: number;
  readonly summary: { readonly partial: boolean | string };
}

export function fetchTraces(wanted: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer<TraceList>> {
  return getJson("/api/v1/traces", wanted, signal);
}
