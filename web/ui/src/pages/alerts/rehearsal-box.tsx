/** Edits a rule and rehearses it on stored data: each firing, the pages of each night, and the message that would have been sent. */
import { useEffect, useState } from "preact/hooks";
import { rehearse, type Rehearsal } from "../../api/rehearsal";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { copyText } from "../../app/clipboard";
import { count, value as valueText } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { labelsText } from "../../chart/chart-data";
import { fullTime } from "../../time/format";
import { isoOf } from "../../time/range";
import { day, formatSpan, minute } from "../../time/span";

const spans = ["1d", "7d", "30d"];
/** Firings that are listed; the rest is counted. */
const firingsShown = 50;

export function RehearsalBox({ yaml }: { readonly yaml: string }) {
  const [text, setText] = useState(yaml);
  const [since, setSince] = useState("7d");
  const [rehearsal] = useState(() => createRemote<Rehearsal>());
  useEffect(() => () => rehearsal.stop(), []);
  const run = (): void => void rehearsal.load((signal) => rehearse(text, since, signal));
  const busy = rehearsal.loading.value;
  const failure = rehearsal.failure.value;
  return (
    <div class="rehearsal">
      <textarea
        class="rehearsal-text mono"
        aria-label="The rule as YAML"
        spellcheck={false}
        rows={Math.min(24, Math.max(6, text.split("\n").length + 1))}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
        }}
      />
      <div class="rehearsal-tools">
        <button type="button" class="button button-main" onClick={run} disabled={busy}>
          {busy ? "Rehearsing …" : "Rehearse"}
        </button>
        <span class="field-label">over the last</span>
        {spans.map((span) => (
          <button
            key={span}
            type="button"
            class="preset button-small"
            aria-pressed={since === span}
            onClick={() => setSince(span)}
          >
            {span}
          </button>
        ))}
        <span class="rehearsal-space" />
        <button type="button" class="button button-small" onClick={() => void copyText(text, "Rule")}>
          Copy for the rules file
        </button>
      </div>
      {failure !== undefined && (
        <pre class="bad-text rehearsal-failure" role="alert">
          {failure.message}
        </pre>
      )}
      <div aria-live="polite">{rehearsal.value.value !== undefined && <Outcome found={rehearsal.value.value} />}</div>
    </div>
  );
}

function Outcome({ found }: { readonly found: Rehearsal }) {
  const { summary, rules } = found;
  const firings = rules.flatMap((rule) => rule.firings);
  const nights = allNights(summary);
  const most = Math.max(1, ...nights.map(({ pages }) => pages));
  const errors = rules.flatMap((rule) => (rule.error === null ? [] : [`${rule.name}: ${rule.error}`]));
  return (
    <div class="rehearsal-outcome">
      <p>
        <strong>
          {summary.firings === 0 ? "It would not have fired" : `It would have fired ${count(summary.firings)} times`}
        </strong>
        {summary.firings > 0 &&
          `, ${count(summary.pages)} pages, ${count(nights.reduce((sum, { pages }) => sum + pages, 0))} of them at night`}
        <span class="muted">
          {" "}
          between {fullTime(Date.parse(summary.from), zone.value).slice(0, 16)} and{" "}
          {fullTime(Date.parse(summary.to), zone.value).slice(0, 16)}, found in {formatSpan(summary.elapsed_ms)}
        </span>
      </p>
      {summary.partial !== false && <p class="warning-text">Not all of it: {String(summary.partial)}</p>}
      {errors.map((error) => (
        <p key={error} class="bad-text">
          {error}
        </p>
      ))}
      {summary.firings > 0 && (
        <ol class="nights" aria-label="Pages of each night, from 22:00 to 07:00">
          {nights.map(({ date, pages }) => (
            <li key={date} title={`${date}: ${pages} pages`}>
              <span class="night-bar" style={{ height: `${Math.round((pages / most) * 34)}px` }} />
              <span class="night-count">{pages === 0 ? "" : pages}</span>
              <span class="visually-hidden">
                {date}: {pages} pages
              </span>
            </li>
          ))}
        </ol>
      )}
      <ul class="rehearsed">
        {firings.slice(0, firingsShown).map((firing) => {
          const start = Date.parse(firing.start);
          const end = firing.end === null ? undefined : Date.parse(firing.end);
          const { alertname: _, ...labels } = firing.labels;
          return (
            <li key={`${firing.start} ${JSON.stringify(firing.labels)}`}>
              <details>
                <summary>
                  <time>{fullTime(start, zone.value).slice(0, 19)}</time>
                  <span class="muted">
                    {end === undefined ? "to the end" : formatSpan(Math.max(1000, end - start))}
                  </span>
                  <span>{Object.keys(labels).length === 0 ? "" : labelsText({ ...labels, __name__: "" }).trim()}</span>
                  {firing.worst !== null && <span class="muted">up to {valueText(firing.worst)}</span>}
                </summary>
                <pre class="rehearsed-message">{firing.message}</pre>
                <a href={hrefOf("/logs", { from: isoOf(start - 10 * minute), to: isoOf((end ?? start) + minute) })}>
                  Logs of this time
                </a>
              </details>
            </li>
          );
        })}
      </ul>
      {firings.length > firingsShown && <p class="muted">and {count(firings.length - firingsShown)} more</p>}
    </div>
  );
}

/** Every night of the time that was looked at, those without a page too. */
function allNights({ from, to, nights }: Rehearsal["summary"]): readonly { date: string; pages: number }[] {
  const dates: string[] = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += day) dates.push(isoOf(at).slice(0, 10));
  const known = new Map(nights.map(({ night, pages }) => [night, pages]));
  return [...new Set([...dates, ...known.keys()])].sort().map((date) => ({ date, pages: known.get(date) ?? 0 }));
}
