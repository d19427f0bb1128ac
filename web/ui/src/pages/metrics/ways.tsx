/** What can be made of the chart that is shown: an expression, an alert rule, a panel of a dashboard, a command. */
import { useRef, useState } from "preact/hooks";
import { fetchDashboard, fetchDashboards, putDashboard, type ListedDashboard } from "../../api/dashboards";
import { hrefOf } from "../../app/address";
import { copyText } from "../../app/clipboard";
import { go, parameter } from "../../app/location";
import { toast } from "../../app/toast";
import { slugOf } from "../dashboards/slug";
import { expression, metricName, scale, gaps, type DrawnChart } from "./metrics-state";
import { panelText, ruleText, withPanel } from "./written-down";

export function Ways({ chart }: { readonly chart: DrawnChart | undefined }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [shown, setShown] = useState<"alert" | "dashboard" | undefined>(undefined);
  const [query] = chart?.plan.queries ?? [];
  if (chart === undefined || query === undefined) return null;
  const open = (what: "alert" | "dashboard"): void => {
    setShown(what);
    dialog.current?.showModal();
  };
  return (
    <>
      {expression.value === "" && (
        <a
          class="button"
          title={query.expression}
          href={hrefOf("/explore", { expr: query.expression, from: parameter("from"), to: parameter("to") })}
        >
          As PromQL
        </a>
      )}
      <button type="button" class="button" onClick={() => open("alert")}>
        Make an alert
      </button>
      <button type="button" class="button" onClick={() => open("dashboard")}>
        Add to dashboard
      </button>
      <dialog
        ref={dialog}
        class="ways-dialog"
        aria-label={shown === "alert" ? "Make an alert" : "Add to a dashboard"}
        onClose={() => setShown(undefined)}
        onClick={(event) => {
          if (event.target === dialog.current) dialog.current?.close();
        }}
      >
        {shown === "alert" && <AlertRule chart={chart} onClose={() => dialog.current?.close()} />}
        {shown === "dashboard" && <AddPanel chart={chart} onClose={() => dialog.current?.close()} />}
      </dialog>
    </>
  );
}

interface WayProps {
  readonly chart: DrawnChart;
  onClose(): void;
}

/** A rule of the first expression, its threshold a little above what was seen. */
function AlertRule({ chart, onClose }: WayProps) {
  const queries = chart.plan.queries;
  const highest = Math.max(...chart.data.lines.map((line) => line.highest ?? -Infinity));
  const [number, setNumber] = useState(Number.isFinite(highest) ? Number((highest * 1.2).toPrecision(2)) : 1);
  const [hold, setHold] = useState("5m");
  const [which, setWhich] = useState(0);
  const query = queries[which] ?? queries[0];
  const text = ruleText({
    name: metricName.value === "" ? "Expression" : metricName.value,
    label: query?.label ?? "",
    expression: query?.expression ?? "",
    number,
    hold,
    unit: chart.plan.unit,
  });
  return (
    <form method="dialog" class="ways-form">
      <h2>Make an alert</h2>
      <div class="ways-fields">
        {queries.length > 1 && (
          <label class="control">
            <span class="field-label">of</span>
            <select class="select" value={which} onChange={(event) => setWhich(Number(event.currentTarget.value))}>
              {queries.map(({ label }, at) => (
                <option key={label} value={at}>
                  {label}
                </option>
              ))}
            </select>
          </label>
        )}
        <label class="control">
          <span class="field-label">above</span>
          <input
            class="text-input ways-number"
            type="number"
            step="any"
            value={number}
            onInput={(event) => setNumber(Number(event.currentTarget.value))}
          />
        </label>
        <label class="control">
          <span class="field-label">for</span>
          <select class="select" value={hold} onChange={(event) => setHold(event.currentTarget.value)}>
            {["0s", "1m", "5m", "10m", "30m"].map((span) => (
              <option key={span}>{span}</option>
            ))}
          </select>
        </label>
      </div>
      <textarea class="ways-text" readOnly aria-label="The rule as YAML" rows={12} value={text} />
      <p class="muted">
        Put it into a rules file that <code>alerts.rules</code> names; <code>taffrail rules check</code> looks it over
        first.
      </p>
      <div class="ways-buttons">
        <button type="button" class="button" onClick={onClose}>
          Close
        </button>
        <button type="button" class="button button-main" onClick={() => void copyText(text, "Rule")}>
          Copy the rule
        </button>
      </div>
    </form>
  );
}

/** Puts the chart at the end of a dashboard. */
function AddPanel({ chart, onClose }: WayProps) {
  const [boards, setBoards] = useState<readonly ListedDashboard[] | undefined>(undefined);
  const [failure, setFailure] = useState("");
  const asked = useRef(false);
  if (!asked.current) {
    asked.current = true;
    void fetchDashboards(new AbortController().signal).then((answer) => {
      if (answer.ok) setBoards(answer.value.dashboards.filter(({ origin }) => origin !== "file"));
      else setFailure(answer.failure.message);
    });
  }
  const title = metricName.value === "" ? expression.value.slice(0, 60) : `${metricName.value}, ${chart.plan.title}`;
  const panel = panelText({
    title,
    unit: chart.plan.unit,
    scale: scale.value,
    gaps: gaps.value,
    queries: chart.plan.queries.map(({ expression: promql, label }) => ({ promql, name: label })),
  });
  const add = async (slug: string): Promise<void> => {
    const there = await fetchDashboard(slug, new AbortController().signal);
    if (!there.ok) {
      setFailure(there.failure.message);
      return;
    }
    const written = await putDashboard(slug, withPanel(there.value.yaml, panel), there.value.version);
    if (!written.ok) {
      setFailure(written.failure.message);
      return;
    }
    onClose();
    toast(`Added to ${written.value.title}`);
    go(`/d/${slug}`);
  };
  const create = async (name: string): Promise<void> => {
    const slug = slugOf(name);
    const written = await putDashboard(slug, withPanel(`title: ${JSON.stringify(name)}\nrows: []\n`, panel), undefined);
    if (!written.ok) {
      setFailure(written.failure.message);
      return;
    }
    onClose();
    go(`/d/${slug}`);
  };
  return (
    <form
      class="ways-form"
      onSubmit={(event) => {
        event.preventDefault();
        const name = new FormData(event.currentTarget).get("name");
        if (typeof name === "string" && name.trim() !== "") void create(name.trim());
      }}
    >
      <h2>Add to a dashboard</h2>
      {failure !== "" && (
        <p class="warning-text" role="alert">
          {failure}
        </p>
      )}
      <ul class="ways-list">
        {(boards ?? []).map(({ slug, title, origin }) => (
          <li key={slug}>
            <button type="button" class="ways-board" onClick={() => void add(slug)}>
              <span>{title}</span>
              <span class="muted">{origin === "built_in" ? "built in: a changed copy is kept" : `/d/${slug}`}</span>
            </button>
          </li>
        ))}
      </ul>
      <div class="ways-fields">
        <label class="control ways-new">
          <span class="field-label">or a new one</span>
          <input class="text-input" name="name" placeholder="Title" />
        </label>
        <button type="submit" class="button">
          Create
        </button>
      </div>
      <div class="ways-buttons">
        <button type="button" class="button" onClick={onClose}>
          Close
        </button>
      </div>
    </form>
  );
}
