/**
 * The Logs page's state beside its rows: what the address says, the histogram, the facets, the fields, and the changes
 * that clicks make. One instance, kept while other pages are looked at, so that coming back finds the rows as they were.
 */
import { batch, computed, signal } from "@preact/signals";
import {
  fetchFacets,
  fetchFields,
  fetchHistogram,
  type Facet,
  type FieldCount,
  type Histogram,
  type Question,
} from "../../api/logs";
import type { LogRecord } from "../../api/log-record";
import { fetchPatterns, type Patterns } from "../../api/patterns";
import { createRemote } from "../../api/remote";
import { ingestReport } from "../../app/ingest-watch";
import { hrefOf } from "../../app/address";
import { amend, parameter, place } from "../../app/location";
import { rememberedList } from "../../app/preferences";
import { toast } from "../../app/toast";
import { rememberQuery } from "../../query/history";
import { exclude, hasStages, include, only } from "../../query/query-edit";
import type { Spot, Suggestion } from "../../query/query-complete";
import { termsExpression } from "../../query/query-terms";
import { absoluteRange, isoOf } from "../../time/range";
import { moveOn, runAgain, timeRange } from "../../time/range-state";
import { readColumns, writeColumns, type Column } from "./columns";
import { LiveTail } from "./live-tail";
import { gapItem, itemOf, LogSession, type Item } from "./log-session";

export const fixedFacets = ["level", "service", "host"];
const facetValues = 10;
const topValuesMax = 8;
const patternsMax = 200;
const defaultColumns = "service";

export const session = new LogSession();
export const tail = new LiveTail(session);
export const histogram = createRemote<Histogram>();
export const facets = createRemote<{ facets: Facet[] }>();
export const fields = createRemote<{ fields: FieldCount[] }>();
export const patterns = createRemote<Patterns>();
export const extraFacets = rememberedList("facet-fields", 12);

export const query = computed(() => parameter("q"));
/** What comes can be followed through a search; stages are for what is there. */
export const canFollow = computed(() => !hasStages(query.value));
export const live = computed(() => canFollow.value && parameter("live") !== "");
export const wrap = computed(() => parameter("wrap") !== "");
export const patternsShown = computed(() => parameter("view") === "patterns");
export const compareShown = computed(() => parameter("view") === "compare");
export const dedupe = computed(() => parameter("dedupe") !== "");
export const timeHidden = computed(() => parameter("hide") === "time");
/** What the histogram is stacked by. */
export const splitBy = computed(() => parameter("by") || "level");
const columnsText = computed(() => (place.value.parameters.has("cols") ? parameter("cols") : defaultColumns));
/** Columns with their widths in pixels, where somebody gave one: `service,host~140` in the address. */
export const columnPlan = computed(() => readColumns(columnsText.value));
export const columns = computed(() => columnPlan.value.map(({ name }) => name));
export const terms = computed(() => termsExpression(query.value));

/** The question as it was asked last. */
export const asked = signal<Question | undefined>(undefined);

/** Asks everything for what the address says now. */
export function search(): void {
  const range = timeRange.peek();
  const question = { q: query.peek(), from: isoOf(range.from), to: isoOf(range.to) };
  asked.value = question;
  rememberQuery(question.q);
  const seqBefore = ingestReport.peek()?.store.next_seq;
  tail.stop();
  session.setDedupe(dedupe.peek());
  const line = parameter("line");
  void session.start(question, line === "" ? undefined : line).then(() => {
    if (live.peek() && asked.peek() === question && session.failure.peek() === undefined) {
      const highest = session.highestSeq;
      tail.start(question.q, highest === undefined ? seqBefore : highest + 1);
    }
  });
  askCounts(question);
  void fields.load((signal) => fetchFields(question, signal));
}

/** Asks the counts again: with the search, when facets are added, and now and then while live. */
function askCounts(question: Question): void {
  void histogram.load((signal) => fetchHistogram(question, signal, { by: splitBy.peek() }));
  void facets.load((signal) =>
    fetchFacets(question, [...fixedFacets, ...extraFacets.values.peek()], facetValues, signal),
  );
  askPatterns(question);
}

/** Asks for the patterns, while they are shown. */
export function askPatterns(question = asked.peek()): void {
  if (question === undefined || !patternsShown.peek()) return;
  const since = parameter("since");
  void patterns.load((signal) => fetchPatterns(question, since, patternsMax, signal));
}

/** Shows patterns instead of rows, or rows again. */
export function showPatterns(on: boolean): void {
  amend({ view: on ? "patterns" : null });
  askPatterns();
}

/** Asks the counts for the range as the clock has it now. */
export function refreshCounts(): void {
  moveOn();
  const range = timeRange.peek();
  askCounts({ q: query.peek(), from: isoOf(range.from), to: isoOf(range.to) });
}

/** Stops everything that runs for this page. */
export function leave(): void {
  tail.stop();
  session.cancel();
  histogram.stop();
  facets.stop();
  fields.stop();
  patterns.stop();
}

/** Puts what the stream left out in the place of its gap. */
export async function fillGap(item: Item & { kind: "gap" }): Promise<void> {
  const { fetchGap } = await import("../../api/tail");
  const told = await fetchGap(query.peek(), item.gap);
  if (!told.ok) {
    toast(told.failure.message);
    return;
  }
  const items = told.value.map((one) => ("id" in one ? itemOf(one) : gapItem(one))).reverse();
  session.fillGap(item.key, items);
}

export function submitQuery(q: string): void {
  batch(() => {
    amend({ q, line: null });
    runAgain();
  });
}

export function setLive(on: boolean): void {
  batch(() => {
    if (on) amend({ live: "1", to: null, line: null, ...(isAbsolute() ? { from: null } : {}) });
    else amend({ live: null });
    if (on) runAgain();
    else tail.stop();
  });
}

export function includeValue(field: string, value: string): void {
  submitQuery(include(query.peek(), field, value));
}

export function excludeValue(field: string, value: string): void {
  submitQuery(exclude(query.peek(), field, value));
}

export function onlyValue(field: string, value: string): void {
  submitQuery(only(query.peek(), field, value));
}

export function toggleColumn(name: string): void {
  if (name === "time") {
    amend({ hide: timeHidden.peek() ? null : "time" }, "replace");
    return;
  }
  const now = columnPlan.peek();
  const has = now.some((column) => column.name === name);
  changeColumns(has ? now.filter((column) => column.name !== name) : [...now, { name }]);
}

export function changeColumns(plan: readonly Column[]): void {
  const text = writeColumns(plan);
  // An empty list must stay in the address, where a missing one means the default.
  if (text === "") amend({ cols: "," }, "replace");
  else amend({ cols: text === defaultColumns ? null : text }, "replace");
}

/** Stacks the histogram by another field. */
export function splitHistogram(by: string): void {
  amend({ by: by === "level" ? null : by });
  const question = asked.peek();
  if (question !== undefined) void histogram.load((signal) => fetchHistogram(question, signal, { by }));
}

/** The commonest values of a field among the records that are asked for. */
export async function topValues(field: string, signal: AbortSignal): Promise<Facet | undefined> {
  const question = asked.peek();
  if (question === undefined) return undefined;
  const answer = await fetchFacets(question, [field], topValuesMax, signal);
  return answer.ok ? answer.value.facets[0] : undefined;
}

export function toggleDedupe(): void {
  amend({ dedupe: dedupe.peek() ? null : "1" }, "replace");
  session.setDedupe(dedupe.peek());
  // What was folded is not all kept, so that it has to be asked for again.
  if (!dedupe.peek()) runAgain();
}

export function changeFacets(names: readonly string[]): void {
  extraFacets.set(names);
  const question = asked.peek();
  if (question !== undefined)
    void facets.load((signal) => fetchFacets(question, [...fixedFacets, ...names], facetValues, signal));
}

/** The address of this view with one line in its middle and the range absolute. */
export function permalink(record: LogRecord): string {
  const kept = { q: query.peek(), cols: parameter("cols"), hide: parameter("hide"), wrap: parameter("wrap") };
  const range = timeRange.peek();
  const time = Date.parse(record.time);
  const whole = { from: Math.min(range.from, time), to: Math.max(range.to, time + 1) };
  return hrefOf("/logs", { ...kept, ...absoluteRange(whole), line: record.id });
}

/** What the query box offers. */
export async function suggest(spot: Spot, text: string, signal: AbortSignal): Promise<readonly Suggestion[]> {
  const question = asked.peek();
  if (question === undefined) return [];
  const { suggestFor } = await import("./suggest");
  return suggestFor(question, fields.value.peek()?.fields ?? [], spot, text, signal);
}

function isAbsolute(): boolean {
  return parameter("from") !== "" && !parameter("from").startsWith("now");
}
