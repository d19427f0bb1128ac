/** The Metrics page: choose a name or write PromQL, see it drawn the way its type wants, with the logs of the same time below. */
import { effect, untracked } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import "../../styles/rows.css";
import "../../styles/metrics.css";
import { fetchMetrics } from "../../api/metrics";
import { hrefOf } from "../../app/address";
import { bindKeys } from "../../app/key-bindings";
import { amend, parameter, place } from "../../app/location";
import { pageStatus, setTitle } from "../../app/page-status";
import { zone } from "../../app/preferences";
import { share, TopBar } from "../../app/top-bar";
import type { ChartData } from "../../chart/chart-data";
import { ChartLegend } from "../../chart/chart-legend";
import { LineChart } from "../../chart/line-chart";
import { useAnnotations } from "../../chart/use-annotations";
import { QueryBox } from "../../query/query-box";
import type { Spot, Suggestion } from "../../query/query-complete";
import { briefTime } from "../../time/format";
import type { TimeRange } from "../../time/range";
import { runs, setAbsoluteRange, writtenRange } from "../../time/range-state";
import { timePickerId } from "../../time/time-picker";
import { aggregations, selectorOf } from "./metric-plan";
import { MetricList, metricSearchId } from "./metric-list";
import * as state from "./metrics-state";
import { RelatedLogs } from "./related-logs";

export function MetricsPage() {
  const [solo, setSolo] = useState<ReadonlySet<string>>(new Set());
  useEffect(
    () =>
      effect(() => {
        void state.metricName.value;
        void state.aggregation.value;
        void state.split.value;
        void state.expression.value;
        void writtenRange.value;
        void runs.value;
        if (place.peek().path !== "/explore") return;
        setSolo(new Set());
        setTitle(state.expression.value || state.metricName.value || "Metrics");
        untracked(() => {
          void state.loadCharts();
          state.loadLabels();
        });
      }),
    [],
  );
  const chosen = state.metricName.value !== "" || state.expression.value !== "";
  useEffect(() => {
    if (chosen) state.loadRelated(solo);
  }, [state.metricName.value, state.expression.value, writtenRange.value, runs.value, solo]);
  useEffect(
    () =>
      effect(() => {
        const lines = state.charts.value.value?.reduce((sum, { data }) => sum + data.lines.length + data.leftOut, 0);
        pageStatus.value = lines === undefined ? {} : { rows: `${lines} series` };
      }),
    [],
  );
  useEffect(
    () =>
      bindKeys("Metrics", [
        { keys: "/", does: "Search a metric", run: () => document.getElementById(metricSearchId)?.focus() },
        { keys: "p", does: "Write PromQL", run: () => document.getElementById("promql")?.focus() },
        { keys: "t", does: "Time range", run: () => document.getElementById(timePickerId)?.click() },
        { keys: "Escape", does: "Show all series", run: () => setSolo(new Set()) },
        { keys: "y", does: "Copy a link to this view", run: () => void share(true) },
      ]),
    [],
  );
  const failure = state.charts.failure.value;
  const isExpression = state.expression.value !== "";
  return (
    <>
      <TopBar title="Metrics" withTime>
        <QueryBox
          id="promql"
          label="PromQL expression"
          placeholder='PromQL, such as sum by (host) (rate({"web.hits"}[5m])), or choose a name below'
          value={state.expression.value}
          failure={isExpression ? failure : undefined}
          withHistory={false}
          onSubmit={state.submitExpression}
          suggest={suggestNames}
        />
      </TopBar>
      <main class="metrics">
        <MetricList />
        <div class="metrics-main">
          {chosen ? (
            <>
              <Controls />
              {failure !== undefined && !isExpression && <p class="warning-text">{failure.message}</p>}
              <Charts solo={solo} onSolo={setSolo} />
              <RelatedLogs />
            </>
          ) : (
            <div class="nothing">
              <h2>Choose a metric</h2>
              <p class="muted">
                Counters are drawn as rates, timers as percentiles with their count, gauges as average, lowest and
                highest. Press <kbd>/</kbd> to search.
              </p>
            </div>
          )}
        </div>
      </main>
    </>
  );
}

/** What the metric is, and how it is summed up and split. */
function Controls() {
  const metric = state.metric.value;
  if (metric === undefined || state.expression.value !== "") return null;
  const ways = aggregations[metric.type];
  const [firstQuery] = state.charts.value.value?.[0]?.plan.queries ?? [];
  return (
    <header class="metric-head">
      <h2 class="metric-title">{metric.name}</h2>
      <span class="muted">
        {metric.type}
        {metric.unit === undefined || metric.unit === "" ? "" : ` in ${metric.unit}`}, {metric.series} series
      </span>
      <span class="metric-space" />
      <label class="control">
        <span class="field-label">show</span>
        <select
          class="select"
          value={ways.includes(state.aggregation.value) ? state.aggregation.value : ways[0]}
          onChange={(event) => amend({ agg: event.currentTarget.value === ways[0] ? null : event.currentTarget.value })}
        >
          {ways.map((way) => (
            <option key={way}>{way}</option>
          ))}
        </select>
      </label>
      <label class="control">
        <span class="field-label">split by</span>
        <select
          class="select"
          value={state.split.value}
          onChange={(event) => amend({ split: event.currentTarget.value })}
        >
          <option value="">nothing</option>
          {(state.labels.value.value ?? (state.split.value === "" ? [] : [state.split.value])).map((label) => (
            <option key={label}>{label}</option>
          ))}
        </select>
      </label>
      {firstQuery !== undefined && (
        <a
          class="button"
          title={firstQuery.expression}
          href={hrefOf("/explore", { expr: firstQuery.expression, from: parameter("from"), to: parameter("to") })}
        >
          As PromQL
        </a>
      )}
    </header>
  );
}

function Charts({
  solo,
  onSolo,
}: {
  readonly solo: ReadonlySet<string>;
  readonly onSolo: (names: ReadonlySet<string>) => void;
}) {
  const charts = state.charts.value.value ?? [];
  const loading = state.charts.loading.value;
  const begins = beginningOf(charts);
  const annotations = useAnnotations(state.drawnRange.value);
  return (
    <div class={loading ? "charts charts-loading" : "charts"} aria-busy={loading}>
      {begins !== undefined && (
        <p class="muted">
          Values begin at {briefTime(begins.from, zone.value, true)}.{" "}
          <button type="button" class="link-button" onClick={() => setAbsoluteRange(begins)}>
            Show only that time
          </button>
        </p>
      )}
      {charts.map(({ plan, data, exemplars }, index) => {
        const alone = amongLines(data, solo);
        return (
          <section key={plan.title} class="chart-section">
            <h3 class="chart-title">{plan.title}</h3>
            {data.lines.length === 0 ? (
              <p class="chart-empty muted">No values in this time range.</p>
            ) : (
              <>
                <LineChart
                  label={`${state.expression.value || state.metricName.value}, ${plan.title}`}
                  data={data}
                  range={state.drawnRange.value}
                  unit={plan.unit}
                  zone={zone.value}
                  solo={alone}
                  exemplars={exemplars}
                  annotations={annotations}
                  height={index === 0 ? 240 : 130}
                  onZoom={setAbsoluteRange}
                />
                <ChartLegend data={data} unit={plan.unit} solo={alone} onSolo={onSolo} />
              </>
            )}
          </section>
        );
      })}
    </div>
  );
}

/** The names that this chart has lines for: a chart without any of the chosen lines shows all of its own. */
function amongLines(data: ChartData, solo: ReadonlySet<string>): ReadonlySet<string> {
  return new Set(data.lines.flatMap(({ name }) => (solo.has(name) ? [name] : [])));
}

/** The stretch at the end that holds all values, when most of the range holds none: as on a server just started. */
function beginningOf(charts: readonly state.DrawnChart[]): TimeRange | undefined {
  const { from, to } = state.drawnRange.value;
  const firsts = charts.flatMap(({ data }) =>
    data.lines.map(({ values }) => data.times[values.findIndex((value) => value !== null)] ?? Infinity),
  );
  const first = Math.min(...firsts) * 1000;
  return Number.isFinite(first) && first > from + (to - from) * 0.75 ? { from: first - 10_000, to } : undefined;
}

/** Metric names for the word at the caret. */
async function suggestNames(spot: Spot, _: string, signal: AbortSignal): Promise<readonly Suggestion[]> {
  const prefix = spot.prefix.replace(/^[{"]+/, "");
  if (prefix.length < 2) return [];
  const answer = await fetchMetrics(prefix, 12, signal);
  if (!answer.ok) return [];
  return answer.value.metrics.map(({ name, series }) => ({
    label: name,
    insert: selectorOf(name),
    count: series,
    kind: "field",
  }));
}
