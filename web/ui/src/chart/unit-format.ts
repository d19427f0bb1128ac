/** Values with their unit: bytes and lengths of time in the size that reads best, others with the unit after them. */
import { bytes, value } from "../app/number-format";
import { formatSpan } from "../time/span";

export function withUnit(number: number, unit: string): string {
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
      return `${value(number)} ${unit}`.replace(" /s", "/s");
  }
}
