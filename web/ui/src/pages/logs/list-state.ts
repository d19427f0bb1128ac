/** Which row of the Logs list is selected, which are open, and the moves that keys and clicks make among them. */
import { batch, signal, type Signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { LogRecord } from "../../api/log-record";
import { copyText } from "../../app/clipboard";
import { toast } from "../../app/toast";
import type { ListHandle } from "../../list/virtual-list";
import type { Item } from "./log-session";
import { permalink, session, tail } from "./logs-state";

export interface ListState {
  readonly handle: { current: ListHandle | null };
  /** The selected row's key. */
  readonly selected: Signal<string | undefined>;
  /** Keys of open rows. */
  readonly open: Signal<ReadonlySet<string>>;
  /** Keys of open rows that show the lines around them. */
  readonly withContext: Signal<ReadonlySet<string>>;
  /** Whether the selected row stands beside the list too. */
  readonly beside: Signal<boolean>;
  move(by: 1 | -1): void;
  /** Selects the next error, and loads further pages to find it. */
  moveToError(by: 1 | -1): Promise<void>;
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

/** Pages that are loaded in search of the next error before the search box is the better tool. */
const errorPagesMax = 20;

function isError(item: Item | undefined): boolean {
  return item?.kind === "record" && (item.record.level === "error" || item.record.level === "fatal");
}

function createListState(handle: { current: ListHandle | null }): ListState {
  const selected = signal<string | undefined>(undefined);
  const open = signal<ReadonlySet<string>>(new Set());
  const withContext = signal<ReadonlySet<string>>(new Set());

  const beside = signal(false);

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
    beside,
    move(by) {
      const at = indexOfSelected(list);
      if (at === -1) select(handle.current?.firstVisible() ?? 0);
      else select(Math.min(session.items.length - 1, Math.max(0, at + by)));
    },
    async moveToError(by) {
      const { generation } = session;
      const start = indexOfSelected(list);
      let at = start === -1 && by === -1 ? session.items.length - 1 : start + by;
      for (let pages = 0; ; pages += 1) {
        for (; at >= 0 && at < session.items.length; at += by) {
          if (isError(session.items[at])) return select(at);
        }
        if (by === -1 || !session.hasOlder || pages === errorPagesMax) break;
        await session.loadOlder();
        if (session.generation !== generation) return; // another search: where to look is no longer known
        if (at >= session.items.length) break; // no page came
      }
      const rows = session.items.length.toLocaleString();
      toast(by === 1 ? `No further error among ${rows} rows; level:error finds those beyond` : "No error before");
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
        if (!open.peek().has(item.key) && !beside.peek()) list.toggle(index);
        withContext.value = toggled(withContext.peek(), item.key);
      });
    },
    close() {
      const key = selected.peek();
      if (beside.peek()) beside.value = false;
      else if (key !== undefined && open.peek().has(key)) open.value = toggled(open.peek(), key);
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
