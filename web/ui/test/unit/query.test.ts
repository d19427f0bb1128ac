/** What clicks and typing do to a query. */
import { describe, expect, test } from "vitest";
import { applySuggestion, spotAt, suggestFields, suggestValues } from "../../src/query/query-complete";
import { conjoin, exclude, include, mentionOf, only, withoutEachClause } from "../../src/query/query-edit";
import { termsExpression } from "../../src/query/query-terms";
import { clauseOf, quoted, tokenize } from "../../src/query/query-text";

describe("tokens", () => {
  test.each([
    ["a b", ["a", "b"]],
    ['level:error "two words" -x', ["level:error", '"two words"', "-x"]],
    ["(a OR b) c", ["(", "a", "OR", "b", ")", "c"]],
    ["f:(a OR b) c", ["f:(a OR b)", "c"]],
    ["n:[1 TO 5} m", ["n:[1 TO 5}", "m"]],
    ["/a b/ path:/var/log x", ["/a b/", "path:/var/log", "x"]],
    ['half "open', ["half", '"open']],
    ["a | stats count()", ["a", "|", "stats", "count", "(", ")"]],
    ["a || b", ["a", "||", "b"]],
    ["http://host/path?x=1", ["http://host/path?x=1"]],
  ])("of %s", (query, expected) => {
    expect(tokenize(query).map(({ text }) => text)).toEqual(expected);
  });

  test("of any text end where the text ends", () => {
    for (const query of ["\\", '"', "a:(", "x:[", "-", "f:/", "((", "a:\\"]) {
      expect(tokenize(query).every(({ start, end }) => start < end && end <= query.length)).toBe(true);
    }
  });

  test("are taken apart", () => {
    expect(clauseOf("-db.host:pg1")).toEqual({ negated: true, field: "db.host", value: "pg1" });
    expect(clauseOf("plain")).toEqual({ negated: false, field: "", value: "plain" });
  });
});

describe("a filter", () => {
  test.each([
    ["", "level", "error", "level:error"],
    ["timeout", "service", "web app", 'timeout service:"web app"'],
    ["a OR b", "level", "error", "(a OR b) level:error"],
    ["level:error", "level", "error", ""],
    ["-level:error x", "level", "error", "x level:error"],
    ["NOT level:error", "level", "error", "level:error"],
    ["a AND level:error", "level", "error", "a"],
    ["level:error AND a", "level", "error", "a"],
    ["a | stats count()", "host", "x", "a host:x | stats count()"],
  ])("%j for %s %s", (query, field, value, expected) => {
    expect(include(query, field, value)).toBe(expected);
  });

  test("out replaces a filter for", () => {
    expect(exclude("level:error x", "level", "error")).toBe("x -level:error");
    expect(exclude("x -level:error", "level", "error")).toBe("x");
  });

  test("only drops the other values of the field", () => {
    expect(only("service:web timeout -service:cron", "service", "payment")).toBe("timeout service:payment");
  });

  test("is found again, quotes or not", () => {
    expect(mentionOf('host:"a b"', "host", "a b")).toBe("included");
    expect(mentionOf("-host:a", "host", "a")).toBe("excluded");
    expect(mentionOf("NOT host:a", "host", "a")).toBe("excluded");
    expect(mentionOf("(host:a OR x)", "host", "a")).toBeUndefined();
  });

  test("quotes what the language would read otherwise", () => {
    expect(quoted("web-1.example/x@y")).toBe("web-1.example/x@y");
    expect(quoted("OR")).toBe('"OR"');
    expect(quoted('say "hi" \\')).toBe('"say \\"hi\\" \\\\"');
    expect(quoted("a:b")).toBe('"a:b"');
    expect(quoted("-5")).toBe('"-5"');
    expect(quoted("")).toBe('""');
  });

  test("is taken out one by one to see which takes the rows away", () => {
    expect(withoutEachClause('level:error NOT host:a (x OR y) "p q"')).toEqual([
      { clause: "level:error", rest: 'NOT host:a (x OR y) "p q"' },
      { clause: "NOT host:a", rest: 'level:error (x OR y) "p q"' },
      { clause: '"p q"', rest: "level:error NOT host:a (x OR y)" },
    ]);
    expect(withoutEachClause("a OR b")).toEqual([]);
  });

  test("joins an empty query plainly", () => expect(conjoin("*", "a")).toBe("a"));
});

describe("marks", () => {
  const marked = (query: string, line: string): readonly string[] =>
    [...line.matchAll(termsExpression(query) ?? /$^/g)].map(([text]) => text);
  test.each([
    ["timeout", "a Timeout here", ["Timeout"]],
    ['"read timeout" level:error', "a read timeout, error", ["read timeout"]],
    ["-timeout", "timeout", []],
    ["NOT timeout x", "timeout x", ["x"]],
    ["time*", "timeouts", ["timeouts"]],
    ["/t.me/", "time tame", ["time", "tame"]],
    ["service:web", "web", []],
    ["message:slow", "so slow", ["slow"]],
    ["a.b(c", "a.b", ["a.b"]],
    ["/(/", "(", []],
  ])("of %s", (query, line, expected) => expect(marked(query, line)).toEqual(expected));
});

describe("completion", () => {
  const fields = [
    { name: "http.status_code", count: 5 },
    { name: "status", count: 2 },
    { name: "host", count: 9 },
  ];
  test("finds the word and puts the best name in", () => {
    const spot = spotAt("level:error sta", 15);
    expect(spot).toMatchObject({ kind: "field", prefix: "sta", start: 12, end: 15 });
    const [best, second] = suggestFields(spot, fields, 10);
    expect(best?.label).toBe("status");
    expect(second?.label).toBe("http.status_code");
    expect(best && applySuggestion("level:error sta", spot, best)).toEqual({ query: "level:error status:", caret: 19 });
  });

  test("completes values, quoted where needed, in the middle of a query", () => {
    const spot = spotAt("host:my x", 7);
    expect(spot).toMatchObject({ kind: "value", field: "host", prefix: "my", start: 5, end: 7 });
    const [best] = suggestValues(spot, [{ value: "my host", count: 1 }], 5);
    expect(best && applySuggestion("host:my x", spot, best)).toEqual({ query: 'host:"my host" x', caret: 14 });
  });

  test("sees through an open quote and a minus", () => {
    expect(spotAt('service:"a b', 12)).toMatchObject({ kind: "value", field: "service", prefix: "a b" });
    expect(spotAt("-ser", 4)).toMatchObject({ kind: "field", prefix: "ser", start: 1 });
  });
});
