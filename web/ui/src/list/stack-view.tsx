/** A message with a stack trace: its own frames open, those of libraries folded until they are asked for. */
import { useState } from "preact/hooks";
import { detailCharactersMax, LineView } from "./line-view";
import type { Stretch } from "./stack-fold";

interface StackViewProps {
  readonly stretches: readonly Stretch[];
  readonly terms: RegExp | undefined;
}

export function StackView({ stretches, terms }: StackViewProps) {
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const folds = stretches.flatMap(({ kind }, at) => (kind === "foreign" ? [at] : []));
  return (
    <>
      {folds.length > 0 && open.size < folds.length && (
        <button type="button" class="link-button stack-all" onClick={() => setOpen(new Set(folds))}>
          Show all frames
        </button>
      )}
      {stretches.map(({ kind, lines }, at) =>
        kind === "foreign" && !open.has(at) ? (
          <button
            key={at}
            type="button"
            class="stack-fold"
            aria-expanded={false}
            onClick={() => setOpen(new Set([...open, at]))}
          >
            ▸ {lines.length} {lines.length === 1 ? "line" : "lines"} of libraries
          </button>
        ) : (
          <div key={at} class={`stack-${kind}`}>
            <LineView text={lines.join("\n")} terms={terms} oneLine={false} charactersMax={detailCharactersMax} />
          </div>
        ),
      )}
    </>
  );
}
