/**
 * Reads the search language far enough to help with typing: cuts a query into its clauses, so that filters can be added
 * and taken away, terms marked in lines, and the word under the caret completed. What a query means, the server decides.
 */

/** One token of a query as typed, with its place. */
export interface Token {
  readonly kind: "clause" | "operator" | "open" | "close" | "pipe";
  readonly text: string;
  /** Offsets in the query, end exclusive. */
  readonly start: number;
  readonly end: number;
}

/** A clause taken apart; `field` is empty for free text. */
export interface Clause {
  readonly negated: boolean;
  readonly field: string;
  /** As typed, quotes included. */
  readonly value: string;
}

/** The tokens of a query; never fails, whatever is half typed. */
export function tokenize(query: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < query.length) {
    const character = query[at] ?? "";
    if (/\s/.test(character)) {
      at += 1;
      continue;
    }
    const start = at;
    if (character === "(" || character === ")" || character === "|") {
      at += query.startsWith("||", at) ? 2 : 1;
      const kind = character === "(" ? "open" : character === ")" ? "close" : at - start === 2 ? "operator" : "pipe";
      tokens.push({ kind, text: query.slice(start, at), start, end: at });
      continue;
    }
    at = clauseEnd(query, at);
    const text = query.slice(start, at);
    const kind = /^(AND|OR|NOT|and|or|not|&&)$/.test(text) ? "operator" : "clause";
    tokens.push({ kind, text, start, end: at });
  }
  return tokens;
}

/** Takes a clause token apart. */
export function clauseOf(text: string): Clause {
  const negated = /^[-!]./.test(text);
  const rest = negated ? text.slice(1) : text;
  const match = /^(@?[\w.*-]+):([\s\S]*)$/.exec(rest);
  return match === null
    ? { negated, field: "", value: rest }
    : { negated, field: match[1] ?? "", value: match[2] ?? "" };
}

/** A value as it must be written after a colon: quoted unless it is a plain word. */
export function quoted(value: string): string {
  if (/^[\p{L}\p{N}_][\p{L}\p{N}_.@/-]*$/u.test(value) && !/^(AND|OR|NOT|TO|IN)$/i.test(value)) return value;
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** The text between a value's quotes, escapes undone; a value without quotes as it is. */
export function unquoted(value: string): string {
  return /^".*"$/s.test(value) ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
}

function clauseEnd(query: string, from: number): number {
  let at = from;
  if (/[-!]/.test(query[at] ?? "") && at + 1 < query.length) at += 1;
  // A regular expression runs to its slash; it begins the value, or it is just a path.
  if (query[at] === "/") {
    const close = closing(query, at, "/");
    if (close !== undefined) return close;
  }
  while (at < query.length) {
    const character = query[at] ?? "";
    if (/[\s)|]/.test(character)) return at;
    if (character === "(") {
      if (query[at - 1] !== ":") return at;
      at = balanced(query, at);
    } else if (character === '"') at = closing(query, at, '"') ?? query.length;
    else if ((character === "[" || character === "{") && query[at - 1] === ":") at = rangeEnd(query, at);
    else if (character === "/" && query[at - 1] === ":") at = closing(query, at, "/") ?? at + 1;
    else at += character === "\\" ? 2 : 1;
  }
  return Math.min(at, query.length);
}

/** The offset behind the closing mark, or undefined when there is none. */
function closing(query: string, from: number, mark: string): number | undefined {
  for (let at = from + 1; at < query.length; at += 1) {
    if (query[at] === "\\") at += 1;
    else if (query[at] === mark) return at + 1;
  }
  return undefined;
}

function balanced(query: string, from: number): number {
  let depth = 0;
  for (let at = from; at < query.length; at += 1) {
    const character = query[at];
    if (character === "\\") at += 1;
    else if (character === '"') at = (closing(query, at, '"') ?? query.length) - 1;
    else if (character === "(") depth += 1;
    else if (character === ")") {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return query.length;
}

function rangeEnd(query: string, from: number): number {
  const match = /[\]}]/.exec(query.slice(from));
  return match === null ? query.length : from + match.index + 1;
}
