/**
 * Variables of a dashboard: what is chosen, as the address says it, and how a choice stands in a question. Pure; fetching
 * values and drawing are elsewhere. The names that every dashboard has (`$__interval` …) are Grafana's.
 */
import type { Variable } from "../../api/dashboards";
import { spanParameter } from "../../time/span";
import type { TimeRange } from "../../time/range";
import { quoted } from "../../query/query-text";

/** What is chosen for a variable. */
export interface Choice {
  readonly variable: Variable;
  /** Every value, whatever there is. */
  readonly all: boolean;
  readonly values: readonly string[];
  /** What can be chosen; empty while it is not known, and for texts. */
  readonly options: readonly string[];
}

export type Choices = ReadonlyMap<string, Choice>;

/** The names that depend on the time range. */
export interface Span {
  readonly range: TimeRange;
  readonly stepMs: number;
}

/** What the address holds for "all". */
const allMark = "*";

/** A choice as the address has it: values with commas between, commas within escaped. */
export function writtenChoice(all: boolean, values: readonly string[]): string {
  if (all) return allMark;
  return values.map((value) => value.replace(/[\\,]/g, "\\$&")).join(",");
}

/** Reads what the address has; the variable's own default when it has nothing. */
export function readChoice(variable: Variable, written: string, options: readonly string[]): Choice {
  if (written === allMark && variable.all === true) return { variable, all: true, values: [], options };
  if (written !== "") {
    const values = [...written.matchAll(/((?:\\.|[^\\,])+)/g)].map(([text]) => text.replace(/\\(.)/g, "$1"));
    return { variable, all: false, values: variable.multi === true ? values : values.slice(0, 1), options };
  }
  const chosen = variable.default ?? [];
  if (chosen.length > 0) return { variable, all: false, values: chosen, options };
  if (variable.all === true) return { variable, all: true, values: [], options };
  const [first] = options;
  return { variable, all: false, values: first === undefined ? [] : [first], options };
}

/** Values that a variable offers. */
export const valuesMax = 500;

/** What the regular expression lets through; its first group is the value. */
export function narrowed(values: readonly string[], regex: string | undefined): readonly string[] {
  if (regex === undefined) return values.slice(0, valuesMax);
  try {
    const pattern = new RegExp(regex);
    const found = values.flatMap((value) => {
      const match = pattern.exec(value);
      return match === null ? [] : [match[1] ?? match[0]];
    });
    return [...new Set(found)].slice(0, valuesMax);
  } catch {
    // The server's regular expressions have words that the browser's do not know.
    return values.slice(0, valuesMax);
  }
}

/** The values that a repeated row or panel is drawn for. */
export function repeatedValues(choices: Choices, name: string): readonly string[] {
  const choice = choices.get(name);
  if (choice === undefined) return [];
  return choice.all ? choice.options : choice.values;
}

/** The same choices with one variable fixed to one value. */
export function withValue(choices: Choices, name: string, value: string): Choices {
  const choice = choices.get(name);
  if (choice === undefined) return choices;
  const fixed = { ...choice, variable: { ...choice.variable, multi: false, all: false }, all: false, values: [value] };
  return new Map(choices).set(name, fixed);
}

/** The names in a text, without those that every dashboard has. */
export function namesIn(text: string): readonly string[] {
  return [...text.matchAll(pattern)]
    .map((match) => match[1] ?? match[3] ?? "")
    .filter((name) => !name.startsWith("__"));
}

/** `$name`, `${name}` and `${name:format}`. */
const pattern = /\$\{([A-Za-z_]\w*)(?::(\w+))?\}|\$([A-Za-z_]\w*)/g;

/** A PromQL question with everything put in. */
export function fillPromql(text: string, choices: Choices, span: Span): string {
  return text.replace(
    pattern,
    (whole, braced: string | undefined, format: string | undefined, bare: string, at: number) => {
      const name = braced ?? bare;
      const own = ownName(name, span);
      if (own !== undefined) return own;
      const choice = choices.get(name);
      if (choice === undefined) return whole;
      const quote = quoteAt(text, at);
      const escaped = (value: string): string =>
        quote === "" || quote === "`" ? value : value.replaceAll("\\", "\\\\").replaceAll(quote, `\\${quote}`);
      return escaped(plainText(choice, format ?? (quote !== "" && isSeveral(choice) ? "regex" : "raw")));
    },
  );
}

/** A question in the search language with everything put in. */
export function fillLogs(text: string, choices: Choices, span: Span): string {
  // A field that may have any value asks nothing.
  const withoutAll = text.replace(
    /(^|[\s(])(-?)[\w.@-]+:(?:\$\{(\w+)\}|\$(\w+))(?![\w:.])/g,
    (whole, lead, minus, braced, bare) => {
      const choice = choices.get((braced as string | undefined) ?? (bare as string));
      return choice?.all === true && minus === "" ? `${lead as string}*` : whole;
    },
  );
  return withoutAll.replace(
    pattern,
    (whole, braced: string | undefined, format: string | undefined, bare: string, at: number) => {
      const name = braced ?? bare;
      const own = ownName(name, span);
      if (own !== undefined) return own;
      const choice = choices.get(name);
      if (choice === undefined) return whole;
      const quote = quoteAt(withoutAll, at);
      if (quote !== "" || format !== undefined) return plainText(choice, format ?? "raw").replaceAll('"', '\\"');
      if (choice.all) return "*";
      if (choice.values.length === 1) return quoted(choice.values[0] ?? "");
      return choice.values.length === 0 ? "*" : `(${choice.values.map(quoted).join(" OR ")})`;
    },
  );
}

/** A title or a text for eyes. */
export function fillText(text: string, choices: Choices, span: Span): string {
  return text.replace(pattern, (whole, braced: string | undefined, _: string | undefined, bare: string) => {
    const name = braced ?? bare;
    const choice = choices.get(name);
    if (choice === undefined) return ownName(name, span) ?? whole;
    return choice.all ? "all" : choice.values.join(", ");
  });
}

function isSeveral({ variable, all }: Choice): boolean {
  return all || variable.multi === true || variable.all === true;
}

function plainText({ all, values, variable, options }: Choice, format: string): string {
  const wanted = all && (variable.regex ?? "") !== "" ? options : values;
  const any = all && wanted.length === 0;
  switch (format) {
    case "regex": {
      if (any) return ".*";
      const parts = wanted.map((value) => value.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
      return parts.length === 1 ? (parts[0] ?? "") : `(${parts.join("|")})`;
    }
    case "pipe":
      return (all ? options : values).join("|");
    default:
      return any ? (options.length === 0 ? "*" : options.join(",")) : wanted.join(",");
  }
}

function ownName(name: string, { range, stepMs }: Span): string | undefined {
  const width = range.to - range.from;
  switch (name) {
    case "__interval":
    case "__auto":
      return spanParameter(stepMs);
    case "__interval_ms":
      return String(Math.round(stepMs));
    case "__rate_interval":
      // A rate needs two points in its window at every step, so it looks back over several.
      return spanParameter(Math.max(4 * stepMs, 60_000));
    case "__range":
      return spanParameter(Math.max(1000, Math.round(width / 1000) * 1000));
    case "__range_s":
      return String(Math.max(1, Math.round(width / 1000)));
    case "__range_ms":
      return String(Math.max(1, Math.round(width)));
    case "__from":
      return String(Math.round(range.from));
    case "__to":
      return String(Math.round(range.to));
    default:
      return undefined;
  }
}

/** The quote that a place lies in, or nothing. */
function quoteAt(text: string, at: number): string {
  let quote = "";
  for (let place = 0; place < at; place += 1) {
    const letter = text[place] ?? "";
    if (letter === "\\" && quote !== "" && quote !== "`") place += 1;
    else if (quote === "" && (letter === '"' || letter === "'" || letter === "`")) quote = letter;
    else if (letter === quote) quote = "";
  }
  return quote;
}
