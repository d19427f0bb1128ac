/** An open agent: who it is, its sources, the servers it delivers to, its lanes, and what it gave up and why. */
import type { ComponentChildren } from "preact";
import { bytes, count, rate } from "../../app/number-format";
import { ago, everyZone } from "../../time/format";
import { formatSpan } from "../../time/span";
import { lagText, Unsaid } from "./agent-row";
import { endpointState, type Agent, type AgentReport } from "./agents";

export function AgentDetail({ agent, now }: { readonly agent: Agent; readonly now: number }) {
  const { report } = agent;
  return (
    <div class="agent-detail">
      <Facts agent={agent} now={now} />
      {report === null ? (
        <p class="muted">
          This agent does not say how it does: <code class="mono">collector.own_health.enabled</code> is off, or nothing
          of it has arrived yet.
        </p>
      ) : (
        <>
          <Sources host={agent.host} report={report} />
          <Servers host={agent.host} report={report} />
          <Lanes host={agent.host} report={report} />
          <GivenUp host={agent.host} report={report} />
        </>
      )}
    </div>
  );
}

function Facts({ agent, now }: { readonly agent: Agent; readonly now: number }) {
  const { received, report } = agent;
  const ship = report?.ship;
  const { resident_bytes, cpu_seconds_per_second, uptime_seconds } = report?.process ?? {};
  const spool =
    ship?.spool_bytes === undefined
      ? undefined
      : `${bytes(ship.spool_bytes)}${ship.spool_bytes_max === undefined ? "" : ` of ${bytes(ship.spool_bytes_max)}`}, ${batches(ship.waiting_batches ?? 0)} waiting`;
  const refused = Object.entries(received.refused).map(([reason, times]) => `${count(times)} ${words(reason)}`);
  const facts: readonly (readonly [name: string, text: string | undefined, title?: string | undefined])[] = [
    ["Id", agent.agent],
    ["Address", agent.address],
    ["Version", agent.version ?? undefined],
    ["First seen", ago(Date.parse(agent.first_seen), now), everyZone(agent.first_seen)],
    ["Up", uptime_seconds === undefined ? undefined : formatSpan(Math.round(uptime_seconds) * 1000)],
    ["Memory", resident_bytes === undefined ? undefined : bytes(resident_bytes)],
    ["Processor", cpu_seconds_per_second === undefined ? undefined : `${(cpu_seconds_per_second * 100).toFixed(1)} %`],
    ["Spool", spool],
    ["Brought here", `${count(received.rows)} rows, ${bytes(received.bytes)}`],
    ["Sent again", received.duplicate_batches > 0 ? `${batches(received.duplicate_batches)}, stored once` : undefined],
    ["Refused", refused.length > 0 ? refused.join(", ") : undefined],
    [
      "Newest record",
      agent.newest_record === null ? undefined : ago(Date.parse(agent.newest_record), now),
      agent.newest_record === null ? undefined : everyZone(agent.newest_record),
    ],
  ];
  return (
    <dl class="agent-facts">
      {facts
        .filter(([, text]) => text !== undefined)
        .map(([name, text, title]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd title={title}>{text}</dd>
          </div>
        ))}
    </dl>
  );
}

interface PartOf {
  readonly host: string;
  readonly report: AgentReport;
}

function Sources({ host, report }: PartOf) {
  const sources = report.sources ?? [];
  if (sources.length === 0) return <p class="muted">It has no source open.</p>;
  return (
    <Part
      host={host}
      title="Sources"
      columns={["kind", "name", "per second", "bytes per second", "records", "unread", "behind", "problems"]}
      numbers={[2, 3, 4, 5, 6]}
    >
      {sources.map((source) => (
        <tr key={`${source.kind} ${source.name}`}>
          <td>{words(source.kind)}</td>
          <td class="mono agent-long">{source.name}</td>
          <td class="number">{rate(source.records_per_second ?? 0)}</td>
          <td class="number">{bytes(source.bytes_per_second ?? 0)}</td>
          <td class="number">{count(source.records ?? 0)}</td>
          <td class="number">{source.lag_bytes === undefined ? <Unsaid /> : bytes(source.lag_bytes)}</td>
          <td class="number">{source.lag_seconds === undefined ? <Unsaid /> : lagText(source.lag_seconds)}</td>
          <td>
            {(source.problems ?? []).length === 0 ? (
              <span class="muted">none</span>
            ) : (
              (source.problems ?? []).map(({ reason, count: times }) => (
                <span key={reason} class="agent-problem">
                  <span class="warning-text">{count(times)}</span> {words(reason)}
                </span>
              ))
            )}
          </td>
        </tr>
      ))}
    </Part>
  );
}

function Servers({ host, report }: PartOf) {
  const endpoints = report.ship?.endpoints ?? [];
  if (endpoints.length === 0) return null;
  return (
    <Part
      host={host}
      title="Delivers to"
      columns={["server", "state", "failures in a row", "under way", "deadline", "round trip", "batches per second"]}
      numbers={[2, 3, 4, 5, 6]}
    >
      {endpoints.map((endpoint) => {
        const { word, tone } = endpointState(endpoint);
        return (
          <tr key={endpoint.url}>
            <td class="mono agent-long">{endpoint.url}</td>
            <td
              class={tone === "muted" ? "muted" : `${tone}-text`}
              title={endpoint.state === undefined ? undefined : `breaker: ${words(endpoint.state)}`}
            >
              {word}
            </td>
            <td class="number">{count(endpoint.failures_in_a_row ?? 0)}</td>
            <td class="number">
              {endpoint.in_flight === undefined ? <Unsaid /> : count(endpoint.in_flight)}
              {endpoint.concurrency !== undefined && ` of ${count(endpoint.concurrency)}`}
            </td>
            <td class="number">{span(endpoint.deadline_ms)}</td>
            <td class="number">{span(endpoint.rtt_ms)}</td>
            <td class="number">
              {endpoint.acked_batches_per_second === undefined ? <Unsaid /> : rate(endpoint.acked_batches_per_second)}
            </td>
          </tr>
        );
      })}
    </Part>
  );
}

function Lanes({ host, report }: PartOf) {
  const lanes = report.ship?.lanes ?? [];
  if (lanes.length === 0) return null;
  return (
    <Part
      host={host}
      title="Lanes"
      columns={["lane", "batches wait", "of them backlog", "under way", "rows per second"]}
      numbers={[1, 2, 3, 4]}
    >
      {lanes.map((lane) => (
        <tr key={lane.lane}>
          <td>{lane.lane}</td>
          <td class="number">{count(lane.waiting_batches ?? 0)}</td>
          <td class="number">{count(lane.backlog_batches ?? 0)}</td>
          <td class="number">{count(lane.in_flight ?? 0)}</td>
          <td class="number">{rate(lane.acked_rows_per_second ?? 0)}</td>
        </tr>
      ))}
    </Part>
  );
}

/** What it did not deliver, or perhaps delivered twice, and why. */
function GivenUp({ host, report }: PartOf) {
  const ship = report.ship;
  const byRules = (report.sources ?? []).flatMap(({ kind, rules }) =>
    (rules ?? [])
      .filter(({ effect }) => effect === "dropped" || effect === "sampled_out" || effect === "limited")
      .map(({ rule, effect, count }) => ({
        what: `${words(kind)}, ${words(effect)}`,
        why: `the rule ${rule}`,
        rows: count,
      })),
  );
  const rows = [
    ...byRules,
    ...(report.sources ?? []).flatMap(({ kind, shed }) =>
      (shed ?? []).map(({ reason, count }) => ({ what: `shed by ${words(kind)}`, why: words(reason), rows: count })),
    ),
    {
      what: "quarantined",
      why: "servers refused them for good; they lie in quarantine/ of its state directory",
      rows: ship?.quarantined_records ?? 0,
    },
    { what: "damaged", why: "files of its spool could not be read any more", rows: ship?.damaged_records ?? 0 },
    {
      what: "perhaps stored twice",
      why: "no server said for long whether it has them (collector.uncertain_wait)",
      rows: ship?.possible_duplicates ?? 0,
    },
  ].filter(({ rows }) => rows > 0);
  if (rows.length === 0) return <p class="muted">{host} gave nothing up.</p>;
  return (
    <Part host={host} title="Given up" columns={["what", "records", "why"]} numbers={[1]}>
      {rows.map(({ what, why, rows }) => (
        <tr key={`${what} ${why}`}>
          <td>{what}</td>
          <td class="number bad-text">{count(rows)}</td>
          <td>{why}</td>
        </tr>
      ))}
    </Part>
  );
}

interface PartProps {
  readonly host: string;
  readonly title: string;
  readonly columns: readonly string[];
  /** Which of them hold numbers. */
  readonly numbers: readonly number[];
  readonly children: ComponentChildren;
}

function Part({ host, title, columns, numbers, children }: PartProps) {
  return (
    <div class="agent-part">
      <h3>{title}</h3>
      <div class="table-frame" tabIndex={0} role="region" aria-label={`${title} of ${host}`}>
        <table class="table">
          <thead>
            <tr>
              {columns.map((name, at) => (
                <th key={name} scope="col" class={numbers.includes(at) ? "number" : ""}>
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

function span(milliseconds: number | undefined) {
  return milliseconds === undefined ? <Unsaid /> : formatSpan(Math.round(milliseconds));
}

function batches(number: number): string {
  return number === 1 ? "1 batch" : `${count(number)} batches`;
}

function words(name: string): string {
  return name.replaceAll("_", " ");
}
