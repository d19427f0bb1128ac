/**
 * The rows of the Logs page: a search that grows page by page in both directions from a cursor, newest first, and the
 * live rows put before them. Holds no view; `version` tells when to draw again.
 */
import { batch, signal } from "@preact/signals";
import type { Failure } from "../../api/answer";
import type { LogRecord } from "../../api/log-record";
import {
  fetchContext,
  searchLogs,
  type AnswerColumn,
  type AnswerRow,
  type Progress,
  type Question,
  type Summary,
} from "../../api/logs";
import type { Gap } from "../../api/tail";
import { hasStages } from "../../query/query-edit";
import type { AnswerTable } from "./answer-table";
import { folded, repeatsRow, unfolded, withRepeats } from "./repeats";

/** A row of the list: a record, or a stretch that the live stream could not deliver. */
export type Item =
  | {
      readonly kind: "record";
      readonly key: string;
      readonly record: LogRecord;
      /** Older ones like it that follow at once, while such are folded. */
      readonly repeats?: LogRecord[];
      /** How many more there were than are kept. */
      readonly repeatsBeyond?: number;
    }
  | { readonly kind: "gap"; readonly key: string; readonly gap: Gap };

/** The first page is small to be quick, later ones are larger: who scrolls on wants to get far. */
const firstPageRows = 200;
const pageRows = 500;
const pageRowsMax = 10_000;
/** More rows than this are held by nobody's eyes; the range can be narrowed instead. */
export const rowsMax = 1_000_000;
/** While live, the oldest rows beyond this are let go; scrolling down fetches them again. */
const liveRowsMax = 20_000;

export type Phase = "idle" | "searching" | "older" | "newer" | "done" | "failed" | "cancelled";

export class LogSession {
  readonly version = signal(0);
  readonly phase = signal<Phase>("idle");
  readonly progress = signal<Progress | undefined>(undefined);
  readonly summary = signal<Summary | undefined>(undefined);
  readonly failure = signal<Failure | undefined>(undefined);
  /** Whether the rows answer the question before: the last one failed. */
  readonly stale = signal(false);
  /** The table that the question's stages make; then there are no items. */
  readonly table = signal<AnswerTable | undefined>(undefined);
  /** Changes with every new search. */
  generation = 0;
  /** Rows put before the first since the search began. */
  prepended = 0;
  items: Item[] = [];

  #question: Question | undefined;
  #running: AbortController | undefined;
  #olderCursor: string | undefined;
  #newerCursor: string | undefined;
  #drawing = false;
  #dedupe = false;

  /** Whether rows remain beyond the last one. */
  get hasOlder(): boolean {
    return this.#olderCursor !== undefined && this.items.length < rowsMax;
  }

  /** The place in the store's numbering behind everything that was loaded. */
  get highestSeq(): number | undefined {
    let highest: number | undefined;
    for (const item of this.items)
      // The first of those that are folded is the newest.
      if (item.kind === "record" && (highest === undefined || item.record.seq > highest)) highest = item.record.seq;
    return highest;
  }

  /** Whether anything is shown. */
  get hasRows(): boolean {
    return this.items.length > 0 || (this.table.peek()?.rows.length ?? 0) > 0;
  }

  records(): LogRecord[] {
    return unfolded(this.items).flatMap((item) => (item.kind === "record" ? [item.record] : []));
  }

  indexOf(recordId: string): number {
    const index = this.items.findIndex((item) => item.key === recordId);
    if (index !== -1 || !this.#dedupe) return index;
    return this.items.findIndex(
      (item) => item.kind === "record" && item.repeats?.some(({ id }) => id === recordId) === true,
    );
  }

  /** Folds rows that say the same as the one before them, or from the next search on no longer. */
  setDedupe(on: boolean): void {
    if (this.#dedupe === on) return;
    this.#dedupe = on;
    if (!on) return;
    this.items = folded(this.items);
    batch(() => {
      this.generation += 1;
      this.prepended = 0;
      this.version.value += 1;
    });
  }

  /** Puts what the stream had left out in the place of its gap; what is still missing stays one. */
  fillGap(key: string, items: readonly Item[]): void {
    const at = this.items.findIndex((item) => item.key === key);
    if (at === -1) return;
    this.items = [...this.items.slice(0, at), ...this.#fold(items), ...this.items.slice(at + 1)];
    this.version.value += 1;
  }

  /** Searches anew; with a line's id, the list stands around that line. */
  async start(question: Question, line: string | undefined): Promise<void> {
    const mine = this.#begin("searching");
    this.#question = question;
    const anchor = line === undefined ? undefined : await fetchContext(line, 0, mine.signal);
    if (this.#running !== mine) return;
    const fresh: Item[] = [];
    if (anchor?.ok === true) fresh.push(itemOf(anchor.value.record));
    let table: { columns: readonly AnswerColumn[]; readonly rows: AnswerRow[] } | undefined;
    let replaced = false;
    const replace = (): void => {
      if (replaced) return;
      replaced = true;
      batch(() => {
        this.generation += 1;
        this.prepended = 0;
        this.items = fresh;
        this.table.value = table;
        this.summary.value = undefined;
        this.failure.value = undefined;
        this.stale.value = false;
        this.version.value += 1;
      });
    };
    const answer = await searchLogs(
      // What stages make comes in one piece, as large as the server gives it.
      {
        ...question,
        ...(hasStages(question.q) ? {} : { limit: firstPageRows }),
        ...(fresh.length > 0 && line !== undefined ? { cursor: line } : {}),
      },
      {
        record: (record) => {
          this.#put(fresh, record);
          // The rows of the last search stay until the first ones of this come, so that nothing flickers.
          replace();
          this.#draw();
        },
        columns: (columns) => {
          table = { columns, rows: table?.rows ?? [] };
          if (replaced) this.table.value = table;
        },
        row: (row) => {
          table?.rows.push(row);
          replace();
          this.#draw();
        },
        progress: (progress) => {
          if (this.#running === mine) this.progress.value = progress;
        },
      },
      mine.signal,
    );
    if (this.#running !== mine) return;
    if (!answer.ok && answer.failure.kind !== "cancelled" && !replaced && this.hasRows) {
      // Half a query typed, or a server that is away, is no reason to lose what is being read: the rows stay, set back.
      this.#olderCursor = this.#newerCursor = undefined;
      this.#finish("failed", () => {
        this.failure.value = answer.failure;
        this.stale.value = true;
      });
      return;
    }
    replace();
    this.#olderCursor = answer.ok ? (answer.value.next_cursor ?? undefined) : undefined;
    this.#newerCursor = anchor?.ok === true ? line : undefined;
    this.#finish(answer.ok ? "done" : answer.failure.kind === "cancelled" ? "cancelled" : "failed", () => {
      if (answer.ok) this.summary.value = answer.value;
      else if (answer.failure.kind !== "cancelled") this.failure.value = answer.failure;
    });
  }

  /** Fetches the page after the last row. */
  async loadOlder(): Promise<void> {
    const question = this.#question;
    if (this.phase.peek() !== "done" || question === undefined || !this.hasOlder) return;
    const mine = this.#begin("older");
    const cursor = this.#olderCursor ?? "";
    const answer = await searchLogs(
      { ...question, limit: Math.min(pageRowsMax, Math.max(pageRows, this.items.length)), cursor },
      { record: (record) => this.#append(mine, record), progress: () => undefined },
      mine.signal,
    );
    if (this.#running !== mine) return;
    if (answer.ok) this.#olderCursor = answer.value.next_cursor ?? undefined;
    else this.#olderCursor = this.#lastRecordId() ?? cursor;
    this.#finish(answer.ok ? "done" : "failed", () => {
      if (!answer.ok && answer.failure.kind !== "cancelled") this.failure.value = answer.failure;
    });
  }

  /** Fetches the page before the first row; only a list around a line has one. */
  async loadNewer(): Promise<void> {
    const question = this.#question;
    const cursor = this.#newerCursor;
    if (this.phase.peek() !== "done" || question === undefined || cursor === undefined) return;
    const mine = this.#begin("newer");
    const page: Item[] = [];
    const answer = await searchLogs(
      { ...question, limit: pageRows, cursor, order: "oldest" },
      { record: (record) => void page.push(itemOf(record)), progress: () => undefined },
      mine.signal,
    );
    if (this.#running !== mine) return;
    if (answer.ok) this.#newerCursor = answer.value.next_cursor ?? undefined;
    this.#finish(answer.ok ? "done" : "failed", () => {
      this.#prepend(page.reverse());
      if (!answer.ok && answer.failure.kind !== "cancelled") this.failure.value = answer.failure;
    });
  }

  /** Goes on after a failure of a further page. */
  retry(): void {
    if (this.phase.peek() !== "failed" || this.items.length === 0) return;
    this.failure.value = undefined;
    this.phase.value = "done";
    void this.loadOlder();
  }

  /** Stops the server's work; what has come stays. */
  cancel(): void {
    this.#running?.abort();
    this.#running = undefined;
    if (this.phase.peek() === "searching" || this.phase.peek() === "older") this.#olderCursor = this.#lastRecordId();
    this.phase.value = this.hasRows ? "done" : "cancelled";
  }

  /** Puts live rows before the first, newest first, and lets go of the oldest when there are too many. */
  prependLive(items: readonly Item[]): void {
    this.#prepend(items);
    if (this.items.length > liveRowsMax) {
      this.items.length = liveRowsMax;
      this.#olderCursor = this.#lastRecordId();
    }
  }

  #begin(phase: Phase): AbortController {
    this.#running?.abort();
    const mine = new AbortController();
    this.#running = mine;
    batch(() => {
      this.phase.value = phase;
      this.progress.value = undefined;
    });
    return mine;
  }

  #finish(phase: Phase, also: () => void): void {
    this.#running = undefined;
    batch(() => {
      this.phase.value = phase;
      this.progress.value = undefined;
      also();
      this.version.value += 1;
    });
  }

  #append(mine: AbortController, record: LogRecord): void {
    if (this.#running !== mine) return;
    this.#put(this.items, record);
    this.#draw();
  }

  /** Adds a record behind the others, or to the one it repeats. */
  #put(items: Item[], record: LogRecord): void {
    const last = this.#dedupe ? items.at(-1) : undefined;
    if (!repeatsRow(last, record)) items.push(itemOf(record));
    else items[items.length - 1] = withRepeats(last, [record]);
  }

  #prepend(items: readonly Item[]): void {
    if (items.length === 0) return;
    const before = this.items.length;
    const fresh = this.#fold(items);
    const [first] = this.items;
    // The first row may repeat what comes before it.
    const seam = this.#dedupe && first !== undefined ? folded([...fresh.splice(-1), first]) : this.items.slice(0, 1);
    this.items = [...fresh, ...seam, ...this.items.slice(1)];
    this.prepended += this.items.length - before;
    this.version.value += 1;
  }

  #fold(items: readonly Item[]): Item[] {
    return this.#dedupe ? folded(items) : [...items];
  }

  /** Draws once a frame however many rows come. */
  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.version.value += 1;
    });
  }

  #lastRecordId(): string | undefined {
    const last = this.items.findLast((item) => item.kind === "record");
    return last?.key;
  }
}

export function itemOf(record: LogRecord): Item {
  return { kind: "record", key: record.id, record };
}

export function gapItem(gap: Gap): Item {
  return { kind: "gap", key: `gap-${gap.from_seq}-${gap.to_seq}`, gap };
}
