/** What differs between two stretches of time, in logs and in metrics. */
import type { Answer } from "./answer";
import type { Summary } from "./logs";
import { getJson } from "./request";

export type Change = "new" | "gone" | "grown" | "shrunk";

/** Two stretches as the server reads them. */
export interface TwoStretches {
  readonly before_from: string;
  readonly before_to: string;
  readonly after_from: string;
  readonly after_to: string;
}

export interface ChangedPattern {
  readonly id: string;
  readonly pattern: string;
  readonly level: string;
  readonly change: Change;
  readonly score: number;
  readonly before: { readonly count: number; readonly rate: number };
  readonly after: { readonly count: number; readonly rate: number };
  readonly example: { readonly id: string; readonly message?: string };
}

export interface ChangedValue {
  readonly value: string;
  readonly change: Change;
  readonly score: number;
  readonly before: { readonly count: number; readonly share: number };
  readonly after: { readonly count: number; readonly share: number };
}

export interface ChangedField {
  readonly field: string;
  readonly values: readonly ChangedValue[];
  readonly values_total: number;
}

export interface LogComparison {
  readonly before: { readonly seconds: number; readonly total: number };
  readonly after: { readonly seconds: number; readonly total: number };
  readonly patterns: readonly ChangedPattern[];
  readonly patterns_total: number;
  readonly fields: readonly ChangedField[];
  readonly summary: Summary;
}

export interface MovedMetric {
  readonly name: string;
  /** What was read of it, in PromQL, and in words. */
  readonly expression: string;
  readonly reading: string;
  readonly unit: string;
  readonly change: Change;
  readonly before: number | null;
  readonly after: number | null;
  /** Null for one that came or went. */
  readonly deviations: number | null;
}

export interface MetricMoves {
  readonly metrics: readonly MovedMetric[];
  readonly total: number;
  readonly summary: Summary;
}

export function fetchComparison(q: string, sides: TwoStretches, signal: AbortSignal): Promise<Answer<LogComparison>> {
  return getJson("/api/v1/logs/compare", { q, ...sides }, signal);
}

export function fetchMoves(sides: TwoStretches, signal: AbortSignal): Promise<Answer<MetricMoves>> {
  return getJson("/api/v1/metrics/moved", { ...sides, limit: 1000 }, signal);
}
