/** What the foot of the page says about the last answer. Pages set it; the shell shows it. */
import { signal } from "@preact/signals";
import { bytes, count } from "./number-format";

export interface PageStatus {
  /** Rows, series or whatever the page counts, as a sentence part: `412,031 rows`. */
  readonly rows?: string;
  readonly elapsedMs?: number;
  /** What the server looked at, as a sentence part: `112 MB scanned`. */
  readonly scanned?: string;
  /** Why the answer is not whole. */
  readonly partial?: string;
}

/** What a search looked at: bytes where it read some, rows where all were in memory. */
export function scannedText(scannedBytes: number, scannedRows: number): string {
  return scannedBytes > 0 ? `${bytes(scannedBytes)} scanned` : `${count(scannedRows)} rows scanned`;
}

export const pageStatus = signal<PageStatus>({});

/** The browser tab's title, most telling part first. */
export function setTitle(part: string): void {
  document.title = part === "" ? "Taffrail" : `${part} · Taffrail`;
}
