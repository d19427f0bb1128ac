/** What the Logs page's query box offers where the caret stands. */
import { levels } from "../../api/log-record";
import { fetchFacets, type Facet, type FieldCount, type Question } from "../../api/logs";
import { conjoin } from "../../query/query-edit";
import { suggestFields, suggestValues, type Spot, type Suggestion } from "../../query/query-complete";

const suggestionsMax = 12;
const valuesMax = 100;

/** What the query box offers: fields that the range has, values that the other filters leave. */
export async function suggestFor(
  question: Question,
  known: readonly FieldCount[],
  spot: Spot,
  text: string,
  signal: AbortSignal,
): Promise<readonly Suggestion[]> {
  if (spot.kind === "field") {
    if (spot.prefix === "" && text.trim() !== "") return [];
    const names = new Set(known.map(({ name }) => name));
    const always = ["level", "service", "host", "message", "trace_id"]
      .filter((name) => !names.has(name))
      .map((name) => ({ name, count: 0 }));
    const found = suggestFields(spot, [...known, ...always], suggestionsMax);
    return found.map((suggestion) =>
      suggestion.count === 0
        ? { label: suggestion.label, insert: suggestion.insert, kind: suggestion.kind }
        : suggestion,
    );
  }
  const others =
    `${text.slice(0, spot.start - spot.field.length - 1).replace(/[-!]$/, "")} ${text.slice(spot.end)}`.trim();
  const everywhere = others === "" || /\b(AND|OR|NOT)$/i.test(others) || /^(AND|OR)\b/i.test(others) ? "" : others;
  const answer = await fetchFacets({ ...question, q: everywhere }, [spot.field], 100, signal);
  if (!answer.ok)
    return spot.field === "level"
      ? suggestValues(
          spot,
          levels.map((value) => ({ value, count: 0 })),
          suggestionsMax,
        )
      : [];
  return suggestValues(spot, answer.value.facets[0]?.values ?? [], suggestionsMax);
}

/** Values of a field that hold a text, among the records that are asked for. */
export async function searchValues(
  question: Question | undefined,
  field: string,
  text: string,
  signal: AbortSignal,
): Promise<Facet["values"] | undefined> {
  if (question === undefined) return undefined;
  const pattern = text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  const q = text === "" ? question.q : conjoin(question.q, `${field}:/(?i)${pattern}/`);
  const answer = await fetchFacets({ ...question, q }, [field], valuesMax, signal);
  return answer.ok ? answer.value.facets[0]?.values : undefined;
}
