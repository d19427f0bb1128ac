/** Alert rules as Prometheus' `/api/v1/rules` tells them, with the rule's current value beside. */
import type { Answer } from "./answer";
import { prometheus, type Labels } from "./metrics";

export type AlertState = "inactive" | "pending" | "firing";

export interface Alert {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly state: AlertState;
  readonly activeAt: string;
  readonly value: string;
}

export interface Rule {
  readonly type: "alerting" | "recording";
  readonly name: string;
  readonly query: string;
  readonly state?: AlertState;
  /** Seconds the condition must hold. */
  readonly duration?: number;
  readonly labels?: Labels;
  readonly annotations?: Labels;
  readonly alerts?: readonly Alert[];
  readonly health: "ok" | "err" | "unknown";
  readonly lastError?: string;
  readonly lastEvaluation?: string;
  readonly evaluationTime?: number;
  /** What the expression gives now, whether or not it fires. */
  readonly currentValue?: number | string | null;
}

export interface RuleGroup {
  readonly name: string;
  readonly file: string;
  readonly interval: number;
  readonly rules: readonly Rule[];
}

export function fetchRules(signal: AbortSignal): Promise<Answer<{ groups: RuleGroup[] }>> {
  return prometheus("/api/v1/rules", {}, signal);
}
