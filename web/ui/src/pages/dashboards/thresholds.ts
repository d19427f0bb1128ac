/** Which colour a value has by a panel's thresholds. */
import type { Level, Threshold } from "../../api/dashboards";
import type { Limit } from "../../chart/line-chart";

const variables: Readonly<Record<Level, string>> = {
  none: "--text",
  good: "--good",
  info: "--level-info",
  warn: "--warning",
  bad: "--bad",
};

/** The level of a value: that of the last threshold at or below it. */
export function levelOf(value: number | undefined, thresholds: readonly Threshold[] = []): Level {
  if (value === undefined) return "none";
  return thresholds.findLast(({ from }) => value >= from)?.level ?? "none";
}

export function levelVariable(level: Level): string {
  return variables[level];
}

/** The thresholds worth a line in a chart. */
export function limitsOf(thresholds: readonly Threshold[] = []): readonly Limit[] {
  return thresholds
    .filter(({ level }) => level === "warn" || level === "bad")
    .map(({ from, level }) => ({ value: from, variable: variables[level] }));
}
