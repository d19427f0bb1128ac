/** The text of a dashboard beside its view: line numbers, marks where something is wrong, and what is wrong in words. */
import { useRef } from "preact/hooks";
import type { Problem } from "../../api/dashboards";

interface YamlEditorProps {
  readonly text: string;
  readonly problems: readonly Problem[];
  readonly readOnly: boolean;
  onInput(text: string): void;
  onSave(): void;
}

export function YamlEditor({ text, problems, readOnly, onInput, onSave }: YamlEditorProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const leaves = useRef(false);
  const lines = text.split("\n").length;
  const wrong = new Set(problems.map(({ line }) => line));
  return (
    <div class="yaml">
      <div class="yaml-frame">
        <div class="yaml-gutter" ref={gutter} aria-hidden="true">
          {Array.from({ length: lines }, (_, at) => (
            <span key={at} class={wrong.has(at + 1) ? "yaml-wrong" : ""}>
              {at + 1}
            </span>
          ))}
        </div>
        <textarea
          ref={area}
          class="yaml-text"
          aria-label="The dashboard as YAML. Tab indents; Escape, then Tab, leaves"
          aria-invalid={problems.length > 0}
          spellcheck={false}
          autocapitalize="off"
          wrap="off"
          readOnly={readOnly}
          value={text}
          onInput={(event) => onInput(event.currentTarget.value)}
          onScroll={(event) => {
            if (gutter.current !== null) gutter.current.scrollTop = event.currentTarget.scrollTop;
          }}
          onKeyDown={(event) => {
            const target = event.currentTarget;
            if ((event.ctrlKey || event.metaKey) && event.key === "s") {
              event.preventDefault();
              onSave();
            } else if (event.key === "Escape") {
              leaves.current = true;
              return;
            } else if (event.key === "Tab" && !leaves.current && !readOnly) {
              event.preventDefault();
              indent(target, event.shiftKey);
              onInput(target.value);
            } else if (event.key === "Enter" && !event.shiftKey && !readOnly) {
              event.preventDefault();
              const before = target.value.slice(0, target.selectionStart);
              const line = before.slice(before.lastIndexOf("\n") + 1);
              const space = /^ */.exec(line)?.[0] ?? "";
              target.setRangeText(`\n${space}`, target.selectionStart, target.selectionEnd, "end");
              onInput(target.value);
            }
            leaves.current = false;
          }}
        />
      </div>
      {problems.length > 0 && (
        <ul class="yaml-problems" aria-label="What is wrong" role="list">
          {problems.map(({ line, column, message }) => (
            <li key={`${line}:${column}:${message}`}>
              <button type="button" class="yaml-problem" onClick={() => goTo(area.current, line, column)}>
                {line > 0 && (
                  <span class="mono">
                    {line}:{column}
                  </span>
                )}
                <span>{message}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** Two spaces more, or fewer, before every line that is marked. */
function indent(area: HTMLTextAreaElement, isOut: boolean): void {
  const { value, selectionStart, selectionEnd } = area;
  if (selectionStart === selectionEnd && !isOut) {
    area.setRangeText("  ", selectionStart, selectionEnd, "end");
    return;
  }
  const from = value.lastIndexOf("\n", selectionStart - 1) + 1;
  const marked = value.slice(from, selectionEnd);
  const moved = isOut ? marked.replace(/^ {1,2}/gm, "") : marked.replace(/^/gm, "  ");
  area.setRangeText(moved, from, selectionEnd, "select");
}

/** Puts the caret at a place of the text, in sight. */
function goTo(area: HTMLTextAreaElement | null, line: number, column: number): void {
  if (area === null) return;
  const before = area.value.split("\n").slice(0, Math.max(0, line - 1));
  const at = before.reduce((sum, text) => sum + text.length + 1, 0) + Math.max(0, column - 1);
  area.focus();
  area.setSelectionRange(at, at);
  const lineHeight = parseFloat(getComputedStyle(area).lineHeight);
  area.scrollTop = Math.max(0, (line - 5) * lineHeight);
}
