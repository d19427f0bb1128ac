/** The Metrics page: choose a name or write PromQL, see it drawn the way its type wants, with the logs of the same time below. */
import { effect, untracked } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import "../../styles/rows.css";
import "../../styles/metrics.css";
import { fetchMetrics } from "../../api/metrics";
import { bindKeys } from "../../app/key-bindings";
import { amend, place } from "../../app/location";
import { pageStatus, setTitle } from "../../app/page-status";
import { zone } from "../../app/preferences";
import { share, TopBar } from "../../app/top-bar";
import type { ChartData } from "../../chart/chart-data";
import { ChartLegend } from "../../chart/chart-legend";
import { HeatMap } from "../../chart/heat-map";
import { LineChart, type Mark } from "../../chart/line-chart";
import { annotations as annotationsOfTime, loadMarks, marks as marksOfTime } from "../../chart/marks";
import { withUnit } from "../../chart/unit-format";
import { QueryBox } from "../../query/query-box";
import type { Spot, Suggestion } from "../../query/query-complete";
import { briefTime } from "../../time/format";
import { isoOf, type TimeRange } from "../../time/range";
import { runs, setAbsoluteRange, writtenRange } from "../../time/range-state";
import { timePickerId } from "../../time/time-picker";
import { aggregations, selectorOf } from "./metric-plan";
import { MetricList, metricSearchId } from "./metric-list";
import * as state from "./metrics-state";
import { RelatedLogs } from "./related-logs";
import { Ways } from "./ways";

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
          void loadMarks();
        });
      }),
    [],
  );
  const chosen = state.metricName.value !== "" || state.expression.value !== "";
  useEffect(() => {
    if (chosen) state.loadRelated(solo);
  }, [state.metricName.value, state.expression.value, state.pinned.value, writtenRange.value, runs.value, solo]);
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
        {
          keys: "Escape",
          does: "Show all series, and the logs of the whole time",
          run: () => {
            setSolo(new Set());
            amend({ at: null });
          },
        },
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
  const [firstChart] = state.charts.value.value ?? [];
  if (state.expression.value !== "")
    return (
      <header class="metric-head">
        <span class="metric-space" />
        <DrawingChoices />
        <Ways chart={firstChart} />
      </header>
    );
  if (metric === undefined) return null;
  const ways = aggregations[metric.type];
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
      {state.split.value !== "" && (
        <button
          type="button"
          class="button"
          aria-pressed={state.isMultiples.value}
          title="A small chart for each, all on one scale"
          onClick={() => amend({ multiples: state.isMultiples.peek() ? null : "1" })}
        >
          Small multiples
        </button>
      )}
      <DrawingChoices />
      <Ways chart={firstChart} />
    </header>
  );
}

/** How the lines are drawn. */
function DrawingChoices() {
  return (
    <>
      <button
        type="button"
        class="button"
        aria-pressed={state.scale.value === "log"}
        title="A logarithmic scale"
        onClick={() => amend({ scale: state.scale.peek() === "log" ? null : "log" })}
      >
        Log
      </button>
      <label class="control">
        <span class="field-label">gaps</span>
        <select
          class="select"
          value={state.gaps.value}
          onChange={(event) => amend({ gaps: event.currentTarget.value === "gap" ? null : event.currentTarget.value })}
        >
          <option value="gap">as they are</option>
          <option value="join">joined</option>
          <option value="zero">as zero</option>
        </select>
      </label>
    </>
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
  const annotations = annotationsOfTime.value;
  const marks = useMarks();
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
      {charts.map(({ plan, data, exemplars, heat }, index) => {
        const alone = amongLines(data, solo);
        if (plan.isHeat === true)
          return heat === undefined ? null : (
            <section key={plan.title} class="chart-section">
              <h3 class="chart-title">{plan.title}</h3>
              <HeatMap
                label={`${state.metricName.value}, ${plan.title}`}
                heat={heat}
                range={state.drawnRange.value}
                unit={plan.unit}
                zone={zone.value}
                height={170}
              />
            </section>
          );
        if (index === 0 && state.isMultiples.value && data.lines.length > 1)
          return <Multiples key={plan.title} chart={{ plan, data, exemplars }} />;
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
                  scale={state.scale.value}
                  gaps={state.gaps.value}
                  marks={marks}
                  onZoom={setAbsoluteRange}
                  onPick={pick}
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

/** The logs below are those around the moment that was clicked; clicking it again lets go. */
function pick(time: number): void {
  amend({ at: state.pinned.peek() === time ? null : isoOf(time) }, "replace");
}

/** What happened, and the moment that was clicked. */
function useMarks(): readonly Mark[] {
  const at = state.pinned.value;
  const happened = marksOfTime.value;
  return useMemo(
    () => (at === undefined ? happened : [...happened, { time: at, kind: "note", label: "logs below" }]),
    [at, happened],
  );
}

/** A small chart for each line, all with the same ends, their crosshairs linked. */
function Multiples({ chart }: { readonly chart: state.DrawnChart }) {
  const { plan, data } = chart;
  const marks = useMarks();
  const annotations = annotationsOfTime.value;
  const highest = Math.max(...data.lines.map(({ highest }) => highest ?? -Infinity));
  const lowest = Math.min(...data.lines.map(({ lowest }) => lowest ?? Infinity));
  // Each keeps its own columns, so that moving the pointer draws none of them anew.
  const single = useMemo(() => data.lines.map((line) => ({ times: data.times, lines: [line], leftOut: 0 })), [data]);
  return (
    <section class="chart-section">
      <h3 class="chart-title">{plan.title}, one chart each on one scale</h3>
      <div class="multiples">
        {single.map((one) => {
          const [line] = one.lines;
          return (
            <figure key={line?.name} class="multiple">
              <figcaption title={line?.name}>
                <span>{line?.name}</span>
                <span class="muted">{line?.last === undefined ? "–" : withUnit(line.last, plan.unit)}</span>
              </figcaption>
              <LineChart
                label={line?.name ?? ""}
                data={one}
                range={state.drawnRange.value}
                unit={plan.unit}
                zone={zone.value}
                solo={noneAlone}
                height={110}
                scale={state.scale.value}
                gaps={state.gaps.value}
                min={lowest > 0 && lowest > highest * 0.75 ? lowest : Math.min(0, lowest)}
                max={highest}
                marks={marks}
                annotations={annotations}
                onZoom={setAbsoluteRange}
                onPick={pick}
              />
            </figure>
          );
        })}
      </div>
      {data.leftOut > 0 && <p class="muted">{data.leftOut} smaller series are not drawn.</p>}
    </section>
  );
}

const noneAlone: ReadonlySet<string> = new Set();

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
