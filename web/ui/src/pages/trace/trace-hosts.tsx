/** The hosts that a trace touched: how their metrics went about it, and what else they did at that moment. */
import { useEffect, useState } from "preact/hooks";
import type { LogRecord } from "../../api/log-record";
import { searchLogs } from "../../api/logs";
import type { HostMetric } from "../../api/traces";
import { hrefOf } from "../../app/address";
import { count, value } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { labelsText } from "../../chart/chart-data";
import { plainLine } from "../../list/line-text";
import { LogRow } from "../../list/log-row";
import { quoted } from "../../query/query-text";
import { absoluteRange, isoOf, type TimeRange } from "../../time/range";
import { minute, second } from "../../time/span";

interface TraceHostsProps {
  readonly hosts: readonly string[];
  readonly traceId: string;
  readonly metrics: readonly HostMetric[];
  /** From the trace's begin to its end. */
  readonly range: TimeRange;
}

/** How far about the trace its hosts' other lines are shown. */
const aroundMs = 2 * second;
const linesMax = 100;

export function TraceHosts({ hosts, traceId, metrics, range }: TraceHostsProps) {
  return (
    <section class="trace-hosts" aria-label="Its hosts">
      {hosts.map((host) => (
        <Host
          key={host}
          host={host}
          traceId={traceId}
          metrics={metrics.filter(({ metric }) => (metric["host"] ?? metric["instance"]) === host)}
          range={range}
        />
      ))}
    </section>
  );
}

interface HostProps {
  readonly host: string;
  readonly traceId: string;
  readonly metrics: readonly HostMetric[];
  readonly range: TimeRange;
}

function Host({ host, traceId, metrics, range }: HostProps) {
  const [open, setOpen] = useState(false);
  return (
    <div class="trace-host">
      <div class="trace-host-head">
        <h2>{plainLine(host)}</h2>
        <button type="button" class="button button-small" aria-expanded={open} onClick={() => setOpen(!open)}>
          What else did this host do
        </button>
      </div>
      {metrics.map((metric) => (
        <Strip key={JSON.stringify(metric.metric)} metric={metric} range={range} />
      ))}
      {open && <OtherLines host={host} traceId={traceId} range={range} />}
    </div>
  );
}

/** One metric about the time of the trace, whose moment is marked. */
function Strip({ metric: { metric, values = [] }, range }: { readonly metric: HostMetric; readonly range: TimeRange }) {
  const points = values
    .map(([time, text]) => [time * 1000, Number(text)] as const)
    .filter(([, y]) => Number.isFinite(y));
  const from = Math.min(range.from, ...points.map(([time]) => time));
  const to = Math.max(range.to, ...points.map(([time]) => time));
  const highest = Math.max(...points.map(([, y]) => y));
  const lowest = Math.min(0, ...points.map(([, y]) => y));
  const x = (time: number): number => ((time - from) / Math.max(1, to - from)) * 1000;
  const y = (number: number): number => 30 - (highest === lowest ? 0 : ((number - lowest) / (highest - lowest)) * 28);
  const line = points.map(
    ([time, number], at) => `${at === 0 ? "M" : "L"}${x(time).toFixed(1)} ${y(number).toFixed(1)}`,
  );
  const { __name__: name = "", host: _, env: __, ...labels } = metric;
  const around = absoluteRange({ from: range.from - 15 * minute, to: range.to + 15 * minute });
  return (
    <div class="lane strip">
      <span class="lane-name" title={labelsText(metric)}>
        <a href={hrefOf("/explore", { name, ...around })}>{name}</a> <span class="muted">{labelsText(labels)}</span>
      </span>
      <span class="lane-track">
        <svg class="strip-line" viewBox="0 0 1000 32" preserveAspectRatio="none" aria-hidden="true">
          <rect x={x(range.from)} y="0" width={Math.max(3, x(range.to) - x(range.from))} height="32" />
          <path d={line.join("")} />
        </svg>
      </span>
      <span class="strip-value" title="The highest from 5 minutes before to 5 minutes after">
        {points.length === 0 ? "–" : value(highest)}
      </span>
    </div>
  );
}

/** The lines of a host about the time of the trace that are none of the trace's. */
function OtherLines({ host, traceId, range }: Omit<HostProps, "metrics">) {
  const [lines, setLines] = useState<readonly LogRecord[] | undefined>(undefined);
  const [problem, setProblem] = useState("");
  const q = `host:${quoted(host)} -trace_id:${traceId}`;
  const around = { from: isoOf(range.from - aroundMs), to: isoOf(range.to + aroundMs) };
  useEffect(() => {
    const asking = new AbortController();
    const found: LogRecord[] = [];
    const listener = { record: (record: LogRecord) => void found.push(record), progress: () => undefined };
    const request = { q, ...around, order: "oldest" as const, limit: linesMax };
    void searchLogs(request, listener, asking.signal).then((answer) => {
      if (asking.signal.aborted) return;
      setLines(found);
      if (!answer.ok) setProblem(answer.failure.message);
    });
    return () => asking.abort();
  }, [q]);
  if (lines === undefined) return <p class="muted">Fetching its lines …</p>;
  return (
    <>
      <p class="muted">
        {problem !== "" ? problem : lines.length === 0 ? "It said nothing else" : `${count(lines.length)} lines`} from 2
        s before to 2 s after.{" "}
        <a
          href={hrefOf("/logs", {
            q: `host:${quoted(host)}`,
            from: isoOf(range.from - minute),
            to: isoOf(range.to + minute),
          })}
        >
          Open a minute about it in Logs
        </a>
      </p>
      <div class="trace-other" role="grid" aria-label={`Other lines of ${host}`} tabIndex={0}>
        {lines.map((record, index) => (
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
            onToggle={() => undefined}
          />
        ))}
      </div>
    </>
  );
}
