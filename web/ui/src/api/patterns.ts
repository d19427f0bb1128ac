/** The question about patterns: like messages as one, and what changed in them since a moment. */
import type { Answer } from "./answer";
import type { Question, Summary } from "./logs";
import { getJson } from "./request";

export interface Pattern {
  readonly id: string;
  /** The text with named holes: `user_<num> logged in from <ip>`. */
  readonly pattern: string;
  readonly count: number;
  /** The worst level among its records. */
  readonly level: string;
  readonly levels: Readonly<Record<string, number>>;
  readonly services: readonly { readonly value: string; readonly count: number }[];
  readonly services_total: number;
  readonly first_seen: string;
  readonly last_seen: string;
  readonly example: { readonly id: string; readonly message?: string };
  /** Records in each step of the range. */
  readonly trend: readonly number[];
  /** The rest stands there when a moment was given. */
  readonly change?: "new" | "gone" | "grown" | "shrunk" | "steady";
  readonly score?: number;
  readonly before?: { readonly count: number; readonly rate: number };
  readonly after?: { readonly count: number; readonly rate: number };
}

export interface Patterns {
  readonly patterns: readonly Pattern[];
  readonly patterns_total: number;
  readonly total: number;
  readonly other: number;
  readonly trend: { readonly start: string; readonly interval_ms: number };
  readonly summary: Summary;
}

/** At most `limit` patterns; with a moment those that it changed most, else the commonest. */
export function fetchPatterns(
  question: Question,
  since: string,
  limit: number,
  signal: AbortSignal,
): Promise<Answer<Patterns>> {
  return getJson("/api/v1/logs/patterns", { ...question, limit, ...(since === "" ? {} : { since }) }, signal);
}
