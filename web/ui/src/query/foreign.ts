/** Questions of other programs as ours: Kibana's addresses and its query language, Grafana's addresses, LogQL. Pure. */
import { quoted } from "./query-text";

export interface Translated {
  readonly query: string;
  readonly from?: string;
  readonly to?: string;
  readonly columns?: readonly string[];
}

/** What they call the fields that have a name of their own here. */
const fieldNames: Readonly<Record<string, string>> = {
  "@timestamp": "time",
  "log.level": "level",
  severity: "level",
  detected_level: "level",
  "service.name": "service",
  service_name: "service",
  "host.name": "host",
  "host.hostname": "host",
  hostname: "host",
  "trace.id": "trace_id",
  "span.id": "span_id",
  traceID: "trace_id",
};

/** Discover's state in an address (Rison in `_g` and `_a`), or undefined when it is none of Kibana's. */
export function fromKibana(url: URL): Translated | undefined {
  const state = decoded(`${url.search}${url.hash}`);
  if (!/[?&#/]_[ag]=\(/.test(state)) return undefined;
  const time = /time:\(from:'?([^,')]+)'?,to:'?([^,')]+)'?\)/.exec(state);
  const query = /query:\(language:\w+,query:(?:'((?:![!']|[^'])*)'|([^)]*))\)/.exec(state);
  const typed = (query?.[1] ?? query?.[2] ?? "").replace(/!([!'])/g, "$1");
  const filters = [
    ...state.matchAll(/negate:!([tf]).*?match_phrase:\(([\w.@]+):(?:'((?:![!']|[^'])*)'|([^)]*))\)/g),
  ].map(
    ([, negated, field = "", text, bare]) =>
      `${negated === "t" ? "-" : ""}${nameOf(field)}:${quoted((text ?? bare ?? "").replace(/!([!'])/g, "$1"))}`,
  );
  const columns = (/columns:!\(([^)]*)\)/.exec(state)?.[1] ?? "")
    .split(",")
    .map((column) => nameOf(column.replaceAll("'", "")))
    .filter((column) => column !== "" && column !== "message" && column !== "time" && column !== "_source");
  return {
    query: [fromKql(typed), ...filters].filter((part) => part !== "").join(" "),
    ...(time === null ? {} : { from: time[1] ?? "", to: time[2] ?? "" }),
    ...(columns.length === 0 ? {} : { columns }),
  };
}

/** Kibana's query language: ours but for blanks about the colon and the names of fields. */
export function fromKql(text: string): string {
  const parts = text.trim().split(/("(?:\\.|[^"])*")/);
  return parts
    .map((part, at) =>
      at % 2 === 1
        ? part
        : part
            .replace(/([\w.@]+)\s*:\s*/g, (_, field: string) => `${nameOf(field)}:`)
            .replace(/([\w.@]+)\s*(>=|<=|>|<)\s*/g, (_, field: string, sign: string) => `${nameOf(field)}:${sign}`),
    )
    .join("");
}

export interface GrafanaQuestion {
  readonly language: "logql" | "promql";
  readonly expression: string;
  readonly from?: string;
  readonly to?: string;
}

/** The first question of Explore, in either of the forms that its addresses had, or undefined when it is none of Grafana's. */
export function fromGrafana(url: URL): GrafanaQuestion | undefined {
  const panes = url.searchParams.get("panes");
  const left = url.searchParams.get("left");
  if (panes === null && left === null) return undefined;
  let pane: unknown;
  try {
    const parsed: unknown = JSON.parse(panes ?? left ?? "");
    pane = panes === null ? parsed : Object.values(parsed as object)[0];
  } catch {
    return undefined;
  }
  const { queries = [], range = {} } = (pane ?? {}) as {
    queries?: { expr?: unknown; datasource?: { type?: unknown } }[];
    range?: { from?: unknown; to?: unknown };
  };
  const asked = queries.find(({ expr }) => typeof expr === "string" && expr !== "");
  if (asked === undefined) return undefined;
  const expression = String(asked.expr);
  const type = String(asked.datasource?.type ?? "");
  const isLogql = type === "loki" || (type !== "prometheus" && looksLikeLogql(expression));
  return {
    language: isLogql ? "logql" : "promql",
    expression,
    ...(range.from === undefined ? {} : { from: String(range.from) }),
    ...(range.to === undefined ? {} : { to: String(range.to) }),
  };
}

/** A stream selector with something behind it that only LogQL has. */
export function looksLikeLogql(text: string): boolean {
  return /\{[^{}]*\}\s*(\|[=~>]|!=|!~|\|\s*(json|logfmt|pattern|regexp|unpack|line_format|label_format|decolorize))/.test(
    text,
  );
}

/** The selector and the filters of a LogQL question; what counts and formats is left out. */
export function fromLogql(text: string): Translated {
  const selector = /\{([^{}]*)\}/.exec(text);
  const clauses: string[] = [];
  for (const [, label = "", sign = "", value = ""] of (selector?.[1] ?? "").matchAll(matcher))
    clauses.push(clauseOf(nameOf(label), sign, value));
  const rest = text.slice((selector?.index ?? 0) + (selector?.[0].length ?? 0)).replace(/\[\w+\].*$/s, "");
  for (const [, sign = "", , double, back] of rest.matchAll(lineFilter)) {
    const value = double === undefined ? (back ?? "") : double.replace(/\\(.)/g, "$1");
    const isRegex = sign.endsWith("~");
    clauses.push(`${sign.startsWith("!") ? "-" : ""}${isRegex ? `/${value.replaceAll("/", "\\/")}/` : phrase(value)}`);
  }
  for (const [, label = "", sign = "", value = ""] of rest.matchAll(labelFilter))
    clauses.push(clauseOf(nameOf(label), sign === "==" ? "=" : sign, value));
  return { query: clauses.join(" ") };
}

const matcher = /([\w.]+)\s*(=~|!~|!=|=)\s*["`]((?:\\.|[^"`\\])*)["`]/g;
const lineFilter = /(\|=|\|~|!=|!~)\s*("((?:\\.|[^"\\])*)"|`([^`]*)`)/g;
const labelFilter = /\|\s*([a-zA-Z_][\w.]*)\s*(=~|!~|!=|==|=)\s*["`]((?:\\.|[^"`\\])*)["`]/g;

function clauseOf(field: string, sign: string, value: string): string {
  const negated = sign.startsWith("!") ? "-" : "";
  if (!sign.endsWith("~")) return `${negated}${field}:${quoted(value)}`;
  // Loki's expressions hold for the whole value.
  const words = value.split("|");
  if (words.every((word) => /^[\w.-]+$/.test(word)))
    return words.length === 1
      ? `${negated}${field}:${quoted(value)}`
      : `${negated}${field}:(${words.map(quoted).join(" OR ")})`;
  return `${negated}${field}:/^(${value.replaceAll("/", "\\/")})$/`;
}

/** A text that has to stand so in the message. */
export function phrase(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

function nameOf(field: string): string {
  return fieldNames[field] ?? field;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
