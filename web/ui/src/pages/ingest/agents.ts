/** The agents that deliver to this server: what the server knows of each, and what that means to the reader. */
import type { Answer } from "../../api/answer";
import { getJson } from "../../api/request";

export interface AgentProblem {
  readonly reason: string;
  readonly count: number;
}

/** What a rule of the agent's configuration did with a source's records. */
export interface AgentRule {
  readonly rule: string;
  /** `dropped`, `sampled_out`, `limited`, `kept`, `changed` or `redacted`. */
  readonly effect: string;
  readonly count: number;
}

export interface AgentSource {
  readonly kind: string;
  readonly name: string;
  readonly records?: number;
  readonly records_per_second?: number;
  readonly bytes_per_second?: number;
  readonly lag_bytes?: number;
  readonly lag_seconds?: number;
  readonly open_files?: number;
  readonly problems?: readonly AgentProblem[];
  readonly rules?: readonly AgentRule[];
  /** What it gave up, because nobody took it in time. */
  readonly shed?: readonly AgentProblem[];
}

export interface AgentEndpoint {
  readonly url: string;
  /** The breaker's; absent from agents that have none. */
  readonly state?: string;
  readonly failures_in_a_row?: number;
  readonly in_flight?: number;
  readonly concurrency?: number;
  readonly deadline_ms?: number;
  readonly rtt_ms?: number;
  readonly acked_batches_per_second?: number;
}

export interface AgentLane {
  readonly lane: string;
  readonly waiting_batches?: number;
  readonly backlog_batches?: number;
  readonly in_flight?: number;
  readonly acked_rows_per_second?: number;
}

/** What an agent says of itself. */
export interface AgentReport {
  readonly time: string;
  readonly interval_seconds: number;
  readonly process?: {
    readonly uptime_seconds?: number;
    readonly resident_bytes?: number;
    readonly cpu_seconds_per_second?: number;
  };
  readonly sources?: readonly AgentSource[];
  readonly ship?: {
    readonly spool_bytes?: number;
    readonly spool_bytes_max?: number;
    readonly waiting_batches?: number;
    readonly quarantined_records?: number;
    readonly damaged_records?: number;
    readonly possible_duplicates?: number;
    readonly endpoints?: readonly AgentEndpoint[];
    readonly lanes?: readonly AgentLane[];
  };
}

export interface Agent {
  readonly agent: string;
  readonly host: string;
  readonly state: "ok" | "lagging" | "silent";
  readonly version: string | null;
  readonly address: string;
  readonly first_seen: string;
  readonly last_seen: string;
  readonly last_seen_seconds: number;
  readonly newest_record: string | null;
  readonly lag_seconds: number | null;
  readonly received: {
    readonly rows: number;
    readonly bytes: number;
    readonly rows_per_second: number;
    readonly bytes_per_second: number;
    readonly duplicate_batches: number;
    readonly refused: Readonly<Record<string, number>>;
  };
  readonly report: AgentReport | null;
}

export interface AgentsReport {
  readonly now: string;
  readonly lagging_after_seconds: number;
  readonly agents: readonly Agent[];
}

export function fetchAgents(signal?: AbortSignal): Promise<Answer<AgentsReport>> {
  return getJson("/api/v1/agents", {}, signal);
}

/** Records that an agent gave up: shed by its sources, damaged in its spool, or refused by servers for good. */
export function shedRows(agent: Agent): number {
  const ship = agent.report?.ship;
  const shed = (agent.report?.sources ?? [])
    .flatMap((source) => source.shed ?? [])
    .reduce((sum, { count }) => sum + count, 0);
  return shed + (ship?.quarantined_records ?? 0) + (ship?.damaged_records ?? 0);
}

/** What could not be taken as it was, over all sources, by reason. */
export function problemsOf(agent: Agent): ReadonlyMap<string, number> {
  const problems = new Map<string, number>();
  for (const source of agent.report?.sources ?? [])
    for (const { reason, count } of source.problems ?? []) problems.set(reason, (problems.get(reason) ?? 0) + count);
  return problems;
}

/** How a server stands with an agent, in a word, and how bad that is. */
export function endpointState(endpoint: AgentEndpoint): { readonly word: string; readonly tone: Tone | "muted" } {
  const failures = endpoint.failures_in_a_row ?? 0;
  switch (endpoint.state) {
    case "closed":
      return { word: "up", tone: "good" };
    case "new":
      return { word: "not needed yet", tone: "muted" };
    case "half_open":
      return { word: "being tried", tone: "warning" };
    case "paused":
      return { word: "paused", tone: "warning" };
    case "open":
      return { word: "down", tone: "bad" };
    default:
      return failures > 0 ? { word: "failing", tone: "bad" } : { word: "up", tone: "good" };
  }
}

export type Tone = "good" | "warning" | "bad";

/** The tone of an agent as a whole. */
export function agentTone(agent: Agent): Tone {
  return agent.state === "ok" ? "good" : agent.state === "lagging" ? "warning" : "bad";
}

/** Whether a text stands in what tells an agent from others: host, id, address, version, state, its sources and troubles. */
export function matches(agent: Agent, filter: string): boolean {
  const wanted = filter.trim().toLowerCase();
  if (wanted === "") return true;
  const texts = [
    agent.host,
    agent.agent,
    agent.address,
    agent.version ?? "",
    agent.state,
    ...problemsOf(agent).keys(),
    ...(agent.report?.sources ?? []).flatMap(({ kind, name }) => [kind, name]),
    ...(agent.report?.ship?.endpoints ?? []).map(({ url }) => url),
  ];
  return texts.some((text) => text.toLowerCase().includes(wanted));
}
