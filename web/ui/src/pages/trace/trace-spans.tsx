/** A trace's spans as its lines tell them, as a table. */
import type { TraceSpan } from "../../api/traces";
import { count } from "../../app/number-format";
import { formatSpan } from "../../time/span";

/** More spans than anybody reads are in the lines below. */
const spansMax = 100;
const knownBy = {
  lines: "from its first line to its last",
  duration: "a line says how long it took",
  ends: "it was sent as a span, or a line says when it began and ended",
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
              <td class="mono">
                {span.name !== null && (
                  <span title={span.kind === null ? undefined : `${span.kind} span`}>{span.name} </span>
                )}
                <span class={span.name === null ? undefined : "muted"}>{span.span_id}</span>
              </td>
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
