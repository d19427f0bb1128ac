/** The line above the list: what was found and at what cost, the running search's progress, and how the list looks. */
import { addressOf } from "../../api/request";
import { count, rate } from "../../app/number-format";
import { scannedText } from "../../app/page-status";
import { saveFile } from "../../app/clipboard";
import { DownloadIcon, FacetsIcon, HistogramIcon, PatternsIcon, PauseIcon, WrapIcon } from "../../app/icons";
import { amend } from "../../app/location";
import { facetsShown, histogramShown } from "../../app/preferences";
import { csvOf, ndjsonOf, tableCsvOf } from "../../list/export";
import { hasStages } from "../../query/query-edit";
import { formatSpan } from "../../time/span";
import * as state from "./logs-state";

export function LogToolbar() {
  return (
    <div class="toolbar">
      <div class="toolbar-summary">
        <SearchSummary />
        {state.live.value && <TailSummary />}
      </div>
      <Toggle
        label="Facets"
        pressed={facetsShown.value === "yes"}
        icon={<FacetsIcon />}
        onClick={() => (facetsShown.value = facetsShown.value === "yes" ? "no" : "yes")}
      />
      <Toggle
        label="Histogram"
        pressed={histogramShown.value === "yes"}
        icon={<HistogramIcon />}
        onClick={() => (histogramShown.value = histogramShown.value === "yes" ? "no" : "yes")}
      />
      <Toggle
        label="Patterns"
        pressed={state.patternsShown.value}
        icon={<PatternsIcon />}
        onClick={() => state.showPatterns(!state.patternsShown.peek())}
      />
      <Toggle
        label="Wrap"
        pressed={state.wrap.value}
        icon={<WrapIcon />}
        onClick={() => amend({ wrap: state.wrap.peek() ? null : "1" }, "replace")}
      />
      <ExportMenu />
    </div>
  );
}

function SearchSummary() {
  const { session } = state;
  const { phase, progress, summary } = session;
  const total = state.histogram.value.value?.total;
  if (phase.value === "searching") {
    const { parts_done: done = 0, parts = 0, scanned_rows: scanned = 0 } = progress.value ?? {};
    return (
      <span class="searching">
        <progress max={Math.max(1, parts)} value={parts === 0 ? undefined : done} aria-label="Progress of the search" />
        {scanned > 0 ? `${count(scanned)} rows scanned` : "Searching"}
        <button type="button" class="link-button" onClick={() => state.session.cancel()}>
          Cancel
        </button>
      </span>
    );
  }
  const answer = summary.value;
  if (phase.value === "failed" && session.failure.value?.status === 400 && session.hasRows)
    return <span class="warning-text">What is shown answers the query before.</span>;
  if (answer === undefined) return phase.value === "cancelled" ? <span>Cancelled</span> : <span />;
  return (
    <span>
      {total !== undefined && <strong>{count(total)} rows</strong>}
      <span class="muted">
        {total === undefined ? "" : " · "}
        {formatSpan(answer.elapsed_ms)} · {scannedText(answer.scanned_bytes, answer.scanned_rows)}
      </span>
      {answer.partial !== false && <span class="warning-text"> · not all: {answer.partial}</span>}
    </span>
  );
}

/** What the stream has brought: received, shown, missed. */
function TailSummary() {
  const { tail } = state;
  const word = { off: "", connecting: "connecting", live: "live", waiting: "reconnecting" }[tail.state.value];
  const shown = tail.received.value - tail.held.value;
  return (
    <span class={`tail-summary tail-${tail.state.value}`}>
      <span class="tail-dot" aria-hidden="true" />
      <span>
        {tail.paused.value ? "paused" : word} · {rate(tail.rowsPerSecond.value)}/s · received{" "}
        {count(tail.received.value)} · shown {count(Math.max(0, shown))} ·{" "}
        <span class={tail.missed.value > 0 ? "warning-text" : ""}>missed {count(tail.missed.value)}</span>
      </span>
      {!tail.paused.value && tail.state.value === "live" && (
        <button type="button" class="icon-button" aria-label="Pause" title="Pause" onClick={() => tail.pause()}>
          <PauseIcon />
        </button>
      )}
      {tail.failure.value !== undefined && <span class="warning-text"> {tail.failure.value.message}</span>}
    </span>
  );
}

function Toggle({
  label,
  pressed,
  icon,
  onClick,
}: {
  readonly label: string;
  readonly pressed: boolean;
  readonly icon: preact.ComponentChildren;
  readonly onClick: () => void;
}) {
  return (
    <button type="button" class="tool-button" aria-pressed={pressed} title={label} onClick={onClick}>
      {icon}
      <span class="button-label">{label}</span>
    </button>
  );
}

function ExportMenu() {
  const save = (kind: string): void => {
    const records = state.session.records();
    const table = state.session.table.peek();
    if (kind === "ndjson")
      saveFile("taffrail-logs.ndjson", "application/x-ndjson", ndjsonOf(table === undefined ? records : table.rows));
    else if (kind === "csv")
      saveFile(
        "taffrail-logs.csv",
        "text/csv",
        table === undefined
          ? csvOf(records, state.columns.peek())
          : tableCsvOf(
              table.columns.map(({ name }) => name),
              table.rows,
            ),
      );
    else if (kind.startsWith("all-")) downloadAll(kind.slice("all-".length));
  };
  return (
    <label class="tool-button tool-select" title="Save the rows that are loaded, or all that match">
      <DownloadIcon />
      <span class="button-label">Export</span>
      <select
        aria-label="Export rows"
        value=""
        onChange={(event) => {
          save(event.currentTarget.value);
          event.currentTarget.value = "";
        }}
      >
        <option value="">Export the loaded rows as …</option>
        <option value="ndjson">NDJSON</option>
        <option value="csv">CSV</option>
        {!hasStages(state.asked.value?.q ?? "") && (
          <>
            <option value="all-ndjson">NDJSON of every matching row</option>
            <option value="all-csv">CSV of every matching row</option>
            <option value="all-json">JSON of every matching row</option>
          </>
        )}
      </select>
    </label>
  );
}

/** Has the server write every row that the last question matches: a file of any size, which the browser saves as it comes. */
function downloadAll(format: string): void {
  const question = state.asked.peek();
  if (question === undefined) return;
  const link = document.createElement("a");
  link.href = addressOf("/api/v1/logs/export", {
    q: question.q,
    from: question.from,
    to: question.to,
    format,
    fields: state.columns.peek().join(","),
  });
  link.download = "";
  link.click();
}
