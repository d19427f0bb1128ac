/** One alerting rule as YAML, the way a rules file has it: what the rehearsal starts from. */
import type { Labels } from "../../api/metrics";

export interface WrittenRule {
  readonly name: string;
  readonly query: string;
  readonly language: "promql" | "logs";
  readonly windowSeconds: number | null;
  readonly forSeconds: number;
  readonly labels: Labels;
  readonly annotations: Labels;
}

export function ruleYaml({ name, query, language, windowSeconds, forSeconds, ...rest }: WrittenRule): string {
  const { labels, annotations } = rest;
  const lines = [`alert: ${scalar(name)}`];
  if (language === "logs") lines.push("type: logs");
  lines.push(...text("expr", query, ""));
  if (windowSeconds !== null) lines.push(`window: ${windowSeconds}s`);
  if (forSeconds > 0) lines.push(`for: ${forSeconds}s`);
  for (const [section, entries] of [
    ["labels", Object.entries(labels)],
    ["annotations", Object.entries(annotations)],
  ] as const) {
    if (entries.length === 0) continue;
    lines.push(`${section}:`);
    for (const [key, value] of entries) lines.push(...text(scalar(key), value, "  "));
  }
  return `${lines.join("\n")}\n`;
}

/** A key with a text of one line or, as a block, of many. */
function text(key: string, value: string, indent: string): readonly string[] {
  const trimmed = value.replace(/\n+$/, "");
  if (!trimmed.includes("\n")) return [`${indent}${key}: ${scalar(trimmed)}`];
  return [`${indent}${key}: |`, ...trimmed.split("\n").map((line) => `${indent}  ${line}`)];
}

/** In single quotes, unless it can stand as it is whatever a YAML reader thinks of it. */
function scalar(value: string): string {
  const isPlain = /^[A-Za-z_][\w ./-]*$/.test(value) && !/^(true|false|null|yes|no|on|off)$/i.test(value.trim());
  return isPlain && value.trim() === value ? value : `'${value.replaceAll("'", "''")}'`;
}
