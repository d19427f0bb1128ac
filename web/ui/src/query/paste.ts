/**
 * What a pasted text is: a trace id, a moment, a stack trace, a log line, an address of Kibana or Grafana, LogQL, PromQL, or
 * a query of ours. Pure; where it leads, and whether there is such a line, `landing.ts` finds out.
 */
import { parseMoment, type Reading } from "../time/moment";
import { isoOf } from "../time/range";
import { fromGrafana, fromKibana, fromLogql, looksLikeLogql, type Translated } from "./foreign";

export type Pasted =
  | { readonly kind: "page"; readonly href: string }
  | { readonly kind: "trace"; readonly id: string }
  | { readonly kind: "moment"; readonly at: number }
  | { readonly kind: "metrics"; readonly expression: string; readonly from?: string; readonly to?: string }
  | ({ readonly kind: "translated"; readonly source: string } & Translated)
  /** What was said, the likeliest wording first, and when, if it tells. */
  | { readonly kind: "line"; readonly wordings: readonly string[]; readonly at?: number }
  | { readonly kind: "query"; readonly query: string };

/** Longer texts are cut for the search: so much of a line tells it from all others. */
const wordingCharactersMax = 1000;

export function readPasted(text: string, origin: string, reading: Reading): Pasted {
  const trimmed = text.trim();
  const id = traceIdIn(trimmed);
  if (id !== undefined) return { kind: "trace", id };
  const address = readAddress(trimmed, origin);
  if (address !== undefined) return address;
  const at = bareMoment(trimmed, reading);
  if (at !== undefined) return { kind: "moment", at };
  if (looksLikeLogql(trimmed)) return { kind: "translated", source: "LogQL", ...fromLogql(trimmed) };
  if (looksLikeMetrics(trimmed)) return { kind: "metrics", expression: trimmed };
  const headline = stackHeadline(trimmed);
  if (headline !== undefined) return lineOf([headline, trimmed.split("\n", 1)[0] ?? ""], trimmed, reading);
  if (looksLikeLine(trimmed)) return lineOf(wordingsOf(trimmed), trimmed, reading);
  return { kind: "query", query: trimmed };
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

/** The first moment that a line tells, as far as it says the day. */
export function momentIn(line: string, reading: Reading): number | undefined {
  const iso = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?/.exec(line)?.[0];
  if (iso !== undefined) return parseMoment(iso.replace(",", "."), reading);
  const access = /(\d\d)\/(\w{3})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})/.exec(line);
  if (access !== null) {
    const time = Date.parse(`${access[1]} ${access[2]} ${access[3]} ${access[4]} ${access[5]}`);
    return Number.isNaN(time) ? undefined : time;
  }
  const epoch = /\b(1[5-9]\d{8})(\d{3}){0,3}\b/.exec(line)?.[0];
  return epoch === undefined ? undefined : parseMoment(epoch, reading);
}

function readAddress(text: string, origin: string): Pasted | undefined {
  if (!/^https?:\/\/\S[^\n]*$/.test(text)) return undefined;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  if (url.origin === origin) return { kind: "page", href: url.pathname + url.search };
  const kibana = fromKibana(url);
  if (kibana !== undefined) return { kind: "translated", source: "Kibana", ...kibana };
  const grafana = fromGrafana(url);
  if (grafana === undefined) return undefined;
  const { language, expression, ...range } = grafana;
  return language === "promql"
    ? { kind: "metrics", expression, ...range }
    : { kind: "translated", source: "Grafana", ...fromLogql(expression), ...range };
}

/** A text that is nothing but a moment; a word such as `now` is a query all the same. */
function bareMoment(text: string, reading: Reading): number | undefined {
  return /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d|^\d{10}(\.\d+)?$|^\d{13}$|^\d{16}$|^\d{19}$/.test(text) && text.length < 40
    ? parseMoment(text.replace(",", "."), reading)
    : undefined;
}

/** A PromQL function call over a selector, or a selector in braces: nothing that the log search could mean. */
function looksLikeMetrics(text: string): boolean {
  return (
    /^(sum|avg|min|max|count|topk|quantile|rate|irate|increase|histogram_quantile|\w+_over_time)\s*(by\s*\([^)]*\)\s*)?\(.+\)/s.test(
      text,
    ) ||
    /^[\w:]*\{[^"{}]*=.*\}(\[\w+\])?$/s.test(text) ||
    /^\{"[^"]+"\s*[,}]/.test(text)
  );
}

/** What a stack trace is about: the line that names the error. */
export function stackHeadline(text: string): string | undefined {
  const lines = text.split("\n").map((line) => line.trimEnd());
  const isFrame = (line: string): boolean =>
    /^\s+at \S|^\s+File ".+", line \d+|^\s+\d+: \S|^\t\S+\.go:\d+|^\s+from \S+:\d+/.test(line);
  if (lines.length < 2 || !lines.some(isFrame)) return undefined;
  const python = lines.some((line) => /^\s*Traceback \(most recent call last\)/.test(line));
  if (python) return lines.findLast((line) => line !== "" && !/^\s/.test(line))?.trim();
  return lines.find((line) => line !== "" && !isFrame(line))?.trim();
}

/** Whether a text reads as something that a program wrote, not as a question. */
function looksLikeLine(text: string): boolean {
  if (text.includes("\n")) return true;
  if (/^[[<{"]|^\d{4}-\d\d-\d\d[T ]|^[A-Z][a-z]{2} +\d+ \d\d:\d\d|^\d\d:\d\d:\d\d/.test(text) && text.length > 20)
    return true;
  if ((text.match(/(^|\s)[\w.]+=("|\S)/g) ?? []).length >= 2) return true;
  const isQuery = /(^|\s)(AND|OR|NOT)(\s|$)|(^|[\s(-])@?[\w.]+:(\S)|\s\|\s*\w+/.test(text);
  return !isQuery && text.split(/\s+/).length >= 6;
}

/** What of a line its record may hold: all of it, or what stands behind the time and in the field for the message. */
function wordingsOf(text: string): readonly string[] {
  const first = text.split("\n", 1)[0]?.trim() ?? "";
  const named = /(?:^|\s)(?:msg|message)=(?:"((?:\\.|[^"])*)"|(\S+))/.exec(first);
  const behindTime = first.replace(
    /^(?:<\d+>\d?\s*)?(?:\[?\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\]?|[A-Z][a-z]{2} +\d+ [\d:]+)\s+/,
    "",
  );
  return [first, jsonMessage(text), named?.[1] ?? named?.[2], behindTime].filter(
    (wording, at, all): wording is string => wording !== undefined && wording !== "" && all.indexOf(wording) === at,
  );
}

function jsonMessage(text: string): string | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const message = value["message"] ?? value["msg"] ?? value["log"];
    return typeof message === "string" ? message : undefined;
  } catch {
    return undefined;
  }
}

function lineOf(wordings: readonly string[], text: string, reading: Reading): Pasted {
  const at = momentIn(text.slice(0, 2000), reading);
  const cut = [...new Set(wordings)]
    .filter((wording) => wording !== "")
    .map((wording) => wording.slice(0, wordingCharactersMax));
  return { kind: "line", wordings: cut, ...(at === undefined ? {} : { at }) };
}

/** A stretch about a moment, as it stands in an address. */
export function about(at: number, spanMs: number): { readonly from: string; readonly to: string } {
  return { from: isoOf(at - spanMs), to: isoOf(at + spanMs) };
}
