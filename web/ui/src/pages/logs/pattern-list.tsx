/** The Patterns view of the Logs page: like messages as one row, with count, trend and what changed since a moment. */
import { batch } from "@preact/signals";
import "../../styles/patterns.css";
import type { Pattern } from "../../api/patterns";
import { levelClass } from "../../api/log-record";
import { amend, parameter } from "../../app/location";
import { MinusIcon } from "../../app/icons";
import { count, value } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { Clamped } from "../../list/clamped";
import { plainLine } from "../../list/line-text";
import { LineView } from "../../list/line-view";
import { serverNow } from "../../time/clock";
import { ago, fullTime } from "../../time/format";
import * as state from "./logs-state";

export function PatternList() {
  const { patterns } = state;
  const answer = patterns.value.value;
  const failure = patterns.failure.value;
  const isCompared = answer?.patterns[0]?.change !== undefined;
  return (
    <div class="patterns" aria-busy={patterns.loading.value}>
      <div class="patterns-head">
        <span class="muted">
          {answer === undefined
            ? "Counting like messages"
            : `${count(answer.patterns_total)} patterns of ${count(answer.total)} rows` +
              (answer.patterns.length < answer.patterns_total ? `, ${count(answer.patterns.length)} shown` : "")}
          {answer !== undefined && answer.summary.partial !== false && (
            <span class="warning-text"> · not all: {answer.summary.partial}</span>
          )}
        </span>
        <Since />
      </div>
      {failure !== undefined && (
        <p class="warning-text" role="alert">
          {failure.message}
        </p>
      )}
      {answer !== undefined && answer.patterns.length === 0 && <p class="nothing">No rows in this time range.</p>}
      {answer !== undefined && answer.patterns.length > 0 && (
        <div class="patterns-frame">
          <table class={`patterns-table ${patterns.loading.value ? "patterns-loading" : ""}`}>
            <thead>
              <tr>
                <th class="number">rows</th>
                {isCompared && <th>change</th>}
                <th>trend</th>
                <th>last seen</th>
                <th>first seen</th>
                <th>pattern</th>
              </tr>
            </thead>
            <tbody>
              {answer.patterns.map((pattern) => (
                <PatternRow key={pattern.id} pattern={pattern} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

/** The moment to compare with: a deploy. */
function Since() {
  return (
    <form
      class="patterns-since"
      onSubmit={(event) => {
        event.preventDefault();
        const text = new FormData(event.currentTarget).get("since");
        amend({ since: typeof text === "string" && text.trim() !== "" ? text.trim() : null });
        state.askPatterns();
      }}
    >
      <label>
        What changed since{" "}
        <input
          name="since"
          class="input mono"
          defaultValue={parameter("since")}
          placeholder="now-30m, 2026-01-31T14:05:00Z"
          aria-label="A moment to compare with, for instance a deploy"
        />
      </label>
      <button type="submit" class="button button-small">
        Compare
      </button>
    </form>
  );
}

function PatternRow({ pattern }: { readonly pattern: Pattern }) {
  const services = pattern.services
    .slice(0, 3)
    .map((service) => (service.value === "" ? "no service" : plainLine(service.value)));
  const more = pattern.services_total - services.length;
  const show = (): void => {
    batch(() => {
      amend({ view: null });
      state.includeValue("pattern", pattern.id);
    });
  };
  return (
    <tr class={levelClass(pattern.level)}>
      <td class="number" title={levelsText(pattern)}>
        {count(pattern.count)}
      </td>
      {pattern.change !== undefined && <Change pattern={pattern} />}
      <td>
        <Trend counts={pattern.trend} />
      </td>
      <Seen time={pattern.last_seen} />
      <Seen time={pattern.first_seen} />
      <td class="pattern-cell">
        <Clamped length={pattern.pattern.length}>
          <button type="button" class="pattern-button mono" title="Show its rows" onClick={show}>
            <PatternText text={pattern.pattern} />
          </button>
        </Clamped>
        <button
          type="button"
          class="icon-button"
          aria-label="Filter this pattern out"
          title="Filter this pattern out"
          onClick={() => state.excludeValue("pattern", pattern.id)}
        >
          <MinusIcon />
        </button>
        <div class="pattern-more muted">
          {services.join(", ")}
          {more > 0 ? ` and ${count(more)} more` : ""}
          {pattern.example.message !== undefined && (
            <span title={plainLine(pattern.example.message.slice(0, 2000))}> · {firstLine(pattern)}</span>
          )}
        </div>
      </td>
    </tr>
  );
}

function Change({ pattern }: { readonly pattern: Pattern }) {
  const { change, before, after, score } = pattern;
  const hourly = (side: { readonly rate: number } | undefined): string => value((side?.rate ?? 0) * 3600);
  return (
    <td class={`pattern-change pattern-${change ?? "steady"}`} title={`score ${score ?? 0}`}>
      <strong>{change}</strong>
      <div class="muted">
        {hourly(before)} → {hourly(after)} an hour
      </div>
    </td>
  );
}

/** A moment, short; the hint has all of it. */
function Seen({ time }: { readonly time: string }) {
  const milliseconds = Date.parse(time);
  return (
    <td class="pattern-seen" title={fullTime(milliseconds, zone.value)}>
      {ago(milliseconds, serverNow())}
    </td>
  );
}

/** A pattern shows no more than this of one stretch between its holes; its rows have the rest. */
const patternCharactersMax = 600;

/** The text with its holes set off. */
function PatternText({ text }: { readonly text: string }) {
  if (text === "") return <em>an empty message</em>;
  const parts = text.split(/(<(?:\*|num|hex|ip|uuid|time|date)>)/);
  return (
    <>
      {parts.map((part, at) =>
        at % 2 === 1 ? (
          <span key={at} class="pattern-hole">
            {part}
          </span>
        ) : (
          <LineView key={at} text={part} terms={undefined} oneLine charactersMax={patternCharactersMax} />
        ),
      )}
    </>
  );
}

const trendWidth = 120;
const trendHeight = 24;

function Trend({ counts }: { readonly counts: readonly number[] }) {
  const most = Math.max(1, ...counts);
  const wide = trendWidth / Math.max(1, counts.length);
  const bars = counts.map((number, at) => {
    const high = number === 0 ? 0 : Math.max(1.5, (number / most) * trendHeight);
    return number === 0
      ? ""
      : `M${(at * wide).toFixed(1)} ${trendHeight}v${(-high).toFixed(1)}h${wide.toFixed(1)}v${high.toFixed(1)}z`;
  });
  return (
    <svg
      class="pattern-trend"
      viewBox={`0 0 ${trendWidth} ${trendHeight}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`At most ${count(most)} rows in a step`}
    >
      <path d={bars.join("")} />
    </svg>
  );
}

function levelsText(pattern: Pattern): string {
  return Object.entries(pattern.levels)
    .map(([level, number]) => `${level === "" ? "no level" : level}: ${count(number)}`)
    .join(", ");
}

function firstLine(pattern: Pattern): string {
  return plainLine((pattern.example.message ?? "").split("\n", 1)[0]?.slice(0, 300) ?? "");
}
