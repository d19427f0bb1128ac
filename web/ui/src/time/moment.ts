/**
 * Moments as people write them: `3h ago`, `yesterday 17:30`, `now-15m`, ISO dates, Unix seconds to nanoseconds. The same
 * texts stand in the address, so a relative range in a link stays relative.
 */
import type { Zone } from "../app/preferences";
import { parseSpan, second } from "./span";
import { momentOf, partsOf } from "./zone-parts";

/** What a text is read against. */
export interface Reading {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly zone: Zone;
}

/** Milliseconds since 1970 of a moment as written, or undefined when it is none. */
export function parseMoment(text: string, reading: Reading): number | undefined {
  const trimmed = text.trim().toLowerCase().replace(/\s+/g, " ");
  return (
    relative(trimmed, reading.now) ??
    epoch(trimmed) ??
    absolute(text.trim(), reading.zone) ??
    calendar(trimmed, reading)
  );
}

/** Whether a moment as written moves with the clock. */
export function isRelative(text: string): boolean {
  return relative(text.trim().toLowerCase().replace(/\s+/g, " "), 0) !== undefined;
}

/** `now`, `now-15m`, `15m`, `-15m`, `3h ago`, `last 3 hours`. */
function relative(text: string, now: number): number | undefined {
  if (text === "now") return now;
  const signed = /^now ?([+-]) ?(.+)$/.exec(text);
  if (signed !== null) {
    const span = parseSpan(signed[2] ?? "");
    return span === undefined ? undefined : signed[1] === "-" ? now - span : now + span;
  }
  const ago = /^(?:last |past |-)?(.+?)(?: ago)?$/.exec(text);
  const span = parseSpan(ago?.[1] ?? "");
  return span === undefined ? undefined : now - span;
}

/** Unix time by its number of digits: 9–11 seconds, 12–14 milliseconds, 15–17 microseconds, 18–20 nanoseconds. */
function epoch(text: string): number | undefined {
  const match = /^(\d{9,20})(?:\.(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const digits = match[1] ?? "";
  const number = Number(text);
  if (digits.length <= 11) return Math.round(number * second);
  if (digits.length <= 14) return Math.round(number);
  if (digits.length <= 17) return Math.round(number / 1e3);
  return Math.round(number / 1e6);
}

/** `2026-11-20`, `2026-11-20 17:30`, `2026-11-20T17:30:05.123456789+01:00`; without a zone, the reader's. */
function absolute(text: string, zone: Zone): number | undefined {
  const match =
    /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/i.exec(
      text,
    );
  if (match === null) return undefined;
  const [, year, month, day, hour = "0", minute = "0", seconds = "0", fraction = "0", offset] = match;
  const parts = {
    year: Number(year),
    month: Number(month),
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(seconds),
    millisecond: Math.floor(Number(`0.${fraction}`) * 1000),
  };
  if (parts.month > 12 || parts.day > 31 || parts.hour > 24 || parts.minute > 59 || parts.second > 60) return undefined;
  if (offset === undefined) return momentOf(parts, zone);
  const utc = momentOf(parts, "utc");
  const signed = /^([+-])(\d{2}):?(\d{2})$/.exec(offset);
  if (signed === null) return utc;
  const minutes = Number(signed[2]) * 60 + Number(signed[3]);
  return signed[1] === "+" ? utc - minutes * 60 * second : utc + minutes * 60 * second;
}

const weekdays = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/** `today`, `yesterday at 5:30pm`, `monday 09:00`, `17:30` (the last one that has passed). */
function calendar(text: string, { now, zone }: Reading): number | undefined {
  const match =
    /^(today|yesterday|(?:last )?[a-z]+day)?(?:,? ?(?:at )?(\d{1,2})(?::(\d{2})(?::(\d{2}))?)? ?(am|pm)?)?$/.exec(text);
  if (match === null || text === "") return undefined;
  const [, dayName, hourText, minuteText, secondText, half] = match;
  if (dayName === undefined && minuteText === undefined && half === undefined) return undefined;
  let hour = Number(hourText ?? 0);
  if (half !== undefined && (hour < 1 || hour > 12)) return undefined;
  if (half !== undefined) hour = (hour % 12) + (half === "pm" ? 12 : 0);
  if (hour > 24 || Number(minuteText ?? 0) > 59) return undefined;
  const daysBack = dayName === undefined ? 0 : daysBackTo(dayName.replace("last ", ""), now, zone);
  if (daysBack === undefined) return undefined;
  const today = partsOf(now, zone);
  const at = (back: number): number =>
    momentOf(
      {
        ...today,
        day: today.day - back,
        hour,
        minute: Number(minuteText ?? 0),
        second: Number(secondText ?? 0),
        millisecond: 0,
      },
      zone,
    );
  const moment = at(daysBack);
  return dayName === undefined && moment > now ? at(1) : moment;
}

function daysBackTo(name: string, now: number, zone: Zone): number | undefined {
  if (name === "today") return 0;
  if (name === "yesterday") return 1;
  const wanted = weekdays.indexOf(name);
  if (wanted === -1) return undefined;
  const date = new Date(now);
  const today = zone === "utc" ? date.getUTCDay() : date.getDay();
  return ((today - wanted + 6) % 7) + 1;
}
