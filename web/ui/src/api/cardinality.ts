/** Who makes how many series: metrics, labels and sources, and what had no room for new ones. */
import type { Answer } from "./answer";
import { getJson } from "./request";

/** What had no room: which limit it met, and what became of its windows. */
export interface Limited {
  readonly by: "metric" | "source" | "memory";
  readonly joined_windows: number;
  readonly dropped_windows: number;
  /** About how many different series. */
  readonly series: number;
  readonly last: string;
}

export interface CardinalMetric {
  readonly name: string;
  readonly series: number;
  readonly limited: Limited | null;
}

export interface CardinalValue {
  readonly name: string;
  readonly value: string;
  readonly series: number;
}

export interface CardinalLabel {
  readonly name: string;
  readonly values: number;
  readonly top: readonly CardinalValue[];
}

export interface CardinalSource {
  /** The label that names it; empty for all that name none. */
  readonly label: string;
  readonly name: string;
  readonly series: number;
  readonly limited: Limited | null;
}

export interface Cardinality {
  readonly series: number;
  readonly bytes: number;
  readonly limits: { readonly per_metric: number | null; readonly per_source: number | null };
  readonly metrics: readonly CardinalMetric[];
  readonly labels: readonly CardinalLabel[];
  readonly sources: readonly CardinalSource[];
}

/** Of all series, or of those of one metric. */
export function fetchCardinality(metric: string, signal: AbortSignal): Promise<Answer<Cardinality>> {
  return getJson("/api/v1/series/cardinality", metric === "" ? { limit: 10 } : { metric, limit: 10 }, signal);
}
