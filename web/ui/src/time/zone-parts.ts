/** A moment split into calendar parts in the zone that the reader chose, and back. */
import type { Zone } from "../app/preferences";

export interface CalendarParts {
  readonly year: number;
  /** 1–12. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly millisecond: number;
}

export function partsOf(milliseconds: number, zone: Zone): CalendarParts {
  const date = new Date(milliseconds);
  return zone === "utc"
    ? {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
        hour: date.getUTCHours(),
        minute: date.getUTCMinutes(),
        second: date.getUTCSeconds(),
        millisecond: date.getUTCMilliseconds(),
      }
    : {
        year: date.getFullYear(),
        month: date.getMonth() + 1,
        day: date.getDate(),
        hour: date.getHours(),
        minute: date.getMinutes(),
        second: date.getSeconds(),
        millisecond: date.getMilliseconds(),
      };
}

/** Milliseconds since 1970 of calendar parts; a day past the month's end runs over, as `Date` does it. */
export function momentOf(parts: CalendarParts, zone: Zone): number {
  const { year, month, day, hour, minute, second, millisecond } = parts;
  return zone === "utc"
    ? Date.UTC(year, month - 1, day, hour, minute, second, millisecond)
    : new Date(year, month - 1, day, hour, minute, second, millisecond).getTime();
}
