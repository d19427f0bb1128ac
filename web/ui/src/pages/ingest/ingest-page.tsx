/**
 * The Ingest page: every agent that delivers to this server, those in trouble first, this server's own sources, and who makes
 * how many series. An open agent and the filter stand in the address.
 */
import { useEffect } from "preact/hooks";
import "../../styles/home.css";
import "../../styles/ingest.css";
import { createRemote } from "../../api/remote";
import { copyText } from "../../app/clipboard";
import { CopyIcon } from "../../app/icons";
import { ingestFailure, ingestReport } from "../../app/ingest-watch";
import { bindKeys } from "../../app/key-bindings";
import { amend, parameter } from "../../app/location";
import { count } from "../../app/number-format";
import { pageStatus, setTitle } from "../../app/page-status";
import { share, TopBar } from "../../app/top-bar";
import { SourceTable } from "../home/source-table";
import { AgentRow, agentColumns } from "./agent-row";
import { fetchAgents, matches, type Agent, type AgentsReport } from "./agents";
import { SeriesCulprits } from "./series-culprits";

const intervalMs = 3000;
const boxId = "agent-filter";

const agents = createRemote<AgentsReport>();

export function IngestPage() {
  useEffect(() => {
    setTitle("Ingest");
    const ask = (): void => void agents.load(fetchAgents);
    ask();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") ask();
    }, intervalMs);
    return () => {
      clearInterval(timer);
      agents.stop();
    };
  }, []);
  useEffect(
    () =>
      bindKeys("Ingest", [
        { keys: "/", does: "Filter the agents", run: () => document.getElementById(boxId)?.focus() },
        { keys: "j", does: "Next agent (Enter opens it)", run: () => step(1) },
        { keys: "k", does: "Agent before", run: () => step(-1) },
        { keys: "y", does: "Copy a link to this page", run: () => void share(false) },
      ]),
    [],
  );
  const report = agents.value.value;
  const all = report?.agents;
  const filter = parameter("filter");
  const shown = (all ?? []).filter((agent) => matches(agent, filter));
  const silent = count((all ?? []).filter(({ state }) => state === "silent").length);
  useEffect(() => {
    if (all !== undefined) pageStatus.value = { rows: `${count(all.length)} agents, ${silent} silent` };
  }, [all?.length, silent]);
  const sources = ingestReport.value;
  return (
    <>
      <TopBar title="Ingest">
        <input
          id={boxId}
          class="text-input ingest-filter"
          type="search"
          aria-label="Filter the agents"
          placeholder="Filter by host, source, server or reason"
          value={filter}
          onInput={(event) => amend({ filter: event.currentTarget.value }, "replace")}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
      </TopBar>
      <main class="page-scroll ingest">
        <section class="panel" aria-label="Agents">
          <h2>Agents</h2>
          {agents.failure.value !== undefined && (
            <p class="warning-text" role="status">
              {agents.failure.value.message}
            </p>
          )}
          {all === undefined && agents.failure.value === undefined && (
            <p class="muted" role="status">
              Asking which agents deliver here …
            </p>
          )}
          {all?.length === 0 && <NoAgents />}
          {shown.length > 0 && report !== undefined && <AgentTable agents={shown} now={Date.parse(report.now)} />}
          {all !== undefined && all.length > 0 && shown.length === 0 && (
            <p class="muted">No agent has to do with this text.</p>
          )}
        </section>
        {sources === undefined ? (
          <p class="muted">{ingestFailure.value?.message ?? "Asking what is arriving …"}</p>
        ) : (
          <SourceTable report={sources} />
        )}
        <SeriesCulprits />
      </main>
    </>
  );
}

function AgentTable({ agents, now }: { readonly agents: readonly Agent[]; readonly now: number }) {
  const open = parameter("agent");
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label="Agents that deliver here">
      <table class="table agents">
        <thead>
          <tr>
            {agentColumns.map(([name, kind]) => (
              <th key={name} scope="col" class={kind === "number" ? "number" : ""}>
                {name === "" ? <span class="visually-hidden">ways on</span> : name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {agents.map((agent) => (
            <AgentRow
              key={agent.agent}
              agent={agent}
              now={now}
              open={agent.agent === open}
              onToggle={() => amend({ agent: agent.agent === open ? null : agent.agent })}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** How the first agent comes to be here. */
function NoAgents() {
  const command = `taffrail collect --to ${window.location.origin}`;
  return (
    <div class="nothing">
      <h3>No agent has delivered here yet</h3>
      <p class="muted">
        Start one on another host: it reads that host’s journal, log files and metrics, and loses nothing while this
        server is away.
      </p>
      <div class="ingest-command">
        <code class="mono">{command}</code>
        <button
          type="button"
          class="icon-button"
          aria-label="Copy the command"
          title="Copy"
          onClick={() => void copyText(command, "Command")}
        >
          <CopyIcon />
        </button>
      </div>
    </div>
  );
}

/** Moves the focus from agent to agent. */
function step(by: number): void {
  const toggles = [...document.querySelectorAll<HTMLElement>(".agent-toggle")];
  const at = toggles.findIndex((toggle) => toggle === document.activeElement);
  toggles[at === -1 ? (by > 0 ? 0 : toggles.length - 1) : Math.min(toggles.length - 1, Math.max(0, at + by))]?.focus();
}
