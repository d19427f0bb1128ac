/** Every rule in one dense table, those that fire first, each with its current value and the ways to its alert, its chart and its logs. */
import { useEffect } from "preact/hooks";
import { fetchRouted, type RoutedAlert } from "../../api/alerts";
import { fetchRules, type Alert, type Rule, type RuleGroup } from "../../api/rules";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { count, value as valueText } from "../../app/number-format";
import { pageStatus } from "../../app/page-status";
import { quoted } from "../../query/query-text";
import { serverNow } from "../../time/clock";
import { ago, everyZone } from "../../time/format";
import { formatSpan } from "../../time/span";
import { isoOf } from "../../time/range";
import { RuleSparkline } from "./rule-sparkline";

const intervalMs = 5000;
/** Alerts whose curve is drawn: those that fire come first. */
const sparklinesMax = 20;
/** Labels that say whose logs explain an alert. */
const logLabels = ["service", "host"];

const rules = createRemote<{ groups: RuleGroup[] }>();
/** Firing alerts with their ids, and why nobody is told of them. */
const routed = createRemote<RoutedAlert[]>();

interface Line {
  readonly group: RuleGroup;
  readonly rule: Rule;
  readonly alert: Alert | undefined;
}

const rank: Readonly<Record<string, number>> = { firing: 0, pending: 1, error: 2, inactive: 3, recording: 4 };

export function RuleList({ filter }: { readonly filter: string }) {
  useEffect(() => {
    const ask = (): void => {
      void rules.load(fetchRules);
      void routed.load((signal) => fetchRouted([], signal));
    };
    ask();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") ask();
    }, intervalMs);
    return () => {
      clearInterval(timer);
      rules.stop();
      routed.stop();
    };
  }, []);
  const groups = rules.value.value?.groups;
  const lines = linesOf(groups ?? []).filter((line) => searchText(line).includes(filter.toLowerCase()));
  const firing = lines.filter((line) => stateOf(line) === "firing").length;
  useEffect(() => {
    if (groups !== undefined)
      pageStatus.value = {
        rows: `${count(groups.reduce((sum, group) => sum + group.rules.length, 0))} rules, ${firing} firing`,
      };
  }, [groups, firing]);
  return (
    <>
      {rules.failure.value !== undefined && <p class="warning-text">{rules.failure.value.message}</p>}
      {groups !== undefined && groups.length === 0 && (
        <div class="nothing">
          <h2>No rules are loaded</h2>
          <p class="muted">
            Start with <code class="mono">taffrail serve --rules rules.yaml</code>. Any Prometheus rules file will do;{" "}
            <code class="mono">taffrail check</code> tells what is wrong with one.
          </p>
        </div>
      )}
      {lines.length > 0 && (
        <div class="table-frame" tabIndex={0} role="region" aria-label="Rules">
          <table class="table alerts">
            <thead>
              <tr>
                {["state", "rule", "value", "since", "expression", "checked", ""].map((name) => (
                  <th key={name} scope="col" class={name === "value" ? "number" : ""}>
                    {name === "" ? <span class="visually-hidden">ways on</span> : name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {lines.map((line, index) => (
                <RuleLine
                  key={`${line.group.file} ${line.group.name} ${line.rule.name} ${JSON.stringify(line.alert?.labels ?? {})}`}
                  line={line}
                  withSparkline={index < sparklinesMax}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {lines.length === 0 && filter !== "" && <p class="muted">No rule holds this text.</p>}
    </>
  );
}

function RuleLine({ line, withSparkline }: { readonly line: Line; readonly withSparkline: boolean }) {
  const { group, rule, alert } = line;
  const state = stateOf(line);
  const told = alert === undefined ? undefined : routedOf(alert.labels);
  const labels = Object.entries(alert?.labels ?? rule.labels ?? {}).filter(([name]) => name !== "alertname");
  const annotations = alert?.annotations ?? rule.annotations ?? {};
  const summary = annotations["summary"] ?? annotations["description"] ?? "";
  const since = alert === undefined ? undefined : Date.parse(alert.activeAt);
  const now = serverNow();
  const value = alert?.value ?? rule.currentValue;
  const number = value === undefined || value === null ? undefined : Number(value);
  const from = since === undefined ? "" : isoOf(since - Math.max(15 * 60_000, (now - since) / 2));
  const logQuery = labels
    .filter(([name]) => logLabels.includes(name))
    .map(([name, text]) => `${name}:${quoted(text)}`)
    .join(" ");
  return (
    <tr class={`alert-${state}`}>
      <td>
        <span class={`state state-${state === "error" ? "pending" : state === "recording" ? "inactive" : state}`}>
          {state}
        </span>
      </td>
      <td class="alert-rule">
        {told === undefined ? (
          <strong>{rule.name}</strong>
        ) : (
          <a class="alert-name" href={hrefOf(`/alerts/${told.fingerprint}`, { at: told.startsAt })}>
            {rule.name}
          </a>
        )}{" "}
        <span class="muted">{group.name}</span>
        {told?.status.state === "suppressed" && (
          <span class="state state-inactive alert-muted">
            {told.status.silencedBy.length > 0 ? "silenced" : "inhibited"}
          </span>
        )}
        <div class="labels">
          {labels.map(([name, text]) => (
            <span key={name} class="label">
              {name}={text}
            </span>
          ))}
        </div>
        {summary !== "" && <div>{summary}</div>}
        {rule.lastError !== undefined && rule.lastError !== "" && <div class="bad-text">{rule.lastError}</div>}
      </td>
      <td class="number">
        {number === undefined ? (
          <span class="muted">–</span>
        ) : Number.isFinite(number) ? (
          valueText(number)
        ) : (
          String(value)
        )}
        {alert !== undefined && withSparkline && (
          <RuleSparkline expression={withoutThreshold(rule.query)} labels={alert.labels} name={rule.name} />
        )}
      </td>
      <td title={alert === undefined ? undefined : everyZone(alert.activeAt)}>
        {since === undefined ? <span class="muted">–</span> : ago(since, now)}
      </td>
      <td class="alert-expression">
        <code class="mono">{rule.query}</code>
        {(rule.duration ?? 0) > 0 && <span class="muted"> for {formatSpan((rule.duration ?? 0) * 1000)}</span>}
      </td>
      <td class="muted" title={rule.lastEvaluation === undefined ? undefined : everyZone(rule.lastEvaluation)}>
        {rule.lastEvaluation === undefined || Date.parse(rule.lastEvaluation) <= 0
          ? "not yet"
          : ago(Date.parse(rule.lastEvaluation), now)}
      </td>
      <td class="alert-ways">
        <a href={hrefOf("/explore", { expr: withoutThreshold(rule.query), from })}>Chart</a>
        <a href={hrefOf("/logs", { q: logQuery, from })}>Logs</a>
      </td>
    </tr>
  );
}

/** The same alert in the plan of who is told. */
function routedOf(labels: Readonly<Record<string, string>>): RoutedAlert | undefined {
  const names = Object.keys(labels);
  return routed.value.value?.find(
    (other) =>
      Object.keys(other.labels).length === names.length && names.every((name) => other.labels[name] === labels[name]),
  );
}

/** One line an alert; a rule without alerts has one of its own. */
function linesOf(groups: readonly RuleGroup[]): readonly Line[] {
  const lines = groups.flatMap((group) =>
    group.rules.flatMap((rule): Line[] =>
      (rule.alerts ?? []).length === 0
        ? [{ group, rule, alert: undefined }]
        : (rule.alerts ?? []).map((alert) => ({ group, rule, alert })),
    ),
  );
  return lines.sort(
    (left, right) =>
      (rank[stateOf(left)] ?? 9) - (rank[stateOf(right)] ?? 9) || (left.rule.name < right.rule.name ? -1 : 1),
  );
}

function stateOf({ rule, alert }: Line): string {
  if (rule.health === "err") return "error";
  if (rule.type === "recording") return "recording";
  return alert?.state ?? rule.state ?? "inactive";
}

function searchText({ group, rule, alert }: Line): string {
  return `${group.name} ${rule.name} ${rule.query} ${JSON.stringify(alert?.labels ?? rule.labels ?? {})} ${stateOf({ group, rule, alert })}`.toLowerCase();
}

/** The expression without the comparison at its end, whose chart would show only what fires. */
function withoutThreshold(expression: string): string {
  return expression.replace(/\s*(?:>=|<=|==|!=|>|<)\s*(?:bool\s+)?[-+\d.e]+\s*$/i, "");
}
