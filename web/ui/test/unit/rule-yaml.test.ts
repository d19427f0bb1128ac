import { describe, expect, it } from "vitest";
import { ruleYaml } from "../../src/pages/alerts/rule-yaml";

describe("a rule as YAML", () => {
  it("is what a rules file has", () => {
    const rule = {
      name: "Slow",
      query: 'max({"a.b", q="0.95"}) > 80',
      language: "promql" as const,
      windowSeconds: null,
      forSeconds: 120,
      labels: { severity: "page", tier: "2" },
      annotations: { summary: "it's {{ $value }}", description: "one\n  two" },
    };
    expect(ruleYaml(rule)).toBe(
      [
        "alert: Slow",
        `expr: 'max({"a.b", q="0.95"}) > 80'`,
        "for: 120s",
        "labels:",
        "  severity: page",
        "  tier: '2'",
        "annotations:",
        "  summary: 'it''s {{ $value }}'",
        "  description: |",
        "    one",
        "      two",
        "",
      ].join("\n"),
    );
  });

  it("keeps words that YAML takes for something else in quotes", () => {
    const nothing = { language: "promql" as const, windowSeconds: null, forSeconds: 0, labels: {}, annotations: {} };
    const rule = { ...nothing, name: "yes", query: "up == 0\nor down\n" };
    expect(ruleYaml(rule)).toBe("alert: 'yes'\nexpr: |\n  up == 0\n  or down\n");
    const logs = { ...rule, name: "A", query: "level:error", language: "logs" as const, windowSeconds: 300 };
    expect(ruleYaml(logs)).toBe("alert: A\ntype: logs\nexpr: 'level:error'\nwindow: 300s\n");
  });
});
