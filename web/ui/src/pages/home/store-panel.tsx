/** How fast things come in and what the store holds. */
import type { IngestReport } from "../../api/ingest";
import { currentRate, ratePoints, ratePointsMax } from "../../app/ingest-watch";
import { bytes, count, rate } from "../../app/number-format";
import { Sparkline } from "../../chart/sparkline";
import { formatSpan } from "../../time/span";

export function RatePanel() {
  const points = ratePoints.value;
  const now = currentRate.value;
  return (
    <div class="rates">
      <section class="rate" aria-label="Log lines per second">
        <span class="rate-number">{now === undefined ? "–" : rate(now.logsPerSecond)}</span>
        <span class="muted">log lines per second</span>
        <Sparkline
          values={points.map(({ logsPerSecond }) => logsPerSecond)}
          capacity={ratePointsMax}
          label="Log lines per second over the last minutes"
        />
      </section>
      <section class="rate" aria-label="Metric samples per second">
        <span class="rate-number">{now === undefined ? "–" : rate(now.samplesPerSecond)}</span>
        <span class="muted">metric samples per second</span>
        <Sparkline
          values={points.map(({ samplesPerSecond }) => samplesPerSecond)}
          capacity={ratePointsMax}
          label="Metric samples per second over the last minutes"
        />
      </section>
    </div>
  );
}

export function StorePanel({ report }: { readonly report: IngestReport }) {
  const { store } = report;
  const trouble = [...Object.entries(store.refused), ...Object.entries(store.adjusted)].filter(
    ([, times]) => times > 0,
  );
  const facts: readonly (readonly [string, string])[] = [
    ["In memory", `${count(store.head_rows)} rows, ${bytes(store.head_bytes)}`],
    ["Logs on disk", `${count(store.split_rows)} rows, ${bytes(store.split_bytes)} in ${count(store.splits)} splits`],
    ["Series", count(store.series)],
    ["Metrics on disk", `${bytes(store.block_bytes)} in ${count(store.blocks)} blocks`],
    ["Journal", bytes(store.journal_bytes)],
    ["Free on disk", bytes(store.disk_free_bytes)],
    ["Up", formatSpan(report.uptime_seconds * 1000)],
  ];
  return (
    <section class="panel" aria-label="The store">
      <h2>The store</h2>
      <dl class="facts">
        {facts.map(([name, text]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
        {trouble.map(([reason, times]) => (
          <div key={reason}>
            <dt class="warning-text">{reason.replaceAll("_", " ")}</dt>
            <dd>{count(times)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
