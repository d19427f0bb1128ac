/** The questions about log records: search, histogram, facets, fields, context. */
import { answered, failed, type Answer } from "./answer";
import type { AttributeValue, LogRecord } from "./log-record";
import { readLines } from "./ndjson";
import { addressOf, failureOf, getJson, open } from "./request";

/** Which records: the query as typed and a range as the server reads it (RFC 3339). */
export interface Question {
  readonly q: string;
  readonly from: string;
  readonly to: string;
}

export interface SearchRequest extends Question {
  /** Rows at most; as many as the server finds fit when absent. */
  readonly limit?: number;
  readonly order?: "newest" | "oldest";
  /** The id of a record: the answer goes on after it, in the order asked for. */
  readonly cursor?: string;
}

export interface Progress {
  readonly parts_done: number;
  readonly parts: number;
  readonly scanned_rows: number;
  readonly elapsed_ms: number;
}

export interface Summary {
  readonly rows: number;
  readonly scanned_rows: number;
  readonly scanned_bytes: number;
  readonly elapsed_ms: number;
  /** False, or why the answer is not whole. */
  readonly partial: false | string;
  /** Whether there would have been more rows than were asked for. */
  readonly more?: boolean;
  readonly next_cursor?: string | null;
}

/** A column of the table that a question's stages make. */
export interface AnswerColumn {
  readonly name: string;
  readonly type: "time" | "number" | "text" | "list" | "any";
}

export type AnswerRow = Readonly<Record<string, AttributeValue>>;

/** Why a question found nothing. */
export interface Explanation {
  readonly rows: number;
  readonly conditions: readonly {
    readonly text: string;
    readonly column: number;
    readonly rows_alone: number;
    readonly rows_without: number;
  }[];
  readonly stages: readonly { readonly text: string; readonly rows: number }[];
  readonly nearest: { readonly before: string | null; readonly after: string | null };
  readonly unknown_fields: readonly { readonly name: string; readonly near: string | null }[];
}

export interface Histogram {
  readonly interval_ms: number;
  readonly buckets: readonly { readonly time: string; readonly counts: Readonly<Record<string, number>> }[];
  readonly total: number;
  readonly summary?: Summary;
}

export interface Facet {
  readonly field: string;
  readonly values: readonly { readonly value: string; readonly count: number }[];
  readonly other: number;
  readonly missing: number;
}

export interface FieldCount {
  readonly name: string;
  readonly count: number;
}

export interface Context {
  readonly before: readonly LogRecord[];
  readonly record: LogRecord;
  readonly after: readonly LogRecord[];
}

/** What a running search tells as it goes. */
export interface SearchListener {
  record(record: LogRecord): void;
  progress(progress: Progress): void;
  /** The columns of a table: before its first row, and again when a row brings new ones. */
  columns?(columns: readonly AnswerColumn[]): void;
  row?(row: AnswerRow): void;
}

interface SearchLine {
  readonly record?: LogRecord;
  readonly columns?: readonly AnswerColumn[];
  readonly row?: AnswerRow;
  readonly progress?: Progress;
  readonly summary?: Summary;
  readonly error?: { readonly message: string; readonly column?: number };
}

/** Searches; records and progress go to the listener as they arrive, the summary is the answer. */
export async function searchLogs(
  request: SearchRequest,
  listener: SearchListener,
  signal: AbortSignal,
): Promise<Answer<Summary>> {
  const opened = await open(addressOf("/api/v1/logs/search", { ...request }), "application/x-ndjson", signal);
  if (!opened.ok) return opened;
  const body = opened.value.body;
  if (body === null) return failed({ kind: "malformed", message: "The server's answer was empty" });
  try {
    for await (const line of readLines(body)) {
      if ("malformed" in line) continue;
      const { record, columns, row, progress, summary, error } = line.value as SearchLine;
      if (record !== undefined) listener.record(record);
      else if (row !== undefined) listener.row?.(row);
      else if (columns !== undefined) listener.columns?.(columns);
      else if (progress !== undefined) listener.progress(progress);
      else if (summary !== undefined) return answered(summary);
      else if (error !== undefined) return failed({ kind: "refused", ...error });
    }
  } catch (cause) {
    return failed(failureOf(cause));
  }
  if (signal.aborted) return failed({ kind: "cancelled", message: "Cancelled" });
  return failed({ kind: "network", message: "The answer broke off before its end" });
}

export function fetchExplanation(question: Question, signal: AbortSignal): Promise<Answer<Explanation>> {
  return getJson("/api/v1/logs/explain", { ...question }, signal);
}

export function fetchHistogram(
  question: Question,
  signal: AbortSignal,
  { by = "level", interval }: { readonly by?: string; readonly interval?: string } = {},
): Promise<Answer<Histogram>> {
  return getJson("/api/v1/logs/histogram", { ...question, by: by === "" ? undefined : by, interval }, signal);
}

/** The pattern that a message with this text has, whether or not there is one. */
export function fetchPatternOf(text: string): Promise<Answer<{ id: string; pattern: string }>> {
  return getJson("/api/v1/logs/pattern", { text });
}

export function fetchFacets(
  question: Question,
  fields: readonly string[],
  limit: number,
  signal: AbortSignal,
): Promise<Answer<{ facets: Facet[] }>> {
  return getJson("/api/v1/logs/facets", { ...question, fields: fields.join(","), limit }, signal);
}

export function fetchFields(question: Question, signal: AbortSignal): Promise<Answer<{ fields: FieldCount[] }>> {
  return getJson("/api/v1/logs/fields", { ...question }, signal);
}

/** The records around one, of the same host and service unless `by` says otherwise; filters are dropped. */
export function fetchContext(
  id: string,
  lines: number,
  signal?: AbortSignal,
  by = "host,service",
): Promise<Answer<Context>> {
  return getJson("/api/v1/logs/context", { id, before: lines, after: lines, by }, signal);
}
