/** The configuration as the server has it: values, defaults, and where each value came from. Secrets are never in it. */
import type { Answer } from "./answer";
import { getJson } from "./request";

export type SettingValue =
  string | number | boolean | null | readonly SettingValue[] | { readonly [name: string]: SettingValue };

export interface Setting {
  readonly key: string;
  readonly doc: string;
  readonly flag: string | null;
  readonly variables: readonly string[];
  readonly value: SettingValue;
  readonly default: SettingValue;
  readonly origin: "default" | "file" | "variable" | "flag";
  /** Where the value came from, in words. */
  readonly from: string;
}

export interface Settings {
  readonly settings: readonly Setting[];
  /** Lists of tables, such as `retention`. */
  readonly tables: readonly { readonly key: string; readonly value: SettingValue }[];
}

export function fetchSettings(signal: AbortSignal): Promise<Answer<Settings>> {
  return getJson("/api/v1/settings", {}, signal);
}
