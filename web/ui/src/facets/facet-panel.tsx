/**
 * The sidebar of counts by field: a click filters for a value, Alt-click (or the minus) filters it out, "only" drops the
 * other values. Counts always reflect every filter.
 */
import { useEffect, useState } from "preact/hooks";
import type { Facet, FieldCount } from "../api/logs";
import { levelClass } from "../api/log-record";
import { count, shortCount } from "../app/number-format";
import { CloseIcon, MinusIcon, PlusIcon } from "../app/icons";
import { plainLine } from "../list/line-text";
import { LineView } from "../list/line-view";
import { mentionOf } from "../query/query-edit";

interface FacetPanelProps {
  readonly facets: readonly Facet[];
  readonly fields: readonly FieldCount[];
  readonly query: string;
  readonly loading: boolean;
  readonly failure: string | undefined;
  /** Fields that cannot be taken away. */
  readonly fixed: readonly string[];
  include(field: string, value: string): void;
  exclude(field: string, value: string): void;
  only(field: string, value: string): void;
  addField(name: string): void;
  removeField(name: string): void;
  addColumn(name: string): void;
  /** Values that hold a text, or with an empty one as many as there is room for. */
  searchValues(field: string, text: string, signal: AbortSignal): Promise<Facet["values"] | undefined>;
}

export function FacetPanel(props: FacetPanelProps) {
  const { facets, failure, loading } = props;
  return (
    <aside class={loading ? "facets facets-loading" : "facets"} aria-label="Counts by field">
      {failure !== undefined && <p class="facets-failure">{failure}</p>}
      {facets.map((facet) => (
        <FacetSection key={facet.field} facet={facet} {...props} />
      ))}
      <AddField {...props} />
    </aside>
  );
}

function FacetSection({
  facet,
  query,
  fixed,
  include,
  exclude,
  only,
  removeField,
  addColumn,
  searchValues,
}: FacetPanelProps & { readonly facet: Facet }) {
  // Undefined until somebody looks for more than the commonest.
  const [filter, setFilter] = useState<string | undefined>(undefined);
  const [found, setFound] = useState<Facet["values"] | undefined>(undefined);
  const { field, other, missing } = facet;
  useEffect(() => {
    const asking = new AbortController();
    if (filter === undefined) setFound(undefined);
    else
      void searchValues(field, filter, asking.signal).then((more) => {
        if (!asking.signal.aborted && more !== undefined) setFound(more);
      });
    return () => asking.abort();
  }, [filter, facet]);
  const text = (filter ?? "").toLowerCase();
  const values = (found ?? facet.values).filter(({ value }) => value.toLowerCase().includes(text));
  const largest = Math.max(1, ...values.map(({ count }) => count));
  return (
    <section class="facet">
      <header class="facet-head">
        <h2>{field}</h2>
        {!fixed.includes(field) && (
          <>
            <button
              type="button"
              class="icon-button"
              title="Show as a column"
              aria-label={`Show ${field} as a column`}
              onClick={() => addColumn(field)}
            >
              <PlusIcon />
            </button>
            <button
              type="button"
              class="icon-button"
              title="Take away"
              aria-label={`Take ${field} out of the sidebar`}
              onClick={() => removeField(field)}
            >
              <CloseIcon />
            </button>
          </>
        )}
      </header>
      {(facet.values.length >= 8 || filter !== undefined) && (
        <input
          class="text-input facet-search"
          aria-label={`Search the values of ${field}`}
          placeholder="find a value"
          value={filter ?? ""}
          onInput={(event) => setFilter(event.currentTarget.value || undefined)}
        />
      )}
      <ul>
        {values.map(({ value, count: number }) => {
          const mention = mentionOf(query, field, value);
          return (
            <li key={value} class={mention === undefined ? "facet-value" : `facet-value facet-${mention}`}>
              <button
                type="button"
                class="facet-main"
                aria-pressed={mention === "included"}
                title={`${plainLine(value.slice(0, 300))}: ${count(number)}\nClick filters for it, Alt-click filters it out`}
                onClick={(event) => (event.altKey ? exclude(field, value) : include(field, value))}
              >
                <span
                  class={field === "level" ? `facet-bar swatch-${levelClass(value)}` : "facet-bar"}
                  style={{ width: `${(number / largest) * 100}%` }}
                />
                <span class="facet-label">
                  {value === "" ? "(empty)" : <LineView text={value} terms={undefined} oneLine charactersMax={300} />}
                </span>
                <span class="facet-count">{shortCount(number)}</span>
              </button>
              <span class="facet-actions">
                <button
                  type="button"
                  class="facet-only"
                  aria-label={`Only ${field} ${value}`}
                  onClick={() => only(field, value)}
                >
                  only
                </button>
                <button
                  type="button"
                  class="icon-button"
                  aria-label={`Filter out ${field} ${value}`}
                  title="Filter out"
                  onClick={() => exclude(field, value)}
                >
                  <MinusIcon />
                </button>
              </span>
            </li>
          );
        })}
        {other > 0 && filter === undefined && (
          <li class="facet-rest">
            <button type="button" class="link-button" onClick={() => setFilter("")}>
              {shortCount(other)} others
            </button>
          </li>
        )}
        {missing > 0 && <li class="facet-rest">{shortCount(missing)} without</li>}
        {values.length === 0 && <li class="facet-rest">{text === "" ? "nothing" : "no such value"}</li>}
      </ul>
    </section>
  );
}

function AddField({ facets, fields, addField }: FacetPanelProps) {
  const shown = new Set(facets.map(({ field }) => field));
  const rest = fields.filter(({ name }) => !shown.has(name) && name !== "message" && name !== "time");
  if (rest.length === 0) return null;
  return (
    <select
      class="select facet-add"
      aria-label="Add a field to the sidebar"
      value=""
      onChange={(event) => {
        const name = event.currentTarget.value;
        event.currentTarget.value = "";
        if (name !== "") addField(name);
      }}
    >
      <option value="">Add a field …</option>
      {rest.map(({ name, count: number }) => (
        <option key={name} value={name}>
          {name} ({shortCount(number)})
        </option>
      ))}
    </select>
  );
}
