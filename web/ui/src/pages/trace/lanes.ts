/** Lays the records of a trace out as lanes: one a service and host, in the order in which they first speak. */
import type { LogRecord } from "../../api/log-record";

export interface Tick {
  readonly record: LogRecord;
  /** Milliseconds after the first record, with the fraction that nanoseconds give. */
  readonly offset: number;
}

export interface Lane {
  readonly service: string;
  readonly host: string;
  readonly ticks: readonly Tick[];
  readonly first: number;
  readonly last: number;
  readonly errors: number;
}

/** Milliseconds between two RFC 3339 times, to the nanosecond where they have that many digits. */
export function millisecondsBetween(from: string, to: string): number {
  const wholeSeconds = Date.parse(secondsOf(to)) - Date.parse(secondsOf(from));
  return wholeSeconds + fractionMs(to) - fractionMs(from);
}

export function lanesOf(records: readonly LogRecord[]): readonly Lane[] {
  const start = records[0]?.time;
  if (start === undefined) return [];
  const lanes = new Map<string, { service: string; host: string; ticks: Tick[] }>();
  for (const record of records) {
    const service = record.service ?? "";
    const host = record.host ?? "";
    const key = JSON.stringify([service, host]);
    const lane = lanes.get(key) ?? { service, host, ticks: [] };
    lanes.set(key, lane);
    lane.ticks.push({ record, offset: millisecondsBetween(start, record.time) });
  }
  return [...lanes.values()].map((lane) => ({
    ...lane,
    first: Math.min(...lane.ticks.map(({ offset }) => offset)),
    last: Math.max(...lane.ticks.map(({ offset }) => offset)),
    errors: lane.ticks.filter(({ record }) => isGrave(record)).length,
  }));
}

export function isGrave(record: LogRecord): boolean {
  return record.level === "error" || record.level === "fatal";
}

function secondsOf(time: string): string {
  return time.replace(/\.\d+/, "");
}

function fractionMs(time: string): number {
  return Number(`0${/\.\d+/.exec(time)?.[0] ?? ""}`) * 1000;
}
