/** One group: what it is, what was decided, an event with its stack, and what its errors have in common. */
import { useEffect, useState } from "preact/hooks";
import { decide, fetchError, type ErrorDetail } from "../../api/errors";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { copyText } from "../../app/clipboard";
import { amend, parameter } from "../../app/location";
import { count } from "../../app/number-format";
import { pageStatus, setTitle } from "../../app/page-status";
import { zone } from "../../app/preferences";
import { toast } from "../../app/toast";
import { Sparkline } from "../../chart/sparkline";
import { quoted } from "../../query/query-text";
import { serverNow } from "../../time/clock";
import { ago, everyZone, fullTime } from "../../time/format";
import { isoOf } from "../../time/range";
import { runs, timeRange, writtenRange } from "../../time/range-state";
import { StateBadge } from "./group-list";
import { StackView } from "./stack-view";

const detail = createRemote<ErrorDetail>();

const pauses = [
  ["1d", "1 day"],
  ["7d", "7 days"],
  ["30d", "30 days"],
] as const;

export function GroupDetail({ id }: { readonly id: string }) {
  const [asked, setAsked] = useState(0);
  const event = parameter("event");
  const question = parameter("q");
  useEffect(() => {
    void detail.load((signal) => {
      const { from, to } = timeRange.peek();
      return fetchError(id, { q: question, from, to, ...(event === "" ? {} : { event }) }, signal);
    });
    return () => detail.stop();
  }, [id, event, question, writtenRange.value, runs.value, asked]);
  useEffect(() => () => detail.stop(true), []);
  const answer = detail.value.value;
  const failure = detail.failure.value;
  useEffect(() => {
    if (answer === undefined) return;
    setTitle(`${answer.error_group.type || answer.error_group.message} · Errors`);
    pageStatus.value = { rows: `${count(answer.error_group.count)} errors`, elapsedMs: answer.summary.elapsed_ms };
  }, [answer]);
  const back = hrefOf("/errors", { q: question, from: parameter("from"), to: parameter("to") });
  return (
    <div class="error-detail">
      <p>
        <a href={back}>← All errors</a>
      </p>
      {failure !== undefined && <p class="warning-text">{failure.message}</p>}
      {answer !== undefined && (
        <>
          <Head answer={answer} onDecided={() => setAsked(asked + 1)} />
          <div class="error-columns">
            <div class="error-main">
              <EventBar answer={answer} />
              {answer.event === null ? (
                <p class="muted">No record of this group is kept any more.</p>
              ) : (
                <StackView
                  key={answer.event.record.id}
                  error={answer.event.error}
                  message={answer.event.record.message ?? ""}
                />
              )}
            </div>
            <Tags answer={answer} question={question} id={id} />
          </div>
        </>
      )}
    </div>
  );
}

function Head({ answer, onDecided }: { readonly answer: ErrorDetail; readonly onDecided: () => void }) {
  const group = answer.error_group;
  const now = serverNow();
  const say = async (decision: Parameters<typeof decide>[1], told: string): Promise<void> => {
    const answer = await decide(group.id, decision);
    toast(answer.ok ? told : answer.failure.message);
    if (answer.ok) onDecided();
  };
  const version = group.versions.at(-1) ?? "";
  const isOpen = group.state === "open" || group.state === "regressed";
  const command = `curl -X POST '${window.location.origin}/api/v1/errors/${group.id}?state=resolved'`;
  return (
    <header class="error-head">
      <h2>
        <StateBadge state={group.state} /> {group.type || group.message}
      </h2>
      {group.type !== "" && <p class="error-head-message">{group.message}</p>}
      <p class="muted">
        {group.service}
        {group.service !== "" && group.culprit !== "" && " · "}
        {group.culprit !== "" && <code class="mono">{group.culprit}</code>}
      </p>
      {group.decision !== null && <p class="muted">{decisionText(group.decision, zone.value)}</p>}
      <div class="error-decisions">
        {isOpen ? (
          <>
            <button
              type="button"
              class="button button-main"
              onClick={() => void say({ state: "resolved" }, "Resolved")}
            >
              Resolve
            </button>
            {version !== "" && (
              <button
                type="button"
                class="button"
                title={`It counts as back only in ${version} or later`}
                onClick={() => void say({ state: "resolved", version }, `Resolved in ${version}`)}
              >
                Resolve in {version}
              </button>
            )}
            <label>
              <span class="visually-hidden">Ignore until</span>
              <select
                class="select"
                value=""
                onChange={(event) => {
                  const until = event.currentTarget.value;
                  event.currentTarget.value = "";
                  if (until !== "") void say({ state: "ignored", until }, "Ignored");
                }}
              >
                <option value="">Ignore for…</option>
                {pauses.map(([value, label]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </select>
            </label>
          </>
        ) : (
          <button type="button" class="button" onClick={() => void say({ state: "open" }, "Open again")}>
            Reopen
          </button>
        )}
        <a
          class="button"
          href={hrefOf("/logs", { q: `error.group:${quoted(group.id)}`, from: parameter("from"), to: parameter("to") })}
        >
          Its records
        </a>
        <button type="button" class="button" onClick={() => void copyText(command, "Command")}>
          Copy as curl
        </button>
      </div>
      <div class="error-facts">
        <dl>
          <Fact name="in this range">{count(group.count)}</Fact>
          <Fact name="ever">{count(group.total)}</Fact>
          <Fact name="first seen" title={everyZone(group.first_seen)}>
            {ago(Date.parse(group.first_seen), now)}
            {group.first_version !== "" && <span class="muted"> in {group.first_version}</span>}
          </Fact>
          <Fact name="last seen" title={everyZone(group.last_seen)}>
            {ago(Date.parse(group.last_seen), now)}
          </Fact>
          {group.versions.length > 0 && <Fact name="versions">{group.versions.slice(-5).join(", ")}</Fact>}
        </dl>
        <div class="error-facts-trend">
          <Sparkline values={group.trend} capacity={group.trend.length} label="Errors over the time range" />
        </div>
      </div>
      {group.regressions.length > 0 && (
        <ul class="error-regressions">
          {group.regressions.map((one) => (
            <li key={one.time}>
              <span class="state state-firing">back</span> {fullTime(Date.parse(one.time), zone.value).slice(0, 19)}
              {one.version !== "" && ` in ${one.version}`}
              <span class="muted">, resolved {fullTime(Date.parse(one.resolved_at), zone.value).slice(0, 19)}</span>
            </li>
          ))}
        </ul>
      )}
    </header>
  );
}

function Fact({
  name,
  title,
  children,
}: {
  readonly name: string;
  readonly title?: string;
  readonly children: preact.ComponentChildren;
}) {
  return (
    <div {...(title === undefined ? {} : { title })}>
      <dt class="muted">{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function EventBar({ answer }: { readonly answer: ErrorDetail }) {
  const record = answer.event?.record;
  const step = (label: string, id: string | null) => (
    <button
      type="button"
      class="button button-small"
      disabled={id === null}
      onClick={() => id !== null && amend({ event: id }, "replace")}
    >
      {label}
    </button>
  );
  return (
    <div class="event-bar">
      {step("Older", answer.previous)}
      {step("Newer", answer.next)}
      {record !== undefined && (
        <>
          <span title={everyZone(record.time)}>{fullTime(Date.parse(record.time), zone.value)}</span>
          {record.host !== undefined && <span class="label">{record.host}</span>}
          <a
            href={hrefOf("/logs", {
              from: isoOf(Date.parse(record.time) - 300_000),
              to: isoOf(Date.parse(record.time) + 300_000),
              line: record.id,
            })}
          >
            The record
          </a>
          {record.trace_id !== undefined && <a href={`/trace/${record.trace_id}`}>Its trace</a>}
        </>
      )}
    </div>
  );
}

/** Shares of the values that its records have, each a filter. */
function Tags({
  answer,
  question,
  id,
}: {
  readonly answer: ErrorDetail;
  readonly question: string;
  readonly id: string;
}) {
  return (
    <aside class="error-tags" aria-label="What its errors have in common">
      {answer.tags.map(({ field, values, other, missing }) => {
        const all = values.reduce((sum, value) => sum + value.count, 0) + other + missing;
        return (
          <section key={field}>
            <h3>{field}</h3>
            <ul>
              {values.map(({ value, count: number }) => (
                <li key={value}>
                  <a
                    href={hrefOf(`/errors/${encodeURIComponent(id)}`, {
                      q: withFilter(question, field, value),
                      from: parameter("from"),
                      to: parameter("to"),
                    })}
                  >
                    <span class="tag-bar" style={{ width: `${(number / Math.max(1, all)) * 100}%` }} />
                    <span class="tag-value">{value}</span>
                    <span class="tag-share">{Math.round((number / Math.max(1, all)) * 100)} %</span>
                  </a>
                </li>
              ))}
            </ul>
            {other + missing > 0 && <p class="muted">{count(other + missing)} others</p>}
          </section>
        );
      })}
    </aside>
  );
}

function withFilter(question: string, field: string, value: string): string {
  const clause = `${field}:${quoted(value)}`;
  return question.includes(clause) ? question : `${question} ${clause}`.trim();
}

function decisionText(
  decision: NonNullable<ErrorDetail["error_group"]["decision"]>,
  shownZone: "utc" | "local",
): string {
  const by = decision.by === "" ? "" : ` by ${decision.by}`;
  const moment = (text: string): string => fullTime(Date.parse(text), shownZone).slice(0, 19);
  if (decision.ignored_until !== undefined) return `Ignored until ${moment(decision.ignored_until)}${by}`;
  const version = decision.version === undefined || decision.version === "" ? "" : ` in ${decision.version}`;
  return `Resolved${version} ${moment(decision.resolved_at ?? "")}${by}`;
}
