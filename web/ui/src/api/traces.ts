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

export interface Trace {
  readonly trace_id: string;
  readonly start: string | null;
  readonly end: string | null;
  readonly services: readonly TraceService[];
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
