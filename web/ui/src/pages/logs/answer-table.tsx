/** What the stages of a question made of its records: a table with the answer's columns, in the answer's order. */
import { useState } from "preact/hooks";
import "../../styles/answer-table.css";
import { valueText, type AttributeValue } from "../../api/log-record";
import type { AnswerColumn, AnswerRow } from "../../api/logs";
import { count } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { LineView } from "../../list/line-view";
import { fullTime } from "../../time/format";
import * as state from "./logs-state";

/** Rows that are put on the page at once. */
const pageRows = 500;

export interface AnswerTable {
  readonly columns: readonly AnswerColumn[];
  readonly rows: readonly AnswerRow[];
}

export function AnswerTableView({ table }: { readonly table: AnswerTable }) {
  const { session } = state;
  void session.version.value;
  const [pages, setPages] = useState({ generation: session.generation, count: 1 });
  const shown = pageRows * (pages.generation === session.generation ? pages.count : 1);
  const rows = table.rows.slice(0, shown);
  const summary = session.summary.value;
  return (
    <div class="answer-frame" role="region" aria-label="Table" tabIndex={0}>
      <table class="answer-table">
        <thead>
          <tr>
            {table.columns.map((column) => (
              <th key={column.name} class={classOf(column)} scope="col">
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {table.columns.map((column) => (
                <td key={column.name} class={classOf(column, row[column.name])}>
                  <Cell column={column} value={row[column.name]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="list-end">
        {shown < table.rows.length ? (
          <button
            type="button"
            class="link-button"
            onClick={() => setPages({ generation: session.generation, count: shown / pageRows + 1 })}
          >
            Show more of {count(table.rows.length)} rows
          </button>
        ) : (
          `${count(table.rows.length)} ${table.rows.length === 1 ? "row" : "rows"}`
        )}
        {summary?.more === true && " · there are more: put head behind the question, or ask for less"}
      </p>
    </div>
  );
}

function Cell({ column, value }: { readonly column: AnswerColumn; readonly value: AttributeValue | undefined }) {
  if (value === null || value === undefined) return <span class="muted">–</span>;
  if (column.type === "time" && typeof value === "string") {
    const time = Date.parse(value);
    return <time dateTime={value}>{Number.isNaN(time) ? value : fullTime(time, zone.value)}</time>;
  }
  if (typeof value === "number") return <>{numberText(value)}</>;
  const text = Array.isArray(value)
    ? value.map((item) => valueText(item as AttributeValue)).join(", ")
    : valueText(value);
  return <LineView text={text} terms={undefined} oneLine={false} />;
}

/** With separators, and no more digits than say something. */
function numberText(number: number): string {
  return Number.isInteger(number) ? count(number) : String(Number(number.toPrecision(6)));
}

function classOf(column: AnswerColumn, value?: AttributeValue): string {
  if (column.type === "number" || typeof value === "number") return "number";
  return column.type === "time" ? "time" : "";
}
