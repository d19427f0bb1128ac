/** The fields of a record as a table: each with ways to filter, to copy, to make it a column, and its commonest values. */
import { useEffect, useState } from "preact/hooks";
import { valueText, type AttributeValue, type LogRecord } from "../api/log-record";
import type { Facet } from "../api/logs";
import { copyText } from "../app/clipboard";
import { ColumnIcon, CopyIcon, FacetsIcon, MinusIcon, PlusIcon } from "../app/icons";
import { count } from "../app/number-format";
import type { Zone } from "../app/preferences";
import { fullTime } from "../time/format";
import { JsonTree, jsonIn } from "./json-tree";
import { plainLine } from "./line-text";
import { LineView } from "./line-view";
import type { DetailActions } from "./log-detail";

interface FieldTableProps {
  readonly record: LogRecord;
  readonly zone: Zone;
  readonly columns: readonly string[];
  readonly actions: DetailActions;
}

/** Fields shown before "show all" is asked for. */
const fieldsMax = 120;

export function FieldTable({ record, zone, columns, actions }: FieldTableProps) {
  const [all, setAll] = useState(false);
  const fields = fieldsOf(record);
  const shown = all ? fields : fields.slice(0, fieldsMax);
  return (
    <>
      <table class="fields">
        <tbody>
          {shown.map(([name, value]) => (
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
      {shown.length < fields.length && (
        <button type="button" class="link-button" onClick={() => setAll(true)}>
          Show all {fields.length} fields
        </button>
      )}
    </>
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
  const [counted, setCounted] = useState(false);
  return (
    <tr data-field={name} data-value={text}>
      <th scope="row">{plainLine(name)}</th>
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
        {canFilter && actions.topValues !== undefined && (
          <button
            type="button"
            class="icon-button"
            aria-pressed={counted}
            aria-label={`Commonest values of ${name}`}
            title="Commonest values"
            onClick={() => setCounted(!counted)}
          >
            <FacetsIcon />
          </button>
        )}
        {name !== "level" && (
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
        {counted && <TopValues field={name} actions={actions} />}
      </td>
    </tr>
  );
}

/** The commonest values of a field among what is searched, each a filter. */
function TopValues({ field, actions }: { readonly field: string; readonly actions: DetailActions }) {
  const [facet, setFacet] = useState<Facet | undefined>(undefined);
  useEffect(() => {
    const asking = new AbortController();
    void actions.topValues?.(field, asking.signal).then((found) => {
      if (!asking.signal.aborted) setFacet(found);
    });
    return () => asking.abort();
  }, [field]);
  if (facet === undefined) return <div class="muted">Counting …</div>;
  return (
    <ul class="top-values">
      {facet.values.map(({ value, count: number }) => (
        <li key={value}>
          <button type="button" class="link-button" onClick={() => actions.include(field, value)}>
            <LineView text={value === "" ? "(empty)" : value} terms={undefined} oneLine charactersMax={200} />
          </button>{" "}
          <span class="muted">{count(number)}</span>
        </li>
      ))}
      {facet.other > 0 && <li class="muted">{count(facet.other)} others</li>}
      {facet.missing > 0 && <li class="muted">{count(facet.missing)} without</li>}
    </ul>
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
