/** The Settings page: what is kept how long, what questions may cost, where the server listens, and every key with its origin. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import "../../styles/settings.css";
import { fetchSettings, type Setting, type SettingValue, type Settings } from "../../api/settings";
import { fetchIngest } from "../../api/ingest";
import { createRemote } from "../../api/remote";
import { bindKeys } from "../../app/key-bindings";
import { amend, parameter } from "../../app/location";
import { copyText } from "../../app/clipboard";
import { pageStatus, setTitle } from "../../app/page-status";
import { Notifiers } from "./notifiers";
import { shown, tomlLine } from "./setting-text";
import { TopBar } from "../../app/top-bar";

const told = createRemote<Settings>();
const listeners = createRemote<Readonly<Record<string, string | null | undefined>>>();

/** What most people come for, before the whole list. */
const cards: readonly { readonly title: string; readonly keys: readonly string[] }[] = [
  {
    title: "Retention",
    keys: [
      "store.retention_age",
      "store.rollup_minute_age",
      "store.rollup_ten_minutes_age",
      "store.rollup_hour_age",
      "store.retention_bytes",
    ],
  },
  {
    title: "Limits of a question",
    keys: ["query.time_max", "query.rows_max", "query.limit_max", "query.memory_bytes_max", "query.concurrency_max"],
  },
  {
    title: "Alerts and dashboards",
    keys: [
      "alerts.rules",
      "alerts.webhooks",
      "alerts.evaluation_interval",
      "alerts.repeat_interval",
      "dashboards.files",
    ],
  },
];

export function SettingsPage() {
  useEffect(() => {
    setTitle("Settings");
    void told.load(fetchSettings);
    void listeners.load(async (signal) => {
      const answer = await fetchIngest(signal);
      return answer.ok ? { ok: true, value: answer.value.listeners } : answer;
    });
    return bindKeys("Settings", [
      { keys: "/", does: "Search a setting", run: () => document.getElementById("setting-search")?.focus() },
    ]);
  }, []);
  const settings = told.value.value?.settings ?? [];
  const failure = told.failure.value;
  useEffect(() => {
    const own = settings.filter(({ origin }) => origin !== "default").length;
    pageStatus.value =
      settings.length === 0 ? {} : { rows: `${settings.length} settings, ${own} not at their default` };
  }, [settings]);
  return (
    <>
      <TopBar title="Settings" />
      <main class="settings">
        {failure !== undefined && <p class="warning-text">{failure.message}</p>}
        <div class="settings-cards">
          {cards.map(({ title, keys }) => (
            <section key={title} class="settings-card" aria-label={title}>
              <h2>{title}</h2>
              <dl>
                {keys.flatMap((key) => {
                  const setting = settings.find((one) => one.key === key);
                  return setting === undefined ? [] : [<Fact key={key} setting={setting} />];
                })}
              </dl>
            </section>
          ))}
          {settings.some(({ key }) => key === "alerts.routing") && <Notifiers />}
          <section class="settings-card" aria-label="Listeners">
            <h2>Listeners</h2>
            <dl>
              {Object.entries(listeners.value.value ?? {}).map(([name, address]) => (
                <div key={name} class="fact">
                  <dt>{name}</dt>
                  <dd class={(address ?? null) === null ? "muted" : "mono"}>{address ?? "off"}</dd>
                </div>
              ))}
            </dl>
          </section>
        </div>
        <Rules />
        <AllSettings settings={settings} />
      </main>
    </>
  );
}

function Fact({ setting }: { readonly setting: Setting }) {
  return (
    <div class="fact" title={setting.doc}>
      <dt class="mono">{setting.key.split(".").slice(1).join(".")}</dt>
      <dd>
        {shown(setting.value)}
        {setting.origin !== "default" && <span class="muted"> {setting.from}</span>}
      </dd>
    </div>
  );
}

/** Retention by rules, and other lists of tables that are in force. */
function Rules() {
  const tables = (told.value.value?.tables ?? []).filter(({ value }) => Array.isArray(value) && value.length > 0);
  if (tables.length === 0) return null;
  return (
    <section class="settings-tables" aria-label="Rules and groups">
      {tables.map(({ key, value }) => (
        <div key={key}>
          <h2 class="mono">[[{key}]]</h2>
          <ul>
            {(value as readonly SettingValue[]).map((one, index) => (
              <li key={index} class="mono settings-table">
                {shown(one)}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

function AllSettings({ settings }: { readonly settings: readonly Setting[] }) {
  const search = useSignal(parameter("search"));
  const onlyChanged = parameter("changed") !== "";
  const wanted = search.value.toLowerCase();
  const found = settings.filter(
    ({ key, doc, origin }) =>
      (key.includes(wanted) || doc.toLowerCase().includes(wanted)) && (!onlyChanged || origin !== "default"),
  );
  return (
    <section aria-label="All settings">
      <header class="settings-head">
        <h2>All settings</h2>
        <input
          id="setting-search"
          class="text-input"
          type="search"
          aria-label="Search settings"
          placeholder="Search key or explanation"
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
            amend({ search: search.value }, "replace");
          }}
        />
        <label class="settings-changed">
          <input type="checkbox" checked={onlyChanged} onChange={() => amend({ changed: onlyChanged ? null : "1" })} />
          not at their default
        </label>
        <span class="settings-space" />
        <span class="muted">
          Flag beats variable, variable beats file, file beats default. <code>taffrail check --print</code> writes the
          same.
        </span>
      </header>
      <div class="table-frame">
        <table class="table settings-list">
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">Value</th>
              <th scope="col">From</th>
              <th scope="col">What it does</th>
            </tr>
          </thead>
          <tbody>
            {found.map((setting) => (
              <tr key={setting.key}>
                <th scope="row">
                  <button
                    type="button"
                    class="settings-key mono"
                    title={`Copy as a line of taffrail.toml. Also ${[setting.flag, ...setting.variables].filter((one) => one !== null).join(", ")}`}
                    onClick={() => void copyText(tomlLine(setting), "Line")}
                  >
                    {setting.key}
                  </button>
                </th>
                <td class="mono settings-value">
                  {shown(setting.value)}
                  {setting.origin !== "default" && setting.default !== null && (
                    <span class="muted settings-default">default {shown(setting.default)}</span>
                  )}
                </td>
                <td class={setting.origin === "default" ? "muted" : "settings-own"}>{setting.from}</td>
                <td class="settings-doc">{setting.doc}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {settings.length > 0 && found.length === 0 && (
          <p class="muted">No setting has this in its key or explanation.</p>
        )}
      </div>
    </section>
  );
}
