/** A stack trace: own frames open, those of libraries folded until asked for, the text as it was said a click away. */
import { useState } from "preact/hooks";
import type { ErrorDetail, Exception, Frame } from "../../api/errors";
import { copyText } from "../../app/clipboard";
import { count } from "../../app/number-format";

type Traced = NonNullable<ErrorDetail["event"]>["error"];

export function StackView({ error, message }: { readonly error: Traced; readonly message: string }) {
  const [all, setAll] = useState(false);
  const [raw, setRaw] = useState(error.exceptions.length === 0);
  const text = error.text === "" ? message : error.text;
  const hidden = error.exceptions.flatMap(({ frames }) => frames).filter(({ own }) => !own).length;
  return (
    <section class="stack" aria-label="Stack trace">
      <div class="stack-bar">
        <h2>{error.exceptions.length === 0 ? "Message" : "Stack"}</h2>
        {error.language !== null && <span class="label">{error.language}</span>}
        <span class="stack-space" />
        {error.exceptions.length > 0 && !raw && hidden > 0 && (
          <button type="button" class="button button-small" aria-pressed={all} onClick={() => setAll(!all)}>
            {all ? "Own frames only" : "Show all frames"}
          </button>
        )}
        {error.exceptions.length > 0 && (
          <button type="button" class="button button-small" aria-pressed={raw} onClick={() => setRaw(!raw)}>
            As text
          </button>
        )}
        <button type="button" class="button button-small" onClick={() => void copyText(text, "Text")}>
          Copy
        </button>
      </div>
      {raw ? (
        <pre class="stack-text" tabIndex={0}>
          {text}
        </pre>
      ) : (
        error.exceptions.map((exception, at) => <ExceptionView key={at} exception={exception} all={all} />)
      )}
    </section>
  );
}

function ExceptionView({ exception, all }: { readonly exception: Exception; readonly all: boolean }) {
  const runs = runsOf(exception.frames, all);
  return (
    <div class="stack-exception">
      <p class="stack-head">
        <strong>{exception.type || "error"}</strong>
        {exception.message !== "" && <span>{exception.message}</span>}
      </p>
      <ol class="stack-frames">
        {runs.map((run, at) =>
          run.folded ? (
            <FoldedFrames key={at} frames={run.frames} />
          ) : (
            run.frames.map((frame, number) => <FrameLine key={`${at} ${number}`} frame={frame} />)
          ),
        )}
      </ol>
    </div>
  );
}

function FoldedFrames({ frames }: { readonly frames: readonly Frame[] }) {
  const [open, setOpen] = useState(false);
  if (open)
    return (
      <>
        {frames.map((frame, at) => (
          <FrameLine key={at} frame={frame} />
        ))}
      </>
    );
  return (
    <li class="stack-folded">
      <button type="button" class="link-button" onClick={() => setOpen(true)}>
        {count(frames.length)} library {frames.length === 1 ? "frame" : "frames"}
      </button>
    </li>
  );
}

function FrameLine({ frame }: { readonly frame: Frame }) {
  const place = frame.line === null ? frame.file : `${frame.file}:${frame.line}`;
  return (
    <li class={frame.own ? "stack-frame stack-own" : "stack-frame"}>
      <code class="mono">{frame.function || "(no name)"}</code>
      {place !== "" && <span class="stack-place mono">{place}</span>}
    </li>
  );
}

export interface FrameRun {
  readonly folded: boolean;
  readonly frames: readonly Frame[];
}

/** Frames as they are shown: neighbours of libraries folded into one, unless all are wanted or none is the program's own. */
export function runsOf(frames: readonly Frame[], all: boolean): readonly FrameRun[] {
  if (all || !frames.some(({ own }) => own)) return [{ folded: false, frames }];
  const runs: { folded: boolean; frames: Frame[] }[] = [];
  for (const frame of frames) {
    const last = runs.at(-1);
    if (last !== undefined && last.folded === !frame.own) last.frames.push(frame);
    else runs.push({ folded: !frame.own, frames: [frame] });
  }
  return runs;
}
