/** Moments as the reader sees them: 24-hour clock, the chosen zone, as many digits as the place needs. */
import type { Zone } from "../app/preferences";
import { day, hour, minute, second } from "./span";
import { partsOf } from "./zone-parts";

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `17:30:05.123` */
export function clockTime(milliseconds: number, zone: Zone): string {
  const { hour, minute, second, millisecond } = partsOf(milliseconds, zone);
  return `${two(hour)}:${two(minute)}:${two(second)}.${String(millisecond).padStart(3, "0")}`;
}

/** `Nov 20` */
export function shortDate(milliseconds: number, zone: Zone): string {
  const { month, day } = partsOf(milliseconds, zone);
  return `${months[month - 1]} ${day}`;
}

/** `2026-11-20 17:30:05.123` */
export function fullTime(milliseconds: number, zone: Zone): string {
  const { year, month, day } = partsOf(milliseconds, zone);
  return `${year}-${two(month)}-${two(day)} ${clockTime(milliseconds, zone)}`;
}

/** `Nov 20 17:30`, with seconds when `precise`. */
export function briefTime(milliseconds: number, zone: Zone, precise = false): string {
  const { hour, minute, second } = partsOf(milliseconds, zone);
  return `${shortDate(milliseconds, zone)} ${two(hour)}:${two(minute)}${precise ? `:${two(second)}` : ""}`;
}

/** What stands under an axis whose marks lie `step` apart: the date at midnight, else the time. */
export function axisLabel(milliseconds: number, step: number, zone: Zone): string {
  const { hour: hours, minute: minutes, second: seconds } = partsOf(milliseconds, zone);
  if (step >= day || (hours === 0 && minutes === 0 && seconds === 0)) return shortDate(milliseconds, zone);
  return step >= minute
    ? `${two(hours)}:${two(minutes)}`
    : clockTime(milliseconds, zone).slice(0, step >= second ? 8 : 12);
}

/** Both zones and the exact text, for a tooltip. */
export function everyZone(rfc3339: string): string {
  const milliseconds = Date.parse(rfc3339);
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return `${fullTime(milliseconds, "local")} ${name}\n${fullTime(milliseconds, "utc")} UTC\n${rfc3339}`;
}

/** `3 s ago`, `2 h ago`; `now` within a second. */
export function ago(milliseconds: number, now: number): string {
  const past = now - milliseconds;
  if (past < 1.5 * second) return "now";
  if (past < 90 * second) return `${Math.round(past / second)} s ago`;
  if (past < 90 * minute) return `${Math.round(past / minute)} min ago`;
  if (past < 36 * hour) return `${Math.round(past / hour)} h ago`;
  return `${Math.round(past / day)} d ago`;
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}
