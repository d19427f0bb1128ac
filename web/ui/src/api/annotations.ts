/** What people and programs say happened at a moment: deploys, incidents, notes, StatsD events. */
import type { Answer } from "./answer";
import { getJson } from "./request";

export interface Annotation {
  readonly id: string;
  readonly time: string;
  /** When it was over, when it took a while. */
  readonly end: string | null;
  /** `deploy`, `note`, `event` or any other word. */
  readonly kind: string;
  /** Empty when it is about all services. */
  readonly service: string;
  readonly version: string;
  readonly text: string;
  readonly author: string;
  readonly links: readonly string[];
  readonly source: string;
}

export interface Annotations {
  readonly annotations: readonly Annotation[];
  readonly partial: boolean | string;
}

/** Marks that a chart has room for. */
const limit = 200;

/** The newest annotations between two moments (milliseconds); of some kinds and services, separated by commas, when given. */
export function fetchAnnotations(
  range: { readonly from: number; readonly to: number },
  signal: AbortSignal,
  only: { readonly kind?: string; readonly service?: string } = {},
): Promise<Answer<Annotations>> {
  return getJson("/api/v1/annotations", { from: range.from, to: range.to, ...only, limit }, signal);
}

/** What an annotation says, in a line. */
export function annotationTitle({ kind, service, version, text, author }: Annotation): string {
  const what = [kind, service, version].filter((word) => word !== "").join(" ");
  const said = text === "" ? what : `${what}: ${text}`;
  return author === "" ? said : `${said} (${author})`;
}

/** Where an annotation is explained: what a deploy changed, or the line that it was read from. */
export function annotationAddress({ id, kind, time }: Annotation): string {
  if (kind === "deploy") return `/errors?deploy=${encodeURIComponent(id)}`;
  const moment = Date.parse(time);
  const line = id.startsWith("log-") ? `&line=${encodeURIComponent(id.slice(4))}` : "";
  return `/logs?from=${moment - 300_000}&to=${moment + 300_000}${line}`;
}
