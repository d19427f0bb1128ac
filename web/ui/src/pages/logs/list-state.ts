/** Which row of the Logs list is selected, which are open, and the moves that keys and clicks make among them. */
import { batch, signal, type Signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { LogRecord } from "../../api/log-record";
import { copyText } from "../../app/clipboard";
import { toast } from "../../app/toast";
import type { ListHandle } from "../../list/virtual-list";
import { permalink, session, tail } from "./logs-state";

export interface ListState {
  readonly handle: { current: ListHandle | null };
  /** The selected row's key. */
  readonly selected: Signal<string | undefined>;
  /** Keys of open rows. */
  readonly open: Signal<ReadonlySet<string>>;
  /** Keys of open rows that show the lines around them. */
  readonly withContext: Signal<ReadonlySet<string>>;
  move(by: 1 | -1): void;
  moveToError(by: 1 | -1): void;
  /** Opens or closes a row: the one given, or the selected one. */
  toggle(index?: number): void;
  toggleContext(index?: number): void;
  close(): void;
  /** Copies the selected row's link; without a row does the other. */
  copyLink(otherwise: () => void): void;
}

export function useListState(handle: { current: ListHandle | null }): ListState {
  return useMemo(() => createListState(handle), []);
}

export function selectedRecord(list: ListState): LogRecord | undefined {
  const item = session.items[indexOfSelected(list)];
  return item?.kind === "record" ? item.record : undefined;
}

function createListState(handle: { current: ListHandle | null }): ListState {
  const selected = signal<string | undefined>(undefined);
  const open = signal<ReadonlySet<string>>(new Set());
  const withContext = signal<ReadonlySet<string>>(new Set());

  const select = (index: number): void => {
    const item = session.items[index];
    if (item === undefined) return;
    selected.value = item.key;
    handle.current?.show(index);
  };
  const list: ListState = {
    handle,
    selected,
    open,
    withContext,
    move(by) {
      const at = indexOfSelected(list);
      if (at === -1) select(handle.current?.firstVisible() ?? 0);
      else select(Math.min(session.items.length - 1, Math.max(0, at + by)));
    },
    moveToError(by) {
      const start = indexOfSelected(list);
      for (
        let at = start === -1 && by === -1 ? session.items.length - 1 : start + by;
        at >= 0 && at < session.items.length;
        at += by
      ) {
        const item = session.items[at];
        if (item?.kind === "record" && (item.record.level === "error" || item.record.level === "fatal")) {
          select(at);
          return;
        }
      }
      toast(by === 1 ? "No further error among the loaded rows" : "No error before among the loaded rows");
    },
    toggle(index) {
      const item = session.items[index ?? indexOfSelected(list)];
      if (item === undefined) return;
      batch(() => {
        selected.value = item.key;
        open.value = toggled(open.peek(), item.key);
        // A row that is being read must not run away.
        if (open.value.has(item.key)) tail.pause();
      });
    },
    toggleContext(index) {
      const item = session.items[index ?? indexOfSelected(list)];
      if (item?.kind !== "record") return;
      batch(() => {
        if (!open.peek().has(item.key)) list.toggle(index);
        withContext.value = toggled(withContext.peek(), item.key);
      });
    },
    close() {
      const key = selected.peek();
      if (key !== undefined && open.peek().has(key)) open.value = toggled(open.peek(), key);
      else if (open.peek().size > 0) open.value = new Set();
      else selected.value = undefined;
    },
    copyLink(otherwise) {
      const record = selectedRecord(list);
      if (record === undefined) otherwise();
      else void copyText(window.location.origin + permalink(record), "Link to this line");
    },
  };
  return list;
}

function indexOfSelected(list: ListState): number {
  const key = list.selected.peek();
  return key === undefined ? -1 : session.indexOf(key);
}

function toggled(keys: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const next = new Set(keys);
  if (!next.delete(key)) next.add(key);
  return next;
}
