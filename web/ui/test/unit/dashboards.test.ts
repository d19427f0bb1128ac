/** Dashboards: variables put into questions, panels placed, texts and thresholds read, panels written down. */
import { describe, expect, test } from "vitest";
import type { Dashboard, Variable } from "../../src/api/dashboards";
import { placed, widthsOf } from "../../src/pages/dashboards/layout";
import { blocksOf, isSafe } from "../../src/pages/dashboards/markdown";
import { calculated } from "../../src/pages/dashboards/panel-data";
import { levelOf } from "../../src/pages/dashboards/thresholds";
import {
  fillLogs,
  fillPromql,
  fillText,
  readChoice,
  writtenChoice,
  type Choice,
  type Choices,
} from "../../src/pages/dashboards/variables";
import { panelText, ruleText, withPanel } from "../../src/pages/metrics/written-down";

const several: Variable = { name: "host", label: "host", multi: true, all: true };
const choicesOf = (...choices: Choice[]): Choices => new Map(choices.map((choice) => [choice.variable.name, choice]));
const choice = (variable: Variable, written: string, options: readonly string[] = ["a", "b.c", "d"]): Choice =>
  readChoice(variable, written, options);
const span = { range: { from: 0, to: 3_600_000 }, stepMs: 20_000 };

describe("a choice", () => {
  test.each([
    [["a"], "a"],
    [["a", "b"], "a,b"],
    [["a,b", "c\\d"], "a\\,b,c\\\\d"],
  ])("%j stands in the address as %s and is read back", (values, written) => {
    expect(writtenChoice(false, values)).toBe(written);
    expect(choice(several, written).values).toEqual(values);
  });

  test("is all where all may be, else the default, else the first", () => {
    expect(choice(several, "").all).toBe(true);
    expect(choice({ ...several, default: ["d"] }, "").values).toEqual(["d"]);
    expect(choice({ name: "x", values: ["a", "b"] }, "").values).toEqual(["a"]);
    expect(choice({ name: "x" }, "", []).values).toEqual([]);
    expect(choice({ name: "x" }, "a,b").values).toEqual(["a"]);
  });
});

describe("a question is filled", () => {
  const choices = choicesOf(choice(several, "a,b.c"), choice({ name: "env" }, 'p"r'), choice({ name: "n" }, "5"));
  const everything = choicesOf(choice(several, "*"));

  test.each([
    ['x{h=~"$host"}', 'x{h=~"(a|b\\\\.c)"}'],
    ['x{e="$env"}', 'x{e="p\\"r"}'],
    ["topk($n, x)", "topk(5, x)"],
    ['x{h=~"${host:pipe}", e="${env:raw}"}', 'x{h=~"a|b.c", e="p\\"r"}'],
    ["rate(x[$__rate_interval]) / $__range_s", "rate(x[1m20s]) / 3600"],
    ["rate(x[$__interval])[$__range:]", "rate(x[20s])[1h:]"],
    ['label_replace(x, "a", "$1", "b", "(.*)")', 'label_replace(x, "a", "$1", "b", "(.*)")'],
    ["$unknown", "$unknown"],
  ])("PromQL %s", (text, expected) => expect(fillPromql(text, choices, span)).toBe(expected));

  test("with all of them as any value", () => {
    expect(fillPromql('x{h=~"$host"}', everything, span)).toBe('x{h=~".*"}');
    expect(fillLogs("host:$host timeout", everything, span)).toBe("* timeout");
    expect(fillLogs("-host:$host", everything, span)).toBe("-host:*");
    const narrowed = choicesOf(choice({ ...several, regex: "a|d" }, "*", ["a", "d"]));
    expect(fillPromql('x{h=~"$host"}', narrowed, span)).toBe('x{h=~"(a|d)"}');
  });

  test.each([
    ["host:$host level:error", "host:(a OR b.c) level:error"],
    ["env:$env", 'env:"p\\"r"'],
    ['"user $n"', '"user 5"'],
    ["/timeout$/", "/timeout$/"],
  ])("in the search language %s", (text, expected) => expect(fillLogs(text, choices, span)).toBe(expected));

  test("in titles for eyes", () => {
    expect(fillText("CPU of $host in $__range", choices, span)).toBe("CPU of a, b.c in 1h");
    expect(fillText("$host", everything, span)).toBe("all");
  });
});

describe("panels are placed", () => {
  test.each([
    [[undefined], [24]],
    [
      [undefined, undefined],
      [12, 12],
    ],
    [
      [8, undefined, undefined],
      [8, 8, 8],
    ],
    [
      [undefined, undefined, undefined, undefined, undefined],
      [6, 6, 6, 6, 6],
    ],
    [
      [24, undefined],
      [24, 24],
    ],
    [
      [10, 14],
      [10, 14],
    ],
  ])("widths %j become %j", (wanted, expected) => expect(widthsOf(wanted)).toEqual(expected));

  test("once for each value of the variable that they repeat for", () => {
    const panel = { type: "chart", title: "$host", repeat: "host", queries: [{ promql: "up" }] } as const;
    const board: Dashboard = { title: "t", rows: [{ panels: [panel] }, { title: "r", repeat: "host", panels: [] }] };
    const rows = placed(board, choicesOf(choice(several, "a,d")));
    expect(rows.map(({ id }) => id)).toEqual(["0", "1~0", "1~1"]);
    const panels = rows[0]?.panels ?? [];
    expect(panels.map(({ id, choices }) => [id, fillText("$host", choices, span)])).toEqual([
      ["0.0~0", "a"],
      ["0.0~1", "d"],
    ]);
    expect(fillPromql('x{h="$host"}', panels[1]?.choices ?? new Map(), span)).toBe('x{h="d"}');
  });
});

describe("texts", () => {
  test("are read as blocks, whatever they hold", () => {
    expect(blocksOf("# A\n\none\ntwo\n\n- x\n- y\n1. z\n```\n# no\n```\n<b>")).toEqual([
      { kind: "heading", level: 1, text: "A" },
      { kind: "paragraph", text: "one two" },
      { kind: "list", ordered: false, items: ["x", "y"] },
      { kind: "list", ordered: true, items: ["z"] },
      { kind: "code", text: "# no" },
      { kind: "paragraph", text: "<b>" },
    ]);
  });

  test.each([
    ["https://a.b/c", true],
    ["/logs?q=x", true],
    ["javascript:alert(1)", false],
    ["//evil", false],
    ["data:text/html,x", false],
  ])("link to %s: %s", (address, expected) => expect(isSafe(address)).toBe(expected));
});

describe("numbers", () => {
  const line = { name: "", labels: {}, values: [2, null, 6, 4], last: 4, lowest: 2, highest: 6, mean: 4 };

  test.each([
    [undefined, 4],
    ["first", 2],
    ["mean", 4],
    ["min", 2],
    ["max", 6],
    ["sum", 12],
    ["change", 2],
  ] as const)("%s of a line is %d", (calc, expected) => expect(calculated(line, calc)).toBe(expected));

  test("have the level of the last threshold they reach", () => {
    const thresholds = [
      { from: 0, level: "good" },
      { from: 10, level: "bad" },
    ] as const;
    expect([-1, 0, 9.9, 10].map((value) => levelOf(value, thresholds))).toEqual(["none", "good", "good", "bad"]);
    expect(levelOf(undefined, thresholds)).toBe("none");
  });
});

describe("a chart is written down", () => {
  const panel = panelText({
    title: "a: 'b'",
    unit: "/s",
    scale: "log",
    gaps: "gap",
    queries: [{ promql: 'rate({"x"}[5m])', name: "p" }],
  });

  test("as a panel at the end of the rows, all else letter by letter", () => {
    expect(panel).toBe(
      "- title: 'a: ''b'''\n  width: 12\n  unit: '/s'\n  scale: log\n  queries:\n  - promql: 'rate({\"x\"}[5m])'\n    name: 'p'\n",
    );
    const row = `- panels:\n${panel.replace(/^/gm, "  ").trimEnd()}\n`;
    expect(withPanel("title: t\nrows: []\n", panel)).toBe(`title: t\nrows:\n${row}`);
    expect(withPanel("# c\ntitle: t\nrows:\n- title: r # x\n  panels: []", panel)).toBe(
      `# c\ntitle: t\nrows:\n- title: r # x\n  panels: []\n${row}`,
    );
    const indented = row.replace(/^(?=.)/gm, "  ");
    expect(withPanel("rows:\n  - panels: []\ntitle: t\n", panel)).toBe(`rows:\n  - panels: []\n${indented}title: t\n`);
  });

  test("as a rule that a rules file can hold", () => {
    const rule = ruleText({ name: "web.hits", label: "p99", expression: "x", number: 5, hold: "5m", unit: "ms" });
    expect(rule).toContain("- alert: WebHitsP99High\n");
    expect(rule).toContain("      x > 5\n    for: 5m\n");
    expect(rule).toContain("summary: 'web.hits is {{ $value | humanize }} ms, above 5 ms'");
  });
});
