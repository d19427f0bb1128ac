/**
 * Lines over time, drawn by uPlot: crosshair shared with the other charts of the page, sorted tooltip, drag to zoom, dots
 * for exemplars that lead to their trace.
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
import { colourOf, colourScheme, seriesVariable } from "./theme-colours";
import { withUnit } from "./unit-format";

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
  onZoom(range: TimeRange): void;
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

export function LineChart({
  label,
  data,
  range,
  unit,
  zone,
  solo,
  exemplars = [],
  height = 230,
  annotations = [],
  onZoom,
}: LineChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const [crosshair, setCrosshair] = useState<Crosshair | undefined>(undefined);
  const [dots, setDots] = useState<readonly Dot[]>([]);
  const [plotBox, setPlotBox] = useState<PlotBox | undefined>(undefined);
  const zoom = useRef(onZoom);
  zoom.current = onZoom;
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
          y: { range: (_, low, high) => valueRange(low, high) },
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
            values: (_, splits) => splits.map((number) => withUnit(number, unit)),
          },
        ],
        series: [
          {},
          ...data.lines.map((_, index) => ({
            stroke: colourOf(seriesVariable(index)),
            width: 1.5,
            points: { show: false },
            show: shown[index] ?? true,
            spanGaps: false,
          })),
        ],
        cursor: {
          drag: { x: true, y: false, setScale: false },
          points: { size: 6 },
          sync: { key: syncKey, scales: ["x", null] },
        },
        hooks: {
          setCursor: [
            (chart) => {
              const { idx, left, top } = chart.cursor;
              if (idx === null || idx === undefined || left === undefined || left < 0) setCrosshair(undefined);
              else
                setCrosshair({
                  index: idx,
                  left: chart.over.offsetLeft + left,
                  width: element.clientWidth,
                  value: top === undefined || top < 0 ? NaN : chart.posToVal(top, "y"),
                });
            },
          ],
          setSelect: [
            (chart) => {
              const { left, width } = chart.select;
              if (width < 4) return;
              zoom.current({
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
            },
          ],
        },
      },
      [data.times as number[], ...data.lines.map(({ values }) => values as (number | null)[])],
      element,
    );
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
  }, [data, range.from, range.to, unit, zone, scheme, exemplars, height, shown.join()]);

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
      {crosshair !== undefined && <Tooltip crosshair={crosshair} data={data} shown={shown} unit={unit} zone={zone} />}
    </figure>
  );
}

interface TooltipProps {
  readonly crosshair: Crosshair;
  readonly data: ChartData;
  readonly shown: readonly boolean[];
  readonly unit: string;
  readonly zone: Zone;
}

/** The values under the crosshair, largest first, the line nearest to the pointer set off. */
function Tooltip({ crosshair, data, shown, unit, zone }: TooltipProps) {
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
          <span class="swatch" style={{ background: `var(${seriesVariable(index)})` }} />
          <span class="tooltip-name">{name}</span>
          <span class="tooltip-number">{withUnit(value, unit)}</span>
        </div>
      ))}
      {rows.length > tooltipLines && <div class="muted">and {rows.length - tooltipLines} more</div>}
    </div>
  );
}

/** The scale of the values: from zero where that costs little, with air above. */
function valueRange(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : low > 0 ? [0, low * 1.25] : [low * 1.25, 0];
  const air = (high - low) * 0.08;
  const fromZero = low >= 0 && low < high * 0.75;
  return [fromZero ? 0 : low - air, high + air];
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
