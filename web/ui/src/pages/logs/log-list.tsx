/** The rows of the Logs page: the virtual list with its header, open rows, live bar, end, and what stands there when nothing was found. */
import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { CloseIcon } from "../../app/icons";
import { count } from "../../app/number-format";
import { parameter } from "../../app/location";
import { zone } from "../../app/preferences";
import { LogDetail, type DetailActions } from "../../list/log-detail";
import { LogRow, rowId } from "../../list/log-row";
import { VirtualList } from "../../list/virtual-list";
import { fullTime } from "../../time/format";
import { timeRange } from "../../time/range-state";
import type { AnswerTable } from "./answer-table";
import type { ListState } from "./list-state";
import { rowsMax, type Item } from "./log-session";
import * as state from "./logs-state";

/** A row's height in one-line mode; the style sheet has the same number. */
export const rowHeight = 22;

export function LogList({ state: list }: { readonly state: ListState }) {
  const { session, tail } = state;
  void session.version.value;
  const { items } = session;
  const wrapped = state.wrap.value;
  const columns = state.columns.value;
  const terms = state.terms.value;
  const range = timeRange.value;
  const withDate = fullTime(range.from, zone.value).slice(0, 10) !== fullTime(range.to, zone.value).slice(0, 10);
  const selected = list.selected.value;
  const open = list.open.value;
  const withContext = list.withContext.value;
  const frame = useRef<HTMLDivElement>(null);

  const actions = useMemo<DetailActions>(
    () => ({
      include: state.includeValue,
      exclude: state.excludeValue,
      toggleColumn: state.toggleColumn,
      permalink: state.permalink,
    }),
    [],
  );
  useLayoutEffect(() => {
    const time = withDate ? "19.5ch" : "13ch";
    frame.current?.style.setProperty(
      "--row-columns",
      `${time} 1.6ch ${columns.map(() => "minmax(6ch, 14ch)").join(" ")} minmax(0, 1fr)`,
    );
    frame.current?.style.setProperty("--row-columns-narrow", "8.6ch 1.6ch minmax(0, 1fr)");
  }, [withDate, columns]);
  useShowLine(list);

  const table = session.table.value;
  if (table !== undefined && table.rows.length > 0)
    return (
      <div class="list-frame" ref={frame}>
        <Table table={table} />
      </div>
    );
  if (items.length === 0) {
    return (
      <div class="list-frame" ref={frame}>
        {tail.on && <LiveBar list={list} />}
        <Empty />
      </div>
    );
  }
  const row = (index: number) => {
    const item = items[index];
    if (item === undefined) return null;
    if (item.kind === "gap") return <GapRow item={item} index={index} />;
    const isOpen = open.has(item.key);
    return (
      <>
        <LogRow
          record={item.record}
          index={index}
          columns={columns}
          zone={zone.value}
          withDate={withDate}
          wrap={wrapped}
          terms={terms}
          selected={item.key === selected}
          open={isOpen}
          onToggle={list.toggle}
        />
        {isOpen && (
          <div class="row-detail" role="row">
            <LogDetail
              record={item.record}
              zone={zone.value}
              terms={terms}
              columns={columns}
              withContext={withContext.has(item.key)}
              actions={actions}
              onContext={() => list.toggleContext(session.indexOf(item.key))}
            />
          </div>
        )}
      </>
    );
  };
  return (
    <div class="list-frame" ref={frame}>
      {tail.on && <LiveBar list={list} />}
      <VirtualList
        count={items.length}
        generation={session.generation}
        prepended={session.prepended}
        rowHeight={rowHeight}
        layout={wrapped ? `wrapped ${columns.length}` : "one line"}
        keyOf={(index) => items[index]?.key ?? String(index)}
        row={row}
        isTall={(index) => wrapped || open.has(items[index]?.key ?? "")}
        onNearEnd={() => void session.loadOlder()}
        onNearStart={() => void session.loadNewer()}
        onScroll={(atTop) => {
          if (!atTop && tail.on) tail.pause();
        }}
        handle={list.handle}
        label="Log records, newest first"
        header={<Header columns={columns} />}
        active={selected === undefined ? undefined : rowId(selected)}
        columnCount={columns.length + 3}
      />
      <ListEnd />
      <p class="visually-hidden" role="log" aria-live="polite" aria-label="New rows">
        {tail.spoken.value}
      </p>
    </div>
  );
}

function Header({ columns }: { readonly columns: readonly string[] }) {
  return (
    <div class="row list-header" role="row" aria-rowindex={1}>
      <span class="cell cell-time" role="columnheader">
        time <span class="muted">{zone.value === "utc" ? "UTC" : ""}</span>
      </span>
      <span class="cell cell-level" role="columnheader">
        <span class="visually-hidden">level</span>
      </span>
      {columns.map((name) => (
        <span key={name} class="cell cell-field" role="columnheader">
          <span class="column-name">{name}</span>
          <button
            type="button"
            class="icon-button column-remove"
            aria-label={`Take the column ${name} away`}
            title="Take the column away"
            onClick={() => state.toggleColumn(name)}
          >
            <CloseIcon />
          </button>
        </span>
      ))}
      <span class="cell cell-message" role="columnheader">
        message
      </span>
    </div>
  );
}

/** The table, whose code comes with the first one. */
function Table({ table }: { readonly table: AnswerTable }) {
  const [View, setView] = useState<ComponentType<{ table: AnswerTable }>>();
  useEffect(() => void import("./answer-table").then(({ AnswerTableView }) => setView(() => AnswerTableView)), []);
  return View === undefined ? null : <View table={table} />;
}

/** What stands where nothing was found, whose code comes with the first such answer. */
function Empty() {
  const [View, setView] = useState<ComponentType>();
  useEffect(() => void import("./empty-answer").then(({ EmptyAnswer }) => setView(() => EmptyAnswer)), []);
  return View === undefined ? <div class="nothing" /> : <View />;
}

/** The bar that says what is held back. */
function LiveBar({ list }: { readonly list: ListState }) {
  const { tail } = state;
  const resume = (): void => {
    list.handle.current?.toTop();
    tail.resume();
  };
  if (!tail.paused.value) return null;
  return (
    <div class="live-bar" role="status">
      <strong>Paused</strong> · {count(tail.held.value)} new
      {tail.missed.value > 0 ? ` · ${count(tail.missed.value)} missed` : ""}
      <button type="button" class="button button-main button-small" onClick={resume}>
        Resume
      </button>
    </div>
  );
}

function GapRow({ item, index }: { readonly item: Item & { kind: "gap" }; readonly index: number }) {
  return (
    <div class="row row-gap" role="row" aria-rowindex={index + 2}>
      <span role="gridcell">
        {count(item.gap.rows)} rows went by too fast for the live stream.{" "}
        <button type="button" class="link-button" onClick={state.search}>
          Fetch them
        </button>
      </span>
    </div>
  );
}

/** Below the last row: more is coming, it failed, or that was all. */
function ListEnd() {
  const { session } = state;
  const phase = session.phase.value;
  void session.version.value;
  if (phase === "older") return <p class="list-end">Fetching more …</p>;
  if (phase === "failed" && session.failure.value?.status !== 400)
    return (
      <p class="list-end warning-text">
        {session.failure.value?.message}{" "}
        <button type="button" class="link-button" onClick={() => session.retry()}>
          Try again
        </button>
      </p>
    );
  if (session.items.length >= rowsMax)
    return <p class="list-end">{count(rowsMax)} rows are loaded. Narrow the time range to read on.</p>;
  return null;
}

/** Brings the line of a permalink into view once it is there. */
function useShowLine(list: ListState): void {
  const line = parameter("line");
  const generation = state.session.generation;
  const shown = useRef("");
  useEffect(() => {
    if (line === "" || shown.current === `${generation} ${line}`) return;
    const index = state.session.indexOf(line);
    if (index === -1) return;
    shown.current = `${generation} ${line}`;
    list.selected.value = line;
    if (!list.open.peek().has(line)) list.toggle(index);
    list.handle.current?.show(index, "middle");
  });
}
