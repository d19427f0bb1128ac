/** One host: its alerts, its metrics and its log lines on one time axis, each linked to the page that shows more of it. */
import { effect, untracked } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import "../../styles/rows.css";
import "../../styles/dashboards.css";
import type { Panel } from "../../api/dashboards";
import { hrefOf } from "../../app/address";
import { bindKeys } from "../../app/key-bindings";
import { parameter } from "../../app/location";
import { setTitle } from "../../app/page-status";
import { share, TopBar } from "../../app/top-bar";
import { loadMarks, marks } from "../../chart/marks";
import { quoted } from "../../query/query-text";
import { runs, writtenRange } from "../../time/range-state";
import { timePickerId } from "../../time/time-picker";
import { PanelView } from "../dashboards/panel-view";
import type { Choices } from "../dashboards/variables";
import { hostName } from "./hosts-state";

const none: Choices = new Map();

export function HostDetail() {
  const name = hostName.value;
  useEffect(() => {
    setTitle(name);
    return bindKeys("Host", [
      { keys: "t", does: "Time range", run: () => document.getElementById(timePickerId)?.click() },
      { keys: "y", does: "Copy a link to this view", run: () => void share(true) },
    ]);
  }, []);
  useEffect(
    () =>
      effect(() => {
        void writtenRange.value;
        void runs.value;
        untracked(() => void loadMarks({ host: name }));
      }),
    [],
  );
  const panels = useMemo(() => panelsOf(name), [name]);
  const time = { from: parameter("from"), to: parameter("to") };
  return (
    <>
      <TopBar title={name} withTime>
        <span class="board-title">
          <a href="/hosts">Hosts</a>
          <span aria-hidden="true"> / </span>
          <strong>{name}</strong>
        </span>
      </TopBar>
      <main class="host">
        <nav class="host-ways" aria-label="More of this host">
          <a href={hrefOf("/logs", { q: `host:${quoted(name)}`, ...time })}>All its lines</a>
          <a href={hrefOf("/logs", { q: `host:${quoted(name)} level:>=error`, ...time })}>Its errors</a>
          <a href={hrefOf("/logs", { q: `host:${quoted(name)}`, view: "patterns", ...time })}>Its patterns</a>
          <a href={hrefOf("/d/hosts", { "var-host": name, ...time })}>Beside the others</a>
        </nav>
        <h2 class="visually-hidden">What it says, on one time axis</h2>
        <div class="host-strips">
          {panels.map((panel, number) => (
            <PanelView
              key={panel.title}
              placed={{ id: String(number), panel, width: 24, height: panel.height ?? 4, choices: none }}
              marks={marks.value}
              withoutEnlarging
              hideEmpty
            />
          ))}
        </div>
      </main>
    </>
  );
}

/** The strips of a host, all with the same axis below each other. */
export function panelsOf(host: string): readonly Panel[] {
  const label = `host=${JSON.stringify(host)}`;
  const logs = `host:${quoted(host)}`;
  const strip = { type: "chart", height: 4 } as const;
  return [
    { ...strip, title: "Lines by level", draw: "bars", queries: [{ logs, by: "level" }] },
    {
      ...strip,
      title: "Processor, memory and disk",
      unit: "ratio",
      min: 0,
      height: 5,
      queries: [
        { promql: `max ({"host.cpu.busy", ${label}})`, name: "processor" },
        { promql: `max ({"host.memory.used_ratio", ${label}})`, name: "memory" },
        { promql: `max ({"host.disk.used_ratio", ${label}})`, name: "fullest disk" },
      ],
    },
    { ...strip, title: "Load", queries: [{ promql: `max by (over) ({"host.load", ${label}})`, name: "{{over}}" }] },
    {
      ...strip,
      title: "Network",
      unit: "bytes/s",
      queries: [
        {
          promql: `sum by (direction) (rate({"host.network.bytes", ${label}}[$__rate_interval]))`,
          name: "{{direction}}",
        },
      ],
    },
    {
      ...strip,
      title: "Disk read and written",
      unit: "bytes/s",
      queries: [
        { promql: `sum by (direction) (rate({"host.disk.bytes", ${label}}[$__rate_interval]))`, name: "{{direction}}" },
      ],
    },
    {
      ...strip,
      title: "Busiest programs",
      draw: "stacked",
      queries: [{ promql: `topk(6, sum by (process) ({"host.process.cpu", ${label}}))`, name: "{{process}}" }],
    },
    {
      ...strip,
      title: "Alerts that fire",
      draw: "bars",
      queries: [{ promql: `count by (alertname) (ALERTS{alertstate="firing", ${label}})`, name: "{{alertname}}" }],
    },
    { type: "logs", title: "Newest lines", height: 10, columns: ["service"], queries: [{ logs }] },
  ];
}
