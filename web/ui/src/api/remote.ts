/**
 * A value that is fetched again and again: the newest question wins, the one before it is cancelled, and the last value
 * stays on screen while the next is on its way, so that nothing jumps.
 */
import { signal, type ReadonlySignal } from "@preact/signals";
import type { Answer, Failure } from "./answer";

export interface Remote<Value> {
  readonly value: ReadonlySignal<Value | undefined>;
  readonly failure: ReadonlySignal<Failure | undefined>;
  readonly loading: ReadonlySignal<boolean>;
  /** Asks; an earlier question that is still open is cancelled. */
  load(ask: (signal: AbortSignal) => Promise<Answer<Value>>): Promise<void>;
  /** Cancels what is open; with `forget`, also drops the value. */
  stop(forget?: boolean): void;
}

export function createRemote<Value>(): Remote<Value> {
  const value = signal<Value | undefined>(undefined);
  const failure = signal<Failure | undefined>(undefined);
  const loading = signal(false);
  let running: AbortController | undefined;
  return {
    value,
    failure,
    loading,
    async load(ask) {
      running?.abort();
      const mine = new AbortController();
      running = mine;
      loading.value = true;
      const answer = await ask(mine.signal);
      if (running !== mine) return;
      running = undefined;
      loading.value = false;
      if (answer.ok) {
        value.value = answer.value;
        failure.value = undefined;
      } else if (answer.failure.kind !== "cancelled") {
        failure.value = answer.failure;
      }
    },
    stop(forget = false) {
      running?.abort();
      running = undefined;
      loading.value = false;
      if (forget) {
        value.value = undefined;
        failure.value = undefined;
      }
    },
  };
}
