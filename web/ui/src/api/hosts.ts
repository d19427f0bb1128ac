/** When each host was last heard of, and which have gone silent. */
import type { Answer } from "./answer";
import { getJson } from "./request";

export interface HeardHost {
  readonly host: string;
  readonly state: "ok" | "silent";
  /** How long nothing has come from it, as far as is known. */
  readonly silent_seconds: number;
}

export function fetchHosts(signal: AbortSignal): Promise<Answer<{ readonly hosts: readonly HeardHost[] }>> {
  return getJson("/api/v1/hosts", {}, signal);
}
