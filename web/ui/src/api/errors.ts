/** Error groups: the list, one group with an event, what a deploy changed, and what people decide. */
import type { Annotation } from "./annotations";
import { answered, failed, type Answer } from "./answer";
import type { LogRecord } from "./log-record";
import type { Summary } from "./logs";
import { addressOf, failureOf, getJson } from "./request";

export type ErrorState = "open" | "regressed" | "resolved" | "ignored";

export interface ValueCount {
  readonly value: string;
  readonly count: number;
}

/** A group, whatever the question. */
export interface ErrorGroup {
  readonly id: string;
  readonly service: string;
  readonly type: string;
  readonly message: string;
  /** The function that failed. */
  readonly culprit: string;
  readonly language: string;
  readonly state: ErrorState;
  readonly decision: {
    readonly resolved_at?: string;
    readonly version?: string;
    readonly ignored_until?: string;
    readonly by: string;
  } | null;
  /** Its errors, ever. */
  readonly total: number;
  readonly first_seen: string;
  readonly last_seen: string;
  readonly first_version: string;
  readonly versions: readonly string[];
  readonly regressions: readonly { readonly time: string; readonly version: string; readonly resolved_at: string }[];
  readonly last_event: string;
}

/** A group with what the question finds of it. */
export interface CountedGroup extends ErrorGroup {
  readonly count: number;
  readonly trend: readonly number[];
  readonly hosts: readonly ValueCount[];
  readonly hosts_total: number;
}

export interface ErrorList {
  readonly errors: readonly CountedGroup[];
  readonly groups_total: number;
  readonly total: number;
  readonly states: Readonly<Partial<Record<ErrorState, number>>>;
  readonly summary: Summary;
}

export interface Frame {
  readonly function: string;
  readonly file: string;
  readonly line: number | null;
  readonly own: boolean;
}

export interface Exception {
  readonly type: string;
  readonly message: string;
  readonly frames: readonly Frame[];
}

export interface ErrorDetail {
  readonly error_group: ErrorGroup & { readonly count: number; readonly trend: readonly number[] };
  readonly event: {
    readonly record: LogRecord;
    readonly error: {
      readonly type: string;
      readonly message: string;
      readonly language: string | null;
      readonly exceptions: readonly Exception[];
      readonly text: string;
    };
  } | null;
  readonly previous: string | null;
  readonly next: string | null;
  readonly tags: readonly {
    readonly field: string;
    readonly values: readonly ValueCount[];
    readonly other: number;
    readonly missing: number;
  }[];
  readonly summary: Summary;
}

export type Change = "new" | "gone" | "grown" | "shrunk" | "steady";

interface Changed {
  readonly change: Change;
  readonly score: number;
  readonly before: { readonly count: number; readonly rate: number };
  readonly after: { readonly count: number; readonly rate: number };
}

export interface TimerSide {
  readonly count: number;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** What a deploy changed. */
export interface DeployChange {
  readonly deploy: Annotation;
  readonly canary: { readonly field: string; readonly value: string } | null;
  readonly before: { readonly from: string; readonly to: string };
  readonly after: { readonly from: string; readonly to: string };
  /** What got worse, in words. */
  readonly worse: readonly string[];
  readonly services: readonly (Changed & {
    readonly service: string;
    readonly records: { readonly before: number; readonly after: number };
    readonly error_share: { readonly before: number; readonly after: number };
  })[];
  readonly errors: readonly (Changed & ErrorGroup)[];
  readonly patterns: readonly (Changed & { readonly id: string; readonly pattern: string; readonly level: string })[];
  readonly timers: readonly {
    readonly metric: string;
    readonly unit: string;
    readonly ratio: number | null;
    readonly before: TimerSide;
    readonly after: TimerSide;
  }[];
  readonly summary: Summary;
}

export interface ErrorQuestion {
  readonly q: string;
  readonly from: number;
  readonly to: number;
}

export function fetchErrors(
  question: ErrorQuestion & { readonly state: string; readonly sort: string },
  signal: AbortSignal,
): Promise<Answer<ErrorList>> {
  return getJson("/api/v1/errors", { ...question, limit: 200 }, signal);
}

export function fetchError(
  id: string,
  question: ErrorQuestion & { readonly event?: string },
  signal: AbortSignal,
): Promise<Answer<ErrorDetail>> {
  return getJson(`/api/v1/errors/${encodeURIComponent(id)}`, { ...question }, signal);
}

export function fetchDeployChange(id: string, canary: string, signal: AbortSignal): Promise<Answer<DeployChange>> {
  return getJson(`/api/v1/deploys/${encodeURIComponent(id)}`, canary === "" ? {} : { canary }, signal);
}

/** Says what became of a group; the answer is how it stands then. */
export async function decide(
  id: string,
  decision: { readonly state: "resolved" | "ignored" | "open"; readonly version?: string; readonly until?: string },
): Promise<Answer<ErrorGroup>> {
  try {
    const address = addressOf(`/api/v1/errors/${encodeURIComponent(id)}`, { ...decision });
    const response = await fetch(address, { method: "POST", headers: { accept: "application/json" } });
    const answer = (await response.json()) as { error_group?: ErrorGroup; error?: { message?: string } };
    if (response.ok && answer.error_group !== undefined) return answered(answer.error_group);
    return failed({
      kind: "refused",
      status: response.status,
      message: answer.error?.message ?? `${response.status} ${response.statusText}`,
    });
  } catch (cause) {
    return failed(failureOf(cause));
  }
}
