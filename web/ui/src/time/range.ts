/**
 * Time ranges: two moments as written (`from`, `to` of the address), read into milliseconds, widened, shifted, frozen.
 * Nothing here knows the address or the page.
 */
import { formatSpan, hour, minute, parseSpan, day, second } from "./span";
import { isRelative, parseMoment, type Reading } from "./moment";

/** A range as written; `to` is `now` when it moves with the clock. */
export interface WrittenRange {
  readonly from: string;
  readonly to: string;
}

/** A range read: milliseconds since 1970, `from` included, `to` not. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

export const defaultRange: WrittenRange = { from: "now-1h", to: "now" };

/** What the picker offers, shortest first. */
export const presets: readonly { readonly from: string; readonly label: string }[] = [
  { from: "now-5m", label: "5 minutes" },
  { from: "now-15m", label: "15 minutes" },
  { from: "now-1h", label: "1 hour" },
  { from: "now-3h", label: "3 hours" },
  { from: "now-6h", label: "6 hours" },
  { from: "now-12h", label: "12 hours" },
  { from: "now-24h", label: "24 hours" },
  { from: "now-2d", label: "2 days" },
  { from: "now-7d", label: "7 days" },
  { from: "now-30d", label: "30 days" },
];

/** No range shown is shorter than this. */
const shortestMs = 10;

/** Reads a range; what cannot be read falls back to the default, and a reversed one is turned round. */
export function readRange(written: WrittenRange, reading: Reading): TimeRange {
  const to = parseMoment(written.to, reading) ?? reading.now;
  const from = parseMoment(written.from, reading) ?? to - hour;
  if (from === to) return { from, to: to + shortestMs };
  return from < to ? { from, to } : { from: to, to: from };
}

/**
 * A range from one free text: a span or moment alone means "from then until now"; a day alone means that day; two moments
 * joined by `to`, `until`, `..` or ` - ` mean what they say. Undefined when it cannot be read.
 */
export function parseRangeText(text: string, reading: Reading): WrittenRange | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const pair = /^(.+?)\s*(?:\.\.|\bto\b|\buntil\b|–|→|\s-\s)\s*(.+)$/i.exec(trimmed);
  if (pair !== null) {
    const from = written(pair[1] ?? "", reading);
    const to = written(pair[2] ?? "", reading);
    if (from !== undefined && to !== undefined) return { from, to };
  }
  const wholeDay = /^(today|yesterday|\d{4}-\d{1,2}-\d{1,2})$/i.exec(trimmed);
  if (wholeDay !== null) {
    const from = parseMoment(trimmed, reading);
    if (from !== undefined) return { from: isoOf(from), to: from + day > reading.now ? "now" : isoOf(from + day) };
  }
  const from = written(trimmed, reading);
  return from === undefined ? undefined : { from, to: "now" };
}

/** The way a moment stands in the address: relative ones as `now-3h`, others absolute. */
function written(text: string, reading: Reading): string | undefined {
  const moment = parseMoment(text, reading);
  if (moment === undefined) return undefined;
  if (!isRelative(text)) return isoOf(moment);
  const compact = text.trim().toLowerCase().replace(/\s+/g, "");
  if (compact.startsWith("now")) return compact;
  const span = compact.replace(/^(last|past|-)/, "").replace(/ago$/, "");
  return parseSpan(span) === undefined ? isoOf(moment) : `now-${span}`;
}

/** RFC 3339 in UTC with milliseconds: how absolute moments are written everywhere. */
export function isoOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

export function absoluteRange(range: TimeRange): WrittenRange {
  return { from: isoOf(range.from), to: isoOf(range.to) };
}

/** Twice as wide about the same middle, never past now. */
export function widened(range: TimeRange, now: number): TimeRange {
  const width = range.to - range.from;
  const to = Math.min(range.to + width / 2, Math.max(now, range.to));
  return { from: to - 2 * width, to };
}

/** Moved by half its width, back (-1) or on (+1), never past now. */
export function shifted(range: TimeRange, direction: -1 | 1, now: number): TimeRange {
  const width = range.to - range.from;
  const to = direction === 1 ? Math.min(range.to + width / 2, Math.max(now, range.to)) : range.to - width / 2;
  return { from: to - width, to };
}

/** What the picker's button says of a range that moves with the clock, or undefined for others. */
export function relativeLabel(range: WrittenRange): string | undefined {
  const match = /^now-(\w+)$/.exec(range.from);
  if (match === null || range.to !== "now") return undefined;
  const span = parseSpan(match[1] ?? "");
  if (span === undefined) return undefined;
  const preset = presets.find(({ from }) => from === range.from);
  return `Last ${preset?.label ?? formatSpan(span)}`;
}

/** A round step that divides a range into about `wanted` pieces. */
export function roundStep(milliseconds: number, wanted: number): number {
  const steps = [
    100,
    200,
    500,
    second,
    2 * second,
    5 * second,
    10 * second,
    15 * second,
    30 * second,
    minute,
    2 * minute,
    5 * minute,
    10 * minute,
    15 * minute,
    30 * minute,
    hour,
    2 * hour,
    3 * hour,
    6 * hour,
    12 * hour,
    day,
  ];
  return steps.find((step) => milliseconds / step <= wanted) ?? Math.ceil(milliseconds / wanted / day) * day;
}
