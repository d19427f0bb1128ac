/** Matchers of labels as people type them, `severity="page", host=~"db.*"`: read, written, and made of an alert's labels. */
import type { Matcher } from "../../api/alerts";
import type { Labels } from "../../api/metrics";

const oneMatcher = /^\s*("(?:[^"\\]|\\.)*"|[^\s"=!~,{}]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^\s",{}]*)\s*(?:,|$)/;

/** The matchers of a text, or the part that is none. */
export function readMatchers(text: string): { readonly matchers: readonly Matcher[]; readonly wrong: string } {
  const matchers: Matcher[] = [];
  let rest = text.trim().replace(/^\{(.*)\}$/s, "$1");
  while (rest.trim() !== "") {
    const match = oneMatcher.exec(rest);
    if (match === null) return { matchers, wrong: rest.trim() };
    const [whole, name = "", operator = "=", value = ""] = match;
    matchers.push({
      name: bare(name),
      value: bare(value),
      isRegex: operator.endsWith("~"),
      isEqual: !operator.startsWith("!"),
    });
    rest = rest.slice(whole.length);
  }
  return { matchers, wrong: "" };
}

/** A matcher as it is typed. */
export function writeMatcher({ name, value, isRegex, isEqual }: Matcher): string {
  const operator = isRegex ? (isEqual ? "=~" : "!~") : isEqual ? "=" : "!=";
  const shown = /^[\w.:-]+$/.test(name) ? name : JSON.stringify(name);
  return `${shown}${operator}${JSON.stringify(value)}`;
}

/** Matchers that exactly these labels pass. */
export function matchersOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => writeMatcher({ name, value, isRegex: false, isEqual: true }))
    .join(", ");
}

function bare(text: string): string {
  if (!text.startsWith('"')) return text;
  // As on the server: an unknown escape stays as it is.
  return text.slice(1, -1).replace(/\\([\s\S])/g, (whole, character: string) => {
    if (character === "n") return "\n";
    if (character === "t") return "\t";
    return character === '"' || character === "\\" ? character : whole;
  });
}
