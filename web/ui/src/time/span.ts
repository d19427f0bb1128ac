/** Lengths of time as people type and read them: `90s`, `1h30m`, `2d`. Weeks have seven days, a day 24 hours. */

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;
const week = 7 * day;

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: second,
  sec: second,
  secs: second,
  second: second,
  seconds: second,
  m: minute,
  min: minute,
  mins: minute,
  minute: minute,
  minutes: minute,
  h: hour,
  hr: hour,
  hrs: hour,
  hour: hour,
  hours: hour,
  d: day,
  day: day,
  days: day,
  w: week,
  week: week,
  weeks: week,
};

/** Milliseconds of a length as typed (`5m`, `1h 30m`, `2 days`), or undefined when it is none. */
export function parseSpan(text: string): number | undefined {
  const trimmed = text.trim().toLowerCase();
  if (!/^(\d+(\.\d+)?\s*[a-z]+\s*)+$/.test(trimmed)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    const ms = unitMs[unit ?? ""];
    if (ms === undefined) return undefined;
    sum += Number(amount) * ms;
  }
  return sum;
}

/** A length in the fewest words, at most two units: `1h 30m`, `38 ms`, `2.4 s`. */
export function formatSpan(milliseconds: number): string {
  const ms = Math.abs(milliseconds);
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${(milliseconds * 1000).toFixed(0)} µs`;
  if (ms < 10 && !Number.isInteger(milliseconds)) return `${milliseconds.toFixed(1)} ms`;
  if (ms < second) return `${milliseconds.toFixed(0)} ms`;
  if (ms < minute) return `${(milliseconds / second).toFixed(ms < 10 * second && ms % second !== 0 ? 1 : 0)} s`;
  const sign = milliseconds < 0 ? "-" : "";
  const units = [
    ["w", week],
    ["d", day],
    ["h", hour],
    ["m", minute],
    ["s", second],
  ] as const;
  const at = units.findIndex(([, length]) => ms >= length);
  const [bigName, big] = units[at] ?? units[4];
  const smaller = units[at + 1];
  const whole = Math.floor(ms / big);
  const rest = smaller === undefined ? 0 : Math.floor((ms - whole * big) / smaller[1]);
  return rest === 0 || smaller === undefined
    ? `${sign}${whole}${bigName}`
    : `${sign}${whole}${bigName} ${rest}${smaller[0]}`;
}

/** The way the server and the address write a length: whole units without spaces, `1h30m`. */
export function spanParameter(milliseconds: number): string {
  let rest = Math.max(1, Math.round(milliseconds));
  let text = "";
  for (const [name, length] of [
    ["d", day],
    ["h", hour],
    ["m", minute],
    ["s", second],
    ["ms", 1],
  ] as const) {
    const whole = Math.floor(rest / length);
    if (whole > 0) text += `${whole}${name}`;
    rest -= whole * length;
  }
  return text;
}
