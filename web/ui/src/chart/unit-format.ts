/** Values with their unit: bytes and lengths of time in the size that reads best, others with the unit after them. */
import { bytes, value } from "../app/number-format";
import { formatSpan } from "../time/span";

export function withUnit(number: number, unit: string, decimals?: number): string {
  if (decimals !== undefined && !sized.has(unit)) return fixed(number, unit, decimals);
  switch (unit) {
    case "bytes":
    case "byte":
    case "B":
      return bytes(number);
    case "bytes/s":
      return `${bytes(number)}/s`;
    case "ms":
    case "milliseconds":
      return Math.abs(number) < 1000 ? `${value(number)} ms` : formatSpan(number);
    case "s":
    case "seconds":
      return Math.abs(number) < 1 && number !== 0 ? `${value(number * 1000)} ms` : formatSpan(number * 1000);
    case "":
      return value(number);
    case "ratio":
      return `${value(number * 100)} %`;
    case "%":
    case "percent":
      return `${value(number)} %`;
    default:
      return `${value(number)} ${unit}`.replace(" /", "/");
  }
}

/** Units whose numbers choose their own size, and with it their digits. */
const sized: ReadonlySet<string> = new Set(["bytes", "byte", "B", "bytes/s", "ms", "milliseconds", "s", "seconds"]);

function fixed(number: number, unit: string, decimals: number): string {
  const [shown, word] = unit === "ratio" ? [number * 100, "%"] : [number, unit === "percent" ? "%" : unit];
  const text = shown.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return word === "" ? text : `${text} ${word}`.replace(" /", "/");
}
