/** What a deploy changed: error rates, error groups, patterns and percentiles, before it and since, or its canary and the rest. */
import { useEffect, useState } from "preact/hooks";
import { annotationTitle } from "../../api/annotations";
import { fetchDeployChange, type Change, type DeployChange } from "../../api/errors";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { amend, parameter } from "../../app/location";
import { count, rate, value as valueText } from "../../app/number-format";
import { zone } from "../../app/preferences";
import { briefTime } from "../../time/format";
import { groupAddress } from "./group-list";

const change = createRemote<DeployChange>();

export function DeployPanel({ id }: { readonly id: string }) {
  const canary = parameter("canary");
  const [text, setText] = useState(canary);
  useEffect(() => {
    void change.load((signal) => fetchDeployChange(id, canary, signal));
    return () => change.stop();
  }, [id, canary]);
  useEffect(() => () => change.stop(true), []);
  const answer = change.value.value;
  const failure = change.failure.value;
  return (
    <section class="deploy" aria-label="Since this deploy">
      <header class="deploy-head">
        <h2>{answer === undefined ? "Since this deploy" : annotationTitle(answer.deploy)}</h2>
        {answer !== undefined && (
          <span class="muted">
            {briefTime(Date.parse(answer.deploy.time), zone.value, true)} ·{" "}
            {answer.canary === null ? "before and since" : `the rest and ${answer.canary.field}:${answer.canary.value}`}
          </span>
        )}
        <span class="stack-space" />
        <form
          onSubmit={(event) => {
            event.preventDefault();
            amend({ canary: text });
          }}
        >
          <input
            class="text-input"
            aria-label="Canary: a field and its value"
            placeholder="Canary: version:1.2.3"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </form>
        <button type="button" class="button button-small" onClick={() => amend({ deploy: null, canary: null })}>
          Close
        </button>
      </header>
      {failure !== undefined && <p class="warning-text">{failure.message}</p>}
      {answer !== undefined && <Changes answer={answer} />}
    </section>
  );
}

function Changes({ answer }: { readonly answer: DeployChange }) {
  const [left, right] = answer.canary === null ? ["before", "since"] : ["rest", "canary"];
  const range = { from: answer.after.from, to: answer.after.to };
  return (
    <>
      {answer.worse.length > 0 ? (
        <ul class="deploy-worse">
          {answer.worse.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      ) : (
        <p class="good-text">Nothing got worse.</p>
      )}
      {typeof answer.summary.partial === "string" && <p class="warning-text">{answer.summary.partial}</p>}
      <div class="deploy-tables">
        {answer.services.length > 0 && (
          <Table title="Errors by service" columns={["service", left, right, "share of records"]}>
            {answer.services.map((one) => (
              <tr key={one.service}>
                <td>
                  <ChangeBadge change={one.change} /> {one.service || "(no service)"}
                </td>
                <td class="number">{count(one.before.count)}</td>
                <td class="number">{count(one.after.count)}</td>
                <td class="number">
                  {percent(one.error_share.before)} → {percent(one.error_share.after)}
                </td>
              </tr>
            ))}
          </Table>
        )}
        {answer.errors.length > 0 && (
          <Table title="Error groups that changed" columns={["error", left, right]}>
            {answer.errors.map((one) => (
              <tr key={one.id}>
                <td>
                  <ChangeBadge change={one.change} />{" "}
                  <a href={groupAddress(one.id)}>
                    {[one.type, one.message].filter((text) => text !== "").join(": ") || one.id}
                  </a>
                </td>
                <td class="number">{count(one.before.count)}</td>
                <td class="number">{count(one.after.count)}</td>
              </tr>
            ))}
          </Table>
        )}
        {answer.timers.length > 0 && (
          <Table title="Timers" columns={["metric", `p95 ${left}`, `p95 ${right}`, "p50", "p99"]}>
            {answer.timers.map((one) => (
              <tr key={one.metric}>
                <td>
                  <a href={hrefOf("/explore", { name: one.metric })}>{one.metric}</a>
                  {one.ratio !== null && one.ratio >= 1.25 && (
                    <span class="state state-pending">×{one.ratio.toFixed(1)}</span>
                  )}
                </td>
                <td class="number">{measured(one.before.p95, one.unit)}</td>
                <td class="number">{measured(one.after.p95, one.unit)}</td>
                <td class="number">
                  {measured(one.before.p50, "")} → {measured(one.after.p50, one.unit)}
                </td>
                <td class="number">
                  {measured(one.before.p99, "")} → {measured(one.after.p99, one.unit)}
                </td>
              </tr>
            ))}
          </Table>
        )}
        {answer.patterns.length > 0 && (
          <Table title="New and grown patterns" columns={["pattern", `${left} /s`, `${right} /s`]}>
            {answer.patterns.map((one) => (
              <tr key={one.id}>
                <td>
                  <ChangeBadge change={one.change} />{" "}
                  <a class="mono deploy-pattern" href={hrefOf("/logs", { q: `pattern:${one.id}`, ...range })}>
                    {one.pattern}
                  </a>
                </td>
                <td class="number">{rate(one.before.rate)}</td>
                <td class="number">{rate(one.after.rate)}</td>
              </tr>
            ))}
          </Table>
        )}
      </div>
    </>
  );
}

function Table({
  title,
  columns,
  children,
}: {
  readonly title: string;
  readonly columns: readonly string[];
  readonly children: preact.ComponentChildren;
}) {
  return (
    <div class="deploy-table">
      <h3>{title}</h3>
      <div class="table-frame" tabIndex={0} role="region" aria-label={title}>
        <table class="table">
          <thead>
            <tr>
              {columns.map((name, at) => (
                <th key={name} scope="col" class={at === 0 ? "" : "number"}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </div>
    </div>
  );
}

function ChangeBadge({ change: what }: { readonly change: Change }) {
  const look = { new: "firing", grown: "pending", gone: "resolved", shrunk: "resolved", steady: "inactive" }[what];
  return <span class={`state state-${look}`}>{what}</span>;
}

function percent(share: number): string {
  return `${valueText(share * 100)} %`;
}

function measured(number: number | null, unit: string): string {
  return number === null ? "–" : `${valueText(number)}${unit === "" ? "" : ` ${unit}`}`;
}
