/** The Logs page: question, histogram, facets and the list of rows. The parts are in the files beside this one. */
import { effect, untracked } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import "../../styles/rows.css";
import "../../styles/facets.css";
import "../../styles/histogram.css";
import "../../styles/logs.css";
import { share, TopBar } from "../../app/top-bar";
import { count } from "../../app/number-format";
import { LiveIcon } from "../../app/icons";
import { later } from "../../app/later";
import { amend, go, parameter, place } from "../../app/location";
import { bindKeys } from "../../app/key-bindings";
import { pageStatus, scannedText, setTitle } from "../../app/page-status";
import { density, facetsShown, histogramShown, zone } from "../../app/preferences";
import { HistogramView } from "../../chart/histogram";
import { useAnnotations } from "../../chart/use-annotations";
import { FacetPanel } from "../../facets/facet-panel";
import type { ListHandle } from "../../list/virtual-list";
import { QueryBox } from "../../query/query-box";
import { runs, setAbsoluteRange, timeRange, writtenRange } from "../../time/range-state";
import { timePickerId } from "../../time/time-picker";
import { Bands, mark } from "./compare-ranges";
import { LogDetail, LogList } from "./log-list";
import { LogToolbar } from "./log-toolbar";
import { selectedRecord, useListState, type ListState } from "./list-state";
import * as state from "./logs-state";

const Patterns = later(async () => (await import("./pattern-list")).PatternList);
const SidePanel = later(async () => (await import("./side-panel")).SidePanel);
const Compare = later(async () => (await import("./compare-view")).CompareView);

const queryId = "log-query";
/** How often the counts are asked again while live. */
const liveCountsMs = 5000;
/** How soon a server that is away is asked again. */
const retryMs = 4000;

export function LogsPage() {
  const list = useRef<ListHandle | null>(null);
  const listState = useListState(list);

  // One search for each change of the question; what else stands in the address does not matter to it.
  useEffect(
    () =>
      effect(() => {
        void state.query.value;
        void writtenRange.value;
        void runs.value;
        // Leaving changes the address too; the next page's parameters are no question to this one.
        if (place.peek().path === "/logs") untracked(state.search);
      }),
    [],
  );
  useEffect(() => state.leave, []);
  // Code that the first row opened will need, fetched when the rows are there and nothing else is to do.
  useEffect(() => {
    const timer = setTimeout(LogDetail.preload, 1500);
    return () => clearTimeout(timer);
  }, []);
  useEffect(
    () =>
      effect(() => {
        const summary = state.session.summary.value;
        const total = state.histogram.value.value?.total;
        setTitle(state.query.value === "" ? "Logs" : state.query.value);
        pageStatus.value = {
          ...(total === undefined ? {} : { rows: total === 1 ? "1 row" : `${count(total)} rows` }),
          ...(summary === undefined
            ? {}
            : { elapsedMs: summary.elapsed_ms, scanned: scannedText(summary.scanned_bytes, summary.scanned_rows) }),
          ...(summary !== undefined && summary.partial !== false ? { partial: summary.partial } : {}),
        };
      }),
    [],
  );
  useEffect(
    () =>
      effect(() => {
        if (!state.live.value) return undefined;
        const timer = setInterval(() => {
          if (document.visibilityState === "visible") state.refreshCounts();
        }, liveCountsMs);
        return () => clearInterval(timer);
      }),
    [],
  );
  // A server that is away is asked again until it answers.
  useEffect(
    () =>
      effect(() => {
        if (state.session.failure.value?.kind !== "network") return undefined;
        const timer = setTimeout(state.search, retryMs);
        return () => clearTimeout(timer);
      }),
    [],
  );
  useEffect(() => bindKeys("Logs", keyBindings(listState)), []);

  const annotations = useAnnotations(timeRange.value);
  const failure = state.session.failure.value;
  const queryFailure = failure?.status === 400 || failure?.column !== undefined ? failure : undefined;
  const withFacets = facetsShown.value === "yes";
  return (
    <>
      <TopBar
        title="Logs"
        withTime
        actions={
          <button
            type="button"
            class="button live-button"
            aria-pressed={state.live.value}
            disabled={!state.canFollow.value}
            title={state.canFollow.value ? "Follow new lines (l)" : "Only a search without stages can be followed"}
            onClick={() => state.setLive(!state.live.peek())}
          >
            <LiveIcon />
            <span class="button-label">Live</span>
          </button>
        }
      >
        <QueryBox
          id={queryId}
          label="Search the logs"
          placeholder='Search: words, "a phrase", level:error, service:web -debug …'
          value={state.query.value}
          failure={queryFailure}
          onSubmit={state.submitQuery}
          onPasteOther={landIfNoQuery}
          suggest={state.suggest}
        />
      </TopBar>
      <main
        class={`logs ${withFacets ? "" : "logs-without-facets"} ${queryFailure === undefined && !state.session.stale.value ? "" : "logs-stale"}`}
      >
        {withFacets && (
          <FacetPanel
            facets={state.facets.value.value?.facets ?? []}
            fields={state.fields.value.value?.fields ?? []}
            query={state.query.value}
            loading={state.facets.loading.value}
            failure={queryFailure === undefined ? state.facets.failure.value?.message : undefined}
            fixed={state.fixedFacets}
            include={state.includeValue}
            exclude={state.excludeValue}
            only={state.onlyValue}
            addField={(name) => state.changeFacets([...state.extraFacets.values.peek(), name])}
            removeField={(name) =>
              state.changeFacets(state.extraFacets.values.peek().filter((other) => other !== name))
            }
            addColumn={state.toggleColumn}
            searchValues={async (...asked) => (await import("./suggest")).searchValues(state.asked.peek(), ...asked)}
          />
        )}
        <div class="logs-main">
          <LogToolbar />
          {histogramShown.value === "yes" && (
            <section class="logs-histogram" aria-label="Records over time">
              <HistogramView
                histogram={state.histogram.value.value}
                range={timeRange.value}
                zone={zone.value}
                loading={state.histogram.loading.value}
                annotations={annotations}
                by={state.splitBy.value}
                onSelect={state.compareShown.value ? mark : setAbsoluteRange}
              >
                {(placeOf) => state.compareShown.value && <Bands placeOf={placeOf} />}
              </HistogramView>
              {state.histogram.failure.value !== undefined && queryFailure === undefined && (
                <p class="histogram-failure">
                  The counts could not be fetched: {state.histogram.failure.value.message}
                </p>
              )}
            </section>
          )}
          {state.patternsShown.value ? (
            <Patterns />
          ) : state.compareShown.value ? (
            <Compare />
          ) : (
            <LogList state={listState} />
          )}
        </div>
        {listState.beside.value && <SidePanel list={listState} />}
      </main>
    </>
  );
}

/** The page's keys. */
function keyBindings(list: ListState) {
  const filterSelected = (filter: (field: string, value: string) => void): void => {
    const focused = document.activeElement?.closest<HTMLElement>("tr[data-field]");
    if (focused !== null && focused !== undefined) {
      filter(focused.dataset["field"] ?? "", focused.dataset["value"] ?? "");
      return;
    }
    const record = selectedRecord(list);
    if (record?.service !== undefined) filter("service", record.service);
  };
  const toggle = (name: "wrap"): void => amend({ [name]: parameter(name) === "" ? "1" : null }, "replace");
  return [
    { keys: "/", does: "Type a query", run: () => focusQuery() },
    { keys: "j", does: "Next row", run: () => list.move(1) },
    { keys: "k", does: "Row before", run: () => list.move(-1) },
    { keys: "ArrowDown", does: "Next row", sameAs: "j", run: () => list.move(1) },
    { keys: "ArrowUp", does: "Row before", sameAs: "k", run: () => list.move(-1) },
    { keys: "Enter", does: "Open the row", run: () => list.toggle() },
    { keys: "Escape", does: "Close the row", run: () => list.close() },
    { keys: "e", does: "Next error", run: () => void list.moveToError(1) },
    { keys: "E", does: "Error before", run: () => void list.moveToError(-1) },
    {
      keys: "f",
      does: "Filter for the focused field, or the row's service",
      run: () => filterSelected(state.includeValue),
    },
    { keys: "F", does: "Filter it out", run: () => filterSelected(state.excludeValue) },
    { keys: "c", does: "Lines around the row", run: () => list.toggleContext() },
    { keys: "o", does: "The row beside the list", run: () => (list.beside.value = !list.beside.peek()) },
    { keys: "r", does: "Open the row's trace", run: () => openTrace(list) },
    { keys: "p", does: "Patterns, or rows again", run: () => state.showPatterns(!state.patternsShown.peek()) },
    {
      keys: "b",
      does: "Compare two stretches of time, or rows again",
      run: () => amend({ view: state.compareShown.peek() ? null : "compare" }),
    },
    { keys: "w", does: "Wrap lines", run: () => toggle("wrap") },
    { keys: "d", does: "Fold rows that say the same", run: state.toggleDedupe },
    { keys: "T", does: "Show or hide the times", run: () => state.toggleColumn("time") },
    {
      keys: "D",
      does: "More or less room for rows",
      run: () => (density.value = density.peek() === "compact" ? "comfortable" : "compact"),
    },
    { keys: "l", does: "Live", run: () => state.setLive(!state.live.peek()) },
    { keys: "t", does: "Time range", run: () => document.getElementById(timePickerId)?.click() },
    { keys: "y", does: "Copy a link to the row, or to this view", run: () => list.copyLink(() => void share(true)) },
  ];
}

function openTrace(list: ListState): void {
  const trace = selectedRecord(list)?.trace_id;
  if (trace !== undefined) go(`/trace/${trace}`);
}

/** What nobody means as a query: several lines, an address, a trace id alone. */
function landIfNoQuery(text: string): boolean {
  const isOther = /\n\s*\S/.test(text) || /^\s*(https?:\/\/\S+|[0-9a-f]{32})\s*$/.test(text);
  if (isOther) void import("../../query/landing").then(({ land }) => land(text));
  return isOther;
}

function focusQuery(): void {
  const input = document.getElementById(queryId);
  if (input instanceof HTMLInputElement) {
    input.focus();
    input.select();
  }
}
