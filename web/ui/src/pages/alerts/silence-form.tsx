/** Makes a silence: which alerts, until when, who and why. Says beforehand which firing alerts it would silence. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { fetchRouted, saveSilence, type RoutedAlert } from "../../api/alerts";
import { createRemote } from "../../api/remote";
import { toast } from "../../app/toast";
import { labelsText } from "../../chart/chart-data";
import { serverNow } from "../../time/clock";
import { isoOf } from "../../time/range";
import { parseSpan } from "../../time/span";
import { readMatchers, writeMatcher } from "./matchers";

interface SilenceFormProps {
  readonly matchers: string;
  onDone(saved: boolean): void;
}

const authorKey = "taffrail.author";
const lengths = ["30m", "1h", "2h", "4h", "8h", "1d", "3d"];
/** Alerts that are named below the form. */
const namedMax = 5;

export function SilenceForm({ matchers: proposed, onDone }: SilenceFormProps) {
  const id = useId();
  const first = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(proposed);
  const [length, setLength] = useState("2h");
  const [author, setAuthor] = useState(localStorage.getItem(authorKey) ?? "");
  const [reason, setReason] = useState("");
  const [failure, setFailure] = useState("");
  const [remote] = useState(() => createRemote<RoutedAlert[]>());
  const { matchers, wrong } = readMatchers(text);
  const written = matchers.map(writeMatcher).join(", ");
  useEffect(() => {
    if (wrong !== "" || written === "") return undefined;
    const timer = setTimeout(() => void remote.load((signal) => fetchRouted(matchers.map(writeMatcher), signal)), 200);
    return () => clearTimeout(timer);
  }, [written, wrong]);
  useEffect(() => first.current?.focus(), []);
  const span = parseSpan(length);
  const matched = remote.value.value ?? [];

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    if (wrong !== "" || span === undefined) return;
    localStorage.setItem(authorKey, author);
    const now = serverNow();
    const saved = await saveSilence({
      matchers,
      startsAt: isoOf(now),
      endsAt: isoOf(now + span),
      createdBy: author,
      comment: reason,
    });
    if (saved.ok) {
      toast("Silenced");
      onDone(true);
    } else setFailure(saved.failure.message);
  }

  return (
    <form class="silence-form" aria-label="New silence" onSubmit={(event) => void submit(event)}>
      <label for={`${id}m`} class="field-label">
        alerts with
      </label>
      <input
        id={`${id}m`}
        ref={first}
        class="text-input mono"
        required
        value={text}
        placeholder={'alertname="DiskFull", host=~"db-.*"'}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <label for={`${id}l`} class="field-label">
        for
      </label>
      <span class="silence-length">
        <input
          id={`${id}l`}
          class="text-input"
          required
          size={6}
          value={length}
          aria-invalid={span === undefined}
          onInput={(event) => setLength(event.currentTarget.value)}
        />
        {lengths.map((one) => (
          <button
            key={one}
            type="button"
            class="preset button-small"
            aria-pressed={length === one}
            onClick={() => setLength(one)}
          >
            {one}
          </button>
        ))}
      </span>
      <label for={`${id}r`} class="field-label">
        reason
      </label>
      <input
        id={`${id}r`}
        class="text-input"
        required
        value={reason}
        placeholder="why nobody needs to be told"
        onInput={(event) => setReason(event.currentTarget.value)}
      />
      <label for={`${id}a`} class="field-label">
        author
      </label>
      <input
        id={`${id}a`}
        class="text-input silence-author"
        required
        value={author}
        placeholder="your name"
        onInput={(event) => setAuthor(event.currentTarget.value)}
      />
      <p class="silence-effect muted" aria-live="polite">
        {wrong !== "" ? (
          <span class="bad-text">“{wrong}” is no matcher: write name="value", name!="value" or name=~"pattern"</span>
        ) : span === undefined ? (
          <span class="bad-text">“{length}” is no length: write 30m, 2h or 1d</span>
        ) : matched.length === 0 ? (
          "No alert that fires now has these labels."
        ) : (
          <>
            Silences {matched.length} that {matched.length === 1 ? "fires" : "fire"} now:{" "}
            {matched
              .slice(0, namedMax)
              .map(({ labels: { alertname = "", ...rest } }) => labelsText({ ...rest, __name__: alertname }))
              .join("; ")}
            {matched.length > namedMax && " …"}
          </>
        )}
      </p>
      {failure !== "" && (
        <p class="bad-text silence-effect" role="alert">
          {failure}
        </p>
      )}
      <span class="silence-buttons">
        <button type="submit" class="button button-main" disabled={wrong !== "" || span === undefined}>
          Silence
        </button>
        <button type="button" class="button" onClick={() => onDone(false)}>
          Cancel
        </button>
      </span>
    </form>
  );
}
