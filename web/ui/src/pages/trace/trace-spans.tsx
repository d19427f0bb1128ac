/** Beside a trace's lines: its spans as they tell them, and how its hosts were doing. */
import type { HostMetric, TraceSpan } from "../../api/traces";
import { hrefOf } from "../../app/address";
import { count } from "../../app/number-format";
import { labelsText } from "../../chart/chart-data";
import { absoluteRange, type TimeRange } from "../../time/range";
import { formatSpan, minute } from "../../time/span";

/** More spans than anybody reads are in the lines below. */
const spansMax = 100;
const knownBy = {
  lines: "from its first line to its last",
  duration: "a line says how long it took",
  ends: "a line says when it began and ended",
};

export function TraceSpans({ spans, began }: { readonly spans: readonly TraceSpan[]; readonly began: number }) {
  return (
    <section class="trace-list" aria-label="Spans" tabIndex={0}>
      <h2>Spans</h2>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Service</th>
            <th scope="col">Host</th>
            <th scope="col">Span</th>
            <th scope="col">Part of</th>
            <th scope="col" class="number">
              Began after
            </th>
            <th scope="col" class="number">
              Took
            </th>
            <th scope="col" class="number">
              Records
            </th>
            <th scope="col" class="number">
              Errors
            </th>
          </tr>
        </thead>
        <tbody>
          {spans.slice(0, spansMax).map((span) => (
            <tr key={span.span_id}>
              <td>{span.service}</td>
              <td>{span.host}</td>
              <td class="mono">{span.span_id}</td>
              <td class="mono">{span.parent_span_id ?? ""}</td>
              <td class="number">{formatSpan(Math.max(0, Date.parse(span.start) - began))}</td>
              <td class="number" title={knownBy[span.known_by]}>
                {formatSpan(span.duration_ms)}
              </td>
              <td class="number">{count(span.records)}</td>
              <td class={span.errors > 0 ? "number bad-text" : "number"}>{count(span.errors)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {spans.length > spansMax && <p class="muted">{count(spans.length - spansMax)} more are in the lines below.</p>}
    </section>
  );
}

interface HostMetricsProps {
  readonly metrics: readonly HostMetric[];
  readonly range: TimeRange;
}

/** The highest value of each metric around the trace, with a way to its chart. */
export function HostMetrics({ metrics, range }: HostMetricsProps) {
  const around = absoluteRange({ from: range.from - 15 * minute, to: range.to + 15 * minute });
  return (
    <section class="trace-exemplars" aria-label="Its hosts around it">
      <h2>Its hosts around it</h2>
      <ul>
        {metrics.map(({ metric, values = [] }) => (
          <li key={JSON.stringify(metric)}>
            <a href={hrefOf("/explore", { name: metric["__name__"] ?? "", ...around })}>{labelsText(metric)}</a>{" "}
            <strong>{Math.max(...values.map(([, value]) => Number(value))).toPrecision(3)}</strong>{" "}
            <span class="muted">at most, 5 minutes before to 5 minutes after</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
