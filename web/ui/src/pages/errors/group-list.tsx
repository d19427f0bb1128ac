/** The groups in one dense table, a card each on a phone. */
import type { CountedGroup, ErrorState } from "../../api/errors";
import { hrefOf } from "../../app/address";
import { parameter } from "../../app/location";
import { count, shortCount } from "../../app/number-format";
import { Sparkline } from "../../chart/sparkline";
import { serverNow } from "../../time/clock";
import { ago, everyZone } from "../../time/format";

export function GroupList({ groups }: { readonly groups: readonly CountedGroup[] }) {
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label="Error groups">
      <table class="table error-groups">
        <thead>
          <tr>
            <th scope="col">error</th>
            <th scope="col">trend</th>
            <th scope="col" class="number">
              count
            </th>
            <th scope="col">last seen</th>
            <th scope="col">first seen</th>
            <th scope="col">versions</th>
            <th scope="col">hosts</th>
          </tr>
        </thead>
        <tbody>
          {groups.map((group) => (
            <GroupLine key={group.id} group={group} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function GroupLine({ group }: { readonly group: CountedGroup }) {
  const now = serverNow();
  const hosts = group.hosts.map(({ value }) => value);
  const seen = (moment: string) => <span title={everyZone(moment)}>{ago(Date.parse(moment), now)}</span>;
  return (
    <tr>
      <td class="error-what">
        <a class="error-link" href={groupAddress(group.id)}>
          <strong>{group.type || group.message || "error"}</strong>
          {group.type !== "" && <span class="error-message">{group.message}</span>}
        </a>
        <div class="error-where">
          <StateBadge state={group.state} />
          {group.service !== "" && <span class="label">{group.service}</span>}
          {group.culprit !== "" && <code class="mono">{group.culprit}</code>}
        </div>
      </td>
      <td class="error-trend">
        <Sparkline
          values={group.trend}
          capacity={group.trend.length}
          label={`${count(group.count)} over the time range`}
        />
      </td>
      <td class="number" title={`${count(group.total)} ever`}>
        {shortCount(group.count)}
      </td>
      <td class="error-seen">{seen(group.last_seen)}</td>
      <td class="error-seen">{seen(group.first_seen)}</td>
      <td class="error-some" title={group.versions.join("\n")}>
        {some(group.versions.slice(-2), group.versions.length)}
      </td>
      <td class="error-some" title={hosts.join("\n")}>
        {some(hosts.slice(0, 2), group.hosts_total)}
      </td>
    </tr>
  );
}

export function StateBadge({ state }: { readonly state: ErrorState }) {
  const look = { open: "inactive", regressed: "firing", resolved: "resolved", ignored: "inactive" }[state];
  return <span class={`state state-${look}`}>{state}</span>;
}

/** The address of a group, with the question and time range that are shown. */
export function groupAddress(id: string): string {
  const kept = { q: parameter("q"), from: parameter("from"), to: parameter("to") };
  return hrefOf(`/errors/${encodeURIComponent(id)}`, kept);
}

function some(names: readonly string[], total: number) {
  if (total === 0) return <span class="muted">–</span>;
  const more = total - names.length;
  return (
    <>
      {names.join(", ")}
      {more > 0 && <span class="muted"> +{more}</span>}
    </>
  );
}
