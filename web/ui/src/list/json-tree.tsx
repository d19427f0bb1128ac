/** A nested value as a tree that folds: keys in their order, small parts open, big ones closed. */
import { useState } from "preact/hooks";
import type { AttributeValue } from "../api/log-record";
import { LineView } from "./line-view";

/** Children shown before "show all" is asked for. */
const childrenMax = 100;
/** Parts with more children than this begin closed. */
const openChildrenMax = 12;

/** The value in a text that is a JSON object or list, or undefined when it is something else. */
export function jsonIn(text: string): AttributeValue | undefined {
  if (!/^\s*[[{]/.test(text) || text.length > 200_000) return undefined;
  try {
    const value = JSON.parse(text) as AttributeValue;
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

export function JsonTree({
  value,
  name,
  depth = 0,
}: {
  readonly value: AttributeValue;
  readonly name?: string;
  readonly depth?: number;
}) {
  const entries: readonly (readonly [string, AttributeValue])[] =
    typeof value === "object" && value !== null ? Object.entries(value) : [];
  const [open, setOpen] = useState(depth === 0 || (depth < 3 && entries.length <= openChildrenMax));
  const [all, setAll] = useState(false);
  const label = name === undefined ? null : <span class="json-name">{name}: </span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div class="json-leaf">
        {label}
        <span class={`json-${value === null ? "null" : typeof value}`}>
          {typeof value === "string" ? (
            <LineView text={JSON.stringify(value)} terms={undefined} oneLine={false} />
          ) : (
            String(value)
          )}
        </span>
      </div>
    );
  }
  const brackets = Array.isArray(value) ? "[]" : "{}";
  return (
    <div class="json-part">
      <button type="button" class="json-fold" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="json-arrow" aria-hidden="true">
          {open ? "▾" : "▸"}
        </span>
        {label}
        <span class="muted">
          {brackets[0]}
          {open ? "" : `${entries.length}`}
          {open ? "" : brackets[1]}
        </span>
      </button>
      {open && (
        <div class="json-children">
          {entries.slice(0, all ? undefined : childrenMax).map(([key, child]) => (
            <JsonTree key={key} name={key} value={child} depth={depth + 1} />
          ))}
          {!all && entries.length > childrenMax && (
            <button type="button" class="link-button" onClick={() => setAll(true)}>
              show all {entries.length}
            </button>
          )}
          <span class="muted">{brackets[1]}</span>
        </div>
      )}
    </div>
  );
}
