/** What is arriving: one line a source, its rate, when it was last heard, and what was wrong with what it sent. */
import type { IngestReport, Source } from "../../api/ingest";
import { sourceKey, sourceRate } from "../../app/ingest-watch";
import { bytes, count, rate } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { LineView } from "../../list/line-view";
import { ago, everyZone, fullTime } from "../../time/format";

/** A source not heard for this long is pointed out. */
const silentMs = 5 * 60_000;

const kindNames: Readonly<Record<string, string>> = {
  host_metrics: "host metrics",
  json_lines: "HTTP",
  journald: "journal",
  statsd: "StatsD",
  syslog: "syslog",
  agent: "agent",
  stdin: "standard input",
};

export function SourceTable({ report }: { readonly report: IngestReport }) {
  const now = Date.parse(report.now);
  const sources = [...report.sources].sort(
    (left, right) => Number(right.records > 0) - Number(left.records > 0) || (left.kind < right.kind ? -1 : 1),
  );
  return (
    <section class="panel panel-wide" aria-label="What is arriving">
      <h2>What is arriving</h2>
      <div class="table-frame" tabIndex={0} role="region" aria-label="Sources">
        <table class="table sources">
          <thead>
            <tr>
              <th scope="col">source</th>
              <th scope="col">name</th>
              <th scope="col" class="number">
                per second
              </th>
              <th scope="col" class="number">
                received
              </th>
              <th scope="col" class="number">
                bytes
              </th>
              <th scope="col">last</th>
              <th scope="col">problems</th>
            </tr>
          </thead>
          <tbody>
            {sources.map((source) => (
              <SourceLine key={sourceKey(source)} source={source} now={now} />
            ))}
          </tbody>
        </table>
        {sources.length === 0 && <p class="muted">No source is open. taffrail.toml says which to open.</p>}
      </div>
    </section>
  );
}

function SourceLine({ source, now }: { readonly source: Source; readonly now: number }) {
  const last = source.last_seen === null ? undefined : Date.parse(source.last_seen);
  const perSecond = sourceRate(sourceKey(source));
  const silent = last !== undefined && now - last > silentMs;
  return (
    <tr>
      <td>{kindNames[source.kind] ?? source.kind}</td>
      <td class="mono">{source.name}</td>
      <td class="number">{perSecond === undefined ? "–" : rate(perSecond)}</td>
      <td class="number">{count(source.records)}</td>
      <td class="number">{bytes(source.bytes)}</td>
      <td
        class={last === undefined || silent ? "muted" : "good-text"}
        title={source.last_seen === null ? undefined : everyZone(source.last_seen)}
      >
        {last === undefined ? "never" : ago(last, now)}
      </td>
      <td>
        {source.problems.length === 0 ? (
          <span class="muted">none</span>
        ) : (
          source.problems.map(({ reason, count: times, example, last_seen }) => (
            <details key={reason} class="problem">
              <summary>
                <span class="warning-text">{count(times)}</span> {reason.replaceAll("_", " ")}
              </summary>
              <p class="muted">Last at {fullTime(Date.parse(last_seen), zone.value).slice(0, 19)}:</p>
              <code class="problem-example">
                <LineView text={example} terms={undefined} oneLine={false} />
              </code>
            </details>
          ))
        )}
      </td>
    </tr>
  );
}
