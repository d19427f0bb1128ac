/** Who can be told of alerts, and whether it arrives. */
import type { Answer } from "./answer";
import { answered, failed } from "./answer";
import { addressOf, failureOf, getJson } from "./request";

export interface Channel {
  readonly name: string;
  /** Where it tells, as far as that may be shown. */
  readonly target: string;
  readonly delivered: number;
  readonly retrying: number;
  readonly refused: number;
}

export interface Receiver {
  readonly name: string;
  readonly channels: readonly Channel[];
}

export interface Receivers {
  readonly receivers: readonly Receiver[];
  /** What is wrong with the routing file; the one before goes on. */
  readonly problem: string | null;
  readonly remarks: readonly string[];
}

export interface Tested {
  readonly channel: string;
  readonly target: string;
  readonly delivered: boolean;
  readonly error: string | null;
  readonly duration_ms: number;
}

export function fetchReceivers(signal: AbortSignal): Promise<Answer<Receivers>> {
  return getJson("/api/v1/notify/receivers", {}, signal);
}

/** Tells each channel of a receiver once that this is a test. */
export async function testReceiver(receiver: string): Promise<Answer<{ readonly channels: readonly Tested[] }>> {
  try {
    const response = await fetch(addressOf("/api/v1/notify/test", { receiver }), { method: "POST" });
    const value = (await response.json()) as {
      readonly channels: readonly Tested[];
      readonly error?: { readonly message?: string };
    };
    if (response.ok) return answered(value);
    return failed({ kind: "refused", message: value.error?.message ?? response.statusText });
  } catch (cause) {
    return failed(failureOf(cause));
  }
}
