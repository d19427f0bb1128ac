/**
 * Counts over time, stacked by level or by another field, drawn as one path a value. Dragging selects a time range; the
 * arrow keys walk the bars for those who cannot drag.
 */
import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import type { Annotation } from "../api/annotations";
import { levels, levelClass } from "../api/log-record";
import type { Histogram } from "../api/logs";
import { count, shortCount } from "../app/number-format";
import { later } from "../app/later";
import type { Zone } from "../app/preferences";
import { plainLine } from "../list/line-text";
import { axisLabel, briefTime } from "../time/format";
import { roundStep, type TimeRange } from "../time/range";
import { minute } from "../time/span";

const AnnotationMarks = later(async () => (await import("./annotation-marks")).AnnotationMarks);

interface HistogramViewProps {
  readonly histogram: Histogram | undefined;
  readonly range: TimeRange;
  readonly zone: Zone;
  readonly loading: boolean;
  /** What happened meanwhile. */
  readonly annotations?: readonly Annotation[];
  /** What the bars are stacked by. */
  readonly by: string;
  onSelect(range: TimeRange): void;
  /** What is drawn over the bars: given where a moment stands, in per cent from the left. */
  readonly children?: (placeOf: (time: number) => number) => ComponentChildren;
}

interface Bar {
  readonly time: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly sum: number;
}

/** The drawing's own units; the browser stretches them to the box. */
const width = 1000;
const height = 100;

/** One part of every bar: a level or a value, with what it is called and the end of its class names. */
interface Part {
  readonly key: string;
  readonly label: string;
  readonly style: string;
  /** Whether it holds whatever the other parts do not. */
  readonly isRest?: boolean;
}

/** Levels from the bottom of a bar to its top: the gravest stand on the base line, where they are compared. */
const levelParts: readonly Part[] = [
  ...levels.map((level) => ({ key: level, label: level, style: levelClass(level) })),
  { key: "", label: "no level", style: levelClass(""), isRest: true },
];
/** How many colours there are for values. */
const valueColours = 8;
const selectPixelsMin = 4;

export function HistogramView(props: HistogramViewProps) {
  const { histogram, range, zone, loading, annotations = [], by, onSelect, children } = props;
  const plot = useRef<HTMLDivElement>(null);
  const [pointer, setPointer] = useState<number | undefined>(undefined);
  const [dragFrom, setDragFrom] = useState<number | undefined>(undefined);
  const [walked, setWalked] = useState<number | undefined>(undefined);
  const bars = useMemo(() => barsOf(histogram), [histogram]);
  const parts = useMemo(() => (by === "level" ? levelParts : valueParts(bars)), [bars, by]);
  const interval = histogram?.interval_ms ?? 1;
  const span = range.to - range.from;
  const highest = Math.max(1, ...bars.map(({ sum }) => sum));
  const x = (time: number): number => ((time - range.from) / span) * width;

  const fractionAt = (event: PointerEvent): number => {
    const box = plot.current?.getBoundingClientRect();
    return box === undefined || box.width === 0 ? 0 : Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const finish = (event: PointerEvent): void => {
    if (dragFrom === undefined) return;
    const end = fractionAt(event);
    const pixels = Math.abs(end - dragFrom) * (plot.current?.clientWidth ?? 0);
    setDragFrom(undefined);
    if (pixels >= selectPixelsMin) {
      const [from, to] = dragFrom < end ? [dragFrom, end] : [end, dragFrom];
      onSelect({ from: Math.round(range.from + from * span), to: Math.round(range.from + to * span) });
      return;
    }
    const bar = barAt(bars, interval, range.from + end * span);
    if (bar !== undefined && bar.sum > 0) onSelect(rangeOfBar(bar));
  };
  const rangeOfBar = (bar: Bar): TimeRange => ({
    from: Math.max(range.from, bar.time),
    to: Math.min(range.to, bar.time + interval),
  });

  const pointed =
    walked !== undefined
      ? bars[walked]
      : pointer === undefined
        ? undefined
        : barAt(bars, interval, range.from + pointer * span);
  const step = roundStep(span, 8);
  const marks = [];
  const zoneShift = zone === "utc" ? 0 : new Date(range.from).getTimezoneOffset() * minute;
  for (let time = Math.ceil((range.from - zoneShift) / step) * step + zoneShift; time < range.to; time += step)
    marks.push(time);
  return (
    <div class={loading ? "histogram histogram-loading" : "histogram"}>
      <div
        class="histogram-plot"
        ref={plot}
        tabIndex={0}
        role="slider"
        aria-label="Records over time; arrow keys walk the bars, Enter zooms into one"
        aria-valuemin={0}
        aria-valuemax={Math.max(0, bars.length - 1)}
        aria-valuenow={walked ?? 0}
        aria-valuetext={
          pointed === undefined ? `${count(histogram?.total ?? 0)} records` : describe(pointed, parts, zone)
        }
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setDragFrom(fractionAt(event));
        }}
        onPointerMove={(event) => {
          setWalked(undefined);
          setPointer(fractionAt(event));
        }}
        onPointerUp={finish}
        onPointerCancel={() => setDragFrom(undefined)}
        onPointerLeave={() => setPointer(undefined)}
        onBlur={() => setWalked(undefined)}
        onKeyDown={(event) => {
          const move = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
          if (move !== 0 && bars.length > 0) {
            event.preventDefault();
            setWalked(Math.min(bars.length - 1, Math.max(0, (walked ?? (move === 1 ? -1 : bars.length)) + move)));
          } else if (event.key === "Enter" && walked !== undefined) {
            event.preventDefault();
            event.stopPropagation();
            const bar = bars[walked];
            setWalked(undefined);
            if (bar !== undefined) onSelect(rangeOfBar(bar));
          } else if (event.key === "Escape" && dragFrom !== undefined) setDragFrom(undefined);
        }}
      >
        <svg class="histogram-bars" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
          {parts.map((part) => (
            <path
              key={part.key}
              class={`histogram-${part.style}`}
              d={pathOf(bars, parts, part, x, interval, highest)}
            />
          ))}
        </svg>
        {pointed !== undefined && (
          <span class="histogram-pointed" style={placeOf(x(pointed.time), x(pointed.time + interval))} />
        )}
        {dragFrom !== undefined && pointer !== undefined && (
          <span
            class="histogram-selection"
            style={placeOf(Math.min(dragFrom, pointer) * width, Math.max(dragFrom, pointer) * width)}
          />
        )}
        {children?.((time) => x(time) / 10)}
        {bars.length > 0 && (histogram?.total ?? 0) > 0 && <span class="histogram-scale">{shortCount(highest)}</span>}
        {pointed !== undefined && (
          <div
            class="tooltip histogram-tooltip"
            style={
              x(pointed.time) < width / 2
                ? { left: `${x(pointed.time + interval) / 10}%` }
                : { right: `${100 - x(pointed.time) / 10}%` }
            }
          >
            <div class="tooltip-title">{briefTime(pointed.time, zone, true)}</div>
            {partCounts(pointed, parts).map(([{ key, label, style }, number]) => (
              <div key={key} class="tooltip-row">
                <span class={`swatch swatch-${style}`} />
                <span>{label}</span>
                <span class="tooltip-number">{count(number)}</span>
              </div>
            ))}
          </div>
        )}
      </div>
      {annotations.length > 0 && (
        <div class="histogram-annotations">
          <AnnotationMarks annotations={annotations} range={range} zone={zone} />
        </div>
      )}
      <div class="histogram-axis" aria-hidden="true">
        {marks.map((time) => (
          <span key={time} style={{ left: `${x(time) / 10}%` }}>
            {axisLabel(time, step, zone)}
          </span>
        ))}
      </div>
    </div>
  );
}

function barsOf(histogram: Histogram | undefined): readonly Bar[] {
  return (histogram?.buckets ?? []).map(({ time, counts }) => ({
    time: Date.parse(time),
    counts,
    sum: Object.values(counts).reduce((sum, number) => sum + number, 0),
  }));
}

function barAt(bars: readonly Bar[], interval: number, time: number): Bar | undefined {
  return bars.find((bar) => time >= bar.time && time < bar.time + interval);
}

/** Values by how many records they have, the most at the bottom; the rest, and what has none, on top. */
function valueParts(bars: readonly Bar[]): readonly Part[] {
  const sums = new Map<string, number>();
  for (const { counts } of bars)
    for (const [key, number] of Object.entries(counts)) sums.set(key, (sums.get(key) ?? 0) + number);
  const rank = (key: string): number => (key === "" ? 2 : key === "other" ? 1 : 0);
  return [...sums]
    .sort(([a, many], [b, few]) => rank(a) - rank(b) || few - many)
    .map(([key], at) => ({
      key,
      label: key === "" ? "none" : plainLine(key.slice(0, 80)),
      style: rank(key) > 0 ? "level-none" : `series-${(at % valueColours) + 1}`,
    }));
}

/** The part's share of every bar as one path of rectangles. */
function pathOf(
  bars: readonly Bar[],
  parts: readonly Part[],
  part: Part,
  x: (time: number) => number,
  interval: number,
  highest: number,
): string {
  let path = "";
  for (const bar of bars) {
    const number = countOf(bar, part);
    if (number === 0) continue;
    let below = 0;
    for (const lower of parts) {
      if (lower === part) break;
      below += countOf(bar, lower);
    }
    const left = Math.max(0, x(bar.time));
    const right = Math.min(width, x(bar.time + interval));
    const gap = right - left > 4 ? 1 : 0;
    const bottom = height - (below / highest) * height;
    const top = height - ((below + number) / highest) * height;
    if (right > left)
      path += `M${left.toFixed(1)} ${bottom.toFixed(2)}V${top.toFixed(2)}H${(right - gap).toFixed(1)}V${bottom.toFixed(2)}Z`;
  }
  return path;
}

/** A bar's count of a part; levels that are none of ours are counted with those that have none. */
function countOf(bar: Bar, { key, isRest }: Part): number {
  if (isRest !== true) return bar.counts[key] ?? 0;
  return levels.reduce((rest, known) => rest - (bar.counts[known] ?? 0), bar.sum);
}

function partCounts(bar: Bar, parts: readonly Part[]): readonly (readonly [Part, number])[] {
  return parts.map((part) => [part, countOf(bar, part)] as const).filter(([, number]) => number > 0);
}

function describe(bar: Bar, parts: readonly Part[], zone: Zone): string {
  const counts = partCounts(bar, parts).map(([{ label }, number]) => `${number} ${label}`);
  return `${briefTime(bar.time, zone, true)}: ${counts.join(", ") || "nothing"}`;
}

function placeOf(from: number, to: number): { left: string; width: string } {
  const left = Math.max(0, from);
  return { left: `${left / 10}%`, width: `${(Math.min(width, to) - left) / 10}%` };
}
