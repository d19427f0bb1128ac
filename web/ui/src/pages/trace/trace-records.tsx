/** The records of a trace in the order of time, each with its offset from the first; one opens to all its fields. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { levelClass, levelLetter, type LogRecord } from "../../api/log-record";
import { hrefOf } from "../../app/address";
import { go } from "../../app/location";
import { count } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { plainLine } from "../../list/line-text";
import { LineView } from "../../list/line-view";
import { LogDetail, type DetailActions } from "../../list/log-detail";
import { rowId } from "../../list/log-row";
import { exclude, include } from "../../query/query-edit";
import { everyZone } from "../../time/format";
import { absoluteRange } from "../../time/range";
import { formatSpan, minute } from "../../time/span";
import { millisecondsBetween } from "./lanes";

interface TraceRecordsProps {
  readonly records: readonly LogRecord[];
  readonly selected: string;
  /** What the times are counted from. */
  readonly start: string;
  onSelect(id: string): void;
}

/** Rows drawn at first; a trace with more says so. */
const rowsMax = 500;

export function TraceRecords({ records, selected, start, onSelect }: TraceRecordsProps) {
  const [all, setAll] = useState(false);
  const [withContext, setWithContext] = useState("");
  const actions = useMemo(() => actionsFor(records), [records]);
  useEffect(() => {
    if (selected !== "") document.getElementById(rowId(selected))?.scrollIntoView({ block: "nearest" });
  }, [selected]);
  const shown = all ? records : records.slice(0, rowsMax);
  return (
    <div class="trace-rows" role="treegrid" aria-label="Records in the order of time">
      {shown.map((record, index) => (
        <div key={record.id} role="rowgroup">
          <div
            class={`row trace-row ${levelClass(record.level)} ${record.id === selected ? "row-selected" : ""}`}
            role="row"
            id={rowId(record.id)}
            tabIndex={0}
            aria-rowindex={index + 1}
            aria-expanded={record.id === selected}
            onClick={() => {
              if (window.getSelection()?.isCollapsed !== false) onSelect(record.id);
            }}
            onKeyDown={(event) => {
              if (event.key === "Enter" && event.target === event.currentTarget) onSelect(record.id);
            }}
          >
            <span class="cell cell-time" role="gridcell" title={everyZone(record.time)}>
              +{formatSpan(millisecondsBetween(start, record.time))}
            </span>
            <span class="cell cell-level" role="gridcell" title={record.level ?? "no level"}>
              {levelLetter(record.level)}
            </span>
            <span class="cell cell-field" role="gridcell">
              {plainLine(record.service ?? "")}
            </span>
            <span class="cell cell-host" role="gridcell">
              {plainLine(record.host ?? "")}
            </span>
            <span class="cell cell-message" role="gridcell">
              <LineView text={record.message ?? ""} terms={undefined} oneLine />
            </span>
          </div>
          {record.id === selected && (
            <div role="row">
              <LogDetail
                record={record}
                zone={zone.value}
                terms={undefined}
                columns={[]}
                withContext={withContext === record.id}
                actions={actions}
                onContext={() => setWithContext(withContext === record.id ? "" : record.id)}
              />
            </div>
          )}
        </div>
      ))}
      {shown.length < records.length && (
        <p class="list-end">
          <button type="button" class="link-button" onClick={() => setAll(true)}>
            Show all {count(records.length)}
          </button>
        </p>
      )}
    </div>
  );
}

/** Filters lead to the Logs page, about the time of the trace. */
function actionsFor(records: readonly LogRecord[]): DetailActions {
  const first = Date.parse(records[0]?.time ?? "");
  const last = Date.parse(records.at(-1)?.time ?? "");
  const range = Number.isFinite(first) ? absoluteRange({ from: first - 5 * minute, to: last + 5 * minute }) : {};
  return {
    include: (field, value) => go(hrefOf("/logs", { q: include("", field, value), ...range })),
    exclude: (field, value) => go(hrefOf("/logs", { q: exclude("", field, value), ...range })),
    toggleColumn: (name) => go(hrefOf("/logs", { cols: `service,${name}`, ...range })),
    permalink: (record) => hrefOf("/logs", { line: record.id, ...range }),
  };
}
