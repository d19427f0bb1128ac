/** What the live stream has brought, by the server's count and by this page's. */
import { PauseIcon } from "../../app/icons";
import { count, rate } from "../../app/number-format";
import * as state from "./logs-state";

export function TailSummary() {
  const { tail } = state;
  const word = { off: "waiting", connecting: "connecting", live: "live", waiting: "reconnecting" }[tail.state.value];
  const { received, matched } = tail.counts.value;
  const shown = tail.received.value - tail.held.value;
  return (
    <span class={`tail-summary tail-${tail.state.value}`}>
      <span class="tail-dot" aria-hidden="true" />
      <span>
        {tail.paused.value ? "paused" : word} · {rate(tail.rowsPerSecond.value)}/s ·{" "}
        <span title="Lines that the server stored since you follow, and how many of them match">
          received {count(received)} · matched {count(Math.max(matched, tail.received.value))}
        </span>{" "}
        · shown {count(Math.max(0, shown))} ·{" "}
        <span
          class={tail.missed.value > 0 ? "warning-text" : ""}
          title="Lines that went by too fast; each stretch of them is a row of the list that fetches them"
        >
          dropped {count(tail.missed.value)}
        </span>
      </span>
      {!tail.paused.value && tail.state.value === "live" && (
        <button type="button" class="icon-button" aria-label="Pause" title="Pause" onClick={() => tail.pause()}>
          <PauseIcon />
        </button>
      )}
      {tail.failure.value !== undefined && <span class="warning-text"> {tail.failure.value.message}</span>}
    </span>
  );
}
