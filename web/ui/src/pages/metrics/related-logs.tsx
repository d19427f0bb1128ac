/** Logs of the charts' time range, from the service and host that are looked at, as a short list with the way to all of them. */
import { levels } from "../../api/log-record";
import { hrefOf } from "../../app/address";
import { go, parameter } from "../../app/location";
import { zone } from "../../app/preferences";
import { LogRow } from "../../list/log-row";
import { absoluteRange } from "../../time/range";
import { timeRange } from "../../time/range-state";
import { related } from "./metrics-state";

export function RelatedLogs() {
  const logs = related.value.value;
  const failure = related.failure.value;
  if (failure !== undefined)
    return <p class="warning-text">The logs of this time could not be fetched: {failure.message}</p>;
  if (logs === undefined) return null;
  const grave = logs.records.filter(({ level }) => level === levels[0] || level === levels[1]).length;
  return (
    <section class="related" aria-label="Logs of the same time">
      <header class="related-head">
        <h3>Logs of the same time</h3>
        {logs.query !== "" && <code class="mono">{logs.query}</code>}
        {grave > 0 && (
          <span class="bad-text">
            {grave} of the newest {logs.records.length} are errors
          </span>
        )}
        <span class="metric-space" />
        <a href={hrefOf("/logs", { q: logs.query, from: parameter("from"), to: parameter("to") })}>Open in Logs</a>
      </header>
      {logs.records.length === 0 ? (
        <p class="muted">None in this time range.</p>
      ) : (
        <div class="related-rows" role="grid" aria-label="Logs of the same time" tabIndex={0}>
          {logs.records.map((record, index) => (
            <LogRow
              key={record.id}
              record={record}
              index={index}
              columns={["service"]}
              zone={zone.value}
              withDate={false}
              wrap={false}
              terms={undefined}
              selected={false}
              onToggle={() =>
                go(hrefOf("/logs", { q: logs.query, ...absoluteRange(timeRange.peek()), line: record.id }))
              }
            />
          ))}
        </div>
      )}
    </section>
  );
}
