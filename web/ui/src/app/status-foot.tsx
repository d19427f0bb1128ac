/** The line at the bottom: what the last answer cost, and what is arriving right now. */
import { currentRate, ingestFailure, ingestReport } from "./ingest-watch";
import { rate } from "./number-format";
import { pageStatus } from "./page-status";
import { formatSpan } from "../time/span";

export function StatusFoot() {
  const { rows, elapsedMs, scanned, partial } = pageStatus.value;
  const now = currentRate.value;
  const failure = ingestFailure.value;
  return (
    <footer class="foot">
      {rows !== undefined && <span>{rows}</span>}
      {elapsedMs !== undefined && <span>{formatSpan(elapsedMs)}</span>}
      {scanned !== undefined && <span>{scanned}</span>}
      {partial !== undefined && <span class="foot-warning">not all: {partial}</span>}
      <span class="foot-space" />
      {failure !== undefined ? (
        <span class="foot-warning">{failure.message}</span>
      ) : now === undefined ? null : (
        <span title="What the server takes in right now">
          <span class="foot-dot" aria-hidden="true" /> {rate(now.logsPerSecond)} lines/s · {rate(now.samplesPerSecond)}{" "}
          samples/s
        </span>
      )}
      {ingestReport.value !== undefined && <span class="foot-version">Taffrail {ingestReport.value.version}</span>}
    </footer>
  );
}
