/**
 * Everything about one record, inline below its row: the whole message, every field with what can be done with it, nested
 * values as a tree, the lines around it, and ways to take it elsewhere.
 */
import "../styles/detail.css";
import type { LogRecord } from "../api/log-record";
import type { Facet } from "../api/logs";
import { addressOf } from "../api/request";
import { copyText } from "../app/clipboard";
import { TraceIcon } from "../app/icons";
import type { Zone } from "../app/preferences";
import { ContextLines } from "./context-lines";
import { FieldTable } from "./field-table";
import { JsonTree, jsonIn } from "./json-tree";
import { detailCharactersMax, LineView } from "./line-view";
import { stackOf } from "./stack-fold";
import { StackView } from "./stack-view";

export interface DetailActions {
  include(field: string, value: string): void;
  exclude(field: string, value: string): void;
  toggleColumn(name: string): void;
  /** The address of this view with this record in it. */
  permalink(record: LogRecord): string;
  /** The commonest values of a field among what is searched; absent where nothing is. */
  readonly topValues?: (field: string, signal: AbortSignal) => Promise<Facet | undefined>;
  /** The query that led here; absent where none did. */
  readonly query?: () => string;
}

interface LogDetailProps {
  readonly record: LogRecord;
  readonly zone: Zone;
  readonly terms: RegExp | undefined;
  readonly columns: readonly string[];
  readonly withContext: boolean;
  readonly actions: DetailActions;
  onContext(): void;
  /** What it is within a list; `group` where it stands alone. */
  readonly role?: "gridcell" | "group";
}

export function LogDetail({
  record,
  zone,
  terms,
  columns,
  withContext,
  actions,
  onContext,
  role = "gridcell",
}: LogDetailProps) {
  const message = record.message ?? "";
  const tree = jsonIn(message);
  const stack = message.length > detailCharactersMax ? undefined : stackOf(message);
  return (
    <div class="detail" role={role} onClick={(event) => event.stopPropagation()}>
      <div class="detail-actions">
        <button type="button" class="button button-small" onClick={() => void copyText(message, "Line")}>
          Copy line
        </button>
        <button
          type="button"
          class="button button-small"
          onClick={() => void copyText(JSON.stringify(record, null, 2), "JSON")}
        >
          JSON
        </button>
        <button
          type="button"
          class="button button-small"
          onClick={() => void copyText(window.location.origin + actions.permalink(record), "Link to this line")}
        >
          Link
        </button>
        <button type="button" class="button button-small" onClick={() => void copyText(curlOf(record), "curl command")}>
          curl
        </button>
        <button type="button" class="button button-small" aria-pressed={withContext} onClick={onContext}>
          Context
        </button>
        {record.trace_id !== undefined && (
          <a class="button button-small" href={`/trace/${record.trace_id}`}>
            <TraceIcon /> Trace
          </a>
        )}
      </div>
      <div class="detail-message">
        {stack === undefined ? (
          <LineView text={message} terms={terms} oneLine={false} charactersMax={detailCharactersMax} />
        ) : (
          <StackView stretches={stack} terms={terms} />
        )}
      </div>
      {tree !== undefined && (
        <div class="detail-tree">
          <JsonTree value={tree} />
        </div>
      )}
      <FieldTable record={record} zone={zone} columns={columns} actions={actions} />
      {withContext && <ContextLines record={record} zone={zone} query={actions.query?.() ?? ""} />}
    </div>
  );
}

/** The command that fetches this record and its neighbours in a terminal. */
function curlOf(record: LogRecord): string {
  return `curl -s '${window.location.origin}${addressOf("/api/v1/logs/context", { id: record.id, before: 0, after: 0 })}'`;
}
