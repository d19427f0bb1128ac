/** What a query looks for in messages, as one expression to mark it with in the lines that were found. */
import { clauseOf, tokenize, unquoted } from "./query-text";

/** More than this many alternatives would slow every row for marks that nobody can take in. */
const termsMax = 24;

/** The expression, case-insensitive and global, or undefined when the query has no free text. */
export function termsExpression(query: string): RegExp | undefined {
  const sources: string[] = [];
  let negateNext = false;
  for (const { kind, text } of tokenize(query)) {
    if (kind === "pipe") break;
    if (kind === "operator") {
      negateNext = /^not$/i.test(text);
      continue;
    }
    if (kind !== "clause") continue;
    const { negated, field, value } = clauseOf(text);
    const wanted = !negated && !negateNext;
    negateNext = false;
    if (!wanted || (field !== "" && field !== "message" && field !== "*")) continue;
    const source = sourceOf(value);
    if (source !== undefined) sources.push(source);
  }
  if (sources.length === 0) return undefined;
  try {
    return new RegExp(sources.slice(0, termsMax).join("|"), "giu");
  } catch {
    // The server's regular expressions are not quite the browser's; a query it alone understands goes unmarked.
    return undefined;
  }
}

function sourceOf(value: string): string | undefined {
  if (value === "" || value === "*" || /^[<>=([{]/.test(value)) return undefined;
  const regex = /^\/(.+)\/$/s.exec(value);
  if (regex !== null) return `(?:${regex[1]})`;
  const text = unquoted(value);
  const isQuoted = text !== value;
  // Wildcards stay within a word; quoted text has none.
  const source = text.replace(/[\\^$.*+?()[\]{}|/-]/g, (character) => {
    if (!isQuoted && character === "*") return "[\\p{L}\\p{N}_]*";
    if (!isQuoted && character === "?") return "[\\p{L}\\p{N}_]";
    return character === "-" ? "\\x2d" : `\\${character}`;
  });
  return source === "" ? undefined : source;
}
