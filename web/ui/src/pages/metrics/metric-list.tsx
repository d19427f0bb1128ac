/** The list of metric names: searched on the server, grouped by the first part of the dotted name. */
import { useEffect, useRef } from "preact/hooks";
import type { Metric, MetricType } from "../../api/metrics";
import { count } from "../../app/number-format";
import * as state from "./metrics-state";

/** The key `/` goes here. */
export const metricSearchId = "metric-search";
/** Typing asks the server after this pause. */
const typingMs = 150;

const typeLetters: Readonly<Record<MetricType, string>> = { counter: "C", gauge: "G", distribution: "D", set: "S" };

export function MetricList() {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    void state.loadNames();
    return () => clearTimeout(timer.current);
  }, []);
  const found = state.names.value.value ?? [];
  const chosen = state.metricName.value;
  return (
    <aside class="metric-list" aria-label="Metrics">
      <input
        id={metricSearchId}
        class="text-input"
        type="search"
        aria-label="Search metric names"
        placeholder="Search metrics"
        spellcheck={false}
        value={state.search.value}
        onInput={(event) => {
          state.search.value = event.currentTarget.value;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => void state.loadNames(), typingMs);
        }}
        onKeyDown={(event) => {
          const [first] = found;
          if (event.key === "Enter" && first !== undefined) state.choose(first.name);
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      {state.names.failure.value !== undefined && <p class="warning-text">{state.names.failure.value.message}</p>}
      <nav class="metric-names" aria-label="Metric names">
        {groupsOf(found).map(([group, metrics]) => (
          <section key={group}>
            {(group !== "" || found.length > metrics.length) && <h2>{group === "" ? "others" : group}</h2>}
            <ul>
              {metrics.map((metric) => (
                <li key={metric.name}>
                  <button
                    type="button"
                    class="metric-name"
                    aria-current={metric.name === chosen ? "true" : undefined}
                    onClick={() => state.choose(metric.name)}
                    title={`${metric.name}: ${metric.type}, ${count(metric.series)} series`}
                  >
                    <span class={`metric-type metric-${metric.type}`} aria-label={metric.type}>
                      {typeLetters[metric.type]}
                    </span>
                    <span class="metric-label">{group === "" ? metric.name : metric.name.slice(group.length + 1)}</span>
                    <span class="muted">
                      {metric.unit === undefined || metric.unit === "" ? "" : `${metric.unit} · `}
                      {count(metric.series)}
                    </span>
                  </button>
                </li>
              ))}
            </ul>
          </section>
        ))}
        {found.length === 0 && !state.names.loading.value && (
          <p class="muted">
            {state.search.value === ""
              ? "No metrics have arrived yet. Home shows how to send some."
              : "No name holds this text."}
          </p>
        )}
      </nav>
    </aside>
  );
}

/** Groups of at least two by the part before the first dot or underscore; the rest stands without a heading. */
function groupsOf(metrics: readonly Metric[]): readonly (readonly [string, readonly Metric[]])[] {
  const groups = new Map<string, Metric[]>();
  for (const metric of metrics) {
    const cut = metric.name.search(/[._]/);
    const group = cut <= 0 ? "" : metric.name.slice(0, cut);
    groups.set(group, [...(groups.get(group) ?? []), metric]);
  }
  const single = [...groups]
    .filter(([group, members]) => group === "" || members.length === 1)
    .flatMap(([, members]) => members);
  const several = [...groups].filter(([group, members]) => group !== "" && members.length > 1);
  return single.length === 0 ? several : [...several, ["", single] as const];
}
