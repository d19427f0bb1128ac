/** Dashboards: the list, one of them, checked, written, removed, and taken over from Grafana. */
import { answered, failed, type Answer, type Failure } from "./answer";
import { failureOf, getJson } from "./request";

export type PanelType = "chart" | "stat" | "gauge" | "bars" | "table" | "heatmap" | "logs" | "text";
export type Level = "none" | "good" | "info" | "warn" | "bad";

export interface Query {
  readonly promql?: string;
  readonly logs?: string;
  readonly name?: string;
  readonly by?: string;
}

export interface Threshold {
  readonly from: number;
  readonly level: Level;
}

export interface Panel {
  readonly title?: string;
  readonly description?: string;
  readonly type: PanelType;
  readonly width?: number;
  readonly height?: number;
  readonly repeat?: string;
  readonly queries?: readonly Query[];
  readonly text?: string;
  readonly unit?: string;
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  readonly draw?: "lines" | "area" | "stacked" | "bars" | "points";
  readonly scale?: "linear" | "log";
  readonly gaps?: "gap" | "join" | "zero";
  readonly legend?: "list" | "table" | "none";
  readonly calc?: "last" | "first" | "mean" | "min" | "max" | "sum" | "change";
  readonly thresholds?: readonly Threshold[];
  readonly columns?: readonly string[];
  readonly limit?: number;
}

export interface Row {
  readonly title?: string;
  readonly collapsed?: boolean;
  readonly repeat?: string;
  readonly panels: readonly Panel[];
}

export interface Variable {
  readonly name: string;
  readonly title?: string;
  readonly label?: string;
  readonly field?: string;
  readonly of?: string;
  readonly values?: readonly string[];
  readonly regex?: string;
  readonly multi?: boolean;
  readonly all?: boolean;
  readonly default?: readonly string[];
  readonly hidden?: boolean;
}

export interface Dashboard {
  readonly title: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly time?: { readonly from: string; readonly to: string };
  readonly refresh?: string;
  readonly variables?: readonly Variable[];
  readonly rows: readonly Row[];
}

/** Something wrong with a text: line and column from 1; 0 where it is the whole text. */
export interface Problem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface ListedDashboard {
  readonly slug: string;
  readonly title: string;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly panels: number;
  readonly origin: "built_in" | "file" | "catalog";
  readonly path: string | null;
  readonly covers_built_in: boolean;
  readonly version: string;
  readonly changed: string | null;
  readonly problems: readonly Problem[];
}

export interface StoredDashboard extends ListedDashboard {
  readonly yaml: string;
  readonly dashboard: Dashboard | null;
}

export interface Checked {
  readonly dashboard: Dashboard | null;
  readonly problems: readonly Problem[];
}

export interface Imported extends Checked {
  readonly slug: string;
  readonly yaml: string;
  readonly not_mapped: readonly { readonly place: string; readonly what: string }[];
}

export interface Listing {
  readonly dashboards: readonly ListedDashboard[];
  readonly problems: readonly (Problem & { readonly file: string })[];
}

/** A refusal to write, with every place in the text. */
export interface WriteFailure extends Failure {
  readonly problems: readonly Problem[];
}

const root = "/api/v1/dashboards";

export function fetchDashboards(signal: AbortSignal): Promise<Answer<Listing>> {
  return getJson(root, {}, signal);
}

export function fetchDashboard(slug: string, signal: AbortSignal): Promise<Answer<StoredDashboard>> {
  return getJson(`${root}/${encodeURIComponent(slug)}`, {}, signal);
}

export function checkDashboard(text: string, signal?: AbortSignal): Promise<Answer<Checked>> {
  return send(`${root}/check`, "POST", text, {}, signal);
}

export function importGrafana(text: string): Promise<Answer<Imported>> {
  return send(`${root}/import`, "POST", text, { "content-type": "application/json" });
}

/** Writes; `version` is the one that is replaced, undefined when there must be none yet. */
export function putDashboard(
  slug: string,
  text: string,
  version: string | undefined,
): Promise<Answer<StoredDashboard>> {
  return send(`${root}/${encodeURIComponent(slug)}`, "PUT", text, condition(version));
}

export function removeDashboard(slug: string, version: string): Promise<Answer<unknown>> {
  return send(`${root}/${encodeURIComponent(slug)}`, "DELETE", undefined, condition(version));
}

function condition(version: string | undefined): Record<string, string> {
  return version === undefined ? { "if-none-match": "*" } : { "if-match": `"${version}"` };
}

async function send<Value>(
  path: string,
  method: string,
  body: string | undefined,
  headers: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<Answer<Value>> {
  try {
    const response = await fetch(path, {
      method,
      headers: { accept: "application/json", "content-type": "application/yaml", ...headers },
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    });
    const answer = (await response.json()) as Value & {
      readonly error?: { readonly message?: string; readonly problems?: readonly Problem[] };
    };
    if (response.ok) return answered(answer);
    const failure: WriteFailure = {
      kind: "refused",
      status: response.status,
      message: answer.error?.message ?? `${response.status} ${response.statusText}`.trim(),
      problems: answer.error?.problems ?? [],
    };
    return failed(failure);
  } catch (cause) {
    return failed(failureOf(cause));
  }
}
