/** What can be taken from a page: its link, the same in a terminal, a picture. */
import "../styles/panel.css";
import { timeRange } from "../time/range-state";
import { absoluteRange } from "../time/range";
import { copyText } from "./clipboard";
import { commandsOf } from "./commands";
import { place } from "./location";
import { shareLink } from "./share";

interface SharePanelProps {
  readonly withTime: boolean;
  readonly close: () => void;
}

export function SharePanel({ withTime, close }: SharePanelProps) {
  const { path, parameters } = place.value;
  const { command, curl } = commandsOf(window.location.origin, path, parameters, absoluteRange(timeRange.value));
  const offers: readonly (readonly [string, string])[] = [
    ["Link", shareLink(withTime)],
    ...(command === undefined ? [] : [["taffrail command", command] as const]),
    ["curl command", curl],
  ];
  return (
    <div class="panel" role="dialog" aria-label="Share">
      <ul class="panel-list">
        {offers.map(([what, text]) => (
          <li key={what} class="panel-row">
            <button
              type="button"
              class="panel-main"
              title={text}
              onClick={() => {
                void copyText(text, what);
                close();
              }}
            >
              Copy the {what}
              <span class="muted mono">{text}</span>
            </button>
          </li>
        ))}
        {document.querySelector(".histogram-bars, canvas, .trace-axis") !== null && (
          <li class="panel-row">
            <button
              type="button"
              class="panel-main"
              onClick={() => {
                close();
                void import("./picture").then(({ savePicture }) => savePicture());
              }}
            >
              Save the chart as PNG
            </button>
          </li>
        )}
      </ul>
    </div>
  );
}
