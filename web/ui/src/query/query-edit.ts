/** Changes that clicks make to a query: filter for a value, filter out, only this one, take a filter away. */
import { clauseOf, quoted, tokenize, unquoted, type Token } from "./query-text";

/** What a query says about a value of a field. */
export type Mention = "included" | "excluded" | undefined;

/** Whether the query filters for or against this very value, at its outermost level. */
export function mentionOf(query: string, field: string, value: string): Mention {
  const token = findFilter(query, field, value);
  if (token === undefined) return undefined;
  return isNegated(query, token) ? "excluded" : "included";
}

/** Filters for a value; filtering for it already takes the filter away. */
export function include(query: string, field: string, value: string): string {
  return toggle(query, field, value, "included");
}

/** Filters a value out; doing so already takes the filter away. */
export function exclude(query: string, field: string, value: string): string {
  return toggle(query, field, value, "excluded");
}

/** Filters for this value and drops every other filter on the field. */
export function only(query: string, field: string, value: string): string {
  return include(withoutField(query, field), field, value);
}

/** The query without any filter on a field at its outermost level. */
function withoutField(query: string, field: string): string {
  let rest = query;
  for (;;) {
    const token = outermost(rest).find(({ kind, text }) => kind === "clause" && clauseOf(text).field === field);
    if (token === undefined) return rest;
    rest = without(rest, token);
  }
}

/** Each clause of the outermost level with the query that remains without it; none where an OR ties them together. */
export function withoutEachClause(query: string): readonly { readonly clause: string; readonly rest: string }[] {
  const tokens = outermost(splitPipes(query).search);
  if (tokens.some(({ kind, text }) => kind === "operator" && /^(or|\|\|)$/i.test(text))) return [];
  return tokens
    .filter(({ kind }) => kind === "clause")
    .map((token) => ({
      clause: isNegated(query, token) && !/^[-!]/.test(token.text) ? `NOT ${token.text}` : token.text,
      rest: without(query, token),
    }));
}

/** Adds a clause that must hold as well. */
export function conjoin(query: string, clause: string): string {
  const { search, pipes } = splitPipes(query);
  if (search === "" || search === "*") return join(clause, pipes);
  const hasOr = outermost(search).some(({ kind, text }) => kind === "operator" && /^(or|\|\|)$/i.test(text));
  return join(hasOr ? `(${search}) ${clause}` : `${search} ${clause}`, pipes);
}

function toggle(query: string, field: string, value: string, wanted: "included" | "excluded"): string {
  const existing = findFilter(query, field, value);
  const clause = `${wanted === "excluded" ? "-" : ""}${field}:${quoted(value)}`;
  if (existing === undefined) return conjoin(query, clause);
  const had = isNegated(query, existing) ? "excluded" : "included";
  const rest = without(query, existing);
  return had === wanted ? rest : conjoin(rest, clause);
}

function findFilter(query: string, field: string, value: string): Token | undefined {
  return outermost(splitPipes(query).search).find(({ kind, text }) => {
    if (kind !== "clause") return false;
    const clause = clauseOf(text);
    return clause.field === field && unquoted(clause.value) === value;
  });
}

/** The tokens outside all parentheses. */
function outermost(query: string): readonly Token[] {
  let depth = 0;
  return tokenize(query).filter(({ kind }) => {
    if (kind === "open") depth += 1;
    if (kind === "close") depth -= 1;
    return depth === 0 && kind !== "close";
  });
}

function isNegated(query: string, token: Token): boolean {
  if (clauseOf(token.text).negated) return true;
  return /^not$/i.test(tokenBefore(query, token)?.text ?? "");
}

/** Cuts a token out, with the NOT before it and the operator that tied it to its neighbour. */
function without(query: string, token: Token): string {
  let start = token.start;
  let end = token.end;
  let before = tokenBefore(query, token);
  if (before !== undefined && /^not$/i.test(before.text)) {
    start = before.start;
    before = tokenBefore(query, before);
  }
  if (before?.kind === "operator") start = before.start;
  else {
    const after = tokenize(query).find((other) => other.start >= end);
    if (after?.kind === "operator" && !/^not$/i.test(after.text)) end = after.end;
  }
  return `${query.slice(0, start).trimEnd()} ${query.slice(end).trimStart()}`.trim();
}

function tokenBefore(query: string, token: Token): Token | undefined {
  return tokenize(query).findLast((other) => other.end <= token.start);
}

/** Whether stages follow the search. */
export function hasStages(query: string): boolean {
  return splitPipes(query).pipes !== "";
}

function splitPipes(query: string): { search: string; pipes: string } {
  const pipe = tokenize(query).find(({ kind }) => kind === "pipe");
  if (pipe === undefined) return { search: query.trim(), pipes: "" };
  return { search: query.slice(0, pipe.start).trim(), pipes: query.slice(pipe.start) };
}

function join(search: string, pipes: string): string {
  return pipes === "" ? search : `${search} ${pipes}`;
}
