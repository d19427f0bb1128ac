/**
 * Who makes so many metric series: the metrics and sources with the most, those that met a limit first, and which label of
 * a metric does it. The open metric stands in the address.
 */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { fetchCardinality, type Cardinality, type Limited } from "../../api/cardinality";
import { createRemote } from "../../api/remote";
import { amend, parameter } from "../../app/location";
import { bytes, count } from "../../app/number-format";
import { noRoomText } from "./no-room";

/** Series change slowly, and counting a million of them takes the server some milliseconds. */
const intervalMs = 30_000;

const cardinality = createRemote<Cardinality>();
const ofMetric = createRemote<Cardinality>();

export function SeriesCulprits() {
  const open = parameter("metric");
  useEffect(() => {
    const ask = (): void => void cardinality.load((signal) => fetchCardinality("", signal));
    ask();
    const timer = setInterval(() => document.visibilityState === "visible" && ask(), intervalMs);
    return () => {
      clearInterval(timer);
      cardinality.stop();
    };
  }, []);
  useEffect(() => {
    ofMetric.stop(true);
    if (open !== "") void ofMetric.load((signal) => fetchCardinality(open, signal));
  }, [open]);
  const all = cardinality.value.value;
  const failure = cardinality.failure.value;
  const labels = open === "" ? all : ofMetric.value.value;
  return (
    <section class="panel" aria-label="Series">
      <h2>Series</h2>
      {failure !== undefined && (
        <p class="warning-text" role="status">
          {failure.message}
        </p>
      )}
      {all === undefined && failure === undefined && (
        <p class="muted" role="status">
          Asking who makes how many series …
        </p>
      )}
      {all !== undefined && (
        <>
          <p class="muted">
            {count(all.series)} metric series of the last hours; knowing them takes {bytes(all.bytes)}.
          </p>
          <Culprits title="Metrics" columns={["metric", "series", "had no room"]}>
            {all.metrics.map(({ name, series, limited }) => (
              <tr key={name}>
                <td class="mono agent-long">
                  <button
                    type="button"
                    class="link-button"
                    aria-expanded={name === open}
                    title="Which of its labels make so many"
                    onClick={() => amend({ metric: name === open ? null : name })}
                  >
                    {name}
                  </button>
                </td>
                <td class="number">{count(series)}</td>
                <td>
                  <NoRoom limited={limited} />
                </td>
              </tr>
            ))}
          </Culprits>
          <Culprits title={open === "" ? "Labels" : `Labels of ${open}`} columns={["label", "values", "commonest"]}>
            {(labels?.labels ?? [])
              .filter(({ name }) => name !== "__name__")
              .map(({ name, values, top }) => (
                <tr key={name}>
                  <td class="mono agent-long">{name}</td>
                  <td class="number">{count(values)}</td>
                  <td class="mono agent-long">
                    {top
                      .slice(0, 3)
                      .map(({ value, series }) => `${value} (${count(series)})`)
                      .join(", ")}
                  </td>
                </tr>
              ))}
          </Culprits>
          <Culprits title="Senders" columns={["source", "series", "had no room"]}>
            {all.sources.map(({ label, name, series, limited }) => (
              <tr key={`${label} ${name}`}>
                <td class="agent-long">
                  {label === "" ? <span class="muted">no host or instance</span> : <code class="mono">{name}</code>}
                </td>
                <td class="number">{count(series)}</td>
                <td>
                  <NoRoom limited={limited} />
                </td>
              </tr>
            ))}
          </Culprits>
        </>
      )}
    </section>
  );
}

function NoRoom({ limited }: { readonly limited: Limited | null }) {
  if (limited === null) return <span class="muted">none</span>;
  return <span class="warning-text">{noRoomText(limited)}</span>;
}

interface CulpritsProps {
  readonly title: string;
  /** Of a name, a number and a text. */
  readonly columns: readonly [string, string, string];
  readonly children: ComponentChildren;
}

function Culprits({ title, columns, children }: CulpritsProps) {
  return (
    <div class="agent-part">
      <h3>{title}</h3>
      <div class="table-frame" tabIndex={0} role="region" aria-label={title}>
        <table class="table">
          <thead>
            <tr>
              {columns.map((name, at) => (
                <th key={name} scope="col" class={at === 1 ? "number" : ""}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </div>
    </div>
  );
}
