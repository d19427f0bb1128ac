/**
 * The head of the list: names of the columns, each to be taken away, dragged to another place, or made wider at its edge; by
 * keyboard with the arrow keys (width) and with Shift and the arrow keys (place). A double click fits the width to what is shown.
 */
import { useState } from "preact/hooks";
import { CloseIcon } from "../../app/icons";
import { zone } from "../../app/preferences";
import { moved, resized } from "./columns";
import * as state from "./logs-state";

/** A press of an arrow key changes the width by so many pixels. */
const keyStep = 16;

export function ListHeader() {
  const plan = state.columnPlan.value;
  const [dragged, setDragged] = useState("");
  return (
    <div class="row list-header" role="row" aria-rowindex={1}>
      {!state.timeHidden.value && (
        <span class="cell cell-time cell-removable" role="columnheader">
          <span class="column-name">time {zone.value === "utc" ? "UTC" : ""}</span>
          <Remove name="time" />
        </span>
      )}
      <span class="cell cell-level" role="columnheader">
        <span class="visually-hidden">level</span>
      </span>
      {plan.map(({ name, width = 0 }, at) => (
        <span
          key={name}
          class={dragged === name ? "cell cell-field cell-removable column-dragged" : "cell cell-field cell-removable"}
          role="columnheader"
          draggable
          onDragStart={(event) => {
            setDragged(name);
            event.dataTransfer?.setData("text/plain", name);
          }}
          onDragOver={(event) => {
            if (dragged !== "") event.preventDefault();
          }}
          onDrop={(event) => {
            event.preventDefault();
            const from = plan.findIndex((column) => column.name === dragged);
            if (from !== -1) state.changeColumns(moved(plan, dragged, at - from));
          }}
          onDragEnd={() => setDragged("")}
        >
          <span class="column-name">{name}</span>
          <Remove name={name} />
          <Edge name={name} width={width} />
        </span>
      ))}
      <span class="cell cell-message" role="columnheader">
        message
      </span>
    </div>
  );
}

function Remove({ name }: { readonly name: string }) {
  return (
    <button
      type="button"
      class="icon-button column-remove"
      aria-label={`Take the column ${name} away`}
      title="Take the column away"
      onClick={() => state.toggleColumn(name)}
    >
      <CloseIcon />
    </button>
  );
}

/** The edge of a column, which makes it wider or narrower. */
function Edge({ name, width: set }: { readonly name: string; readonly width: number }) {
  const resize = (width: number): void => state.changeColumns(resized(state.columnPlan.peek(), name, width));
  return (
    <span
      class="column-edge"
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-valuenow={set}
      aria-valuetext={set === 0 ? "as wide as the list decides" : `${set} pixels`}
      aria-label={`Width of the column ${name}; with Shift its place`}
      title="Drag to resize, double-click to fit"
      draggable
      // The edge is dragged for itself, and not with the column.
      onDragStart={(event) => {
        event.preventDefault();
        event.stopPropagation();
      }}
      onPointerDown={(event) => {
        const edge = event.currentTarget;
        const start = event.clientX;
        const width = edge.parentElement?.offsetWidth ?? 0;
        edge.setPointerCapture(event.pointerId);
        const onMove = (move: PointerEvent): void => resize(width + move.clientX - start);
        edge.addEventListener("pointermove", onMove);
        edge.addEventListener("pointerup", () => edge.removeEventListener("pointermove", onMove), { once: true });
      }}
      onDblClick={(event) => resize(fittingWidth(event.currentTarget))}
      onKeyDown={(event) => {
        const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
        if (by === 0) return;
        event.preventDefault();
        event.stopPropagation();
        if (event.shiftKey) state.changeColumns(moved(state.columnPlan.peek(), name, by));
        else resize((event.currentTarget.parentElement?.offsetWidth ?? 0) + by * keyStep);
      }}
    />
  );
}

/** As wide as the widest cell of the column that is on the page. */
function fittingWidth(edge: HTMLElement): number {
  const head = edge.parentElement;
  const place = head === null ? -1 : [...(head.parentElement?.children ?? [])].indexOf(head);
  const cells = document.querySelectorAll<HTMLElement>(`.list-rows .row > :nth-child(${place + 1})`);
  return Math.max(40, ...[...cells].map((cell) => cell.scrollWidth)) + 4;
}
