/**
 * The live stream of records, with numbers that make it honest: it resumes after the last number it has seen, so a broken
 * connection loses nothing, and a silence longer than the server's heartbeat counts as a broken connection.
 */
import { answered, failed, type Answer, type Failure } from "./answer";
import type { LogRecord } from "./log-record";
import { readLines } from "./ndjson";
import { addressOf, failureOf, open } from "./request";

/** Rows that the server could not keep for us. */
export interface Gap {
  readonly from_seq: number;
  readonly to_seq: number;
  readonly rows: number;
}

/** What the server counted since the connection began. */
export interface TailCounts {
  /** Everything that was stored. */
  readonly received: number;
  readonly matched: number;
  readonly shown: number;
  readonly dropped: number;
}

export interface TailListener {
  record(record: LogRecord): void;
  gap(gap: Gap): void;
  /** The server's own count, each second. */
  counts?(counts: TailCounts): void;
  /** The connection's state; `waiting` tells when the next attempt is made. */
  state(state: "connecting" | "live" | "waiting", failure?: Failure): void;
}

interface TailLine {
  readonly record?: LogRecord;
  readonly gap?: Gap;
  readonly heartbeat?: { readonly seq: number | null } & TailCounts;
  readonly reset?: { readonly seq: number };
}

/** The server says something at least each second; this long without a word is a dead connection. */
const silenceMsMax = 10_000;
const retryMsFirst = 500;
const retryMsMax = 10_000;
/** What a gap left out comes within this long, or the gap stays. */
const gapMsMax = 30_000;

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
            listener.counts?.(heartbeat);
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

/**
 * What a gap left out, oldest first: the stream from the gap's first number to its last. What the server cannot tell any
 * more, or not as fast, is a gap again.
 */
export async function fetchGap(q: string, gap: Gap): Promise<Answer<readonly (LogRecord | Gap)[]>> {
  const told: (LogRecord | Gap)[] = [];
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), gapMsMax);
  try {
    const address = addressOf("/api/v1/logs/tail", { q, from_seq: gap.from_seq });
    const opened = await open(address, "application/x-ndjson", stop.signal);
    if (!opened.ok) return opened;
    if (opened.value.body === null) return answered(told);
    for await (const line of readLines(opened.value.body)) {
      if ("malformed" in line) continue;
      const { record, gap: inner, heartbeat } = line.value as TailLine;
      if (record !== undefined && record.seq <= gap.to_seq) told.push(record);
      else if (inner !== undefined && inner.from_seq <= gap.to_seq) told.push(inner);
      if ((record?.seq ?? inner?.to_seq ?? (heartbeat?.seq ?? 0) - 1) >= gap.to_seq) break;
    }
    return answered(told);
  } catch (cause) {
    return failed(failureOf(cause));
  } finally {
    clearTimeout(timer);
    stop.abort();
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
