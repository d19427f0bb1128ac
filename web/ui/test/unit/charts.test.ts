/** How charts lay values out: stacks, gaps, scales, heat maps, marks. */
import { describe, expect, test } from "vitest";
import { lineOf, filledName } from "../../src/chart/chart-data";
import { drawnColumns, logRange, valueRange } from "../../src/chart/chart-shape";
import { heatOf } from "../../src/chart/heat";
import { beginnings } from "../../src/chart/alert-marks";
import { withUnit } from "../../src/chart/unit-format";
import { slugOf } from "../../src/pages/dashboards/slug";
import { narrowed } from "../../src/pages/dashboards/variables";
import { worstFirst } from "../../src/pages/hosts/host";
import { shown, tomlLine } from "../../src/pages/settings/setting-text";

const data = {
  times: [0, 10, 20, 30],
  lines: [lineOf("a", {}, [1, null, 3, null]), lineOf("b", {}, [10, 20, null, null])],
  leftOut: 0,
};

describe("columns", () => {
  test.each([
    [
      "lines",
      "linear",
      "gap",
      [
        [1, null, 3, null],
        [10, 20, null, null],
      ],
    ],
    [
      "lines",
      "linear",
      "zero",
      [
        [1, 0, 3, null],
        [10, 20, null, null],
      ],
    ],
    [
      "stacked",
      "linear",
      "gap",
      [
        [1, 0, 3, null],
        [11, 20, 3, null],
      ],
    ],
    [
      "bars",
      "linear",
      "gap",
      [
        [1, null, 3, null],
        [11, 20, null, null],
      ],
    ],
  ] as const)("%s, %s, %s", (draw, scale, gaps, expected) => {
    expect(drawnColumns(data, [true, true], draw, scale, gaps)).toEqual(expected);
  });

  test("that are hidden add nothing to a stack, and a logarithm leaves zero out", () => {
    expect(drawnColumns(data, [false, true], "stacked", "linear", "gap")[1]).toEqual([10, 20, 0, null]);
    const zero = { ...data, lines: [lineOf("a", {}, [0, -1, 2, null])] };
    expect(drawnColumns(zero, [true], "lines", "log", "gap")).toEqual([[null, null, 2, null]]);
  });
});

test("scales keep the ends that were asked for, and powers of ten hold the values", () => {
  expect(valueRange(25, 30, { fromZero: false })[0]).toBe(24.6);
  expect(valueRange(20, 30, { fromZero: true })[0]).toBe(0);
  expect(valueRange(0, 0.4, { min: 0, max: 1, fromZero: false })).toEqual([0, 1]);
  expect(valueRange(0, 3, { max: 1, fromZero: false })).toEqual([0, 3]);
  expect(valueRange(null, null, { fromZero: false })).toEqual([0, 1]);
  expect(logRange(3, 250)).toEqual([1, 1000]);
  expect(logRange(10, 10)).toEqual([10, 100]);
  expect(logRange(null, null)).toEqual([0.1, 10]);
});

describe("a heat map", () => {
  test("of a classic histogram takes what lies below away", () => {
    const bucket = (le: string, ...counts: number[]) => ({
      metric: { le },
      values: counts.map((count, at) => [at * 10, String(count)] as const),
    });
    const heat = heatOf([bucket("+Inf", 9, 9), bucket("1", 2, 0), bucket("5", 7, 9)], 0, 10, 10);
    expect(heat?.rows).toEqual([
      { low: 0, high: 1, counts: [2, 0] },
      { low: 1, high: 5, counts: [5, 9] },
      { low: 5, high: Infinity, counts: [2, 0] },
    ]);
    expect(heat?.most).toBe(9);
  });

  test("of native histograms loses nothing when fine buckets are gathered", () => {
    const buckets = Array.from(
      { length: 100 },
      (_, at) => [0, String(1.1 ** at), String(1.1 ** (at + 1)), "2"] as const,
    );
    const heat = heatOf([{ metric: {}, histograms: [[10, { count: "200", sum: "1", buckets }]] }], 0, 20, 10);
    const sum = heat?.rows.reduce((all, { counts }) => all + (counts[1] ?? 0), 0);
    expect(sum).toBeCloseTo(200, 6);
    expect(heat?.rows.length).toBeLessThanOrEqual(36);
  });

  test("is none when the answer holds no distribution", () => {
    expect(heatOf([{ metric: { host: "a" }, values: [[0, "1"]] }], 0, 10, 10)).toBeUndefined();
  });
});

test("an alert has a mark wherever it begins to fire anew", () => {
  const values = [0, 60, 120, 600, 660].map((time) => [time, "1"] as const);
  const marks = beginnings([{ metric: { alertname: "Slow" }, values }], 60);
  expect(marks.map(({ time, label }) => [time, label])).toEqual([
    [0, "Slow fires"],
    [600_000, "Slow fires"],
  ]);
});

test("names are filled from labels, numbers have the digits asked for", () => {
  expect(filledName("{{host}} {{ mount }}{{none}}", { host: "a", mount: "/" })).toBe("a /");
  expect([
    withUnit(0.1234, "ratio", 1),
    withUnit(5, "", 2),
    withUnit(1234.5, "/s", 0),
    withUnit(2e9, "bytes", 0),
  ]).toEqual(["12.3 %", "5.00", "1,235/s", "2.0 GB"]);
});

test("values of a variable are what its expression lets through", () => {
  expect(narrowed(["a:1", "b:2", "a:3", "c"], "(.*):\\d")).toEqual(["a", "b"]);
  expect(narrowed(["a", "b"], "(?P<x>")).toEqual(["a", "b"]);
  expect(slugOf("Node Exporter (v2)")).toBe("node-exporter-v2");
});

test("hosts in trouble come first", () => {
  const host = (name: string, firing: number, isSilent: boolean, errors: number) => ({
    name,
    lines: 0,
    errors,
    cpu: undefined,
    silentSeconds: undefined,
    memory: undefined,
    disk: undefined,
    load: undefined,
    firing,
    isSilent,
  });
  const hosts = [host("a", 0, false, 0), host("b", 0, false, 3), host("c", 0, true, 0), host("d", 1, false, 0)];
  expect(hosts.toSorted(worstFirst).map(({ name }) => name)).toEqual(["d", "c", "b", "a"]);
});

test("settings are shown and copied as they stand in the file", () => {
  expect(shown(["a", 5000, { keep: "1d" }])).toBe("a, 5,000, keep = 1d");
  expect(shown([])).toBe("none");
  const setting = { key: "store.retention_age", doc: "", flag: null, variables: [], default: null } as const;
  expect(tomlLine({ ...setting, value: "30d", origin: "file", from: "" })).toBe('[store]\nretention_age = "30d"\n');
});
