/** What pasted texts are taken for. */
import { describe, expect, test } from "vitest";
import { fromKibana, fromKql, fromLogql } from "../../src/query/foreign";
import { momentIn, readPasted, stackHeadline, traceIdIn } from "../../src/query/paste";

const id = "4bf92f3577b34da6a3ce929d0e0e4736";
const reading = { now: Date.parse("2026-11-22T04:00:00Z"), zone: "utc" } as const;
const read = (text: string) => readPasted(text, "http://taffrail:6464", reading);

describe("a trace id", () => {
  test.each([
    [id, id],
    [id.toUpperCase(), id],
    [`00-${id}-00f067aa0ba902b7-01`, id],
    [`trace_id=${id}`, id],
    ["4bf92f35-77b3-4da6-a3ce-929d0e0e4736", id],
    ["0".repeat(32), undefined],
    ["timeout", undefined],
  ])("%s", (text, expected) => expect(traceIdIn(text)).toBe(expected));
});

describe("a pasted text is", () => {
  test.each([
    [id, { kind: "trace", id }],
    ["rate(web.hits[5m])", { kind: "metrics", expression: "rate(web.hits[5m])" }],
    ["level:error timeout", { kind: "query", query: "level:error timeout" }],
    ["level:error AND service:web | stats count() by host", { kind: "query" }],
    ["timeout talking to db", { kind: "query" }],
    ["2026-11-22T03:10:00Z", { kind: "moment", at: Date.parse("2026-11-22T03:10:00Z") }],
    ["1795317000", { kind: "moment", at: 1_795_317_000_000 }],
    ["now", { kind: "query" }],
    ["http://taffrail:6464/logs?q=a", { kind: "page", href: "/logs?q=a" }],
    ["https://example.com/", { kind: "query" }],
    ['{app="web"} |= "timeout"', { kind: "translated", source: "LogQL", query: 'app:web "timeout"' }],
    [
      "2026-11-22 03:39:52,081Z INFO [charge-5] Charge of order 40616 approved",
      { kind: "line", at: Date.parse("2026-11-22T03:39:52.081Z") },
    ],
    [
      'level=info msg="order placed" duration_ms=64.5',
      { kind: "line", wordings: ['level=info msg="order placed" duration_ms=64.5', "order placed"] },
    ],
    [
      '{"level":"error","message":"it broke in two"}',
      { kind: "line", wordings: ['{"level":"error","message":"it broke in two"}', "it broke in two"] },
    ],
    ["the connection to the database was closed", { kind: "line" }],
  ])("%s", (text, expected) => expect(read(text)).toMatchObject(expected));
});

describe("a stack trace is about", () => {
  test.each([
    [
      "java.lang.IllegalStateException: no stock\n\tat shop.Cart.add(Cart.java:12)\n\tat shop.Main.main(Main.java:3)",
      "java.lang.IllegalStateException: no stock",
    ],
    [
      'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n    go()\nValueError: too late',
      "ValueError: too late",
    ],
    [
      "thread 'main' panicked at src/main.rs:4:5:\nno stock\n   0: std::panicking\n   1: main",
      "thread 'main' panicked at src/main.rs:4:5:",
    ],
    ["two lines\nof text", undefined],
  ])("%s", (text, expected) => expect(stackHeadline(text)).toBe(expected));
});

test.each([
  ['10.0.0.1 - - [22/Nov/2026:03:10:00 +0000] "GET /"', "2026-11-22T03:10:00Z"],
  ["ts=1795317000123 done", new Date(1_795_317_000_123).toISOString()],
  ["no time at all", undefined],
])("the moment in %s", (line, expected) =>
  expect(momentIn(line, reading)).toBe(expected === undefined ? undefined : Date.parse(expected)),
);

describe("Kibana", () => {
  test("Discover's address with query, filters, columns and time", () => {
    const url = new URL(
      "https://kibana/app/discover#/?_g=(filters:!(),time:(from:now-3h,to:now))&_a=(columns:!(message,host.name),filters:!((meta:(key:service.name,negate:!t),query:(match_phrase:(service.name:'my web')))),query:(language:kuery,query:'log.level : %22error%22 and it!'s'))",
    );
    expect(fromKibana(url)).toEqual({
      query: 'level:"error" and it\'s -service:"my web"',
      from: "now-3h",
      to: "now",
      columns: ["host"],
    });
  });
  test("other addresses are none of it", () => expect(fromKibana(new URL("https://example.com/?q=1"))).toBeUndefined());
  test.each([
    ["host.name: a and bytes >= 5", "host:a and bytes:>=5"],
    ['message : "a : b"', 'message:"a : b"'],
    ["", ""],
  ])("%s", (text, expected) => expect(fromKql(text)).toBe(expected));
});

describe("Grafana", () => {
  const explore = (pane: unknown): string =>
    `https://grafana/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: pane }))}`;
  test("Explore with Loki", () =>
    expect(
      read(
        explore({
          queries: [{ expr: '{service_name="web"} |= `boom` | json | level="error"', datasource: { type: "loki" } }],
          range: { from: "now-6h", to: "now" },
        }),
      ),
    ).toEqual({
      kind: "translated",
      source: "Grafana",
      query: 'service:web "boom" level:error',
      from: "now-6h",
      to: "now",
    }));
  test("Explore with Prometheus", () =>
    expect(read(explore({ queries: [{ expr: "up", datasource: { type: "prometheus" } }] }))).toEqual({
      kind: "metrics",
      expression: "up",
    }));
  test("the old form of its address", () =>
    expect(
      read(`https://grafana/explore?left=${encodeURIComponent('{"queries":[{"expr":"{a=\\"b\\"} |~ \\"x/y\\""}]}')}`),
    ).toMatchObject({
      query: "a:b /x\\/y/",
    }));
});

test.each([
  ['{app=~"a|b",env!="dev"}', "app:(a OR b) -env:dev"],
  ['{app=~"we.*"} != "debug"', 'app:/^(we.*)$/ -"debug"'],
  ['sum(rate({app="a"} |= "x" [5m]))', 'app:a "x"'],
])("LogQL %s", (text, expected) => expect(fromLogql(text).query).toBe(expected));
