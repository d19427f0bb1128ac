/** What is arriving: every source's counters, the store's condition, the listeners' addresses. */
import type { Answer } from "./answer";
import { getJson } from "./request";

export interface Problem {
  readonly reason: string;
  readonly count: number;
  readonly last_seen: string;
  readonly example: string;
}

export interface Source {
  readonly kind: string;
  readonly name: string;
  readonly records: number;
  readonly bytes: number;
  readonly last_seen: string | null;
  readonly problems: readonly Problem[];
}

/** The store's condition; counters count since the server's start. */
export interface StoreStatus {
  readonly log_records: number;
  readonly samples: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly adjusted: Readonly<Record<string, number>>;
  readonly head_rows: number;
  readonly head_bytes: number;
  readonly splits: number;
  readonly split_rows: number;
  readonly split_bytes: number;
  readonly series: number;
  readonly blocks: number;
  readonly block_bytes: number;
  readonly journal_bytes: number;
  readonly next_seq: number;
  readonly disk_free_bytes: number;
}

export interface Agent {
  readonly agent?: string;
  readonly host?: string;
  readonly last_seen?: string | null;
}

export interface IngestReport {
  readonly version: string;
  readonly started: string;
  /** The server's clock: relative ranges are read by it. */
  readonly now: string;
  readonly uptime_seconds: number;
  readonly listeners: Readonly<Record<string, string | null | undefined>>;
  readonly sources: readonly Source[];
  readonly store: StoreStatus;
  readonly agents?: readonly Agent[];
}

export function fetchIngest(signal?: AbortSignal): Promise<Answer<IngestReport>> {
  return getJson("/api/v1/ingest", {}, signal);
}
