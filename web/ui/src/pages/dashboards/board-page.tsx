/** One dashboard: its variables, its grid of panels, and beside it, when asked for, its text. */
import { effect, untracked, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import "../../styles/rows.css";
import { bindKeys } from "../../app/key-bindings";
import { amend, go, parameter } from "../../app/location";
import { pageStatus, setTitle } from "../../app/page-status";
import { share, TopBar } from "../../app/top-bar";
import { saveFile } from "../../app/clipboard";
import { parseSpan } from "../../time/span";
import { runAgain, runs, writtenRange } from "../../time/range-state";
import { timePickerId } from "../../time/time-picker";
import { BoardEditor } from "./board-editor";
import * as state from "./board-state";
import { placed, type PlacedRow } from "./layout";
import { marks, loadMarks } from "../../chart/marks";
import { PanelView } from "./panel-view";
import { stepOf } from "./panel-data";
import { fillText } from "./variables";
import { VariableBar } from "./variable-bar";
import { timeRange } from "../../time/range-state";

const refreshes = ["", "10s", "30s", "1m", "5m", "15m"];

export function BoardPage() {
  const main = useRef<HTMLElement>(null);
  const name = state.slug.value;
  useEffect(() => {
    if (name === "") {
      if (state.draft.peek() === undefined) go("/d", "replace");
    } else if (state.stored.value.peek()?.slug !== name) void state.loadDashboard(name);
    return () => state.dropDraft();
  }, []);
  useEffect(
    () =>
      effect(() => {
        const title = state.dashboard.value?.title;
        setTitle(title ?? "Dashboard");
      }),
    [],
  );
  // A dashboard opens with the time that it names, unless the link names one.
  const time = state.dashboard.value?.time;
  useEffect(() => {
    if (time === undefined || parameter("from") !== "" || state.isEditing.peek()) return;
    amend({ from: time.from, to: time.to === "now" ? null : time.to }, "replace");
    runAgain();
  }, [time?.from, time?.to]);
  const variables = state.dashboard.value?.variables ?? [];
  const depends = variables.flatMap(state.dependsOn).map((one) => parameter(`var-${one}`));
  useEffect(
    () => void state.loadOptions(),
    [JSON.stringify(variables), depends.join("\n"), writtenRange.value, runs.value],
  );
  useEffect(
    () =>
      effect(() => {
        void writtenRange.value;
        void runs.value;
        untracked(() => void loadMarks());
      }),
    [],
  );
  const refresh = parameter("refresh") || state.dashboard.value?.refresh || "";
  useEffect(() => {
    const every = parseSpan(refresh);
    if (every === undefined) return undefined;
    const timer = setInterval(
      () => {
        if (document.visibilityState === "visible") runAgain();
      },
      Math.max(1000, every),
    );
    return () => clearInterval(timer);
  }, [refresh]);
  const fullScreen = (): void => {
    if (document.fullscreenElement !== null) void document.exitFullscreen();
    else void main.current?.requestFullscreen();
  };
  useEffect(
    () =>
      bindKeys("Dashboard", [
        { keys: "e", does: "Edit as YAML", run: () => amend({ edit: state.isEditing.peek() ? null : "1" }) },
        { keys: "f", does: "Full screen", run: fullScreen },
        { keys: "r", does: "Ask again", run: runAgain },
        { keys: "t", does: "Time range", run: () => document.getElementById(timePickerId)?.click() },
        { keys: "Escape", does: "Show all panels", run: () => amend({ panel: null }) },
        { keys: "y", does: "Copy a link to this view", run: () => void share(true) },
      ]),
    [],
  );
  const board = state.dashboard.value;
  const stored = state.stored.value.value;
  const failure = state.stored.failure.value;
  const isEditing = state.isEditing.value;
  return (
    <>
      <TopBar
        title={board?.title ?? "Dashboard"}
        withTime
        actions={
          <>
            <label class="control board-refresh">
              <span class="visually-hidden">Ask again every</span>
              <select
                class="select"
                title="Ask again by itself"
                value={refreshes.includes(refresh) ? refresh : ""}
                onChange={(event) => amend({ refresh: event.currentTarget.value || "off" })}
              >
                {refreshes.map((every) => (
                  <option key={every} value={every}>
                    {every === "" ? "↻ off" : `↻ ${every}`}
                  </option>
                ))}
              </select>
            </label>
            <button type="button" class="button board-full" onClick={fullScreen} title="Full screen (f)">
              Full screen
            </button>
            {stored !== undefined && !isEditing && (
              <button
                type="button"
                class="button board-download"
                title="Save the YAML as a file"
                onClick={() => saveFile(`${name}.yaml`, "application/yaml", stored.yaml)}
              >
                YAML
              </button>
            )}
            <button
              type="button"
              class="button"
              aria-pressed={isEditing}
              title="Edit as YAML (e)"
              onClick={() => (state.isNew.peek() ? go("/d") : amend({ edit: isEditing ? null : "1" }))}
            >
              {isEditing ? "Close" : "Edit"}
            </button>
          </>
        }
      >
        <span class="board-title">
          <a href="/d">Dashboards</a>
          <span aria-hidden="true"> / </span>
          <strong>{board?.title ?? name}</strong>
        </span>
      </TopBar>
      <main class={isEditing ? "board board-editing" : "board"} ref={main}>
        <div class="board-view">
          <VariableBar />
          {failure !== undefined && stored === undefined && (
            <div class="nothing">
              <h2>{failure.status === 404 ? "There is no dashboard here" : "The dashboard could not be fetched"}</h2>
              <p class="muted">{failure.message}</p>
              <p>
                <a href="/d">All dashboards</a>
              </p>
            </div>
          )}
          {stored?.dashboard === null && !isEditing && (
            <div class="nothing">
              <h2>This dashboard cannot be read</h2>
              <p class="muted">{stored.problems[0]?.message}. Edit it to see where.</p>
            </div>
          )}
          {board !== undefined && <Grid />}
        </div>
        {isEditing && <BoardEditor />}
      </main>
    </>
  );
}

function Grid() {
  const board = state.dashboard.value;
  const folded = useSignal<ReadonlyMap<string, boolean>>(new Map());
  const rows = board === undefined ? [] : placed(board, state.choices.value);
  const only = parameter("panel");
  const panels = rows.reduce((sum, row) => sum + row.panels.length, 0);
  useEffect(() => {
    pageStatus.value = { rows: `${panels} panels` };
  }, [panels]);
  if (only !== "") {
    const found = rows.flatMap((row) => row.panels).find(({ id }) => id === only);
    if (found !== undefined)
      return (
        <div class="board-alone">
          <PanelView key={found.id} placed={found} marks={marks.value} alone />
        </div>
      );
  }
  const span = { range: timeRange.value, stepMs: stepOf(timeRange.value) };
  const isFolded = (row: PlacedRow): boolean => folded.value.get(row.id) ?? row.collapsed;
  return (
    <>
      {rows.map((row) => (
        <section
          key={row.id}
          class="board-row"
          aria-label={row.title === "" ? undefined : fillText(row.title, row.choices, span)}
        >
          {row.title === "" ? (
            <h2 class="visually-hidden">Panels</h2>
          ) : (
            <h2 class="board-row-head">
              <button
                type="button"
                class="board-fold"
                aria-expanded={!isFolded(row)}
                onClick={() => (folded.value = new Map(folded.peek()).set(row.id, !isFolded(row)))}
              >
                <span class={isFolded(row) ? "fold-mark" : "fold-mark fold-open"} aria-hidden="true" />
                {fillText(row.title, row.choices, span)}
                {isFolded(row) && <span class="muted"> {row.panels.length} panels</span>}
              </button>
            </h2>
          )}
          {!isFolded(row) && (
            <div class="board-grid">
              {row.panels.map((one) => (
                <PanelView key={`${one.id} ${one.panel.type}`} placed={one} marks={marks.value} />
              ))}
            </div>
          )}
          {row.leftOut > 0 && <p class="muted">{row.leftOut} further copies of this row are not drawn.</p>}
        </section>
      ))}
      {board !== undefined && panels === 0 && (
        <p class="muted board-empty">This dashboard has no panels yet. Edit it to add some.</p>
      )}
    </>
  );
}
