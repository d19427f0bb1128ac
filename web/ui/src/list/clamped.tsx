/** A long text in a few lines, all of it on demand. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import "../styles/clamped.css";

interface ClampedProps {
  /** How long the text is, in characters. */
  readonly length: number;
  readonly children: ComponentChildren;
}

/** Shorter texts fit into the lines that are shown anyway. */
const clampedMin = 240;

export function Clamped({ length, children }: ClampedProps) {
  const [open, setOpen] = useState(false);
  if (length < clampedMin) return <>{children}</>;
  return (
    <>
      <div class={open ? "" : "clamped"}>{children}</div>
      <button type="button" class="link-button clamped-more" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? "less of it" : "all of it"}
      </button>
    </>
  );
}
