/** Everything that carries one trace id. */
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
