/** Where a pasted text leads: asks the server whether there is such a line, or one of its pattern. */
import { fetchHistogram, fetchPatternOf, searchLogs, type Question } from "../api/logs";
import type { LogRecord } from "../api/log-record";
import { hrefOf } from "../app/address";
import { go } from "../app/location";
import { zone } from "../app/preferences";
import { toast } from "../app/toast";
import { serverNow } from "../time/clock";
import { isoOf } from "../time/range";
import { day, hour, minute } from "../time/span";
import { phrase } from "./foreign";
import { about, readPasted, type Pasted } from "./paste";

export interface Landing {
  readonly href: string;
  /** What was made of the text, to be told; empty when it is plain to see. */
  readonly found: string;
}

export async function landingOf(text: string): Promise<Landing> {
  const pasted = readPasted(text, window.location.origin, { now: serverNow(), zone: zone.peek() });
  switch (pasted.kind) {
    case "page":
      return { href: pasted.href, found: "" };
    case "trace":
      return { href: `/trace/${pasted.id}`, found: "" };
    case "moment":
      return { href: hrefOf("/logs", about(pasted.at, 5 * minute)), found: "Ten minutes about that moment" };
    case "metrics": {
      const { expression: expr, from, to } = pasted;
      return { href: hrefOf("/explore", { expr, from: momentText(from), to: momentText(to) }), found: "" };
    }
    case "translated": {
      const { query: q, columns = [], source } = pasted;
      const range = { from: momentText(pasted.from), to: momentText(pasted.to) };
      return { href: hrefOf("/logs", { q, ...range, cols: columns.join(",") }), found: `Translated from ${source}` };
    }
    case "line":
      return landingOfLine(pasted);
    case "query":
      return { href: hrefOf("/logs", { q: pasted.query }), found: "" };
  }
}

/** Goes where a text leads, and says what was made of it. */
export async function land(text: string): Promise<void> {
  const { href, found } = await landingOf(text);
  if (found !== "") toast(found);
  go(href);
}

/** The line itself if it is there, else its like, else a search that explains why there is none. */
async function landingOfLine({ wordings, at }: Pasted & { kind: "line" }): Promise<Landing> {
  const now = serverNow();
  const ranges =
    at === undefined
      ? [
          { from: isoOf(now - day), to: isoOf(now) },
          { from: isoOf(now - 30 * day), to: isoOf(now) },
        ]
      : [about(at, 10 * minute), about(at, 13 * hour)];
  for (const range of ranges) {
    for (const wording of wordings) {
      const question = { q: phrase(wording), ...range };
      const record = await nearest(question, at);
      if (record === undefined) continue;
      const time = Date.parse(record.time);
      return {
        href: hrefOf("/logs", { ...about(time, 15 * minute), line: record.id }),
        found: "The line itself, among what stood around it",
      };
    }
  }
  const widest = ranges.at(-1) ?? { from: isoOf(now - day), to: isoOf(now) };
  for (const wording of wordings) {
    const pattern = await fetchPatternOf(wording);
    if (!pattern.ok) continue;
    const question = { q: `pattern:${pattern.value.id}`, ...widest };
    const counted = await fetchHistogram(question, new AbortController().signal);
    if (counted.ok && counted.value.total > 0)
      return { href: hrefOf("/logs", question), found: "No such line; these have its pattern" };
  }
  return { href: hrefOf("/logs", { q: phrase(wordings[0] ?? ""), ...widest }), found: "No line reads like that" };
}

/** The record that a question finds closest to a moment: the newest when there is none. */
async function nearest(question: Question, at: number | undefined): Promise<LogRecord | undefined> {
  const found: LogRecord[] = [];
  const collect = { record: (record: LogRecord) => void found.push(record), progress: () => undefined };
  await searchLogs({ ...question, limit: at === undefined ? 1 : 200 }, collect, new AbortController().signal);
  const distance = (record: LogRecord): number => Math.abs(Date.parse(record.time) - (at ?? 0));
  return at === undefined ? found[0] : found.sort((a, b) => distance(a) - distance(b))[0];
}

/** Grafana writes absolute moments as milliseconds. */
function momentText(text: string | undefined): string | undefined {
  return text !== undefined && /^\d{12,}$/.test(text) ? isoOf(Number(text)) : text;
}
