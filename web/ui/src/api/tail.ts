/**
 * The live stream of records, with numbers that make it honest: it resumes after the last number it has seen, so a broken
 * connection loses nothing, and a silence longer than the server's heartbeat counts as a broken connection.
 */
import type { Failure } from "./answer";
import type { LogRecord } from "./log-record";
import { readLines } from "./ndjson";
import { addressOf, failureOf, open } from "./request";

/** Rows that the server could not keep for us. */
export interface Gap {
  readonly from_seq: number;
  readonly to_seq: number;
  readonly rows: number;
}

export interface TailListener {
  record(record: LogRecord): void;
  gap(gap: Gap): void;
  /** The connection's state; `waiting` tells when the next attempt is made. */
  state(state: "connecting" | "live" | "waiting", failure?: Failure): void;
}

interface TailLine {
  readonly record?: LogRecord;
  readonly gap?: Gap;
  readonly heartbeat?: { readonly seq: number | null };
  readonly reset?: { readonly seq: number };
}

/** The server says something at least each second; this long without a word is a dead connection. */
const silenceMsMax = 10_000;
const retryMsFirst = 500;
const retryMsMax = 10_000;

/** Follows a query from `fromSeq` (or from now) until the signal stops it; a query that is refused ends it. */
export async function followTail(
  q: string,
  fromSeq: number | undefined,
  listener: TailListener,
  signal: AbortSignal,
): Promise<void> {
  let nextSeq = fromSeq;
  let retryMs = retryMsFirst;
  while (!signal.aborted) {
    listener.state("connecting");
    const attempt = new AbortController();
    const stop = (): void => attempt.abort();
    signal.addEventListener("abort", stop);
    let watchdog = setTimeout(stop, silenceMsMax);
    let failure: Failure | undefined;
    try {
      const opened = await open(
        addressOf("/api/v1/logs/tail", { q, from_seq: nextSeq }),
        "application/x-ndjson",
        attempt.signal,
      );
      if (!opened.ok) {
        failure = opened.failure;
      } else if (opened.value.body !== null) {
        listener.state("live");
        for await (const line of readLines(opened.value.body)) {
          clearTimeout(watchdog);
          watchdog = setTimeout(stop, silenceMsMax);
          if (signal.aborted) break;
          if ("malformed" in line) continue;
          retryMs = retryMsFirst;
          const { record, gap, heartbeat, reset } = line.value as TailLine;
          if (record !== undefined) {
            nextSeq = record.seq + 1;
            listener.record(record);
          } else if (gap !== undefined) {
            nextSeq = gap.to_seq + 1;
            listener.gap(gap);
          } else if (heartbeat !== undefined) {
            nextSeq = Math.max(nextSeq ?? 0, heartbeat.seq ?? 0);
          } else if (reset !== undefined) {
            // The store is another one, or was restored: its numbers are lower than those we know.
            nextSeq = reset.seq;
          }
        }
      }
    } catch (cause) {
      failure = failureOf(cause);
    } finally {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", stop);
      attempt.abort();
    }
    if (signal.aborted) return;
    listener.state("waiting", failure);
    if (failure?.kind === "refused" && failure.status === 400) return;
    await pause(retryMs, signal);
    retryMs = Math.min(retryMs * 2, retryMsMax);
  }
}

/** Resolves after a while, or at once when the signal says stop. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
