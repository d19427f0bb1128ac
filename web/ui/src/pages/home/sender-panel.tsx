/** How to send: one tab a kind of sender, the command to copy, and a tick as soon as the first line has come. */
import { useState } from "preact/hooks";
import { copyText } from "../../app/clipboard";
import { CheckIcon, CopyIcon } from "../../app/icons";
import { takenBy } from "../../app/ingest-watch";
import { count } from "../../app/number-format";
import { sendersFor, type Listeners, type Sender } from "./senders";

export function SenderPanel({ listeners }: { readonly listeners: Listeners }) {
  const senders = sendersFor(listeners, window.location.origin);
  const [chosen, setChosen] = useState(0);
  const sender = senders[chosen] ?? senders[0];
  if (sender === undefined) return null;
  return (
    <section class="panel" aria-label="Send something">
      <h2>Send something</h2>
      <div class="sender-tabs">
        {senders.map((one, index) => (
          <SenderTab key={one.title} sender={one} pressed={one === sender} onClick={() => setChosen(index)} />
        ))}
      </div>
      <Arrived sender={sender} />
      {sender.snippets.map(({ label, code }) => (
        <div key={label} class="snippet">
          <div class="snippet-head">
            <span class="field-label">{label}</span>
            <button
              type="button"
              class="icon-button"
              aria-label={`Copy the command: ${label}`}
              title="Copy"
              onClick={() => void copyText(code, label)}
            >
              <CopyIcon />
            </button>
          </div>
          <pre class="snippet-code" tabIndex={0}>
            {code}
          </pre>
        </div>
      ))}
    </section>
  );
}

function SenderTab({
  sender,
  pressed,
  onClick,
}: {
  readonly sender: Sender;
  readonly pressed: boolean;
  readonly onClick: () => void;
}) {
  const ever = sender.kinds.reduce((sum, kind) => sum + takenBy(kind).ever, 0);
  return (
    <button type="button" class="button button-small" aria-pressed={pressed} onClick={onClick}>
      {ever > 0 && (
        <span class="good-text sender-tick">
          <CheckIcon />
          <span class="visually-hidden">arriving: </span>
        </span>
      )}
      {sender.title}
    </button>
  );
}

/** Whether anything of this kind came, since the page was opened or before. */
function Arrived({ sender }: { readonly sender: Sender }) {
  const taken = sender.kinds.map(takenBy);
  const now = taken.reduce((sum, kind) => sum + kind.now, 0);
  const ever = taken.reduce((sum, kind) => sum + kind.ever, 0);
  return (
    <p class={ever > 0 ? "sender-state good-text" : "sender-state muted"} role="status">
      {ever === 0 ? (
        "Nothing yet. This turns green on the first line."
      ) : (
        <>
          <CheckIcon /> {count(ever)} received{now > 0 ? `, ${count(now)} since this page was opened` : ""}
        </>
      )}
    </p>
  );
}
