/**
 * Lays a trace out on one axis of time: a lane for each service and host in the order in which they first do something, with
 * its spans stacked where they overlap and its records as ticks. Pure.
 */
import type { LogRecord } from "../../api/log-record";
import type { TraceSpan } from "../../api/traces";

export interface Tick {
  readonly record: LogRecord;
  /** Milliseconds after the axis begins, with the fraction that nanoseconds give. */
  readonly offset: number;
}

export interface Bar {
  readonly span: TraceSpan;
  readonly from: number;
  readonly to: number;
  /** Which row of its lane it stands in, from 0. */
  readonly row: number;
}

export interface Lane {
  readonly service: string;
  readonly host: string;
  readonly ticks: readonly Tick[];
  readonly bars: readonly Bar[];
  /** Rows that the bars need. */
  readonly rows: number;
  readonly first: number;
  readonly last: number;
  readonly errors: number;
}

export interface Timeline {
  /** When the axis begins, RFC 3339. */
  readonly start: string;
  /** How long it is, in milliseconds. */
  readonly duration: number;
  readonly lanes: readonly Lane[];
}

/** Rows of bars in a lane; further ones share the last. */
const rowsMax = 12;

/** Milliseconds between two RFC 3339 times, to the nanosecond where they have that many digits. */
export function millisecondsBetween(from: string, to: string): number {
  const wholeSeconds = Date.parse(secondsOf(to)) - Date.parse(secondsOf(from));
  return wholeSeconds + fractionMs(to) - fractionMs(from);
}

export function timelineOf(records: readonly LogRecord[], spans: readonly TraceSpan[]): Timeline {
  const moments = [...records.map(({ time }) => time), ...spans.map(({ start }) => start)];
  const start = moments.reduce(
    (earliest, time) => (millisecondsBetween(earliest, time) < 0 ? time : earliest),
    moments[0] ?? "",
  );
  const lanes = new Map<string, { service: string; host: string; ticks: Tick[]; spans: TraceSpan[] }>();
  const laneOf = (service = "", host = "") => {
    const key = JSON.stringify([service, host]);
    const lane = lanes.get(key) ?? { service, host, ticks: [], spans: [] };
    lanes.set(key, lane);
    return lane;
  };
  for (const span of spans) laneOf(span.service, span.host).spans.push(span);
  for (const record of records)
    laneOf(record.service, record.host).ticks.push({ record, offset: millisecondsBetween(start, record.time) });
  const laid = [...lanes.values()].map(({ service, host, ticks, spans: own }): Lane => {
    const { bars, rows } = stacked(own, start);
    const ends = [...ticks.flatMap(({ offset }) => [offset]), ...bars.flatMap(({ from, to }) => [from, to])];
    return {
      service,
      host,
      ticks,
      bars,
      rows,
      first: Math.min(...ends),
      last: Math.max(...ends),
      errors: ticks.filter(({ record }) => isGrave(record)).length,
    };
  });
  laid.sort((a, b) => a.first - b.first);
  return { start, duration: Math.max(0, ...laid.map(({ last }) => last)), lanes: laid };
}

export function isGrave(record: LogRecord): boolean {
  return record.level === "error" || record.level === "fatal";
}

/** Spans in rows, each in the first that is free when it begins; the longer of two that begin together stands above. */
function stacked(spans: readonly TraceSpan[], start: string): { bars: readonly Bar[]; rows: number } {
  const placed = spans
    .map((span) => {
      const from = millisecondsBetween(start, span.start);
      return { span, from, to: from + Math.max(0, span.duration_ms) };
    })
    .sort((a, b) => a.from - b.from || b.to - a.to);
  const freeFrom: number[] = [];
  const bars = placed.map((bar): Bar => {
    const free = freeFrom.findIndex((end) => end <= bar.from);
    const row = free !== -1 ? free : Math.min(freeFrom.length, rowsMax - 1);
    freeFrom[row] = Math.max(freeFrom[row] ?? 0, bar.to);
    return { ...bar, row };
  });
  return { bars, rows: freeFrom.length };
}

function secondsOf(time: string): string {
  return time.replace(/\.\d+/, "");
}

function fractionMs(time: string): number {
  return Number(`0${/\.\d+/.exec(time)?.[0] ?? ""}`) * 1000;
}
