/**
 * Lines over time, drawn by uPlot: crosshair shared with the other charts of the page, sorted tooltip, drag to zoom, dots
 * for exemplars that lead to their trace, marks of what happened. How values are laid out is in `chart-shape.ts`.
 */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Annotation } from "../api/annotations";
import type { Exemplar } from "../api/metrics";
import type { Zone } from "../app/preferences";
import { axisLabel, briefTime } from "../time/format";
import type { TimeRange } from "../time/range";
import { AnnotationMarks } from "./annotation-marks";
import type { ChartData } from "./chart-data";
import "../styles/chart.css";
import { drawnColumns, logRange, valueRange, type Draw, type Gaps, type Scale } from "./chart-shape";
import { colourOf, colourScheme, lineVariable, withAlpha } from "./theme-colours";
import { withUnit } from "./unit-format";

/** Something that happened at a moment: a deployment, an alert, a note. */
export interface Mark {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly kind: "deploy" | "alert" | "note";
  readonly label: string;
  readonly href?: string;
}

/** A line at a value: `level` is one of the style sheet's colours (`bad`, `warn` …). */
export interface Limit {
  readonly value: number;
  readonly variable: string;
}

interface LineChartProps {
  readonly label: string;
  readonly data: ChartData;
  readonly range: TimeRange;
  readonly unit: string;
  readonly zone: Zone;
  /** Names of the lines that are shown alone; empty shows all. */
  readonly solo: ReadonlySet<string>;
  readonly exemplars?: readonly Exemplar[];
  readonly height?: number;
  /** What happened meanwhile. */
  readonly annotations?: readonly Annotation[];
  readonly draw?: Draw;
  readonly scale?: Scale;
  readonly gaps?: Gaps;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly decimals?: number | undefined;
  readonly limits?: readonly Limit[];
  readonly marks?: readonly Mark[];
  onZoom(range: TimeRange): void;
  /** The moment under the crosshair, in milliseconds; undefined when it leaves. */
  onMoment?(time: number | undefined): void;
  /** A click on a moment, in milliseconds. */
  onPick?(time: number): void;
}

interface PlacedMark {
  readonly left: number;
  readonly top: number;
  readonly height: number;
  readonly mark: Mark;
}

interface Crosshair {
  readonly index: number;
  readonly left: number;
  readonly width: number;
  /** The value at the pointer, for the line nearest to it. */
  readonly value: number;
}

interface PlotBox {
  readonly left: number;
  readonly width: number;
  readonly height: number;
}

interface Dot {
  readonly left: number;
  readonly top: number;
  readonly exemplar: Exemplar;
}

/** Lines that the tooltip has room for. */
const tooltipLines = 14;
const dotsMax = 60;
/** Room that each dot has for itself. */
const dotPixels = 16;
const syncKey = "explore";
/** Always the same, so that a chart without any is not drawn anew. */
const noLimits: readonly Limit[] = [];
const noMarks: readonly Mark[] = [];
const noAnnotations: readonly Annotation[] = [];
const noExemplars: readonly Exemplar[] = [];

export function LineChart({
  label,
  data,
  range,
  unit,
  zone,
  solo,
  exemplars = noExemplars,
  height = 230,
  annotations = noAnnotations,
  draw = "lines",
  scale = "linear",
  gaps = "gap",
  min,
  max,
  decimals,
  limits = noLimits,
  marks = noMarks,
  onZoom,
  onMoment,
  onPick,
}: LineChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const [crosshair, setCrosshair] = useState<Crosshair | undefined>(undefined);
  const [dots, setDots] = useState<readonly Dot[]>([]);
  const [plotBox, setPlotBox] = useState<PlotBox | undefined>(undefined);
  const [placed, setPlaced] = useState<readonly PlacedMark[]>([]);
  const told = useRef({ onZoom, onMoment, onPick });
  told.current = { onZoom, onMoment, onPick };
  const scheme = colourScheme.value;
  const shown = data.lines.map(({ name }) => solo.size === 0 || solo.has(name));

  useLayoutEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const textColour = colourOf("--text-muted");
    const gridColour = colourOf("--line");
    const axis = {
      stroke: textColour,
      font: "11px ui-sans-serif, system-ui, sans-serif",
      grid: { stroke: gridColour, width: 1 },
      ticks: { stroke: gridColour, width: 1, size: 4 },
    };
    const isStack = draw === "stacked" || draw === "bars";
    const columns = drawnColumns(data, shown, draw, scale, gaps);
    const bars = uPlot.paths.bars?.({ size: [0.82, 40], align: 1 });
    const order = data.lines.map((_, index) => index);
    // Bars stand on zero, so the highest of a stack comes first and the others before it.
    if (draw === "bars") order.reverse();
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height,
        tzDate: (seconds) =>
          zone === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000),
        legend: { show: false },
        padding: [8, 10, 0, 0],
        scales: {
          x: { range: [range.from / 1000, range.to / 1000] },
          y:
            scale === "log"
              ? { distr: 3, log: 10, range: (_, low, high) => logRange(low, high) }
              : { range: (_, low, high) => valueRange(low, high, { min, max, fromZero: isStack || draw === "area" }) },
        },
        axes: [
          {
            ...axis,
            size: 24,
            gap: 3,
            space: 80,
            values: (_, splits) =>
              splits.map((seconds) =>
                axisLabel(seconds * 1000, ((splits[1] ?? seconds + 60) - (splits[0] ?? seconds)) * 1000, zone),
              ),
          },
          {
            ...axis,
            size: 62,
            gap: 4,
            space: 34,
            values: (_, splits) => splits.map((number) => (number === null ? "" : withUnit(number, unit, decimals))),
          },
        ],
        series: [
          {},
          ...order.map((index) => {
            const colour = colourOf(lineVariable(data.lines[index], index));
            return {
              stroke: colour,
              width: draw === "bars" ? 0 : 1.5,
              points: { show: draw === "points", size: 4, fill: colour },
              show: shown[index] ?? true,
              spanGaps: gaps === "join",
              ...(draw === "points" ? { paths: () => null } : {}),
              ...(draw === "bars" && bars !== undefined ? { paths: bars, fill: colour } : {}),
              ...(draw === "area" || (draw === "stacked" && index === shown.indexOf(true))
                ? { fill: withAlpha(colour, draw === "area" ? 0.16 : 0.4) }
                : {}),
            };
          }),
        ],
        ...(draw === "stacked" ? { bands: bandsOf(data, shown) } : {}),
        cursor: {
          drag: { x: true, y: false, setScale: false },
          points: { size: 6 },
          sync: { key: syncKey, scales: ["x", null] },
        },
        hooks: {
          setCursor: [
            (chart) => {
              const { idx, left, top } = chart.cursor;
              if (idx === null || idx === undefined || left === undefined || left < 0) {
                setCrosshair(undefined);
                told.current.onMoment?.(undefined);
              } else {
                const time = data.times[idx];
                if (time !== undefined) told.current.onMoment?.(time * 1000);
                setCrosshair({
                  index: idx,
                  left: chart.over.offsetLeft + left,
                  width: element.clientWidth,
                  value: top === undefined || top < 0 ? NaN : chart.posToVal(top, "y"),
                });
              }
            },
          ],
          setSelect: [
            (chart) => {
              const { left, width } = chart.select;
              if (width < 4) return;
              told.current.onZoom({
                from: Math.round(chart.posToVal(left, "x") * 1000),
                to: Math.round(chart.posToVal(left + width, "x") * 1000),
              });
              chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
          draw: [
            (chart) => {
              setDots(dotsOf(chart, exemplars));
              const { offsetLeft: left, clientWidth: width, clientHeight } = chart.over;
              setPlotBox((last) =>
                last?.left === left && last.width === width && last.height === clientHeight
                  ? last
                  : { left, width, height: clientHeight },
              );
              drawLimits(chart, limits);
              setDots(dotsOf(chart, exemplars));
              setPlaced(marksOf(chart, marks));
            },
          ],
        },
      },
      [data.times as number[], ...order.map((index) => columns[index] ?? [])],
      element,
    );
    let pressed = 0;
    plot.over.addEventListener("pointerdown", (event) => (pressed = event.clientX));
    plot.over.addEventListener("click", (event) => {
      const time = data.times[plot.cursor.idx ?? -1];
      // The end of a drag is no click.
      if (time !== undefined && Math.abs(event.clientX - pressed) < 4) told.current.onPick?.(time * 1000);
    });
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientWidth !== plot.width)
        plot.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
      setCrosshair(undefined);
    };
  }, [
    data,
    range.from,
    range.to,
    unit,
    zone,
    scheme,
    exemplars,
    height,
    draw,
    scale,
    gaps,
    min,
    max,
    decimals,
    limits,
    marks,
    shown.join(),
  ]);

  return (
    <figure class="chart" aria-label={label}>
      <div class="chart-plot" ref={frame} style={{ height: `${height}px` }} />
      {dots.map(({ left, top, exemplar }) => (
        <a
          key={`${exemplar.timestamp} ${left}`}
          class="chart-dot"
          style={{ left: `${left}px`, top: `${top}px` }}
          href={`/trace/${exemplar.labels["trace_id"] ?? ""}`}
          aria-label={`Trace of ${withUnit(Number(exemplar.value), unit)} at ${briefTime(exemplar.timestamp * 1000, zone, true)}`}
          title={`${withUnit(Number(exemplar.value), unit)} · open its trace`}
        />
      ))}
      {plotBox !== undefined && annotations.length > 0 && (
        <AnnotationMarks annotations={annotations} range={range} zone={zone} plot={plotBox} />
      )}
      {placed.map(({ left, top, height: tall, mark }) => {
        const label = `${mark.label}, ${briefTime(mark.time, zone, true)}`;
        const style = { left: `${left}px`, top: `${top}px`, height: `${tall}px` };
        const inner = <span class="chart-mark-label">{label}</span>;
        const name = `chart-mark chart-mark-${mark.kind}`;
        return mark.href === undefined ? (
          <button key={`${mark.time} ${mark.label}`} type="button" class={name} style={style} aria-label={label}>
            {inner}
          </button>
        ) : (
          <a key={`${mark.time} ${mark.label}`} class={name} style={style} href={mark.href} aria-label={label}>
            {inner}
          </a>
        );
      })}
      {crosshair !== undefined && (
        <Tooltip crosshair={crosshair} data={data} shown={shown} unit={unit} decimals={decimals} zone={zone} />
      )}
    </figure>
  );
}

interface TooltipProps {
  readonly crosshair: Crosshair;
  readonly data: ChartData;
  readonly shown: readonly boolean[];
  readonly unit: string;
  readonly decimals: number | undefined;
  readonly zone: Zone;
}

/** The values under the crosshair, largest first, the line nearest to the pointer set off. */
function Tooltip({ crosshair, data, shown, unit, decimals, zone }: TooltipProps) {
  const time = data.times[crosshair.index];
  const rows = data.lines
    .map(({ name, values }, index) => ({ name, index, value: values[crosshair.index] ?? null }))
    .filter(
      (row): row is { name: string; index: number; value: number } => row.value !== null && (shown[row.index] ?? false),
    )
    .sort((left, right) => right.value - left.value);
  if (time === undefined || rows.length === 0) return null;
  const nearest = rows.reduce(
    (best, row) => (Math.abs(row.value - crosshair.value) < Math.abs(best.value - crosshair.value) ? row : best),
    rows[0] ?? { index: -1, value: 0, name: "" },
  );
  const isLeft = crosshair.left < crosshair.width / 2;
  return (
    <div
      class="tooltip chart-tooltip"
      style={isLeft ? { left: `${crosshair.left + 14}px` } : { right: `${crosshair.width - crosshair.left + 14}px` }}
    >
      <div class="tooltip-title">{briefTime(time * 1000, zone, true)}</div>
      {rows.slice(0, tooltipLines).map(({ name, index, value }) => (
        <div key={name} class={index === nearest.index && rows.length > 1 ? "tooltip-row tooltip-near" : "tooltip-row"}>
          <span class="swatch" style={{ background: `var(${lineVariable(data.lines[index], index)})` }} />
          <span class="tooltip-name">{name}</span>
          <span class="tooltip-number">{withUnit(value, unit, decimals)}</span>
        </div>
      ))}
      {rows.length > tooltipLines && <div class="muted">and {rows.length - tooltipLines} more</div>}
    </div>
  );
}

/** In a stack each shown line is filled down to the shown one below it. */
function bandsOf(data: ChartData, shown: readonly boolean[]): uPlot.Band[] {
  const places = shown.flatMap((is, index) => (is ? [index] : []));
  return places.slice(1).map((index, at) => ({
    series: [index + 1, (places[at] ?? 0) + 1],
    fill: withAlpha(colourOf(lineVariable(data.lines[index], index)), 0.4),
  }));
}

/** Lines at values that mean something. */
function drawLimits(chart: uPlot, limits: readonly Limit[]): void {
  const { ctx, bbox } = chart;
  for (const { value, variable } of limits) {
    const y = Math.round(chart.valToPos(value, "y", true)) + 0.5;
    if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue;
    ctx.save();
    ctx.strokeStyle = colourOf(variable);
    ctx.globalAlpha = 0.8;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
}

/** Where the marks stand that the chart's time holds. */
function marksOf(chart: uPlot, marks: readonly Mark[]): readonly PlacedMark[] {
  const { offsetLeft, offsetTop, clientWidth, clientHeight } = chart.over;
  return marks.flatMap((mark) => {
    const left = chart.valToPos(mark.time / 1000, "x");
    if (!(left >= 0 && left <= clientWidth)) return [];
    return [{ left: offsetLeft + left, top: offsetTop, height: clientHeight, mark }];
  });
}

/**
 * Where the exemplars lie; those above the scale stand at its upper edge. The largest values have the first choice of a
 * place, and whoever would cover one that is there already is left out.
 */
function dotsOf(chart: uPlot, exemplars: readonly Exemplar[]): readonly Dot[] {
  const { offsetLeft, offsetTop, clientWidth, clientHeight } = chart.over;
  const dots: Dot[] = [];
  for (const exemplar of exemplars.toSorted((one, other) => Number(other.value) - Number(one.value))) {
    if (exemplar.labels["trace_id"] === undefined) continue;
    const left = offsetLeft + chart.valToPos(exemplar.timestamp, "x");
    const top = offsetTop + Math.min(clientHeight - 4, Math.max(4, chart.valToPos(Number(exemplar.value), "y")));
    if (left < offsetLeft || left > offsetLeft + clientWidth) continue;
    if (dots.some((dot) => Math.hypot(dot.left - left, dot.top - top) < dotPixels)) continue;
    dots.push({ left, top, exemplar });
    if (dots.length === dotsMax) break;
  }
  return dots;
}
