/** The hosts that log or measure: what the last minutes say of each, and which have fallen silent. */
import { computed, signal } from "@preact/signals";
import { answered } from "../../api/answer";
import { fetchHosts } from "../../api/hosts";
import { fetchFacets } from "../../api/logs";
import { fetchInstant, fetchLabelValues, type InstantValue } from "../../api/metrics";
import { createRemote } from "../../api/remote";
import { place } from "../../app/location";
import type { Host } from "./host";
import { serverNow } from "../../time/clock";
import { isoOf } from "../../time/range";
import { hour, minute, second } from "../../time/span";

/** Hosts that the page knows. */
const hostsMax = 1000;
/** Lines and errors are counted over so long. */
const recentMs = 10 * minute;
/** Who said nothing for so long is forgotten. */
const knownMs = 24 * hour;

export const hosts = createRemote<readonly Host[]>();
export const search = signal("");
/** The host of the address; empty on the list. */
export const hostName = computed(() => decodeURIComponent(/^\/hosts\/([^/]+)/.exec(place.value.path)?.[1] ?? ""));

/** Asks what there is to know; a part that cannot be had leaves its column empty. */
export async function loadHosts(): Promise<void> {
  const now = serverNow();
  const recent = { from: isoOf(now - recentMs), to: isoOf(now) };
  const day = { from: isoOf(now - knownMs), to: isoOf(now) };
  await hosts.load(async (signal) => {
    const instant = (query: string): Promise<ReadonlyMap<string, number>> =>
      fetchInstant(query, now / second, signal).then((answer) => byHost(answer.ok ? answer.value : []));
    const names = (from: number): Promise<readonly string[]> =>
      fetchLabelValues("host", undefined, from / second, now / second, signal).then((answer) =>
        answer.ok ? answer.value : [],
      );
    const [logged, loggedDay, erring, heard, measuredDay, cpu, memory, disk, load, firing] = await Promise.all([
      fetchFacets({ q: "", ...recent }, ["host"], hostsMax, signal),
      fetchFacets({ q: "", ...day }, ["host"], hostsMax, signal),
      fetchFacets({ q: "level:>=error", ...recent }, ["host"], hostsMax, signal),
      fetchHosts(signal),
      names(now - knownMs),
      instant('max by (host) ({"host.cpu.busy"})'),
      instant('max by (host) ({"host.memory.used_ratio"})'),
      instant('max by (host) ({"host.disk.used_ratio"})'),
      instant('max by (host) ({"host.load", over="1m"})'),
      instant('count by (host) (ALERTS{alertstate="firing", host!=""})'),
    ]);
    if (!logged.ok) return logged;
    const lines = counts(logged.value.facets);
    const errors = erring.ok ? counts(erring.value.facets) : new Map<string, number>();
    const everyName = new Set([
      ...lines.keys(),
      ...(loggedDay.ok ? counts(loggedDay.value.facets).keys() : []),
      ...measuredDay,
    ]);
    // The server knows when each was last heard of; who is not in its list was heard of lately or long forgotten.
    const seen = new Map((heard.ok ? heard.value.hosts : []).map((one) => [one.host, one]));
    for (const name of seen.keys()) everyName.add(name);
    everyName.delete("");
    const found = [...everyName].toSorted().map((name) => ({
      name,
      lines: lines.get(name) ?? 0,
      errors: errors.get(name) ?? 0,
      cpu: cpu.get(name),
      memory: memory.get(name),
      disk: disk.get(name),
      load: load.get(name),
      firing: firing.get(name) ?? 0,
      isSilent: seen.get(name)?.state === "silent",
      silentSeconds: seen.get(name)?.silent_seconds,
    }));
    return answered(found);
  });
}

function counts(
  facets: readonly { readonly values: readonly { readonly value: string; readonly count: number }[] }[],
): Map<string, number> {
  return new Map(facets.flatMap(({ values }) => values.map(({ value, count }) => [value, count] as const)));
}

function byHost(values: readonly InstantValue[]): ReadonlyMap<string, number> {
  return new Map(values.map(({ metric, value }) => [metric["host"] ?? "", Number(value?.[1])]));
}
