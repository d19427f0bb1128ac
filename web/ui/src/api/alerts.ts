/** One alert with what explains it, what people were told of it, and silences: our own paths, and Alertmanager's for silences. */
import { answered, failed, type Answer } from "./answer";
import type { Labels } from "./metrics";
import { failureOf, getJson, refusalOf } from "./request";

export interface EvidenceLine {
  readonly id: string;
  readonly time: string;
  readonly level: string;
  readonly host: string;
  readonly service: string;
  readonly message: string;
  readonly url: string;
}

export interface Changed {
  /** `pattern`, or the label whose value it is. */
  readonly what: string;
  readonly text: string;
  readonly change: "new" | "grown";
  readonly before: number;
  readonly after: number;
  readonly url: string;
}

export interface Evidence {
  readonly linesQuery: string;
  readonly linesURL: string;
  readonly linesTotal: number;
  readonly lines: readonly EvidenceLine[];
  readonly traces: readonly { readonly traceID: string; readonly url: string }[];
  readonly changed: readonly Changed[];
  /** What is missing, and why. */
  readonly without: string | null;
}

export interface AlertDetail {
  readonly id: string;
  readonly labels: Labels;
  readonly annotations: Labels | null;
  readonly at: string;
  readonly began: string;
  readonly now: {
    readonly state: "pending" | "firing" | "resolved";
    readonly activeAt: string;
    readonly firedAt: string | null;
    readonly resolvedAt: string | null;
    readonly value: string;
  } | null;
  readonly rule: {
    readonly file: string;
    readonly group: string;
    readonly name: string;
    readonly line: number;
    readonly query: string;
    readonly language: "promql" | "logs";
    readonly windowSeconds: number | null;
    readonly labels: Labels;
    readonly annotations: Labels;
    readonly forSeconds: number;
    readonly threshold: { readonly operator: string; readonly value: number } | null;
    readonly lastError: string | null;
  } | null;
  /** When it fired, within six hours of the moment. */
  readonly stretches: readonly { readonly from: string; readonly to: string }[];
  readonly curve: {
    /** Unix milliseconds. */
    readonly times: readonly number[];
    readonly values: readonly number[];
    readonly threshold: number | null;
  } | null;
  readonly receivers: readonly string[];
  readonly silencedBy: readonly string[];
  readonly inhibitedBy: string | null;
  readonly evidence: Evidence;
}

export interface Notification {
  readonly id: string;
  readonly time: string;
  readonly message: string;
  readonly channel: string | null;
  readonly target: string | null;
  readonly outcome: "delivered" | "retrying" | "refused" | null;
  readonly reason: string | null;
  readonly error: string | null;
  readonly attempt: number | null;
  readonly status: string | null;
}

export interface Matcher {
  readonly name: string;
  readonly value: string;
  readonly isRegex: boolean;
  readonly isEqual: boolean;
}

export interface Silence {
  readonly id: string;
  readonly status: { readonly state: "active" | "pending" | "expired" };
  readonly matchers: readonly Matcher[];
  readonly startsAt: string;
  readonly endsAt: string;
  readonly createdBy: string;
  readonly comment: string;
}

export interface NewSilence {
  readonly matchers: readonly Matcher[];
  readonly startsAt: string;
  readonly endsAt: string;
  readonly createdBy: string;
  readonly comment: string;
}

/** A firing alert and why nobody is told of it. */
export interface RoutedAlert {
  readonly fingerprint: string;
  readonly labels: Labels;
  readonly startsAt: string;
  readonly status: {
    readonly state: "active" | "suppressed";
    readonly silencedBy: readonly string[];
    readonly inhibitedBy: readonly string[];
  };
}

export function fetchAlert(id: string, at: string, signal: AbortSignal): Promise<Answer<AlertDetail>> {
  return getJson(`/api/v1/alerts/${encodeURIComponent(id)}`, at === "" ? {} : { at }, signal);
}

export function fetchNotifications(
  alert: string,
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<Answer<{ notifications: Notification[] }>> {
  return getJson("/api/v1/notifications", { alert, from, to, limit: 50 }, signal);
}

export function fetchRouted(filter: readonly string[], signal: AbortSignal): Promise<Answer<RoutedAlert[]>> {
  return getJson("/api/v2/alerts", { filter }, signal);
}

export function fetchSilences(signal: AbortSignal): Promise<Answer<Silence[]>> {
  return getJson("/api/v2/silences", {}, signal);
}

export async function saveSilence(silence: NewSilence): Promise<Answer<string>> {
  const sent = await send("POST", "/api/v2/silences", silence);
  if (!sent.ok) return sent;
  const { silenceID } = (await sent.value.json()) as { silenceID: string };
  return answered(silenceID);
}

export async function expireSilence(id: string): Promise<Answer<undefined>> {
  const sent = await send("DELETE", `/api/v2/silence/${encodeURIComponent(id)}`);
  return sent.ok ? answered(undefined) : sent;
}

async function send(method: string, path: string, body?: unknown): Promise<Answer<Response>> {
  try {
    const headers = { accept: "application/json", "content-type": "application/json" };
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(path, { method, headers, ...content });
    return response.ok ? answered(response) : failed(await refusalOf(response));
  } catch (cause) {
    return failed(failureOf(cause));
  }
}
