/**
 * One alert, frozen at the moment that a notification's link names: its curve, the log lines that explain it, what changed
 * just before, its traces and what people were told. Every line leads to itself in Logs.
 */
import { useEffect, useState } from "preact/hooks";
import { fetchAlert, fetchNotifications, type AlertDetail, type Evidence, type Notification } from "../../api/alerts";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { bindKeys } from "../../app/key-bindings";
import { count, value as valueText } from "../../app/number-format";
import { pageStatus, setTitle } from "../../app/page-status";
import { zone } from "../../app/preferences";
import { LineView } from "../../list/line-view";
import { serverNow } from "../../time/clock";
import { ago, clockTime, everyZone, fullTime } from "../../time/format";
import { isoOf } from "../../time/range";
import { formatSpan, hour, minute } from "../../time/span";
import { AlertCurve } from "./alert-curve";
import { matchersOf } from "./matchers";
import { RehearsalBox } from "./rehearsal-box";
import { ruleYaml } from "./rule-yaml";
import { SilenceForm } from "./silence-form";

const detail = createRemote<AlertDetail>();
const told = createRemote<{ notifications: Notification[] }>();
/** Asked again while it fires: lines still come. */
const intervalMs = 15_000;

export function AlertView({ id, at }: { readonly id: string; readonly at: string }) {
  const [silencing, setSilencing] = useState(false);
  useEffect(() => {
    detail.stop(true);
    told.stop(true);
    setTitle("Alert");
    const ask = async (): Promise<void> => {
      await detail.load((signal) => fetchAlert(id, at, signal));
      const found = detail.value.peek();
      if (found?.id !== id) return;
      setTitle(`${found.labels["alertname"] ?? "Alert"}`);
      const began = Date.parse(found.began);
      const to = Math.min(serverNow(), began + 24 * hour);
      void told.load((signal) => fetchNotifications(id, isoOf(began - minute), isoOf(to), signal));
    };
    void ask();
    const timer = setInterval(() => {
      const isAlive = detail.value.peek()?.now?.state === "firing";
      if (document.visibilityState === "visible" && isAlive) void ask();
    }, intervalMs);
    return () => {
      clearInterval(timer);
      detail.stop();
      told.stop();
    };
  }, [id, at]);
  useEffect(() => bindKeys("Alert", [{ keys: "m", does: "Silence this alert", run: () => setSilencing(true) }]), []);
  const found = detail.value.value;
  const failure = detail.failure.value;
  useEffect(() => {
    if (found !== undefined) pageStatus.value = { rows: `${count(found.evidence.linesTotal)} lines explain it` };
  }, [found]);
  if (found === undefined)
    return failure === undefined ? (
      <p class="muted alert-waiting" aria-busy="true">
        Looking for what explains this alert …
      </p>
    ) : (
      <div class="nothing" role="alert">
        <h2>{failure.status === 404 ? "This alert is not known" : "The alert could not be fetched"}</h2>
        <p class="muted">{failure.message}</p>
        <a class="button" href="/alerts">
          All rules
        </a>
      </div>
    );
  return (
    <article class="alert-view">
      {failure !== undefined && <p class="warning-text">{failure.message}; what was there before is shown.</p>}
      <AlertHead found={found} onSilence={() => setSilencing(true)} />
      {silencing && <SilenceForm matchers={matchersOf(found.labels)} onDone={() => setSilencing(false)} />}
      <CurveSection found={found} />
      <LinesSection evidence={found.evidence} />
      <div class="alert-columns">
        <ChangedSection evidence={found.evidence} />
        <ToldSection />
      </div>
      <RuleSection found={found} />
    </article>
  );
}

function AlertHead({ found, onSilence }: { readonly found: AlertDetail; onSilence(): void }) {
  const state = found.now?.state ?? "resolved";
  const began = Date.parse(found.began);
  const ended = found.now?.resolvedAt ?? (found.now === null ? found.stretches.at(-1)?.to : undefined);
  const annotations = Object.entries(found.annotations ?? {});
  const summary = found.annotations?.["summary"];
  return (
    <header class="alert-head">
      <div class="alert-title">
        <span class={`state state-${state === "resolved" ? "inactive" : state}`}>{state}</span>
        <h2>{found.labels["alertname"] ?? "Alert"}</h2>
        <span class="labels">
          {Object.entries(found.labels)
            .filter(([name]) => name !== "alertname")
            .map(([name, text]) => (
              <span key={name} class="label">
                {name}={text}
              </span>
            ))}
        </span>
        <span class="metric-space" />
        <button type="button" class="button" onClick={onSilence}>
          Silence
        </button>
      </div>
      {summary !== undefined && summary !== "" && <p class="alert-summary">{summary}</p>}
      <p class="muted">
        <time title={everyZone(found.began)}>
          since {fullTime(began, zone.value).slice(0, 19)}, {ago(began, serverNow())}
        </time>
        {ended !== undefined && ended !== null && <> · until {fullTime(Date.parse(ended), zone.value).slice(0, 19)}</>}
        {found.now !== null && <> · value {valueText(Number(found.now.value))}</>}
        {found.rule?.threshold != null && (
          <>
            {" "}
            {found.rule.threshold.operator} {valueText(found.rule.threshold.value)}
          </>
        )}
        {found.receivers.length > 0 && <> · told: {found.receivers.join(", ")}</>}
        {found.silencedBy.length > 0 && (
          <>
            {" "}
            · <a href={hrefOf("/alerts", { view: "silences" })}>silenced</a>
          </>
        )}
        {found.inhibitedBy !== null && (
          <>
            {" "}
            · <a href={hrefOf(`/alerts/${found.inhibitedBy}`)}>inhibited by another alert</a>
          </>
        )}
      </p>
      {annotations
        .filter(([name]) => name !== "summary")
        .map(([name, text]) => (
          <p key={name} class="alert-annotation">
            <span class="muted">{name}</span> {linked(text)}
          </p>
        ))}
    </header>
  );
}

/** A text that is an address is a way there; anything else stays text. */
function linked(text: string) {
  return /^https?:\/\/\S+$/.test(text) ? (
    <a href={text} rel="noreferrer" target="_blank">
      {text}
    </a>
  ) : (
    text
  );
}

function CurveSection({ found }: { readonly found: AlertDetail }) {
  const { curve } = found;
  const query = queryOf(found.evidence.linesURL);
  const bands = found.stretches.map(({ from, to }) => ({
    from: Date.parse(from),
    to: Date.parse(to),
    href: hrefOf("/logs", { q: query, from, to: isoOf(Date.parse(to) + minute) }),
  }));
  return (
    <section class="alert-section" aria-label="Curve">
      <h3>
        What it looks at
        {found.rule !== null && (
          <a
            class="alert-section-way"
            href={hrefOf("/explore", {
              expr: found.rule.query.replace(/\s*(?:>=|<=|==|!=|>|<)\s*(?:bool\s+)?[-+\d.e]+\s*$/i, ""),
              from: isoOf(Date.parse(found.began) - hour),
              to: isoOf(Math.min(serverNow(), Date.parse(found.began) + hour)),
            })}
          >
            Open in Metrics
          </a>
        )}
      </h3>
      {curve === null || curve.times.length < 2 ? (
        <p class="muted">There is no curve of this time.</p>
      ) : (
        <AlertCurve
          times={curve.times}
          values={curve.values}
          threshold={curve.threshold}
          bands={bands}
          zone={zone.value}
          label={`The curve of ${found.labels["alertname"] ?? "the alert"}`}
        />
      )}
    </section>
  );
}

function LinesSection({ evidence }: { readonly evidence: Evidence }) {
  return (
    <section class="alert-section" aria-label="Log lines">
      <h3>
        Log lines that explain it
        {evidence.linesURL !== "" && (
          <a class="alert-section-way" href={pathOf(evidence.linesURL)}>
            {evidence.linesTotal > evidence.lines.length ? `All ${count(evidence.linesTotal)} in Logs` : "Open in Logs"}
          </a>
        )}
      </h3>
      {evidence.without !== null && <p class="warning-text">{evidence.without}</p>}
      {evidence.linesQuery === "" ? (
        <p class="muted">
          Its labels name neither host nor service. Give the rule <code class="mono">log_lines: {"{query: …}"}</code> to
          say which lines belong to it.
        </p>
      ) : evidence.lines.length === 0 ? (
        <p class="muted">
          None match <code class="mono">{evidence.linesQuery}</code> around that moment.
        </p>
      ) : (
        <ul class="alert-lines">
          {evidence.lines.map((line) => (
            <li key={line.id}>
              <a class={`alert-line line-${line.level}`} href={pathOf(line.url)}>
                <span class="alert-line-time">{clockTime(Date.parse(line.time), zone.value)}</span>
                <span class={`alert-line-level level-${line.level}`}>{line.level}</span>
                <span class="alert-line-source">
                  {[line.host, line.service].filter((part) => part !== "").join(" ")}
                </span>
                <span class="alert-line-text">
                  <LineView text={line.message} terms={undefined} oneLine />
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
      {evidence.traces.length > 0 && (
        <p class="alert-traces">
          <span class="muted">traces</span>{" "}
          {evidence.traces.map((trace) => (
            <a key={trace.traceID} class="mono" href={pathOf(trace.url)}>
              {trace.traceID.slice(0, 16)}
            </a>
          ))}
        </p>
      )}
    </section>
  );
}

function ChangedSection({ evidence }: { readonly evidence: Evidence }) {
  return (
    <section class="alert-section" aria-label="What changed">
      <h3>What changed just before</h3>
      {evidence.changed.length === 0 ? (
        <p class="muted">Nothing grew in the ten minutes before it beyond what is usual.</p>
      ) : (
        <ul class="alert-changes">
          {evidence.changed.map((changed) => (
            <li key={`${changed.what} ${changed.text}`}>
              <a href={pathOf(changed.url)}>
                <span class={changed.change === "new" ? "state state-pending" : "state state-inactive"}>
                  {changed.change}
                </span>
                <span class="alert-change-text">
                  {changed.what !== "pattern" && <span class="muted">{changed.what} </span>}
                  <span class="mono">{changed.text}</span>
                </span>
                <span class="muted alert-change-count">
                  {count(changed.before)} → {count(changed.after)}
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function ToldSection() {
  const all = told.value.value?.notifications;
  return (
    <section class="alert-section" aria-label="Notifications">
      <h3>What people were told</h3>
      {told.failure.value !== undefined && <p class="warning-text">{told.failure.value.message}</p>}
      {all !== undefined && all.length === 0 && <p class="muted">Nobody was told yet.</p>}
      {all !== undefined && all.length > 0 && (
        <ul class="alert-told">
          {all.map((one) => (
            <li key={one.id} title={one.message}>
              <time title={everyZone(one.time)}>{fullTime(Date.parse(one.time), zone.value).slice(5, 19)}</time>
              <span
                class={
                  one.outcome === "delivered" ? "good-text" : one.outcome === "refused" ? "bad-text" : "warning-text"
                }
              >
                {one.outcome}
              </span>
              <span>{one.status}</span>
              <span class="alert-told-channel">
                {one.channel}
                {one.target !== null && one.target !== "" && <span class="muted"> {one.target}</span>}
                {one.error !== null && <span class="bad-text"> {one.error}</span>}
              </span>
              <span class="muted">
                {one.reason}
                {one.attempt !== null && one.attempt > 1 && `, attempt ${one.attempt}`}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function RuleSection({ found }: { readonly found: AlertDetail }) {
  const [editing, setEditing] = useState(false);
  if (found.rule === null) return <p class="muted">Its rule is not there any more.</p>;
  const { rule } = found;
  return (
    <section class="alert-section" aria-label="Rule">
      <h3>
        Rule
        <button type="button" class="link-button alert-section-way" onClick={() => setEditing(!editing)}>
          {editing ? "Close the editor" : "Edit and rehearse"}
        </button>
      </h3>
      <p>
        <code class="mono alert-rule-text">{rule.query}</code>
        {rule.forSeconds > 0 && <span class="muted"> for {formatSpan(rule.forSeconds * 1000)}</span>}
      </p>
      <p class="muted">
        {rule.group} in <span class="mono">{`${rule.file}:${rule.line}`}</span>
      </p>
      {rule.lastError !== null && <p class="bad-text">{rule.lastError}</p>}
      {editing && <RehearsalBox yaml={ruleYaml(rule)} />}
    </section>
  );
}

/** The server's links name it as other machines know it; here only the path counts. */
function pathOf(url: string): string {
  try {
    const { pathname, search } = new URL(url);
    return pathname + search;
  } catch {
    return url;
  }
}

function queryOf(url: string): string {
  try {
    return new URL(url).searchParams.get("q") ?? "";
  } catch {
    return "";
  }
}
