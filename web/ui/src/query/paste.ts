/** Guesses what somebody pasted into the big box on Home and where it leads. */
import { hrefOf } from "../app/address";

/** The page for a pasted text: a trace id opens its trace, a metric expression the chart, anything else a log search. */
export function destinationOf(text: string): string {
  const trimmed = text.trim();
  const traceId = traceIdIn(trimmed);
  if (traceId !== undefined) return `/trace/${traceId}`;
  if (looksLikeMetrics(trimmed)) return hrefOf("/explore", { expr: trimmed });
  return hrefOf("/logs", { q: trimmed });
}

/** The trace id in a text that is one: 32 hex digits (UUID dashes allowed), a W3C traceparent, or `trace_id=…`. */
export function traceIdIn(text: string): string | undefined {
  const bare = text.replace(/^"|"$/g, "");
  const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/i.exec(bare);
  const named = /^(?:trace[_.-]?id|traceid)\s*[:=]\s*"?([0-9a-f]{32})"?$/i.exec(bare);
  const plain =
    /^([0-9a-f]{32})$/i.exec(bare) ?? /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/i.exec(bare);
  const id = (traceparent?.[1] ?? named?.[1] ?? plain?.[1])?.replaceAll("-", "").toLowerCase();
  return id === undefined || /^0+$/.test(id) ? undefined : id;
}

/** A PromQL function call over a selector, or a selector in braces: nothing that the log search could mean. */
function looksLikeMetrics(text: string): boolean {
  return (
    /^(sum|avg|min|max|count|topk|quantile|rate|irate|increase|histogram_quantile|\w+_over_time)\s*(by\s*\([^)]*\)\s*)?\(.+\)/s.test(
      text,
    ) ||
    /^[\w:]*\{.*=.*\}(\[\w+\])?$/s.test(text) ||
    /^\{"[^"]+"/.test(text)
  );
}
