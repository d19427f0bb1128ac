/** The alerts that fire now, as a short list on Home. */
import { useEffect } from "preact/hooks";
import { createRemote } from "../../api/remote";
import { fetchRules, type RuleGroup } from "../../api/rules";
import { ago } from "../../time/format";
import { serverNow } from "../../time/clock";

const intervalMs = 10_000;
const rules = createRemote<{ groups: RuleGroup[] }>();

export function FiringPanel() {
  useEffect(() => {
    const ask = (): void => void rules.load(fetchRules);
    ask();
    const timer = setInterval(ask, intervalMs);
    return () => {
      clearInterval(timer);
      rules.stop();
    };
  }, []);
  const groups = rules.value.value?.groups ?? [];
  const all = groups.flatMap((group) => group.rules.filter(({ type }) => type === "alerting"));
  const firing = all.flatMap((rule) =>
    (rule.alerts ?? []).filter(({ state }) => state === "firing").map((alert) => ({ rule, alert })),
  );
  return (
    <section class="panel" aria-label="Firing alerts">
      <h2>
        <a href="/alerts">Alerts</a>
      </h2>
      {firing.map(({ rule, alert }) => (
        <a key={JSON.stringify(alert.labels)} class="firing" href="/alerts">
          <span class="state state-firing">firing</span>
          <span>
            <strong>{rule.name}</strong> {alert.annotations["summary"] ?? ""}
          </span>
          <span class="muted">{ago(Date.parse(alert.activeAt), serverNow())}</span>
        </a>
      ))}
      {firing.length === 0 && (
        <p class="muted">
          {rules.failure.value !== undefined
            ? rules.failure.value.message
            : all.length === 0
              ? "No rules are loaded. Start with --rules FILE."
              : `None of ${all.length} rules fires.`}
        </p>
      )}
    </section>
  );
}
