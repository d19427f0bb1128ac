/** Loaded rows as a file: NDJSON as the server told them, or CSV that no spreadsheet takes for formulas. */
import { fieldOf, valueText, type AttributeValue, type LogRecord } from "../api/log-record";

type TableRow = Readonly<Record<string, AttributeValue>>;

export function ndjsonOf(rows: readonly (LogRecord | TableRow)[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

/** RFC 4180 with the fixed columns, the chosen ones and the message last. */
export function csvOf(records: readonly LogRecord[], columns: readonly string[]): string {
  const names = [...new Set(["time", "level", "host", "service", ...columns, "trace_id", "message"])];
  return csvLines(
    names,
    records.map((record) => names.map((name) => valueText(fieldOf(record, name)))),
  );
}

/** The rows of a table with its columns. */
export function tableCsvOf(names: readonly string[], rows: readonly TableRow[]): string {
  return csvLines(
    names,
    rows.map((row) => names.map((name) => valueText(row[name] ?? undefined))),
  );
}

function csvLines(names: readonly string[], rows: readonly (readonly string[])[]): string {
  return [names, ...rows].map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("");
}

/**
 * One cell. A text that begins with a sign which spreadsheets run as a formula gets an apostrophe before it
 * (OWASP, "CSV injection"); plain numbers stay numbers.
 */
export function csvCell(text: string): string {
  const isFormula = /^[=+\-@\t\r]/.test(text) && !/^[+-]?\d+(\.\d+)?$/.test(text);
  const guarded = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}
