/** The line above the list: what was found and at what cost, the running search's progress, and how the list looks. */
import { count } from "../../app/number-format";
import { scannedText } from "../../app/page-status";
import { CompareIcon, DedupeIcon, FacetsIcon, HistogramIcon, PatternsIcon, WrapIcon } from "../../app/icons";
import { later } from "../../app/later";
import { amend } from "../../app/location";
import { facetsShown, histogramShown } from "../../app/preferences";
import { formatSpan } from "../../time/span";
import * as state from "./logs-state";

const TailSummary = later(async () => (await import("./tail-summary")).TailSummary);
const ExportMenu = later(async () => (await import("./export-menu")).ExportMenu);

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
      {histogramShown.value === "yes" && <SplitChoice />}
      <Toggle
        label="Patterns"
        pressed={state.patternsShown.value}
        icon={<PatternsIcon />}
        onClick={() => state.showPatterns(!state.patternsShown.peek())}
      />
      <Toggle
        label="Compare"
        pressed={state.compareShown.value}
        icon={<CompareIcon />}
        onClick={() => amend({ view: state.compareShown.peek() ? null : "compare" })}
      />
      <Toggle label="Dedupe" pressed={state.dedupe.value} icon={<DedupeIcon />} onClick={state.toggleDedupe} />
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
  if (phase.value === "failed" && session.stale.value)
    return (
      <span class="warning-text" role="alert">
        {session.failure.value?.status === 400 ? "" : `${session.failure.value?.message}; `}
        what is shown answers the question before.{" "}
        {session.failure.value?.status !== 400 && (
          <button type="button" class="link-button" onClick={state.search}>
            Search again
          </button>
        )}
      </span>
    );
  if (answer === undefined) return phase.value === "cancelled" ? <span>Cancelled</span> : <span />;
  return (
    <span>
      {total !== undefined && <strong>{total === 1 ? "1 row" : `${count(total)} rows`}</strong>}
      <span class="muted">
        {total === undefined ? "" : " · "}
        {formatSpan(answer.elapsed_ms)} · {scannedText(answer.scanned_bytes, answer.scanned_rows)}
      </span>
      {answer.partial !== false && <span class="warning-text"> · not all: {answer.partial}</span>}
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

/** The field that the histogram is stacked by. */
function SplitChoice() {
  const by = state.splitBy.value;
  const names = [...state.fixedFacets, ...(state.fields.value.value?.fields ?? []).map(({ name }) => name), by];
  return (
    <select
      class="histogram-by"
      aria-label="Stack the histogram by"
      title="Stack the histogram by this field"
      value={by}
      onChange={(event) => state.splitHistogram(event.currentTarget.value)}
    >
      {[...new Set(names)]
        .filter((name) => name !== "message" && name !== "time")
        .map((name) => (
          <option key={name} value={name}>
            by {name}
          </option>
        ))}
    </select>
  );
}
