/** A log record as the server tells it, and the words for how grave it is. */

/** The six names that `level:` asks for, gravest first. */
export const levels = ["fatal", "error", "warn", "info", "debug", "trace"] as const;
export type Level = (typeof levels)[number];

/** A value of an attribute; nested objects arrive flattened to dotted names, lists may remain. */
export type AttributeValue =
  string | number | boolean | null | readonly AttributeValue[] | { readonly [name: string]: AttributeValue };

export interface LogRecord {
  /** `<time in ns>-<seq>`: also the cursor that continues after this record. */
  readonly id: string;
  /** The store's running number: where a tail resumes. */
  readonly seq: number;
  /** RFC 3339 with nanoseconds where known. */
  readonly time: string;
  readonly level?: string;
  /** The level word as it was written. */
  readonly severity_text?: string;
  readonly host?: string;
  readonly service?: string;
  readonly message?: string;
  readonly trace_id?: string;
  readonly span_id?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

/** The value of a field as the query language names it, or undefined when the record has none. */
export function fieldOf(record: LogRecord, name: string): AttributeValue | undefined {
  switch (name) {
    case "time":
      return record.time;
    case "level":
      return record.level;
    case "host":
      return record.host;
    case "service":
      return record.service;
    case "message":
      return record.message;
    case "trace_id":
      return record.trace_id;
    case "span_id":
      return record.span_id;
    default:
      return record.attributes?.[name];
  }
}

/** A value as one line of text. */
export function valueText(value: AttributeValue | undefined): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The six names' one letter; a record that says no level has a dot. */
export function levelLetter(level: string | undefined): string {
  switch (level) {
    case "fatal":
      return "F";
    case "error":
      return "E";
    case "warn":
      return "W";
    case "info":
      return "I";
    case "debug":
      return "D";
    case "trace":
      return "T";
    default:
      return "·";
  }
}

/** The class that colours a level; unknown words get the neutral one. */
export function levelClass(level: string | undefined): string {
  return levels.includes(level as Level) ? `level-${level}` : "level-none";
}
