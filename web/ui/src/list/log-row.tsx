/** One record as one row of cells: time, level letter, the chosen columns, message. */
import { fieldOf, levelClass, levelLetter, valueText, type LogRecord } from "../api/log-record";
import type { Zone } from "../app/preferences";
import { clockTime, everyZone, shortDate } from "../time/format";
import { LineView } from "./line-view";

export interface LogRowProps {
  readonly record: LogRecord;
  readonly index: number;
  readonly columns: readonly string[];
  readonly zone: Zone;
  readonly withDate: boolean;
  readonly timeHidden?: boolean;
  /** How many rows like it are folded into this one. */
  readonly repeats?: number;
  readonly wrap: boolean;
  readonly terms: RegExp | undefined;
  readonly selected: boolean;
  /** Undefined where rows do not open. */
  readonly open?: boolean;
  onToggle(index: number): void;
}

export function LogRow(props: LogRowProps) {
  const {
    record,
    index,
    columns,
    zone,
    withDate,
    timeHidden = false,
    repeats = 0,
    wrap,
    terms,
    selected,
    open,
  } = props;
  const { onToggle } = props;
  const milliseconds = Date.parse(record.time);
  const clock = clockTime(milliseconds, zone);
  const classes = ["row", levelClass(record.level)];
  if (wrap) classes.push("row-wrapped");
  if (selected) classes.push("row-selected");
  if (open === true) classes.push("row-open");
  const toggle = (): void => {
    // Marking text in a row is reading, not opening.
    if (window.getSelection()?.isCollapsed === false) return;
    onToggle(index);
  };
  return (
    <div
      class={classes.join(" ")}
      role="row"
      id={rowId(record.id)}
      aria-rowindex={index + 2}
      aria-selected={selected}
      {...(open === undefined ? {} : { "aria-expanded": open })}
      onClick={toggle}
    >
      {!timeHidden && (
        <span class="cell cell-time" role="gridcell" title={everyZone(record.time)}>
          {withDate && <span class="cell-date">{shortDate(milliseconds, zone)} </span>}
          {clock.slice(0, 8)}
          <span class="cell-fraction">{clock.slice(8)}</span>
        </span>
      )}
      <span class="cell cell-level" role="gridcell" title={record.severity_text ?? record.level ?? "no level"}>
        {levelLetter(record.level)}
      </span>
      {columns.map((name) => (
        <span key={name} class="cell cell-field" role="gridcell">
          <LineView text={valueText(fieldOf(record, name))} terms={undefined} oneLine />
        </span>
      ))}
      <span class="cell cell-message" role="gridcell">
        {repeats > 0 && (
          <span class="row-repeats" title={`${repeats} more like it`}>
            ×{repeats + 1}
          </span>
        )}
        <LineView text={record.message ?? ""} terms={terms} oneLine={!wrap} />
      </span>
    </div>
  );
}

/** The element id of a row, for the grid's active descendant. */
export function rowId(recordId: string): string {
  return `row-${recordId}`;
}
