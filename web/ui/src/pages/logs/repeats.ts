/** Rows that say the same as the row before them, folded into it. Pure. */
import type { LogRecord } from "../../api/log-record";
import type { Item } from "./log-session";

type RecordItem = Item & { kind: "record" };

/** Of those that are folded so many are kept, the newest; a tail that says the same all day is only counted further. */
const repeatsMax = 1000;

/** Rows with those that repeat their neighbour folded into it; rows that were folded before stay so. */
export function folded(items: readonly Item[]): Item[] {
  const result: Item[] = [];
  for (const item of items) {
    const last = result.at(-1);
    if (item.kind !== "record" || !repeatsRow(last, item.record)) result.push(item);
    else result[result.length - 1] = withRepeats(last, [item.record, ...(item.repeats ?? [])], item.repeatsBeyond);
  }
  return result;
}

/** The row with older ones folded into it. */
export function withRepeats(item: RecordItem, older: readonly LogRecord[], beyond = 0): RecordItem {
  const kept = item.repeats ?? [];
  const room = Math.max(0, repeatsMax - kept.length);
  // The row is another from now on, but what it keeps grows in place: a run may be long.
  kept.push(...older.slice(0, room));
  return { ...item, repeats: kept, repeatsBeyond: repeatsBeyond(item) + beyond + Math.max(0, older.length - room) };
}

/** How many rows are folded into one. */
export function repeatCount(item: RecordItem): number {
  return (item.repeats?.length ?? 0) + repeatsBeyond(item);
}

/** Every row that is kept for itself again. */
export function unfolded(items: readonly Item[]): readonly Item[] {
  return items.flatMap((item): Item[] => {
    if (item.kind !== "record") return [item];
    const all = [item.record, ...(item.repeats ?? [])];
    return all.map((record) => ({ kind: "record", key: record.id, record }));
  });
}

/** Whether a record says what the row says. */
export function repeatsRow(item: Item | undefined, record: LogRecord): item is RecordItem {
  return item?.kind === "record" && saysTheSame(item.record, record);
}

function repeatsBeyond(item: RecordItem): number {
  return item.repeatsBeyond ?? 0;
}

function saysTheSame(a: LogRecord, b: LogRecord): boolean {
  return a.message === b.message && a.service === b.service && a.host === b.host && a.level === b.level;
}
