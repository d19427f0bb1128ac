/** A chart written down: as a panel of a dashboard's YAML, as an alert rule. Pure texts. */

interface PanelParts {
  readonly title: string;
  readonly unit: string;
  readonly scale: string;
  readonly gaps: string;
  readonly queries: readonly { readonly promql: string; readonly name: string }[];
}

/** A panel as YAML, at the left edge. */
export function panelText({ title, unit, scale, gaps, queries }: PanelParts): string {
  const lines = [`- title: ${quoted(title)}`, "  width: 12"];
  if (unit !== "") lines.push(`  unit: ${quoted(unit)}`);
  if (scale !== "linear") lines.push(`  scale: ${scale}`);
  if (gaps !== "gap") lines.push(`  gaps: ${gaps}`);
  lines.push("  queries:");
  for (const { promql, name } of queries) {
    lines.push(`  - promql: ${quoted(promql)}`);
    if (name !== "") lines.push(`    name: ${quoted(name)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** A dashboard's text with a panel in a row of its own at the end of its rows; everything else stays letter by letter. */
export function withPanel(yaml: string, panel: string): string {
  const text = yaml.endsWith("\n") ? yaml : `${yaml}\n`;
  const row = (indent: string): string =>
    [
      `- panels:`,
      ...panel
        .trimEnd()
        .split("\n")
        .map((line) => `  ${line}`),
    ]
      .map((line) => `${indent}${line}\n`)
      .join("");
  const none = /^rows:[ \t]*(?:\[\s*\]|null|~)?[ \t]*\n(?![ \t]*[-#]|[ \t]+\S)/m.exec(text);
  if (none !== null) return `${text.slice(0, none.index)}rows:\n${row("")}${text.slice(none.index + none[0].length)}`;
  const rows = /^rows:[ \t]*\n/m.exec(text);
  if (rows === null) return text;
  const begins = rows.index + rows[0].length;
  const indent = /^( *)-/m.exec(text.slice(begins))?.[1] ?? "";
  // The rows end where the next key stands at the left edge.
  const next = /^[A-Za-z_"']/m.exec(text.slice(begins));
  const ends = next === null ? text.length : begins + next.index;
  return `${text.slice(0, ends)}${row(indent)}${text.slice(ends)}`;
}

interface RuleParts {
  readonly name: string;
  readonly label: string;
  readonly expression: string;
  readonly number: number;
  readonly hold: string;
  readonly unit: string;
}

/** A rules file with one alert. */
export function ruleText({ name, label, expression, number, hold, unit }: RuleParts): string {
  const words = `${name} ${label === name ? "" : label}`.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const alert = `${words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join("")}High`;
  const shown = unit === "" ? "" : ` ${unit}`;
  return `groups:
- name: ${quoted(name)}
  rules:
  - alert: ${alert}
    expr: |
      ${expression.replaceAll("\n", "\n      ")} > ${number}
    for: ${hold}
    labels:
      severity: warning
    annotations:
      summary: ${quoted(`${name} is {{ $value | humanize }}${shown}, above ${number}${shown}`)}
`;
}

/** A text that YAML reads as this text. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''").replaceAll("\n", " ")}'`;
}
