/** Rows that say the same as the row before them, folded into it and out again. Pure. */
import type { LogRecord } from "../../api/log-record";
import type { Item } from "./log-session";

/** Rows with those that repeat their neighbour folded into it; rows that were folded before stay so. */
export function folded(items: readonly Item[]): Item[] {
  const result: Item[] = [];
  // Grows in place while a run goes on: a run may be as long as the list.
  let repeats: LogRecord[] = [];
  for (const item of items) {
    const last = result.at(-1);
    if (item.kind !== "record" || last?.kind !== "record" || !saysTheSame(last.record, item.record)) {
      repeats = item.kind === "record" ? [...(item.repeats ?? [])] : [];
      result.push(item.kind === "record" ? { ...item, repeats } : item);
      continue;
    }
    repeats.push(item.record, ...(item.repeats ?? []));
  }
  return result;
}

/** Every row for itself again. */
export function unfolded(items: readonly Item[]): readonly Item[] {
  return items.flatMap((item): Item[] => {
    if (item.kind !== "record") return [item];
    const all = [item.record, ...(item.repeats ?? [])];
    return all.map((record) => ({ kind: "record", key: record.id, record }));
  });
}

/** Whether a record says what the row says. */
export function repeatsRow(item: Item | undefined, record: LogRecord): item is Item & { kind: "record" } {
  return item?.kind === "record" && saysTheSame(item.record, record);
}

function saysTheSame(a: LogRecord, b: LogRecord): boolean {
  return a.message === b.message && a.service === b.service && a.host === b.host && a.level === b.level;
}
