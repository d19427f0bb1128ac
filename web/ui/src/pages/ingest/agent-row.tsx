/** One agent of the Ingest page: a line of the table, and below it, when open, everything it says of itself. */
import { hrefOf } from "../../app/address";
import { DownIcon, RightIcon } from "../../app/icons";
import { bytes, count, rate } from "../../app/number-format";
import { quoted } from "../../query/query-text";
import { ago, everyZone } from "../../time/format";
import { formatSpan } from "../../time/span";
import { AgentDetail } from "./agent-detail";
import { agentTone, endpointState, problemsOf, shedRows, type Agent } from "./agents";

/** The service that an agent's own log names. */
const ownService = "taffrail-agent";

/** Columns of the table, in order; those with a second word are numbers. */
export const agentColumns: readonly (readonly [name: string, kind: "text" | "number"])[] = [
  ["agent", "text"],
  ["state", "text"],
  ["last seen", "text"],
  ["lag", "number"],
  ["rows per second", "number"],
  ["bytes per second", "number"],
  ["spool", "number"],
  ["shed", "number"],
  ["problems", "number"],
  ["servers", "text"],
  ["", "text"],
];

interface AgentRowProps {
  readonly agent: Agent;
  readonly now: number;
  readonly open: boolean;
  readonly onToggle: () => void;
}

export function AgentRow({ agent, now, open, onToggle }: AgentRowProps) {
  const { received, report } = agent;
  const ship = report?.ship;
  const shed = shedRows(agent);
  const problems = [...problemsOf(agent).values()].reduce((sum, times) => sum + times, 0);
  const detailId = `agent-${agent.agent}`;
  const Chevron = open ? DownIcon : RightIcon;
  return (
    <>
      <tr class={`agent agent-${agent.state}`}>
        <td class="agent-name">
          <button
            type="button"
            class="agent-toggle"
            aria-expanded={open}
            aria-controls={open ? detailId : undefined}
            onClick={onToggle}
          >
            <Chevron />
            <strong>{agent.host === "" ? "no name yet" : agent.host}</strong>
            <span class="muted mono">{agent.agent.slice(0, 8)}</span>
          </button>
        </td>
        <td data-name="state">
          <span class={`state state-${{ good: "inactive", warning: "pending", bad: "firing" }[agentTone(agent)]}`}>
            {agent.state}
          </span>
        </td>
        <td data-name="last seen" title={everyZone(agent.last_seen)}>
          {ago(Date.parse(agent.last_seen), now)}
        </td>
        <td data-name="lag" class={agent.state === "lagging" ? "number warning-text" : "number"}>
          {agent.lag_seconds === null ? <Unsaid /> : lagText(agent.lag_seconds)}
        </td>
        <td data-name="rows/s" class="number">
          {rate(received.rows_per_second)}
        </td>
        <td data-name="bytes/s" class="number">
          {bytes(received.bytes_per_second)}
        </td>
        <td data-name="spool" class="number">
          {ship?.spool_bytes === undefined ? <Unsaid /> : bytes(ship.spool_bytes)}
        </td>
        <td data-name="shed" class={shed > 0 ? "number bad-text" : "number"}>
          {report === null ? <Unsaid /> : count(shed)}
        </td>
        <td data-name="problems" class={problems > 0 ? "number warning-text" : "number"}>
          {report === null ? <Unsaid /> : count(problems)}
        </td>
        <td data-name="servers">
          <span class="agent-servers">
            {(ship?.endpoints ?? []).map((endpoint) => {
              const { word, tone } = endpointState(endpoint);
              return (
                <span key={endpoint.url} class={tone === "muted" ? "muted" : `${tone}-text`} title={endpoint.url}>
                  {word}
                </span>
              );
            })}
            {ship?.endpoints === undefined && <Unsaid />}
          </span>
        </td>
        <td class="agent-ways">
          <a href={hrefOf("/logs", { q: `service:${ownService} host:${quoted(agent.host)}` })}>
            Its log<span class="visually-hidden"> of {agent.host}</span>
          </a>
          <a href={hrefOf("/logs", { q: `host:${quoted(agent.host)}` })}>
            Host’s logs<span class="visually-hidden"> of {agent.host}</span>
          </a>
        </td>
      </tr>
      {open && (
        <tr class="agent-open" id={detailId}>
          <td colSpan={agentColumns.length}>
            <AgentDetail agent={agent} now={now} />
          </td>
        </tr>
      )}
    </>
  );
}

/** The agent does not say. */
export function Unsaid() {
  return <span class="muted">–</span>;
}

/** A lag in whole seconds once it has any. */
export function lagText(seconds: number): string {
  return seconds === 0 ? "none" : formatSpan(seconds < 1 ? Math.ceil(seconds * 1000) : Math.round(seconds) * 1000);
}
