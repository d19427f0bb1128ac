/** Numbers as the reader sees them: counts with separators or short, bytes, rates. */

const separated = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** `412,031` */
export function count(number: number): string {
  return separated.format(number);
}

/** `412K` */
export function shortCount(number: number): string {
  return number < 10_000 ? separated.format(number) : short.format(number);
}

/** `112 MB` in powers of 1000, as disks are sold and `ls --si` prints. */
export function bytes(number: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let rest = number;
  let at = 0;
  while (rest >= 999.5 && at < units.length - 1) {
    rest /= 1000;
    at += 1;
  }
  return `${at === 0 || rest >= 99.5 ? rest.toFixed(0) : rest.toPrecision(2)} ${units[at]}`;
}

/** A measured value in at most four digits: `0.0123`, `12.3`, `4.56K`. */
export function value(number: number): string {
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  if (size >= 10_000) return short.format(number);
  if (size >= 1000) return separated.format(Math.round(number));
  if (size === 0) return "0";
  if (size < 0.001) return number.toExponential(1);
  return String(Number(number.toPrecision(3)));
}

/** `0`, `0.3`, `12`, `1.2K`: things per second. */
export function rate(number: number): string {
  if (number === 0) return "0";
  if (number < 10) return number.toFixed(1);
  return shortCount(Math.round(number));
}
