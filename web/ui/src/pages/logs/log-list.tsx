/** The rows of the Logs page: the virtual list with its header, open rows, live bar, end, and what stands there when nothing was found. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { later } from "../../app/later";
import { count } from "../../app/number-format";
import { parameter } from "../../app/location";
import { density, zone } from "../../app/preferences";
import type { DetailActions } from "../../list/log-detail";
import { LogRow, rowId } from "../../list/log-row";
import { VirtualList } from "../../list/virtual-list";
import { fullTime } from "../../time/format";
import { timeRange } from "../../time/range-state";
import type { Column } from "./columns";
import type { ListState } from "./list-state";
import { rowsMax, type Item } from "./log-session";
import { repeatCount } from "./repeats";
import { ListHeader } from "./list-header";
import * as state from "./logs-state";

/** A row's height in one-line mode; the style sheet has the same numbers. */
const rowHeights = { compact: 22, comfortable: 30 };

export const LogDetail = later(async () => (await import("../../list/log-detail")).LogDetail);
const Table = later(async () => (await import("./answer-table")).AnswerTableView);
const Empty = later(async () => (await import("./empty-answer")).EmptyAnswer);

/** What can be done with the fields of an open record. */
export const detailActions: DetailActions = {
  include: state.includeValue,
  exclude: state.excludeValue,
  toggleColumn: state.toggleColumn,
  permalink: state.permalink,
  topValues: state.topValues,
  query: () => state.query.peek(),
};

export function LogList({ state: list }: { readonly state: ListState }) {
  const { session, tail } = state;
  void session.version.value;
  const { items } = session;
  const wrapped = state.wrap.value;
  const plan = state.columnPlan.value;
  const columns = state.columns.value;
  const timeHidden = state.timeHidden.value;
  const rowHeight = rowHeights[density.value];
  const terms = state.terms.value;
  const range = timeRange.value;
  const withDate = fullTime(range.from, zone.value).slice(0, 10) !== fullTime(range.to, zone.value).slice(0, 10);
  const selected = list.selected.value;
  const open = list.open.value;
  const withContext = list.withContext.value;
  const frame = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const time = timeHidden ? "" : withDate ? "19.5ch" : "13ch";
    const fields = plan.map(({ width }) => (width === undefined ? "minmax(6ch, 14ch)" : `${width}px`)).join(" ");
    const style = frame.current?.style;
    style?.setProperty("--row-columns", `${time} 1.6ch ${fields} minmax(12ch, 1fr)`);
    style?.setProperty("--row-columns-narrow", `${timeHidden ? "" : "8.6ch"} 1.6ch minmax(0, 1fr)`);
    style?.setProperty("--row-height", `${rowHeight}px`);
  }, [withDate, plan, timeHidden, rowHeight]);
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
          timeHidden={timeHidden}
          repeats={repeatCount(item)}
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
              actions={detailActions}
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
        layout={`${rowHeight} ${wrapped ? `wrapped ${columnsWidth(plan)}` : "one line"}`}
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
        header={<ListHeader />}
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
        <button type="button" class="link-button" onClick={() => void state.fillGap(item)}>
          {count(item.gap.rows)} rows went by too fast for the live stream: fetch them
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
  if (phase === "failed" && !session.stale.value)
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

function columnsWidth(plan: readonly Column[]): string {
  return plan.map(({ width = 0 }) => width).join(" ");
}
