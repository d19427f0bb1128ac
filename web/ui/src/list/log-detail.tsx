/**
 * Everything about one record, inline below its row: the whole message, every field with what can be done with it, nested
 * values as a tree, the lines around it, and ways to take it elsewhere.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { valueText, type AttributeValue, type LogRecord } from "../api/log-record";
import { fetchContext, type Context } from "../api/logs";
import { addressOf } from "../api/request";
import { copyText } from "../app/clipboard";
import { ColumnIcon, CopyIcon, MinusIcon, PlusIcon, TraceIcon } from "../app/icons";
import type { Zone } from "../app/preferences";
import { fullTime } from "../time/format";
import { JsonTree, jsonIn } from "./json-tree";
import { detailCharactersMax, LineView } from "./line-view";
import { LogRow } from "./log-row";

export interface DetailActions {
  include(field: string, value: string): void;
  exclude(field: string, value: string): void;
  toggleColumn(name: string): void;
  /** The address of this view with this record in it. */
  permalink(record: LogRecord): string;
}

interface LogDetailProps {
  readonly record: LogRecord;
  readonly zone: Zone;
  readonly terms: RegExp | undefined;
  readonly columns: readonly string[];
  readonly withContext: boolean;
  readonly actions: DetailActions;
  onContext(): void;
}

/** Lines shown before and after. */
const contextLines = 20;

export function LogDetail({ record, zone, terms, columns, withContext, actions, onContext }: LogDetailProps) {
  const message = record.message ?? "";
  const tree = jsonIn(message);
  return (
    <div class="detail" role="gridcell" onClick={(event) => event.stopPropagation()}>
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
          Context ±{contextLines}
        </button>
        {record.trace_id !== undefined && (
          <a class="button button-small" href={`/trace/${record.trace_id}`}>
            <TraceIcon /> Trace
          </a>
        )}
      </div>
      <div class="detail-message">
        <LineView text={message} terms={terms} oneLine={false} charactersMax={detailCharactersMax} />
      </div>
      {tree !== undefined && (
        <div class="detail-tree">
          <JsonTree value={tree} />
        </div>
      )}
      <table class="fields">
        <tbody>
          {fieldsOf(record).map(([name, value]) => (
            <FieldRow
              key={name}
              name={name}
              value={value}
              zone={zone}
              isColumn={columns.includes(name)}
              actions={actions}
            />
          ))}
        </tbody>
      </table>
      {withContext && <ContextLines record={record} zone={zone} />}
    </div>
  );
}

interface FieldRowProps {
  readonly name: string;
  readonly value: AttributeValue;
  readonly zone: Zone;
  readonly isColumn: boolean;
  readonly actions: DetailActions;
}

function FieldRow({ name, value, zone, isColumn, actions }: FieldRowProps) {
  const text = valueText(value);
  const nested =
    typeof value === "object" && value !== null ? value : typeof value === "string" ? jsonIn(value) : undefined;
  const canFilter = name !== "time" && nested === undefined;
  return (
    <tr data-field={name} data-value={text}>
      <th scope="row">{name}</th>
      <td class="field-actions">
        {canFilter && (
          <>
            <button
              type="button"
              class="icon-button"
              aria-label={`Filter for ${name}`}
              title="Filter for (f)"
              onClick={() => actions.include(name, text)}
            >
              <PlusIcon />
            </button>
            <button
              type="button"
              class="icon-button"
              aria-label={`Filter out ${name}`}
              title="Filter out (F)"
              onClick={() => actions.exclude(name, text)}
            >
              <MinusIcon />
            </button>
          </>
        )}
        <button
          type="button"
          class="icon-button"
          aria-label={`Copy ${name}`}
          title="Copy"
          onClick={() => void copyText(text, name)}
        >
          <CopyIcon />
        </button>
        {name !== "time" && name !== "level" && (
          <button
            type="button"
            class="icon-button"
            aria-pressed={isColumn}
            aria-label={`Column ${name}`}
            title={isColumn ? "Take the column away" : "Show as a column"}
            onClick={() => actions.toggleColumn(name)}
          >
            <ColumnIcon />
          </button>
        )}
      </td>
      <td class="field-value">
        {nested !== undefined ? (
          <JsonTree value={nested} />
        ) : name === "trace_id" ? (
          <a href={`/trace/${text}`}>{text}</a>
        ) : name === "time" ? (
          <>
            {text}{" "}
            <span class="muted">
              {fullTime(Date.parse(text), zone === "utc" ? "local" : "utc")} {zone === "utc" ? "local" : "UTC"}
            </span>
          </>
        ) : (
          <LineView text={text} terms={undefined} oneLine={false} charactersMax={10_000} />
        )}
      </td>
    </tr>
  );
}

/** The lines around a record, from the same host and service; no filter applies. */
function ContextLines({ record, zone }: { readonly record: LogRecord; readonly zone: Zone }) {
  const [context, setContext] = useState<Context | undefined>(undefined);
  const [problem, setProblem] = useState("");
  const here = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const asking = new AbortController();
    void fetchContext(record.id, contextLines, asking.signal).then((answer) => {
      if (answer.ok) setContext(answer.value);
      else if (answer.failure.kind !== "cancelled") setProblem(answer.failure.message);
    });
    return () => asking.abort();
  }, [record.id]);
  if (problem !== "") return <p class="detail-problem">{problem}</p>;
  if (context === undefined) return <p class="muted">Fetching the lines around it …</p>;
  const source = [record.host, record.service].filter((part) => part !== undefined).join(" · ");
  return (
    <section class="context" aria-label="Lines around it">
      <h3>Around it{source === "" ? "" : `, from ${source}`}</h3>
      <div class="context-lines" role="grid" aria-label="Lines around it" ref={here}>
        {[...context.before, context.record, ...context.after].map((line, index) => (
          <LogRow
            key={line.id}
            record={line}
            index={index}
            columns={[]}
            zone={zone}
            withDate={false}
            wrap={false}
            terms={undefined}
            selected={line.id === record.id}
            onToggle={() => undefined}
          />
        ))}
      </div>
    </section>
  );
}

/** The fixed fields first, then the attributes by name. */
function fieldsOf(record: LogRecord): readonly (readonly [string, AttributeValue])[] {
  const fixed: (readonly [string, AttributeValue | undefined])[] = [
    ["time", record.time],
    ["level", record.level],
    ["host", record.host],
    ["service", record.service],
    ["trace_id", record.trace_id],
    ["span_id", record.span_id],
  ];
  const attributes = Object.entries(record.attributes ?? {}).sort(([left], [right]) => (left < right ? -1 : 1));
  return [...fixed, ...attributes].filter((entry): entry is [string, AttributeValue] => entry[1] !== undefined);
}

/** The command that fetches this record and its neighbours in a terminal. */
function curlOf(record: LogRecord): string {
  return `curl -s '${window.location.origin}${addressOf("/api/v1/logs/context", { id: record.id, before: 0, after: 0 })}'`;
}
