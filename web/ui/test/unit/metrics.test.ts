/** How metrics are asked for and laid out, traces turned into lanes, commands filled in. */
import { describe, expect, test } from "vitest";
import { chartDataOf, labelsText } from "../../src/chart/chart-data";
import { withUnit } from "../../src/chart/unit-format";
import { bytes, rate, shortCount, value } from "../../src/app/number-format";
import { planOf, selectorOf, stepOf } from "../../src/pages/metrics/metric-plan";
import { sendersFor } from "../../src/pages/home/senders";
import { millisecondsBetween, timelineOf } from "../../src/pages/trace/lanes";

const hour = { from: 0, to: 3_600_000 };
const plan = (type: "counter" | "gauge" | "distribution" | "set", aggregation: string, split: string, series = 1) =>
  planOf({ name: "web.hits", type, series }, aggregation, split, hour).flatMap(({ queries }) =>
    queries.map(({ expression, label }) => [label, expression]),
  );

describe("a metric is asked for", () => {
  test("by a selector that PromQL reads, dots and quotes included", () => {
    expect(selectorOf("up")).toBe("up");
    expect(selectorOf("up", ['a="b"'])).toBe('up{a="b"}');
    expect(selectorOf("web.hits")).toBe('{"web.hits"}');
    expect(selectorOf('a"b\\', ['c="d"'])).toBe('{"a\\"b\\\\", c="d"}');
  });

  test.each([
    ["counter", "", "", [["web.hits", 'sum (rate({"web.hits"}[1m]))']]],
    ["counter", "rate", "host", [["", 'sum by (host) (rate({"web.hits"}[1m]))']]],
    ["counter", "increase", "", [["web.hits", 'sum (increase({"web.hits"}[20s]))']]],
    [
      "gauge",
      "",
      "",
      [
        ["max", 'max ({"web.hits"})'],
        ["avg", 'avg ({"web.hits"})'],
        ["min", 'min ({"web.hits"})'],
      ],
    ],
    ["gauge", "", "db.host", [["", 'avg by ("db.host") ({"web.hits"})']]],
    ["gauge", "sum", "", [["sum", 'sum ({"web.hits"})']]],
    ["set", "nonsense", "", [["sum", 'sum ({"web.hits"})']]],
    [
      "distribution",
      "",
      "",
      [
        ["p99", 'histogram_quantile(0.99, sum (rate({"web.hits"}[1m])))'],
        ["p95", 'histogram_quantile(0.95, sum (rate({"web.hits"}[1m])))'],
        ["p50", 'histogram_quantile(0.5, sum (rate({"web.hits"}[1m])))'],
        ["", 'sum (rate({"web.hits"}[30s]))'],
        ["count", 'sum (rate({"web.hits_count"}[1m]))'],
      ],
    ],
    [
      "distribution",
      "p90",
      "host",
      [
        ["", 'histogram_quantile(0.9, sum by (host) (rate({"web.hits"}[1m])))'],
        ["", 'sum by (host) (rate({"web.hits_count"}[1m]))'],
      ],
    ],
    [
      "distribution",
      "mean",
      "",
      [
        ["mean", 'sum (rate({"web.hits_sum"}[1m])) / sum (rate({"web.hits_count"}[1m]))'],
        ["count", 'sum (rate({"web.hits_count"}[1m]))'],
      ],
    ],
  ] as const)("as %s, %j, split by %j", (type, aggregation, split, expected) => {
    expect(plan(type, aggregation, split)).toEqual(expected);
  });

  test("in steps that are never finer than a window", () => {
    expect(stepOf({ from: 0, to: 60_000 })).toBe(10_000);
    expect(stepOf({ from: 0, to: 86_400_000 })).toBe(600_000);
  });
});

describe("a chart", () => {
  test("has all series on one grid, gaps as null, the largest first", () => {
    const data = chartDataOf(
      [
        {
          label: "",
          series: [
            {
              metric: { host: "a" },
              values: [
                [0, "1"],
                [20, "3"],
              ],
            },
            {
              metric: { host: "b" },
              values: [
                [10, "NaN"],
                [20, "9"],
              ],
            },
          ],
        },
      ],
      0,
      20,
      10,
    );
    expect(data.times).toEqual([0, 10, 20]);
    expect(data.lines.map(({ name, values, mean }) => [name, values, mean])).toEqual([
      ["b", [null, null, 9], 9],
      ["a", [1, null, 3], 2],
    ]);
  });

  test("leaves out what nobody could tell apart, and says so", () => {
    const series = Array.from({ length: 30 }, (_, at) => ({
      metric: { n: String(at) },
      values: [[0, String(at)]] as const,
    }));
    const data = chartDataOf([{ label: "", series }], 0, 0, 10);
    expect([data.lines.length, data.leftOut, data.lines[0]?.name]).toEqual([24, 6, "29"]);
  });

  test("names its lines by what tells them apart", () => {
    expect(labelsText({})).toBe("all");
    expect(labelsText({ host: "a" })).toBe("a");
    expect(labelsText({ host: "" })).toBe("no host");
    expect(labelsText({ __name__: "x", host: "a" })).toBe("x host=a");
  });
});

describe("numbers", () => {
  test.each([
    [withUnit(3.1e9, "bytes"), "3.1 GB"],
    [withUnit(0.25, "s"), "250 ms"],
    [withUnit(86.43, "ms"), "86.4 ms"],
    [withUnit(12, "/s"), "12/s"],
    [withUnit(5, "%"), "5 %"],
    [bytes(999), "999 B"],
    [bytes(1000), "1.0 kB"],
    [bytes(112_400_000), "112 MB"],
    [value(0.000123), "1.2e-4"],
    [value(4567), "4,567"],
    [rate(0.34), "0.3"],
    [shortCount(412_031), "412K"],
  ])("%s", (text, expected) => expect(text).toBe(expected));
});

describe("a trace", () => {
  test("measures to the nanosecond across a second's edge", () => {
    expect(millisecondsBetween("2026-11-20T00:00:00.999999Z", "2026-11-20T00:00:01.000001500Z")).toBeCloseTo(0.0025, 6);
    expect(millisecondsBetween("2026-11-20T00:00:00Z", "2026-11-20T00:01:00Z")).toBe(60_000);
  });

  test("has a lane for each service and host in the order they speak", () => {
    const record = (seq: number, service: string, host: string, milliseconds: number, level = "info") => ({
      id: String(seq),
      seq,
      time: new Date(milliseconds).toISOString(),
      service,
      host,
      level,
    });
    const records = [record(1, "web", "a", 0), record(2, "pay", "b", 10, "error"), record(3, "web", "a", 30)];
    const { lanes } = timelineOf(records, []);
    expect(lanes.map(({ service, first, last, errors }) => [service, first, last, errors])).toEqual([
      ["web", 0, 30, 0],
      ["pay", 10, 10, 1],
    ]);
    expect(timelineOf([], [])).toEqual({ start: "", duration: 0, lanes: [] });
  });

  test("begins with its first span, and stacks those that overlap", () => {
    const span = (span_id: string, milliseconds: number, duration_ms: number) => ({
      span_id,
      parent_span_id: null,
      name: null,
      kind: null,
      service: "web",
      host: "a",
      start: new Date(milliseconds).toISOString(),
      duration_ms,
      known_by: "duration" as const,
      records: 1,
      errors: 0,
    });
    const { start, duration, lanes } = timelineOf([], [span("c", 60, 40), span("b", 10, 20), span("a", 0, 50)]);
    expect([start, duration]).toEqual(["1970-01-01T00:00:00.000Z", 100]);
    expect(lanes[0]?.rows).toBe(2);
    expect(lanes[0]?.bars.map(({ span: { span_id: id }, from, to, row }) => [id, from, to, row])).toEqual([
      ["a", 0, 50, 0],
      ["b", 10, 30, 1],
      ["c", 60, 100, 0],
    ]);
  });
});

describe("sender commands", () => {
  test("carry the listeners' addresses, and this page's host where they listen everywhere", () => {
    const [statsd, http, syslog] = sendersFor(
      { statsd: "0.0.0.0:9125", syslog: "[::]:5514" },
      "http://logs.example:6464",
    );
    expect(statsd?.snippets[0]?.code).toContain("/dev/udp/logs.example/9125");
    expect(http?.snippets[0]?.code).toContain("http://logs.example:6464/api/v1/logs");
    expect(syslog?.snippets[0]?.code).toContain("--server logs.example --port 5514");
    expect(sendersFor({ statsd: "udp://127.0.0.1:8125" }, "http://localhost:6464")[0]?.snippets[1]?.code).toContain(
      "127.0.0.1 8125",
    );
  });
});
