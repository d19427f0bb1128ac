/** The view that is shown, as a `taffrail` command and as `curl`: pure, from the address alone. */
import { addressOf } from "../api/request";

export interface PageCommands {
  readonly command?: string;
  readonly curl: string;
}

/** What asks the same in a terminal; times are given as they will be read, `from` and `to` absolute. */
export function commandsOf(
  origin: string,
  path: string,
  parameters: URLSearchParams,
  range: { readonly from: string; readonly to: string },
): PageCommands {
  const get = (name: string): string => parameters.get(name) ?? "";
  const program = (rest: readonly string[]): string => ["taffrail", ...rest, "--server", shellWord(origin)].join(" ");
  const curl = (address: string): string => `curl -s ${shellWord(origin + address)}`;
  const times = ["--from", shellWord(range.from), "--to", shellWord(range.to)];
  const [, page = "", segment = ""] = path.split("/");
  const q = get("q");
  switch (page) {
    case "logs": {
      if (get("live") !== "")
        return {
          command: program(["tail", shellWord(q)]),
          curl: `curl -sN ${shellWord(origin + addressOf("/api/v1/logs/tail", { q }))}`,
        };
      const patterns = get("view") === "patterns";
      const columns = get("cols")
        .split(",")
        .map((column) => column.replace(/~\d+$/, ""))
        .filter((column) => column !== "" && column !== "service" && column !== "host");
      const fields = columns.length === 0 || patterns ? [] : ["--fields", shellWord(columns.join(","))];
      return {
        command: program(["query", shellWord(q), ...(patterns ? ["--patterns"] : []), ...times, ...fields]),
        curl: curl(addressOf(patterns ? "/api/v1/logs/patterns" : "/api/v1/logs/search", { q, ...range })),
      };
    }
    case "trace": {
      if (segment === "" || segment === "find") return { curl: curl(addressOf("/api/v1/traces", range)) };
      const question = shellWord(`trace_id:${segment}`);
      return {
        command: program(["query", question, "--since", "30d", "--order", "oldest", "--limit", "1000"]),
        curl: curl(`/api/v1/traces/${segment}`),
      };
    }
    case "explore": {
      const expression = get("expr") === "" ? get("name") : get("expr");
      if (expression === "") return { curl: curl("/api/v1/metrics") };
      const selector = get("expr") === "" ? `{${JSON.stringify(expression)}}` : expression;
      return {
        command: program(["query", "--promql", shellWord(selector), ...times, "--step", "60s"]),
        curl: curl(addressOf("/api/v1/query_range", { query: selector, start: range.from, end: range.to, step: 60 })),
      };
    }
    case "d":
      return {
        curl: curl(segment === "" ? "/api/v1/dashboards" : `/api/v1/dashboards/${encodeURIComponent(segment)}`),
      };
    default:
      return { curl: curl(apiOf[page] ?? "/api/v1/ingest") };
  }
}

/** Where the other pages have what they show from. */
const apiOf: Readonly<Record<string, string>> = {
  "": "/api/v1/ingest",
  alerts: "/api/v1/rules",
  errors: "/api/v1/errors",
  hosts: "/api/v1/hosts",
  ingest: "/api/v1/agents",
  settings: "/api/v1/settings",
};

/** A word as a POSIX shell takes it for itself. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
