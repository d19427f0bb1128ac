/**
 * How a metric is best drawn, by its type: which PromQL questions to ask and what to call their lines. Pure; asking and
 * drawing are elsewhere.
 */
import type { Metric, MetricType } from "../../api/metrics";
import { spanParameter, second, minute } from "../../time/span";
import { roundStep, type TimeRange } from "../../time/range";

/** One line or family of lines: each series of the answer is named by `label`, or by its labels when that is empty. */
export interface PlannedQuery {
  readonly expression: string;
  readonly label: string;
}

/** One chart. */
export interface PlannedChart {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly PlannedQuery[];
  /** The expression whose exemplars are drawn into it. */
  readonly exemplarsOf?: string;
  /** Drawn as a heat map: the answer is a distribution. */
  readonly isHeat?: boolean;
}

/** What can be chosen as the way to sum a type up; the first is the default. */
export const aggregations: Readonly<Record<MetricType, readonly string[]>> = {
  counter: ["rate", "increase"],
  gauge: ["avg", "min", "max", "sum"],
  distribution: ["percentiles", "p50", "p90", "p95", "p99", "mean", "min", "max"],
  set: ["sum", "max"],
};

/** StatsD windows are this long; no question needs a finer step. */
const windowMs = 10 * second;
/** Points across a chart. */
const pointsWanted = 240;

/** The step of a range query over a range. */
export function stepOf(range: TimeRange): number {
  return Math.max(windowMs, roundStep(range.to - range.from, pointsWanted));
}

/** A selector of a metric; a name that PromQL's old grammar cannot spell is quoted inside the braces. */
export function selectorOf(name: string, matchers: readonly string[] = []): string {
  if (/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) return matchers.length === 0 ? name : `${name}{${matchers.join(", ")}}`;
  return `{${[quotedName(name), ...matchers].join(", ")}}`;
}

/** The charts of a metric. */
export function planOf(metric: Metric, aggregation: string, split: string, range: TimeRange): readonly PlannedChart[] {
  const { name, type, unit = "" } = metric;
  const chosen = aggregations[type].includes(aggregation) ? aggregation : (aggregations[type][0] ?? "");
  const by = split === "" ? "" : ` by (${labelName(split)})`;
  // A rate needs two points in its window at every step, so it looks back over several.
  const rateWindow = spanParameter(Math.max(4 * stepOf(range), minute));
  const rateOf = (counter: string): string => `sum${by} (rate(${selectorOf(counter)}[${rateWindow}]))`;
  const named = (label: string): string => (split === "" ? label : "");
  switch (type) {
    case "counter": {
      if (chosen === "rate")
        return [
          {
            title: "per second",
            unit: unit === "" ? "/s" : `${unit}/s`,
            queries: [{ expression: rateOf(name), label: named(name) }],
          },
        ];
      const step = spanParameter(Math.max(stepOf(range), 2 * windowMs));
      return [
        {
          title: `increase in ${step}`,
          unit,
          queries: [{ expression: `sum${by} (increase(${selectorOf(name)}[${step}]))`, label: named(name) }],
        },
      ];
    }
    case "gauge":
    case "set": {
      const over = (how: string): PlannedQuery => ({
        expression: `${how}${by} (${selectorOf(name)})`,
        label: named(how),
      });
      const together = type === "gauge" && split === "" && chosen === "avg";
      return [
        {
          title: type === "set" ? `how many different, ${chosen}` : together ? "average, lowest and highest" : chosen,
          unit,
          queries: together ? [over("max"), over("avg"), over("min")] : [over(chosen)],
        },
      ];
    }
    case "distribution": {
      // Sketches are put together before the percentile is read: true over all hosts, not the highest of theirs.
      const together = `sum${by} (rate(${selectorOf(name)}[${rateWindow}]))`;
      const quantile = (percent: string): PlannedQuery => ({
        expression: `histogram_quantile(0.${percent.replace(/0$/, "")}, ${together})`,
        label: named(`p${percent}`),
      });
      const count = {
        title: "count per second",
        unit: "/s",
        queries: [{ expression: rateOf(`${name}_count`), label: named("count") }],
      };
      const main = ((): PlannedChart => {
        if (chosen === "mean")
          return {
            title: "mean",
            unit,
            queries: [{ expression: `${rateOf(`${name}_sum`)} / ${rateOf(`${name}_count`)}`, label: named("mean") }],
          };
        if (chosen === "min" || chosen === "max")
          return {
            title: chosen,
            unit,
            queries: [{ expression: `${chosen}${by} (${selectorOf(`${name}_${chosen}`)})`, label: named(chosen) }],
          };
        if (chosen !== "percentiles") return { title: chosen, unit, queries: [quantile(chosen.slice(1))] };
        return split === ""
          ? { title: "percentiles", unit, queries: [quantile("99"), quantile("95"), quantile("50")] }
          : { title: "p95", unit, queries: [quantile("95")] };
      })();
      const spread = {
        title: "spread",
        unit,
        queries: [
          {
            expression: `sum (rate(${selectorOf(name)}[${spanParameter(Math.max(stepOf(range), 3 * windowMs))}]))`,
            label: "",
          },
        ],
        isHeat: true,
      };
      const drawn = { ...main, exemplarsOf: selectorOf(name) };
      return split === "" && chosen === "percentiles" ? [drawn, spread, count] : [drawn, count];
    }
  }
}

/** The metric that a name means when the list of metrics does not have it: a guess by the name alone. */
export function unknownMetric(name: string): Metric {
  return { name, type: "gauge", series: 1 };
}

/** A label's name as `by (…)` wants it; dotted ones are quoted. */
function labelName(name: string): string {
  return /^[a-zA-Z_]\w*$/.test(name) ? name : quotedName(name);
}

function quotedName(name: string): string {
  return `"${name.replace(/["\\]/g, "\\$&")}"`;
}
