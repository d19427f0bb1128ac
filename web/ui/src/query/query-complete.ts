/** Completion of a query: which word the caret stands in, what may stand there, and the query with it put in. */
import { clauseOf, quoted } from "./query-text";

/** What is being typed where the caret stands. */
export interface Spot {
  readonly kind: "field" | "value";
  /** The field whose value is typed; empty for kind `field`. */
  readonly field: string;
  /** What of it is typed so far, a leading quote left out. */
  readonly prefix: string;
  /** The stretch of the query that a suggestion replaces. */
  readonly start: number;
  readonly end: number;
}

export interface Suggestion {
  /** What the list shows. */
  readonly label: string;
  /** What is put in. */
  readonly insert: string;
  readonly count?: number;
  readonly kind: "field" | "value" | "history";
}

/** The word at the caret. */
export function spotAt(query: string, caret: number): Spot {
  let start = caret;
  while (start > 0 && !/[\s()|]/.test(query[start - 1] ?? "")) start -= 1;
  // A quote that is still open reaches back over blanks.
  const quote = openQuote(query.slice(0, caret));
  if (quote !== undefined) {
    start = quote;
    while (start > 0 && !/[\s()|]/.test(query[start - 1] ?? "")) start -= 1;
  }
  let end = caret;
  while (end < query.length && !/[\s()|]/.test(query[end] ?? "")) end += 1;
  const word = query.slice(start, caret);
  const { negated, field, value } = clauseOf(word);
  if (field === "") {
    const sign = negated ? 1 : 0;
    return { kind: "field", field: "", prefix: word.slice(sign), start: start + sign, end };
  }
  const valueStart = caret - value.length;
  return {
    kind: "value",
    field,
    prefix: value.replace(/^"/, ""),
    start: valueStart,
    end: quote === undefined ? end : caret,
  };
}

/** Field names that fit, those that begin with the prefix first, then by count. */
export function suggestFields(
  spot: Spot,
  fields: readonly { readonly name: string; readonly count: number }[],
  limit: number,
): Suggestion[] {
  return ranked(spot.prefix, fields, ({ name }) => name, limit).map(({ name, count }) => ({
    label: name,
    insert: `${name}:`,
    count,
    kind: "field",
  }));
}

/** Values that fit. */
export function suggestValues(
  spot: Spot,
  values: readonly { readonly value: string; readonly count: number }[],
  limit: number,
): Suggestion[] {
  return ranked(spot.prefix, values, ({ value }) => value, limit).map(({ value, count }) => ({
    label: value,
    insert: `${quoted(value)} `,
    count,
    kind: "value",
  }));
}

/** The query with a suggestion in the place of the word, and where the caret then stands. */
export function applySuggestion(query: string, spot: Spot, suggestion: Suggestion): { query: string; caret: number } {
  if (suggestion.kind === "history") return { query: suggestion.insert, caret: suggestion.insert.length };
  const after = query.slice(spot.end);
  const insert =
    suggestion.insert.endsWith(" ") && after.startsWith(" ") ? suggestion.insert.trimEnd() : suggestion.insert;
  const text = query.slice(0, spot.start) + insert;
  return { query: text + after, caret: text.length };
}

function ranked<Item extends { readonly count: number }>(
  prefix: string,
  items: readonly Item[],
  nameOf: (item: Item) => string,
  limit: number,
): Item[] {
  const wanted = prefix.toLowerCase();
  const rank = (item: Item): number => {
    const name = nameOf(item).toLowerCase();
    if (name.startsWith(wanted)) return 0;
    return name.split(/[._-]/).some((part) => part.startsWith(wanted)) ? 1 : 2;
  };
  return items
    .filter((item) => nameOf(item).toLowerCase().includes(wanted))
    .sort((left, right) => rank(left) - rank(right) || right.count - left.count)
    .slice(0, limit);
}

/** Where a quote that is not closed begins. */
function openQuote(text: string): number | undefined {
  let open: number | undefined;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === '"') open = open === undefined ? at : undefined;
  }
  return open;
}
