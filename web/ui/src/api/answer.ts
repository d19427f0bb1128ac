/**
 * What comes back from the server: a value, or a failure that says what to do about it. Nothing in the page throws for a
 * request that went wrong, so no caller can forget it.
 */

/** Why there is no value. */
export interface Failure {
  /** `cancelled` needs no message to anybody; `refused` is the server's own sentence; the rest is the way there. */
  readonly kind: "cancelled" | "network" | "refused" | "malformed";
  /** A sentence for the reader. */
  readonly message: string;
  /** The HTTP status of a refusal. */
  readonly status?: number;
  /** Where the query is wrong, counted in characters from 1. */
  readonly column?: number;
}

export type Answer<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly failure: Failure };

export function answered<Value>(value: Value): Answer<Value> {
  return { ok: true, value };
}

export function failed<Value>(failure: Failure): Answer<Value> {
  return { ok: false, failure };
}
