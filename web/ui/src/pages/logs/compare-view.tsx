/** What differs between two stretches of time that were marked on the histogram: patterns, values of fields, metrics. */
import { effect, untracked } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import "../../styles/patterns.css";
import "../../styles/compare.css";
import {
  fetchComparison,
  fetchMoves,
  type Change,
  type ChangedField,
  type ChangedPattern,
  type LogComparison,
  type MetricMoves,
  type MovedMetric,
  type TwoStretches,
} from "../../api/compare";
import { levelClass } from "../../api/log-record";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { count, value } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { Clamped } from "../../list/clamped";
import { plainLine } from "../../list/line-text";
import { LineView } from "../../list/line-view";
import { include } from "../../query/query-edit";
import { serverNow } from "../../time/clock";
import { fullTime } from "../../time/format";
import { parseMoment } from "../../time/moment";
import { absoluteRange, isoOf, parseRangeText, readRange } from "../../time/range";
import { formatSpan } from "../../time/span";
import { marking, setSide, sideNames, sides, type SideName } from "./compare-ranges";
import * as state from "./logs-state";

const logs = createRemote<LogComparison>();
const metrics = createRemote<MetricMoves>();

export function CompareView() {
  useEffect(
    () =>
      effect(() => {
        const stretches = stretchesOf(sides.value);
        const q = state.query.value;
        untracked(() => {
          void logs.load((signal) => fetchComparison(q, stretches, signal));
          void metrics.load((signal) => fetchMoves(stretches, signal));
        });
      }),
    [],
  );
  useEffect(
    () => () => {
      logs.stop();
      metrics.stop();
    },
    [],
  );
  const found = logs.value.value;
  const moves = metrics.value.value;
  const failure = logs.failure.value ?? metrics.failure.value;
  return (
    <div
      class="compare"
      aria-busy={logs.loading.value || metrics.loading.value}
      tabIndex={0}
      role="region"
      aria-label="Comparison"
    >
      <div class="compare-sides">
        {sideNames.map((side) => (
          <Side
            key={`${side} ${sides.value[side].from} ${sides.value[side].to}`}
            side={side}
            total={found?.[side].total}
          />
        ))}
        <p class="muted">Drag over the histogram to mark {marking.value === "before" ? "A" : "B"}.</p>
      </div>
      {failure !== undefined && (
        <p class="bad-text" role="alert">
          {failure.message}
        </p>
      )}
      {found !== undefined && found.summary.partial !== false && (
        <p class="warning-text">Not all: {found.summary.partial}</p>
      )}
      {found !== undefined && <Patterns patterns={found.patterns} total={found.patterns_total} />}
      {found !== undefined && <Fields fields={found.fields} />}
      {moves !== undefined && <Metrics moves={moves} />}
      {found === undefined && failure === undefined && <p class="muted">Comparing …</p>}
    </div>
  );
}

/** One side: its times, to be typed or marked. */
function Side({ side, total }: { readonly side: SideName; readonly total: number | undefined }) {
  const range = sides.value[side];
  const written = `${shortTime(range.from)} to ${shortTime(range.to)}`;
  const [text, setText] = useState(written);
  const [problem, setProblem] = useState(false);
  const apply = (): void => {
    if (text === written) return;
    const reading = { now: serverNow(), zone: zone.value };
    const parsed = parseRangeText(text, reading);
    if (parsed === undefined || parseMoment(parsed.from, reading) === undefined) setProblem(true);
    else setSide(side, readRange(parsed, reading));
  };
  return (
    <form
      class={`compare-side compare-${side}`}
      onSubmit={(event) => {
        event.preventDefault();
        apply();
      }}
    >
      <button
        type="button"
        class="button button-small"
        aria-pressed={marking.value === side}
        title="Mark it with the next drag over the histogram"
        onClick={() => (marking.value = side)}
      >
        {side === "before" ? "A" : "B"}
      </button>
      <input
        class="text-input mono"
        aria-label={side === "before" ? "The first stretch of time" : "The second stretch of time"}
        aria-invalid={problem}
        value={text}
        spellcheck={false}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setProblem(false);
        }}
        onBlur={apply}
      />
      <span class="muted">
        {formatSpan(range.to - range.from)}
        {total === undefined ? "" : ` · ${count(total)} rows`}
      </span>
    </form>
  );
}

function Patterns({ patterns, total }: { readonly patterns: readonly ChangedPattern[]; readonly total: number }) {
  return (
    <section aria-label="Patterns">
      <h2>
        Patterns <span class="muted">that came, went, grew or shrank: {count(total)}</span>
      </h2>
      {patterns.length === 0 ? (
        <p class="muted">The same messages at the same rates.</p>
      ) : (
        <table class="patterns-table compare-table">
          <thead>
            <tr>
              <th>change</th>
              <th class="number">A, an hour</th>
              <th class="number">B, an hour</th>
              <th>pattern</th>
            </tr>
          </thead>
          <tbody>
            {patterns.map((pattern) => (
              <tr key={pattern.id} class={levelClass(pattern.level)}>
                <ChangeCell change={pattern.change} score={pattern.score} />
                <td class="number">{value(pattern.before.rate * 3600)}</td>
                <td class="number">{value(pattern.after.rate * 3600)}</td>
                <td class="pattern-cell">
                  <Clamped length={pattern.pattern.length}>
                    <a class="mono" href={rowsOf(pattern.change, "pattern", pattern.id)}>
                      <LineView
                        text={pattern.pattern === "" ? "an empty message" : pattern.pattern}
                        terms={undefined}
                        oneLine
                      />
                    </a>
                  </Clamped>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Fields({ fields }: { readonly fields: readonly ChangedField[] }) {
  return (
    <section aria-label="Fields">
      <h2>
        Fields <span class="muted">whose values have another share of the rows</span>
      </h2>
      {fields.length === 0 ? (
        <p class="muted">No field's values are shared out otherwise.</p>
      ) : (
        <div class="compare-fields">
          {fields.map((field) => (
            <FieldTable key={field.field} field={field} />
          ))}
        </div>
      )}
    </section>
  );
}

/** Values of a field that are shown before all are asked for. */
const valuesShown = 6;

function FieldTable({ field }: { readonly field: ChangedField }) {
  const [all, setAll] = useState(false);
  const values = all ? field.values : field.values.slice(0, valuesShown);
  return (
    <table class="table compare-table">
      <caption>{plainLine(field.field)}</caption>
      <tbody>
        {values.map((one) => (
          <tr key={one.value}>
            <ChangeCell change={one.change} score={one.score} />
            <td class="compare-value">
              <a
                class="mono"
                href={rowsOf(one.change, field.field, one.value)}
                title={plainLine(one.value.slice(0, 300))}
              >
                <LineView
                  text={one.value === "" ? "(empty)" : one.value}
                  terms={undefined}
                  oneLine
                  charactersMax={200}
                />
              </a>
            </td>
            <td class="number" title={`${count(one.before.count)} rows, then ${count(one.after.count)}`}>
              {percent(one.before.share)} → {percent(one.after.share)}
            </td>
          </tr>
        ))}
        {values.length < field.values.length && (
          <tr>
            <td colSpan={3}>
              <button type="button" class="link-button" onClick={() => setAll(true)}>
                {count(field.values.length - values.length)} more
              </button>
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

/** More than these are moved by the same cause. */
const metricsShown = 40;

function Metrics({ moves }: { readonly moves: MetricMoves }) {
  const { before, after } = sides.value;
  // A count of something that did not happen comes with the program that counts it, and is no news.
  const told = moves.metrics.filter(({ before: a, after: b }) => (a ?? 0) !== 0 || (b ?? 0) !== 0);
  const whole = absoluteRange({ from: Math.min(before.from, after.from), to: Math.max(before.to, after.to) });
  return (
    <section aria-label="Metrics">
      <h2>
        Metrics{" "}
        <span class="muted">that moved most, measured by how much each always wavers: {count(told.length)}</span>
      </h2>
      {moves.summary.partial !== false && <p class="warning-text">Not all: {moves.summary.partial}</p>}
      {told.length === 0 ? (
        <p class="muted">No metric moved.</p>
      ) : (
        <table class="table compare-table">
          <thead>
            <tr>
              <th>change</th>
              <th>metric</th>
              <th class="compare-aside">read as</th>
              <th class="number">A</th>
              <th class="number">B</th>
              <th class="number compare-aside">deviations</th>
            </tr>
          </thead>
          <tbody>
            {told.slice(0, metricsShown).map((metric) => (
              <tr key={metric.name}>
                <ChangeCell change={metric.change} score={metric.deviations ?? 0} />
                <td>
                  <a class="mono" href={hrefOf("/explore", { name: metric.name, ...whole })}>
                    {metric.name}
                  </a>
                </td>
                <td class="muted compare-aside">{metric.reading}</td>
                <td class="number">{reading(metric, metric.before)}</td>
                <td class="number">{reading(metric, metric.after)}</td>
                <td class="number compare-aside">{metric.deviations === null ? "" : value(metric.deviations)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function ChangeCell({ change, score }: { readonly change: Change; readonly score: number }) {
  return (
    <td class={`pattern-change pattern-${change}`} title={`score ${score}`}>
      <strong>{change}</strong>
    </td>
  );
}

/** The rows behind a change, on the side that has them. */
function rowsOf(change: Change, field: string, text: string): string {
  const side = sides.value[change === "gone" ? "before" : "after"];
  return hrefOf("/logs", { q: include(state.query.value, field, text), ...absoluteRange(side) });
}

function reading({ unit }: MovedMetric, number: number | null): string {
  return number === null ? "–" : `${value(number)}${unit === "" ? "" : ` ${unit}`}`;
}

function percent(share: number): string {
  const hundredfold = share * 100;
  return `${hundredfold === 0 ? "0" : hundredfold < 0.1 ? "<0.1" : hundredfold.toPrecision(3).replace(/\.0+$/, "")} %`;
}

function shortTime(moment: number): string {
  return fullTime(moment, zone.value).slice(0, 19);
}

function stretchesOf({ before, after }: (typeof sides)["value"]): TwoStretches {
  return {
    before_from: isoOf(before.from),
    before_to: isoOf(before.to),
    after_from: isoOf(after.from),
    after_to: isoOf(after.to),
  };
}
