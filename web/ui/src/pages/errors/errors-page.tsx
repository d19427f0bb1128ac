/** The Errors page: groups of errors in one list, one group with its stack and what its errors share, and what a deploy changed. */
import { useEffect, useState } from "preact/hooks";
import "../../styles/errors.css";
import { fetchErrors, type ErrorList } from "../../api/errors";
import { createRemote } from "../../api/remote";
import { bindKeys } from "../../app/key-bindings";
import { amend, parameter, place } from "../../app/location";
import { count } from "../../app/number-format";
import { pageStatus, scannedText, setTitle } from "../../app/page-status";
import { share, TopBar } from "../../app/top-bar";
import { runAgain, runs, timeRange, writtenRange } from "../../time/range-state";
import { DeployPanel } from "./deploy-panel";
import { GroupDetail } from "./group-detail";
import { GroupList } from "./group-list";

const boxId = "error-query";
/** How often the list is asked again while it is looked at. */
const intervalMs = 10_000;

const list = createRemote<ErrorList>();

const states = [
  ["", "Unresolved"],
  ["regressed", "Regressed"],
  ["resolved", "Resolved"],
  ["ignored", "Ignored"],
  ["all", "All"],
] as const;

export function ErrorsPage() {
  const id = decodeURIComponent(place.value.path.replace(/^\/errors\/?/, ""));
  useEffect(
    () =>
      bindKeys("Errors", [
        { keys: "/", does: "Ask which errors", run: () => document.getElementById(boxId)?.focus() },
        { keys: "y", does: "Copy a link to this view", run: () => void share(true) },
      ]),
    [],
  );
  return (
    <>
      <TopBar title="Errors" withTime>
        <QuestionBox />
      </TopBar>
      <main class="page-scroll errors-page">{id === "" ? <Groups /> : <GroupDetail key={id} id={id} />}</main>
    </>
  );
}

function QuestionBox() {
  const [text, setText] = useState(parameter("q"));
  useEffect(() => setText(parameter("q")), [place.value]);
  return (
    <form
      class="errors-question"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        amend({ q: text });
        runAgain();
      }}
    >
      <input
        id={boxId}
        class="text-input"
        type="search"
        aria-label="Which errors, in the search language"
        placeholder="Which errors: service:web version:1.2.3 timeout"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
    </form>
  );
}

function Groups() {
  const state = parameter("state");
  const sort = parameter("sort") || "last_seen";
  const deploy = parameter("deploy");
  const question = parameter("q");
  useEffect(() => {
    setTitle("Errors");
    const ask = (): void =>
      void list.load((signal) => {
        const { from, to } = timeRange.peek();
        return fetchErrors({ q: question, from, to, state: state || "unresolved", sort }, signal);
      });
    ask();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible" && writtenRange.peek().to === "now") ask();
    }, intervalMs);
    return () => {
      clearInterval(timer);
      list.stop();
    };
  }, [question, state, sort, writtenRange.value, runs.value]);
  const answer = list.value.value;
  const failure = list.failure.value;
  useEffect(() => {
    if (answer === undefined) return;
    const { summary } = answer;
    pageStatus.value = {
      rows: `${count(answer.total)} errors in ${count(answer.groups_total)} groups`,
      elapsedMs: summary.elapsed_ms,
      scanned: scannedText(summary.scanned_bytes, summary.scanned_rows),
      ...(summary.partial !== false ? { partial: summary.partial } : {}),
    };
  }, [answer]);
  return (
    <>
      {deploy !== "" && <DeployPanel key={deploy} id={deploy} />}
      <div class="errors-bar">
        <div class="errors-states" role="group" aria-label="States">
          {states.map(([value, label]) => {
            const number = numberOf(answer, value);
            return (
              <button
                key={value}
                type="button"
                class="preset"
                aria-pressed={state === value}
                onClick={() => amend({ state: value })}
              >
                {label}
                {number > 0 && <span class="errors-state-count">{count(number)}</span>}
              </button>
            );
          })}
        </div>
        <label class="errors-sort">
          <span class="field-label">Sort by</span>
          <select class="select" value={sort} onChange={(event) => amend({ sort: event.currentTarget.value })}>
            <option value="last_seen">last seen</option>
            <option value="first_seen">first seen</option>
            <option value="count">count</option>
          </select>
        </label>
      </div>
      {failure !== undefined && <p class="warning-text">{failure.message}</p>}
      {answer !== undefined && answer.errors.length === 0 && (
        <div class="nothing">
          <h2>{nothing(state)}</h2>
          <p class="muted">
            Records of level error, and those with a stack trace, are grouped by what failed. Try another state or a
            longer time range.
          </p>
          <div class="nothing-ways">
            <button type="button" class="button" onClick={() => amend({ from: "now-7d", to: null })}>
              Last 7 days
            </button>
            {state !== "all" && (
              <button type="button" class="button" onClick={() => amend({ state: "all" })}>
                All states
              </button>
            )}
          </div>
        </div>
      )}
      {answer !== undefined && answer.errors.length > 0 && <GroupList groups={answer.errors} />}
      {answer !== undefined && answer.groups_total > answer.errors.length && (
        <p class="muted">and {count(answer.groups_total - answer.errors.length)} more groups: narrow the question.</p>
      )}
    </>
  );
}

function numberOf(answer: ErrorList | undefined, state: string): number {
  const of = (name: "open" | "regressed" | "resolved" | "ignored"): number => answer?.states[name] ?? 0;
  switch (state) {
    case "":
      return of("open") + of("regressed");
    case "all":
      return of("open") + of("regressed") + of("resolved") + of("ignored");
    case "regressed":
    case "resolved":
    case "ignored":
      return of(state);
    default:
      return 0;
  }
}

function nothing(state: string): string {
  return (
    { "": "No unresolved errors", regressed: "Nothing came back", resolved: "Nothing is resolved" }[state] ??
    "No errors"
  );
}
