/** What the foot of the page says about the last answer. Pages set it; the shell shows it. */
import { signal } from "@preact/signals";

export interface PageStatus {
  /** Rows, series or whatever the page counts, as a sentence part: `412,031 rows`. */
  readonly rows?: string;
  readonly elapsedMs?: number;
  readonly scannedBytes?: number;
  /** Why the answer is not whole. */
  readonly partial?: string;
}

export const pageStatus = signal<PageStatus>({});

/** The browser tab's title, most telling part first. */
export function setTitle(part: string): void {
  document.title = part === "" ? "Taffrail" : `${part} · Taffrail`;
}
