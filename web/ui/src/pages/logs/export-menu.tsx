/** The rows as a file: those that are loaded, or every one that matches, which the server writes. */
import { addressOf } from "../../api/request";
import { saveFile } from "../../app/clipboard";
import { DownloadIcon } from "../../app/icons";
import { csvOf, ndjsonOf, tableCsvOf } from "../../list/export";
import { hasStages } from "../../query/query-edit";
import * as state from "./logs-state";

export function ExportMenu() {
  const save = (kind: string): void => {
    if (kind === "") return;
    if (kind.startsWith("all-")) {
      downloadAll(kind.slice("all-".length));
      return;
    }
    const records = state.session.records();
    const table = state.session.table.peek();
    if (kind === "ndjson")
      saveFile("taffrail-logs.ndjson", "application/x-ndjson", ndjsonOf(table === undefined ? records : table.rows));
    else if (kind === "json")
      saveFile(
        "taffrail-logs.json",
        "application/json",
        JSON.stringify(table === undefined ? records : table.rows, null, 2),
      );
    else if (kind === "csv")
      saveFile(
        "taffrail-logs.csv",
        "text/csv",
        table === undefined
          ? csvOf(records, state.columns.peek())
          : tableCsvOf(
              table.columns.map(({ name }) => name),
              table.rows,
            ),
      );
  };
  return (
    <label class="tool-button tool-select" title="Save the rows that are loaded, or all that match">
      <DownloadIcon />
      <span class="button-label">Export</span>
      <select
        aria-label="Export rows"
        value=""
        onChange={(event) => {
          save(event.currentTarget.value);
          event.currentTarget.value = "";
        }}
      >
        <option value="">Export the loaded rows as …</option>
        <option value="ndjson">NDJSON</option>
        <option value="csv">CSV</option>
        <option value="json">JSON</option>
        {!hasStages(state.asked.value?.q ?? "") && (
          <>
            <option value="all-ndjson">NDJSON of every matching row</option>
            <option value="all-csv">CSV of every matching row</option>
            <option value="all-json">JSON of every matching row</option>
          </>
        )}
      </select>
    </label>
  );
}

/** Has the server write every row that the last question matches: a file of any size, which the browser saves as it comes. */
function downloadAll(format: string): void {
  const question = state.asked.peek();
  if (question === undefined) return;
  const link = document.createElement("a");
  link.href = addressOf("/api/v1/logs/export", {
    q: question.q,
    from: question.from,
    to: question.to,
    format,
    fields: state.columns.peek().join(","),
  });
  link.download = "";
  link.click();
}
