/**
 * What stands in the place of rows when nothing was found: why that may be and what to do. The server explains the question
 * (fields that no record has, what each stage leaves, the nearest times with data) and says how many rows there are without
 * each clause and in a wider range, so that every way out says what it leads to.
 */
import { useEffect, useState } from "preact/hooks";
import { fetchExplanation, fetchHistogram, type Explanation, type Question } from "../../api/logs";
import { count } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { withoutEachClause } from "../../query/query-edit";
import { serverNow } from "../../time/clock";
import { fullTime } from "../../time/format";
import { isoOf } from "../../time/range";
import { setRange, timeRange } from "../../time/range-state";
import { day } from "../../time/span";
import * as state from "./logs-state";

interface WayOut {
  readonly label: string;
  readonly code: string;
  readonly rows: number;
  take(): void;
}

/** More clauses than this are not tried one by one. */
const clausesMax = 6;
const widerRanges = [
  { from: "now-24h", label: "the last 24 hours", ms: day },
  { from: "now-7d", label: "the last 7 days", ms: 7 * day },
];

export function EmptyAnswer() {
  const { session } = state;
  const phase = session.phase.value;
  const failure = session.failure.value;
  if (phase === "searching" || phase === "idle") return <div class="nothing" />;
  if (failure !== undefined) {
    return (
      <div class="nothing" role="alert">
        <h2>
          {failure.status === 400 || failure.column !== undefined ? "This query cannot be read" : "The search failed"}
        </h2>
        <p>{failure.message}</p>
        <button type="button" class="button" onClick={state.search}>
          Search again
        </button>
      </div>
    );
  }
  return <NothingFound key={session.generation} />;
}

function NothingFound() {
  const ways = useWaysOut();
  const explanation = useExplanation();
  const range = timeRange.value;
  const q = state.query.value;
  return (
    <div class="nothing">
      <h2>{state.live.value ? "Waiting for lines" : "No rows in this time range"}</h2>
      <p>
        {fullTime(range.from, zone.value).slice(0, 19)} to {fullTime(range.to, zone.value).slice(0, 19)}
        {q === "" ? "" : ", with this query"}.
      </p>
      {explanation !== undefined && <Reasons explanation={explanation} />}
      {ways.length > 0 && (
        <ul class="ways-out">
          {ways.map(({ label, code, rows, take }) => (
            <li key={`${label} ${code}`}>
              <button type="button" class="button" disabled={rows === 0} onClick={take}>
                {label} {code !== "" && <code class="mono">{code}</code>}
                <span class="muted">{rows === 0 ? "nothing either" : `${count(rows)} rows`}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="nothing-ways">
        {q !== "" && (
          <button type="button" class="button" onClick={() => state.submitQuery("")}>
            Without the query
          </button>
        )}
        <a class="button" href="/">
          See what is arriving
        </a>
      </div>
    </div>
  );
}

/** Why it is so. */
function Reasons({ explanation }: { readonly explanation: Explanation }) {
  const { unknown_fields: unknown, stages, nearest, conditions } = explanation;
  const span = timeRange.value.to - timeRange.value.from;
  const empty = stages.findIndex(({ rows }) => rows === 0);
  const stage = explanation.rows > 0 ? stages[empty] : undefined;
  const alone = conditions.filter(({ rows_alone: rows }) => rows === 0);
  const moments = [
    { words: "before", moment: nearest.before },
    { words: "after", moment: nearest.after },
  ].flatMap(({ words, moment }) => (moment === null ? [] : [{ words, at: Date.parse(moment) }]));
  return (
    <ul class="reasons">
      {unknown.map(({ name, near }) => (
        <li key={name}>
          No record has the field <code class="mono">{name}</code>
          {near === null ? "." : "; did you mean "}
          {near !== null && <code class="mono">{near}</code>}
          {near !== null && "?"}
        </li>
      ))}
      {alone.map(({ text }) => (
        <li key={text}>
          <code class="mono">{text}</code> matches nothing in this time, even alone.
        </li>
      ))}
      {stage !== undefined && (
        <li>
          The search finds {count(explanation.rows)} rows; <code class="mono">| {stage.text}</code> leaves none of the{" "}
          {count(stages[empty - 1]?.rows ?? explanation.rows)} that reach it.
        </li>
      )}
      {moments.map(({ words, at }) => (
        <li key={words}>
          <button
            type="button"
            class="link-button"
            onClick={() => setRange({ from: isoOf(at - span / 2), to: isoOf(at + span / 2) })}
          >
            The nearest rows {words} are at {fullTime(at, zone.value).slice(0, 19)}
          </button>
        </li>
      ))}
    </ul>
  );
}

function useExplanation(): Explanation | undefined {
  const [explanation, setExplanation] = useState<Explanation | undefined>(undefined);
  useEffect(() => {
    const question = state.asked.peek();
    if (question === undefined || question.q === "") return undefined;
    const asking = new AbortController();
    void fetchExplanation(question, asking.signal).then((answer) => {
      if (!asking.signal.aborted && answer.ok) setExplanation(answer.value);
    });
    return () => asking.abort();
  }, []);
  return explanation;
}

/** What each step back would find; filled as the answers come. */
function useWaysOut(): readonly WayOut[] {
  const [ways, setWays] = useState<readonly WayOut[]>([]);
  useEffect(() => {
    const question = state.asked.peek();
    if (question === undefined) return undefined;
    const asking = new AbortController();
    void waysOut(question, asking.signal).then((found) => {
      if (!asking.signal.aborted) setWays(found);
    });
    return () => asking.abort();
  }, []);
  return ways;
}

async function waysOut(question: Question, signal: AbortSignal): Promise<readonly WayOut[]> {
  const now = serverNow();
  const clauses = withoutEachClause(question.q).slice(0, clausesMax);
  const tries = [
    ...(clauses.length < 2 ? [] : clauses).map(({ clause, rest }) => ({
      question: { ...question, q: rest },
      label: "Without",
      code: clause,
      take: () => state.submitQuery(rest),
    })),
    ...widerRanges.map(({ from, label, ms }) => ({
      question: { ...question, from: isoOf(now - ms), to: isoOf(now) },
      label: `In ${label}`,
      code: "",
      take: () => setRange({ from, to: "now" }),
    })),
  ];
  const found = await Promise.all(tries.map((one) => fetchHistogram(one.question, signal)));
  return tries.flatMap(({ label, code, take }, index) => {
    const answer = found[index];
    return answer?.ok === true ? [{ label, code, take, rows: answer.value.total }] : [];
  });
}
