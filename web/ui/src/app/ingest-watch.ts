/**
 * Watches what is arriving: asks every few seconds and turns two answers into rates. One watch for the whole page; the
 * foot, Home and the clock live on it.
 */
import { computed, signal } from "@preact/signals";
import type { Failure } from "../api/answer";
import { fetchIngest, type IngestReport } from "../api/ingest";
import { learnServerTime } from "../time/clock";

/** How often it asks, while the page is visible. */
const intervalMs = 3000;
/** The second answer comes sooner, since only two make a rate. */
const secondMs = 1000;
/** Rates are measured over this many answers, 12 s: StatsD windows close every 10 s and would show as zero and a peak. */
const recentMax = 5;
/** Points that Home's sparkline shows: three minutes. */
export const ratePointsMax = 60;

export interface RatePoint {
  /** Server time, milliseconds since 1970. */
  readonly time: number;
  readonly logsPerSecond: number;
  readonly samplesPerSecond: number;
}

const report = signal<IngestReport | undefined>(undefined);
/** The answers that rates are measured over, oldest first. */
const recent = signal<readonly IngestReport[]>([]);
const problem = signal<Failure | undefined>(undefined);
const points = signal<readonly RatePoint[]>([]);
/** Records of each source when the page was opened. */
let atOpening: ReadonlyMap<string, number> | undefined;

export const ingestReport = computed(() => report.value);
export const ingestFailure = computed(() => problem.value);
export const ratePoints = computed(() => points.value);
/** The newest rates, or undefined until two answers are there. */
export const currentRate = computed(() => points.value.at(-1));

/** Records per second of a source over the last answers. */
export function sourceRate(key: string): number | undefined {
  const now = report.value;
  const before = recent.value[0];
  if (now === undefined || before === undefined || before === now) return undefined;
  const seconds = secondsBetween(before, now);
  const records = now.sources.find((source) => sourceKey(source) === key)?.records ?? 0;
  const earlier = before.sources.find((source) => sourceKey(source) === key)?.records ?? 0;
  return seconds > 0 ? Math.max(0, records - earlier) / seconds : undefined;
}

/** Records that sources of a kind took since the page was opened, and ever. */
export function takenBy(kind: string): { readonly now: number; readonly ever: number } {
  let ever = 0;
  let before = 0;
  for (const source of report.value?.sources ?? []) {
    if (source.kind !== kind) continue;
    ever += source.records;
    before += Math.min(source.records, atOpening?.get(sourceKey(source)) ?? 0);
  }
  return { now: ever - before, ever };
}

export function sourceKey(source: { readonly kind: string; readonly name: string }): string {
  return `${source.kind} ${source.name}`;
}

/** Begins; to be called once. */
export function watchIngest(): void {
  const ask = async (): Promise<void> => {
    const answer = await fetchIngest();
    if (answer.ok) learn(answer.value);
    else problem.value = answer.failure;
  };
  void ask();
  setTimeout(() => void ask(), secondMs);
  setInterval(() => {
    if (document.visibilityState === "visible") void ask();
  }, intervalMs);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void ask();
  });
}

function learn(next: IngestReport): void {
  learnServerTime(next.now);
  atOpening ??= new Map(next.sources.map((source) => [sourceKey(source), source.records]));
  problem.value = undefined;
  report.value = next;
  // A server that was started anew counts from zero again.
  const sameServer = recent.peek().filter(({ started }) => started === next.started);
  recent.value = [...sameServer, next].slice(-recentMax);
  const before = recent.value[0] ?? next;
  const seconds = secondsBetween(before, next);
  if (seconds <= 0.2) return;
  const point = {
    time: Date.parse(next.now),
    logsPerSecond: Math.max(0, next.store.log_records - before.store.log_records) / seconds,
    samplesPerSecond: Math.max(0, next.store.samples - before.store.samples) / seconds,
  };
  points.value = [...points.peek(), point].slice(-ratePointsMax);
}

function secondsBetween(before: IngestReport, now: IngestReport): number {
  return (Date.parse(now.now) - Date.parse(before.now)) / 1000;
}
