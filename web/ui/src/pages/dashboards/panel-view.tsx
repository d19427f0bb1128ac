/** One panel: its heading, its way to Metrics or Logs, and its answer, asked for once it is in sight. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { createRemote } from "../../api/remote";
import type { Mark } from "../../chart/line-chart";
import { hrefOf } from "../../app/address";
import { amend, parameter } from "../../app/location";
import { absoluteRange, type TimeRange } from "../../time/range";
import { runs, timeRange, writtenRange } from "../../time/range-state";
import { PanelBody } from "./panels/panel-body";
import { Markdown } from "./markdown";
import { askPanel, stepOf, type PanelAnswer } from "./panel-data";
import { fillLogs, fillPromql, fillText, type Span } from "./variables";
import type { PlacedPanel } from "./layout";

interface PanelViewProps {
  readonly placed: PlacedPanel;
  readonly marks: readonly Mark[];
  /** Fills the page. */
  readonly alone?: boolean;
  /** Where there is no page that could show it alone. */
  readonly withoutEnlarging?: boolean;
  /** Takes no room while it has nothing to show. */
  readonly hideEmpty?: boolean;
}

export function PanelView({
  placed,
  marks,
  alone = false,
  withoutEnlarging = false,
  hideEmpty = false,
}: PanelViewProps) {
  const { panel, choices, id, width, height } = placed;
  const element = useRef<HTMLElement>(null);
  const answer = useMemo(() => createRemote<PanelAnswer>(), []);
  const inSight = useSignal(false);
  useEffect(() => {
    const target = element.current;
    if (target === null) return undefined;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) inSight.value = true;
      },
      { rootMargin: "300px" },
    );
    observer.observe(target);
    return () => {
      observer.disconnect();
      answer.stop();
    };
  }, []);
  // Asked anew when the panel, a choice it uses, or the time changes.
  const asked = JSON.stringify([panel, questionsOf(placed, { range: timeRange.peek(), stepMs: 1 })]);
  const wanted = useSignal(asked);
  wanted.value = asked;
  const latest = useRef(placed);
  latest.current = placed;
  useSignalEffect(() => {
    void wanted.value;
    void writtenRange.value;
    void runs.value;
    if (!inSight.value || latest.current.panel.type === "text") return;
    const { panel, choices } = latest.current;
    void answer.load((signal) => askPanel(panel, choices, timeRange.peek(), signal));
  });
  const span: Span = { range: timeRange.value, stepMs: stepOf(timeRange.value) };
  const title = fillText(panel.title ?? "", choices, span);
  const failure = answer.failure.value;
  const isLoading = answer.loading.value;
  const isHidden = hideEmpty && isEmpty(answer.value.value);
  return (
    <section
      ref={element}
      class={`panel panel-${panel.type}`}
      hidden={isHidden}
      style={alone ? {} : { "--wide": width, "--tall": height }}
      aria-label={title === "" ? panel.type : title}
      aria-busy={isLoading}
    >
      <header class="panel-head">
        {title === "" ? <span class="panel-title" /> : <h3 class="panel-title">{title}</h3>}
        {panel.description !== undefined && (
          <span class="panel-about" title={panel.description} role="img" aria-label={panel.description} tabIndex={0}>
            i
          </span>
        )}
        {failure !== undefined && answer.value.value !== undefined && (
          <span class="warning-text panel-stale" title={failure.message}>
            not up to date
          </span>
        )}
        <span class="panel-links">
          {linksOf(placed, span).map(({ href, label }) => (
            <a key={href} class="panel-link" href={href}>
              {label}
            </a>
          ))}
          {panel.type !== "text" && !withoutEnlarging && (
            <button
              type="button"
              class="panel-link"
              onClick={() => amend({ panel: alone ? null : id })}
              aria-pressed={alone}
            >
              {alone ? "Show all" : "Enlarge"}
            </button>
          )}
        </span>
      </header>
      <div class="panel-body">
        {panel.type === "text" ? (
          <Markdown text={fillText(panel.text ?? "", choices, span)} />
        ) : answer.value.value !== undefined ? (
          <PanelBody panel={panel} title={title} answer={answer.value.value} marks={marks} alone={alone} />
        ) : failure !== undefined ? (
          <p class="warning-text panel-failure">{failure.message}</p>
        ) : (
          <div class="panel-waiting" />
        )}
      </div>
    </section>
  );
}

function isEmpty(answer: PanelAnswer | undefined): boolean {
  if (answer?.kind === "chart") return answer.data.lines.length === 0;
  return answer?.kind === "logs" && answer.records.length === 0;
}

function questionsOf({ panel, choices }: PlacedPanel, span: Span): readonly string[] {
  return (panel.queries ?? []).map(({ promql, logs }) =>
    promql !== undefined ? fillPromql(promql, choices, span) : fillLogs(logs ?? "", choices, span),
  );
}

/** The pages that show the same with everything they can do. */
function linksOf(placed: PlacedPanel, span: Span): readonly { readonly href: string; readonly label: string }[] {
  const [query] = placed.panel.queries ?? [];
  if (query === undefined) return [];
  const [filled = ""] = questionsOf(placed, span);
  const time = isoRange(timeRange.value);
  return query.promql !== undefined
    ? [{ href: hrefOf("/explore", { expr: filled, ...time }), label: "Metrics" }]
    : [{ href: hrefOf("/logs", { q: filled, ...time }), label: "Logs" }];
}

/** The range as the address has it, so that one that moves goes on moving. */
function isoRange(range: TimeRange): { from: string; to: string } {
  const from = parameter("from");
  return from === "" ? absoluteRange(range) : { from, to: parameter("to") };
}
