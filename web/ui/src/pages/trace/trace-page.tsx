/** The Trace page: everything that carries one trace id, as lanes and as lines in the order of time, and the metrics that point to it. */
import { effect, signal, untracked } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import "../../styles/rows.css";
import "../../styles/trace.css";
import { fetchTrace, type Trace } from "../../api/traces";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { bindKeys } from "../../app/key-bindings";
import { amend, go, parameter, place } from "../../app/location";
import { count } from "../../app/number-format";
import { pageStatus, setTitle } from "../../app/page-status";
import { zone } from "../../app/preferences";
import { share, TopBar } from "../../app/top-bar";
import { labelsText } from "../../chart/chart-data";
import { traceIdIn } from "../../query/paste";
import { absoluteRange } from "../../time/range";
import { fullTime } from "../../time/format";
import { formatSpan, minute } from "../../time/span";
import { isGrave, timelineOf } from "./lanes";
import { SwimLanes } from "./swim-lanes";
import { TraceList } from "./trace-list";
import { TraceRecords } from "./trace-records";
import { TraceHosts } from "./trace-hosts";
import { TraceSpans } from "./trace-spans";

const trace = createRemote<Trace>();
const askedId = signal("");
const boxId = "trace-id";
/** Stands in the address in the place of an id when there is none yet. */
const emptySegment = "find";

export function TracePage() {
  useEffect(
    () =>
      effect(() => {
        const [, page, segment = ""] = place.value.path.split("/");
        const id = segment === emptySegment ? "" : decodeURIComponent(segment);
        if (page !== "trace" || id === askedId.peek()) return;
        untracked(() => {
          askedId.value = id;
          trace.stop(true);
          setTitle(id === "" ? "Traces" : `Trace ${id.slice(0, 8)}`);
          if (id !== "") void trace.load((signal) => fetchTrace(id, signal));
        });
      }),
    [],
  );
  useEffect(
    () =>
      bindKeys("Trace", [
        { keys: "/", does: "Type a trace id", run: () => document.getElementById(boxId)?.focus() },
        { keys: "e", does: "Next error", run: () => nextError(1) },
        { keys: "E", does: "Error before", run: () => nextError(-1) },
        { keys: "Escape", does: "Close the record", run: () => amend({ line: null }, "replace") },
        { keys: "y", does: "Copy a link to this trace", run: () => void share(false) },
      ]),
    [],
  );
  const found = trace.value.value;
  return (
    <>
      <TopBar title="Trace" withTime={askedId.value === ""}>
        <TraceBox key={askedId.value} id={askedId.value} />
      </TopBar>
      <main class="page-scroll trace">
        {askedId.value === "" ? (
          <TraceList />
        ) : trace.failure.value?.status === 404 ? (
          <NotFound id={askedId.value} />
        ) : trace.failure.value !== undefined ? (
          <div class="nothing" role="alert">
            <h2>The trace could not be fetched</h2>
            <p>{trace.failure.value.message}</p>
          </div>
        ) : found === undefined ? null : (
          <TraceView trace={found} />
        )}
      </main>
    </>
  );
}

function TraceBox({ id }: { readonly id: string }) {
  const [text, setText] = useState(id);
  const [problem, setProblem] = useState("");
  return (
    <form
      class="trace-box"
      onSubmit={(event) => {
        event.preventDefault();
        const found = traceIdIn(text.trim());
        if (found === undefined) setProblem("A trace id has 32 hex digits; a W3C traceparent is understood too.");
        else go(`/trace/${found}`);
      }}
    >
      <input
        id={boxId}
        class="text-input mono"
        aria-label="Trace id"
        placeholder="Trace id or traceparent"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="button">
        Open
      </button>
      {problem !== "" && (
        <p class="bad-text" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}

function TraceView({ trace }: { readonly trace: Trace }) {
  const { records, exemplars, services, spans = [], host_metrics: hostMetrics = [] } = trace;
  const metrics = hostMetrics.filter(({ values = [] }) => values.length > 0);
  const timeline = useMemo(() => timelineOf(records, spans), [trace]);
  const first = records[0];
  const last = records.at(-1);
  const began = Date.parse(timeline.start);
  const hosts = [...new Set(timeline.lanes.map(({ host }) => host))].filter((host) => host !== "");
  const errors = records.filter(isGrave).length;
  const selected = parameter("line");
  const select = (id: string): void => amend({ line: id === selected ? null : id }, "replace");
  useEffect(() => {
    pageStatus.value = {
      rows: `${count(records.length)} records`,
      ...(trace.partial === false ? {} : { partial: trace.partial === true ? "a limit was reached" : trace.partial }),
    };
  }, [trace]);
  const facts: readonly (readonly [string, string])[] = [
    ["duration", formatSpan(trace.duration_ms ?? timeline.duration)],
    ["records", count(records.length)],
    ["errors", count(errors)],
    ["services", String(new Set(services.map(({ service }) => service)).size)],
    ["hosts", String(new Set(services.map(({ host }) => host)).size)],
    ["began", first === undefined ? "–" : fullTime(Date.parse(first.time), zone.value)],
  ];
  return (
    <>
      <div class="trace-head">
        <dl class="trace-facts">
          {facts.map(([name, text]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd class={name === "errors" && errors > 0 ? "bad-text" : ""}>{text}</dd>
            </div>
          ))}
        </dl>
        <a
          class="button"
          href={hrefOf("/logs", {
            q: `trace_id:${trace.trace_id}`,
            ...(first === undefined || last === undefined
              ? {}
              : absoluteRange({ from: Date.parse(first.time) - minute, to: Date.parse(last.time) + minute })),
          })}
        >
          Open in Logs
        </a>
      </div>
      {records.length > 0 && <SwimLanes timeline={timeline} selected={selected} onSelect={select} />}
      {exemplars.length > 0 && (
        <section class="trace-exemplars" aria-label="Metrics that point here">
          <h2>Metrics that point here</h2>
          <ul>
            {exemplars.map(({ series, time, value }) => (
              <li key={`${JSON.stringify(series)} ${time}`}>
                <a
                  href={hrefOf("/explore", {
                    name: series["__name__"] ?? "",
                    ...absoluteRange({ from: Date.parse(time) - 15 * minute, to: Date.parse(time) + 15 * minute }),
                  })}
                >
                  {labelsText(series)}
                </a>{" "}
                <strong>{value}</strong> <span class="muted">at {fullTime(Date.parse(time), zone.value)}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      <TraceRecords records={records} selected={selected} start={timeline.start} onSelect={select} />
      {hosts.length > 0 && Number.isFinite(began) && (
        <TraceHosts
          hosts={hosts}
          traceId={trace.trace_id}
          metrics={metrics}
          range={{ from: began, to: began + timeline.duration }}
        />
      )}
      {spans.length > 0 && <TraceSpans spans={spans} began={Date.parse(trace.start ?? first?.time ?? "")} />}
    </>
  );
}

function NotFound({ id }: { readonly id: string }) {
  return (
    <div class="nothing">
      <h2>Nothing carries this trace id</h2>
      <p class="mono">{id}</p>
      <p class="muted">It may be older than what is kept, or its lines may not have arrived yet.</p>
      <a class="button" href={hrefOf("/logs", { q: `"${id}"`, from: "now-7d" })}>
        Search the logs of the last 7 days for it
      </a>
    </div>
  );
}

/** Selects the next record that is an error. */
function nextError(by: 1 | -1): void {
  const records = trace.value.peek()?.records ?? [];
  const start = records.findIndex(({ id }) => id === parameter("line"));
  for (let at = start === -1 && by === -1 ? records.length - 1 : start + by; at >= 0 && at < records.length; at += by) {
    const record = records[at];
    if (record !== undefined && isGrave(record)) {
      amend({ line: record.id }, "replace");
      return;
    }
  }
}
