/** The mock server's reading of the search language: words, phrases, fields, wildcards, AND OR NOT, parentheses. */

/** Turns a query into a test for records, or throws `{message, column}`. */
export function compile(query) {
  const tokens = tokensOf(query);
  let at = 0;
  const peek = () => tokens[at];
  const fail = (message, token) => {
    throw { message, column: (token?.start ?? query.length) + 1 };
  };
  const parseOr = () => {
    const parts = [parseAnd()];
    while (peek()?.text === "OR") {
      at += 1;
      parts.push(parseAnd());
    }
    return parts.length === 1 ? parts[0] : (record) => parts.some((part) => part(record));
  };
  const parseAnd = () => {
    const parts = [parseUnary()];
    while (peek() !== undefined && peek().text !== "OR" && peek().text !== ")") {
      if (peek().text === "AND") at += 1;
      parts.push(parseUnary());
    }
    return parts.length === 1 ? parts[0] : (record) => parts.every((part) => part(record));
  };
  const parseUnary = () => {
    const token = peek();
    if (token === undefined) fail("A clause is missing at the end");
    at += 1;
    if (token.text === "NOT") {
      const inner = parseUnary();
      return (record) => !inner(record);
    }
    if (token.text === "(") {
      const inner = parseOr();
      if (peek()?.text !== ")") fail("A parenthesis is not closed", token);
      at += 1;
      return inner;
    }
    if (token.text === ")" || token.text === "OR" || token.text === "AND")
      fail(`${token.text} has nothing before it`, token);
    return clause(token.text, token, fail);
  };
  if (tokens.length === 0) return () => true;
  const test = parseOr();
  if (at < tokens.length) fail("A parenthesis closes that was never opened", tokens[at]);
  return test;
}

/** The text of a field of a record, or undefined. */
export function fieldText(record, name) {
  if (name === "pattern") return patternOf(record.message ?? "").id;
  const value = record[name] ?? record.attributes?.[name];
  return value === undefined ? undefined : typeof value === "string" ? value : JSON.stringify(value);
}

/** A message with its numbers taken out, and a name for that. */
export function patternOf(message) {
  const pattern = message.replace(/[A-Za-z0-9]*[0-9][A-Za-z0-9]*/g, "<*>");
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(pattern)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return { pattern, id: hash.toString(16).padStart(16, "0") };
}

function tokensOf(query) {
  const tokens = [];
  const pattern = /\s+|[()]|[-!]?(?:[\w.@*-]+:)?(?:"(?:[^"\\]|\\.)*"?|\/(?:[^/\\]|\\.)+\/(?=\s|$)|[^\s()]+)/g;
  for (const match of query.matchAll(pattern)) {
    if (match[0].trim() !== "") tokens.push({ text: match[0], start: match.index });
  }
  return tokens;
}

function clause(text, token, fail) {
  if (/^[-!]./.test(text)) {
    const inner = clause(text.slice(1), token, fail);
    return (record) => !inner(record);
  }
  if (text === "*") return () => true;
  const match = /^([\w.@-]+):(.*)$/s.exec(text);
  const field = match?.[1];
  const raw = match === null ? text : match[2];
  if (raw === "") fail(`The field ${field} needs a value after the colon`, token);
  if (/^"/.test(raw) && !/^".*"$/s.test(raw)) fail("A quote is not closed", token);
  const compared = /^(>=|<=|>|<)(-?[\d.]+)$/.exec(raw);
  if (field !== undefined && compared !== null) {
    const limit = Number(compared[2]);
    const compare = { ">=": (n) => n >= limit, "<=": (n) => n <= limit, ">": (n) => n > limit, "<": (n) => n < limit }[
      compared[1]
    ];
    return (record) => compare(Number(fieldText(record, field) ?? NaN));
  }
  const wanted = /^".*"$/s.test(raw) ? raw.slice(1, -1).replace(/\\(.)/g, "$1") : raw;
  const regex = /^\/(.+)\/$/s.exec(raw);
  const expression =
    regex !== null
      ? new RegExp(regex[1], "i")
      : new RegExp(`(^|[^\\p{L}\\p{N}_])${escapeWild(wanted)}($|[^\\p{L}\\p{N}_])`, "iu");
  if (field === undefined || field === "message") {
    return (record) =>
      expression.test(record.message ?? "") ||
      (field === undefined && Object.values(record.attributes ?? {}).some((value) => expression.test(String(value))));
  }
  if (wanted === "*") return (record) => fieldText(record, field) !== undefined;
  const whole = regex !== null ? expression : new RegExp(`^${escapeWild(wanted)}$`, "iu");
  return (record) => whole.test(fieldText(record, field) ?? "\u0000");
}

function escapeWild(text) {
  return text.replace(/[.+?^${}()|[\]\\/]/g, "\\$&").replace(/\*/g, ".*");
}
