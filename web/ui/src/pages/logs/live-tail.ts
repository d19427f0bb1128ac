/**
 * The live part of the Logs page: follows the stream, counts what was received, shown and missed, and holds rows back
 * while the reader looks at something. Nothing is lost silently: what cannot be held becomes a gap row.
 */
import { batch, signal } from "@preact/signals";
import type { Failure } from "../../api/answer";
import type { Gap, TailCounts, TailListener } from "../../api/tail";
import { gapItem, itemOf, type Item, type LogSession } from "./log-session";

/** Rows held back while paused; beyond it the oldest become a gap. */
const heldRowsMax = 10_000;
/** The rate is measured over this long. */
const rateMs = 3000;
/** New rows are spoken of once in this many seconds. */
const spokenSeconds = 5;

const noCounts: TailCounts = { received: 0, matched: 0, shown: 0, dropped: 0 };

export type TailState = "off" | "connecting" | "live" | "waiting";

export class LiveTail {
  readonly state = signal<TailState>("off");
  readonly failure = signal<Failure | undefined>(undefined);
  readonly paused = signal(false);
  readonly received = signal(0);
  /** The server's own count over all connections of this tail. */
  readonly counts = signal<TailCounts>(noCounts);
  readonly held = signal(0);
  /** Rows that the server or this page had to let go. */
  readonly missed = signal(0);
  readonly rowsPerSecond = signal(0);
  /** A sentence for screen readers, changed seldom enough to be listened to. */
  readonly spoken = signal("");

  #session: LogSession;
  #running: AbortController | undefined;
  /** Oldest first. */
  #waiting: Item[] = [];
  #letGo: Gap | undefined;
  #flushing = false;
  #arrivals: number[] = [];
  #rateTimer: ReturnType<typeof setInterval> | undefined;
  #secondsSilent = 0;
  #receivedWhenSpoken = 0;

  constructor(session: LogSession) {
    this.#session = session;
  }

  get on(): boolean {
    return this.#running !== undefined;
  }

  /** Follows a query from the place behind what is loaded. */
  start(q: string, fromSeq: number | undefined): void {
    this.stop();
    const mine = new AbortController();
    this.#running = mine;
    batch(() => {
      this.received.value = this.held.value = this.missed.value = this.rowsPerSecond.value = 0;
      this.paused.value = false;
      this.failure.value = undefined;
      this.counts.value = noCounts;
    });
    // The server counts from nothing with each connection.
    let earlier = noCounts;
    this.#receivedWhenSpoken = 0;
    this.#rateTimer = setInterval(() => {
      this.#measureRate();
      this.#speak();
    }, 1000);
    const listener: TailListener = {
      record: (record) => {
        this.#arrivals.push(performance.now());
        this.received.value += 1;
        this.#take(itemOf(record));
      },
      gap: (gap) => {
        this.missed.value += gap.rows;
        this.#take(gapItem(gap));
      },
      counts: (now) => {
        if (this.#running === mine) this.counts.value = sumOf(earlier, now);
      },
      state: (state, failure) => {
        if (this.#running !== mine) return;
        if (state === "connecting") earlier = this.counts.peek();
        this.state.value = state;
        this.failure.value = state === "live" ? undefined : (failure ?? this.failure.peek());
      },
    };
    this.state.value = "connecting";
    import("../../api/tail").then(
      ({ followTail }) => followTail(q, fromSeq, listener, mine.signal),
      () => listener.state("waiting", { kind: "network", message: "The server cannot be reached; start Live again" }),
    );
  }

  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
    clearInterval(this.#rateTimer);
    this.#waiting = [];
    this.#letGo = undefined;
    this.#arrivals = [];
    batch(() => {
      this.state.value = "off";
      this.paused.value = false;
      this.held.value = 0;
    });
  }

  pause(): void {
    if (this.on) this.paused.value = true;
  }

  /** Shows everything that was held back. */
  resume(): void {
    this.paused.value = false;
    this.#flush();
  }

  #take(item: Item): void {
    this.#waiting.push(item);
    if (this.paused.peek()) {
      this.#limit();
      this.held.value = this.#waiting.length;
    } else if (!this.#flushing) {
      this.#flushing = true;
      requestAnimationFrame(() => {
        this.#flushing = false;
        if (!this.paused.peek()) this.#flush();
        else this.held.value = this.#waiting.length;
      });
    }
  }

  #flush(): void {
    const newestFirst = this.#waiting.reverse();
    if (this.#letGo !== undefined) newestFirst.push(gapItem(this.#letGo));
    this.#waiting = [];
    this.#letGo = undefined;
    batch(() => {
      this.held.value = 0;
      this.#session.prependLive(newestFirst);
    });
  }

  /** Lets the oldest held rows go, a tenth at a time, and remembers which. */
  #limit(): void {
    if (this.#waiting.length <= heldRowsMax) return;
    const gone = this.#waiting.splice(0, heldRowsMax / 10);
    const seqs = gone.map((item) => (item.kind === "record" ? item.record.seq : item.gap.to_seq));
    const rows = gone.reduce((sum, item) => sum + (item.kind === "record" ? 1 : 0), 0);
    this.missed.value += rows;
    this.#letGo = {
      from_seq: this.#letGo?.from_seq ?? Math.min(...seqs),
      to_seq: Math.max(...seqs),
      rows: (this.#letGo?.rows ?? 0) + rows,
    };
  }

  #speak(): void {
    this.#secondsSilent += 1;
    const rows = this.received.peek() - this.#receivedWhenSpoken;
    if (this.#secondsSilent < spokenSeconds || rows === 0) return;
    this.#secondsSilent = 0;
    this.#receivedWhenSpoken = this.received.peek();
    this.spoken.value = `${rows} new ${rows === 1 ? "row" : "rows"}`;
  }

  #measureRate(): void {
    const since = performance.now() - rateMs;
    this.#arrivals = this.#arrivals.filter((time) => time > since);
    this.rowsPerSecond.value = this.#arrivals.length / (rateMs / 1000);
  }
}

function sumOf(a: TailCounts, b: TailCounts): TailCounts {
  return {
    received: a.received + b.received,
    matched: a.matched + b.matched,
    shown: a.shown + b.shown,
    dropped: a.dropped + b.dropped,
  };
}
