/** Rehearses rules on stored data: what would have fired, and how many pages that would have been in each night. */
import { answered, failed, type Answer } from "./answer";
import type { Labels } from "./metrics";
import { failureOf, refusalOf } from "./request";

export interface RehearsedFiring {
  readonly labels: Labels;
  readonly start: string;
  readonly end: string | null;
  readonly worst: number | null;
  /** What people would have read. */
  readonly message: string;
}

export interface RehearsedRule {
  readonly name: string;
  readonly firings: readonly RehearsedFiring[];
  readonly firing_total: number;
  readonly pending_only: number;
  readonly error: string | null;
}

/** A night in which something began to fire, by the date of its evening. */
export interface Night {
  readonly night: string;
  readonly firings: number;
  readonly pages: number;
}

export interface Rehearsal {
  readonly rules: readonly RehearsedRule[];
  readonly summary: {
    readonly from: string;
    readonly to: string;
    readonly firings: number;
    readonly pages: number;
    readonly nights: readonly Night[];
    readonly partial: boolean | string;
    readonly elapsed_ms: number;
  };
}

/** `rules` is a file, a group or one rule in YAML; `since` a span like 7d. */
export async function rehearse(rules: string, since: string, signal: AbortSignal): Promise<Answer<Rehearsal>> {
  try {
    const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const response = await fetch("/api/v1/rules/replay", {
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify({ rules, from: since, timezone }),
      signal,
    });
    if (!response.ok) return failed(await refusalOf(response));
    return answered((await response.json()) as Rehearsal);
  } catch (cause) {
    return failed(failureOf(cause));
  }
}
