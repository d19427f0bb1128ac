/** The state of one dashboard: what the server holds, what is being written, what is chosen for its variables. */
import { computed, signal } from "@preact/signals";
import { answered, type Answer } from "../../api/answer";
import {
  checkDashboard,
  fetchDashboard,
  fetchDashboards,
  putDashboard,
  removeDashboard,
  type Checked,
  type Dashboard,
  type Imported,
  type Listing,
  type Problem,
  type StoredDashboard,
  type Variable,
  type WriteFailure,
} from "../../api/dashboards";
import { fetchFacets } from "../../api/logs";
import { fetchLabelValues } from "../../api/metrics";
import { createRemote } from "../../api/remote";
import { go, parameter, place } from "../../app/location";
import { hrefOf } from "../../app/address";
import { toast } from "../../app/toast";
import { isoOf } from "../../time/range";
import { timeRange } from "../../time/range-state";
import { second } from "../../time/span";
import { stepOf } from "./panel-data";
import { fillLogs, fillPromql, namesIn, narrowed, readChoice, valuesMax, type Choice, type Choices } from "./variables";

export const list = createRemote<Listing>();
export const stored = createRemote<StoredDashboard>();

/** The dashboard of the address; empty on the list. */
export const slug = computed(() => decodeURIComponent(/^\/d\/([^/]+)/.exec(place.value.path)?.[1] ?? ""));
/** A dashboard that nobody has stored yet. */
export const isNew = computed(() => slug.value === "" && parameter("new") !== "");
export const isEditing = computed(() => isNew.value || parameter("edit") !== "");

/** The text that is being written; undefined when nothing was changed. */
export const draft = signal<string | undefined>(undefined);
/** The name that a new dashboard will have. */
export const newSlug = signal("");
/** What Grafana's JSON had that is not in the draft. */
export const notMapped = signal<Imported["not_mapped"]>([]);
const checked = signal<Checked | undefined>(undefined);
const lastGood = signal<Dashboard | undefined>(undefined);
export const saving = signal(false);
export const saveFailure = signal<WriteFailure | undefined>(undefined);

/** What is wrong with the draft, or with the stored text. */
export const problems = computed<readonly Problem[]>(() =>
  draft.value === undefined ? (stored.value.value?.problems ?? []) : (checked.value?.problems ?? []),
);

/** What is shown: the draft as far as it can be read, else what is stored. */
export const dashboard = computed<Dashboard | undefined>(() => {
  if (draft.value !== undefined) return checked.value?.dashboard ?? lastGood.value;
  return isNew.value ? undefined : (stored.value.value?.dashboard ?? undefined);
});

const options = signal<ReadonlyMap<string, readonly string[]>>(new Map());

export const choices = computed<Choices>(() => {
  const chosen = new Map<string, Choice>();
  for (const variable of dashboard.value?.variables ?? []) {
    const known = variable.values ?? options.value.get(variable.name) ?? [];
    chosen.set(variable.name, readChoice(variable, parameter(`var-${variable.name}`), known));
  }
  return chosen;
});

export async function loadList(): Promise<void> {
  await list.load((signal) => fetchDashboards(signal));
}

export async function loadDashboard(name: string): Promise<void> {
  if (stored.value.peek()?.slug !== name) stored.stop(true);
  await stored.load((signal) => fetchDashboard(name, signal));
}

/** Forgets what was written. */
export function dropDraft(): void {
  draft.value = undefined;
  checked.value = undefined;
  lastGood.value = undefined;
  saveFailure.value = undefined;
  notMapped.value = [];
}

let checking: AbortController | undefined;
let typing: ReturnType<typeof setTimeout> | undefined;
/** Typing has the text checked after this pause. */
const typingMs = 300;

/** Takes a text as the draft and has it checked. */
export function write(text: string, pauseMs = typingMs): void {
  if (draft.peek() === undefined) lastGood.value = dashboard.peek();
  draft.value = text;
  saveFailure.value = undefined;
  clearTimeout(typing);
  typing = setTimeout(() => void checkDraft(text), pauseMs);
}

async function checkDraft(text: string): Promise<void> {
  checking?.abort();
  const mine = new AbortController();
  checking = mine;
  const answer = await checkDashboard(text, mine.signal);
  if (checking !== mine) return;
  if (answer.ok) {
    checked.value = answer.value;
    if (answer.value.dashboard !== null) lastGood.value = answer.value.dashboard;
  } else if (answer.failure.kind !== "cancelled") {
    checked.value = { dashboard: null, problems: [{ line: 0, column: 0, message: answer.failure.message }] };
  }
}

/** Stores the draft under a name; `version` is the one that it replaces. */
export async function save(name: string, version: string | undefined): Promise<void> {
  const text = draft.peek() ?? stored.value.peek()?.yaml;
  if (text === undefined) return;
  saving.value = true;
  const answer = await putDashboard(name, text, version);
  saving.value = false;
  if (!answer.ok) {
    saveFailure.value = answer.failure as WriteFailure;
    return;
  }
  const left = notMapped.peek();
  dropDraft();
  notMapped.value = left;
  toast("Dashboard saved");
  await stored.load(async () => answer);
  if (name !== slug.peek()) go(hrefOf(`/d/${encodeURIComponent(name)}`, { edit: "1" }));
}

/** Reads the version that is there now, and keeps the draft, so that the next save replaces it knowingly. */
export async function takeVersion(): Promise<void> {
  saveFailure.value = undefined;
  await stored.load((signal) => fetchDashboard(slug.peek(), signal));
}

export async function remove(name: string, version: string): Promise<boolean> {
  const answer = await removeDashboard(name, version);
  toast(answer.ok ? "Dashboard removed" : answer.failure.message);
  return answer.ok;
}

let loadingOptions: AbortController | undefined;

/** Fetches what variables can be: those that depend on others after them. */
export async function loadOptions(): Promise<void> {
  loadingOptions?.abort();
  const mine = new AbortController();
  loadingOptions = mine;
  for (const variable of dashboard.peek()?.variables ?? []) {
    if (variable.label === undefined && variable.field === undefined) continue;
    const answer = await valuesOf(variable, mine.signal);
    if (loadingOptions !== mine) return;
    if (answer.ok) options.value = new Map(options.peek()).set(variable.name, narrowed(answer.value, variable.regex));
  }
}

/** The names whose values a variable's own values depend on. */
export function dependsOn(variable: Variable): readonly string[] {
  return namesIn(variable.of ?? "");
}

async function valuesOf(variable: Variable, signal: AbortSignal): Promise<Answer<readonly string[]>> {
  const range = timeRange.peek();
  const span = { range, stepMs: stepOf(range) };
  if (variable.label !== undefined) {
    const selector = variable.of === undefined ? undefined : fillPromql(variable.of, choices.peek(), span);
    return fetchLabelValues(variable.label, selector, range.from / second, range.to / second, signal);
  }
  const field = variable.field ?? "";
  const question = {
    q: fillLogs(variable.of ?? "", choices.peek(), span),
    from: isoOf(range.from),
    to: isoOf(range.to),
  };
  const answer = await fetchFacets(question, [field], valuesMax, signal);
  if (!answer.ok) return answer;
  return answered(answer.value.facets.flatMap(({ values }) => values.map(({ value }) => value)).toSorted());
}
