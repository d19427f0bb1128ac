/** The Hosts page: every host as a tile or a row, the silent ones first; one host with all that it says on one time axis. */
import { useEffect } from "preact/hooks";
import "../../styles/hosts.css";
import { bindKeys } from "../../app/key-bindings";
import { amend, go, parameter, place } from "../../app/location";
import { count } from "../../app/number-format";
import { pageStatus, setTitle } from "../../app/page-status";
import { TopBar } from "../../app/top-bar";
import { formatSpan } from "../../time/span";
import { withUnit } from "../../chart/unit-format";
import { HostDetail } from "./host-detail";
import * as state from "./hosts-state";
import { worstFirst, type Host } from "./host";

/** How often the list is asked for anew. */
const refreshMs = 15_000;

export function HostsPage() {
  if (!place.value.path.startsWith("/hosts")) return null;
  return state.hostName.value === "" ? <HostList /> : <HostDetail key={state.hostName.value} />;
}

function HostList() {
  useEffect(() => {
    setTitle("Hosts");
    void state.loadHosts();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void state.loadHosts();
    }, refreshMs);
    return () => clearInterval(timer);
  }, []);
  useEffect(
    () =>
      bindKeys("Hosts", [
        { keys: "/", does: "Search a host", run: () => document.getElementById("host-search")?.focus() },
        { keys: "v", does: "Tiles or table", run: () => amend({ view: parameter("view") === "" ? "table" : null }) },
      ]),
    [],
  );
  const all = state.hosts.value.value;
  const failure = state.hosts.failure.value;
  const isTable = parameter("view") === "table";
  const wanted = state.search.value.toLowerCase();
  const found = (all ?? []).filter(({ name }) => name.toLowerCase().includes(wanted)).toSorted(worstFirst);
  const silent = (all ?? []).filter(({ isSilent }) => isSilent).length;
  useEffect(() => {
    pageStatus.value =
      all === undefined ? {} : { rows: `${all.length} hosts${silent === 0 ? "" : `, ${silent} silent`}` };
  }, [all]);
  return (
    <>
      <TopBar
        title="Hosts"
        actions={
          <button
            type="button"
            class="button"
            aria-pressed={isTable}
            onClick={() => amend({ view: isTable ? null : "table" })}
          >
            Table
          </button>
        }
      />
      <main class="hosts">
        <div class="hosts-head">
          <input
            id="host-search"
            class="text-input"
            type="search"
            aria-label="Search hosts"
            placeholder="Search hosts"
            value={state.search.value}
            onInput={(event) => (state.search.value = event.currentTarget.value)}
            onKeyDown={(event) => {
              const [first] = found;
              if (event.key === "Enter" && first !== undefined) go(hrefOfHost(first.name));
              if (event.key === "Escape") event.currentTarget.blur();
            }}
          />
          <span class="muted">Lines and errors of the last 10 minutes; hosts heard of in the last 24 hours.</span>
        </div>
        {failure !== undefined && <p class="warning-text">{failure.message}</p>}
        {all?.length === 0 && (
          <div class="nothing">
            <h2>No host has said anything yet</h2>
            <p class="muted">
              Records and metrics with a host make one. <a href="/">Home</a> shows how to send some.
            </p>
          </div>
        )}
        {isTable ? (
          <HostTable hosts={found} />
        ) : (
          <ul class="host-tiles">
            {found.map((host) => (
              <li key={host.name}>
                <HostTile host={host} />
              </li>
            ))}
          </ul>
        )}
      </main>
    </>
  );
}

function HostTile({ host }: { readonly host: Host }) {
  return (
    <a class={host.isSilent ? "host-tile host-silent" : "host-tile"} href={hrefOfHost(host.name)}>
      <span class="host-name">{host.name}</span>
      <span class="host-flags">
        {host.isSilent && <Silent host={host} />}
        {host.firing > 0 && <span class="state state-firing">{host.firing} firing</span>}
      </span>
      {[host.cpu, host.memory, host.disk].every((share) => share === undefined) ? (
        <span class="host-unmeasured muted">sends no figures of its own</span>
      ) : (
        <>
          <Meter label="cpu" share={host.cpu} />
          <Meter label="memory" share={host.memory} />
          <Meter label="disk" share={host.disk} />
        </>
      )}
      <span class="host-lines">
        {count(host.lines)} lines {host.errors > 0 && <span class="bad-text">{count(host.errors)} errors</span>}
      </span>
    </a>
  );
}

function Silent({ host }: { readonly host: Host }) {
  const { silentSeconds } = host;
  return (
    <span class="state state-pending">
      silent{silentSeconds === undefined ? "" : ` for ${formatSpan(silentSeconds * 1000)}`}
    </span>
  );
}

/** A share as a bar with its number; nothing where the host does not measure itself. */
function Meter({ label, share }: { readonly label: string; readonly share: number | undefined }) {
  const level = share === undefined ? "" : share >= 0.95 ? "meter-bad" : share >= 0.85 ? "meter-warn" : "";
  return (
    <span class="meter">
      <span class="muted">{label}</span>
      <span class="meter-track">
        {share !== undefined && (
          <span class={`meter-bar ${level}`} style={{ width: `${Math.min(100, Math.max(0, share * 100))}%` }} />
        )}
      </span>
      <span class="meter-number">{share === undefined ? "–" : `${Math.round(share * 100)} %`}</span>
    </span>
  );
}

function HostTable({ hosts }: { readonly hosts: readonly Host[] }) {
  const ratio = (share: number | undefined): string => (share === undefined ? "–" : withUnit(share, "ratio"));
  return (
    <div class="table-frame">
      <table class="table host-table">
        <thead>
          <tr>
            <th scope="col">Host</th>
            {["Lines", "Errors", "CPU", "Memory", "Disk", "Load", "Alerts"].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {hosts.map((host) => (
            <tr key={host.name}>
              <th scope="row">
                <a href={hrefOfHost(host.name)}>{host.name}</a> {host.isSilent && <Silent host={host} />}
              </th>
              <td class="number">{count(host.lines)}</td>
              <td class={host.errors > 0 ? "number bad-text" : "number"}>{count(host.errors)}</td>
              <td class="number">{ratio(host.cpu)}</td>
              <td class="number">{ratio(host.memory)}</td>
              <td class="number">{ratio(host.disk)}</td>
              <td class="number">{host.load === undefined ? "–" : host.load.toFixed(2)}</td>
              <td class={host.firing > 0 ? "number bad-text" : "number"}>{host.firing}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function hrefOfHost(name: string): string {
  return `/hosts/${encodeURIComponent(name)}`;
}
