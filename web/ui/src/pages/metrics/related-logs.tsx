/** Logs of the charts' time range, from the service and host that are looked at, as a short list with the way to all of them. */
import { levels } from "../../api/log-record";
import { hrefOf } from "../../app/address";
import { amend, go, parameter } from "../../app/location";
import { zone } from "../../app/preferences";
import { LogRow } from "../../list/log-row";
import { absoluteRange } from "../../time/range";
import { briefTime } from "../../time/format";
import { pinned, related } from "./metrics-state";

export function RelatedLogs() {
  const logs = related.value.value;
  const failure = related.failure.value;
  if (failure !== undefined)
    return <p class="warning-text">The logs of this time could not be fetched: {failure.message}</p>;
  if (logs === undefined) return null;
  const isPinned = pinned.value !== undefined;
  const time = isPinned ? absoluteRange(logs.range) : { from: parameter("from"), to: parameter("to") };
  const grave = logs.records.filter(({ level }) => level === levels[0] || level === levels[1]).length;
  return (
    <section class="related" aria-label="Logs of the same time">
      <header class="related-head">
        <h3>{isPinned ? `Logs around ${briefTime(pinned.value ?? 0, zone.value, true)}` : "Logs of the same time"}</h3>
        {isPinned && (
          <button type="button" class="link-button" onClick={() => amend({ at: null })}>
            Whole time
          </button>
        )}
        {logs.query !== "" && <code class="mono">{logs.query}</code>}
        {grave > 0 && (
          <span class="bad-text">
            {grave} of the newest {logs.records.length} are errors
          </span>
        )}
        <span class="metric-space" />
        <a href={hrefOf("/logs", { q: logs.query, ...time })}>Open in Logs</a>
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
              onToggle={() => go(hrefOf("/logs", { q: logs.query, ...absoluteRange(logs.range), line: record.id }))}
            />
          ))}
        </div>
      )}
    </section>
  );
}
