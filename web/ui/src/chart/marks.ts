/** What happened in the time shown, for the charts of a page: alerts that began to fire, deploys and other annotations. */
import { signal } from "@preact/signals";
import { fetchAnnotations, type Annotation } from "../api/annotations";
import { prometheus } from "../api/metrics";
import type { Series } from "../api/metrics";
import { beginnings } from "./alert-marks";
import type { Mark } from "./line-chart";
import { timeRange } from "../time/range-state";
import { second } from "../time/span";
import { roundStep } from "../time/range";

/** Marks that a chart has room for. */
const marksMax = 60;

export const marks = signal<readonly Mark[]>([]);
export const annotations = signal<readonly Annotation[]>([]);
let loading: AbortController | undefined;

/** Fetches the marks of the time shown; without them the charts are still whole. */
export async function loadMarks(of: { readonly host?: string } = {}): Promise<void> {
  loading?.abort();
  const mine = new AbortController();
  loading = mine;
  const [found, told] = await Promise.all([
    alertMarks(of.host, mine.signal),
    fetchAnnotations(timeRange.peek(), mine.signal),
  ]);
  if (loading === mine && told.ok) annotations.value = told.value.annotations;
  if (loading === mine) marks.value = found.slice(0, marksMax);
}

/** The moments at which alerts began to fire, by the series that the rules leave behind. */
async function alertMarks(host: string | undefined, signal: AbortSignal): Promise<readonly Mark[]> {
  const { from, to } = timeRange.peek();
  const step = Math.max(60, roundStep(to - from, 300) / second);
  const answer = await prometheus<{ result: Series[] }>(
    "/api/v1/query_range",
    {
      query: `count by (alertname) (ALERTS{alertstate="firing"${host === undefined ? "" : `, host=${JSON.stringify(host)}`}})`,
      start: Math.floor(from / second),
      end: Math.floor(to / second),
      step,
    },
    signal,
  );
  return answer.ok ? beginnings(answer.value.result, step) : [];
}
