/** A heat map of values over time on a canvas: darker cells hold more; the one under the pointer is told in words. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import "../styles/chart.css";
import { value as shortValue } from "../app/number-format";
import type { Zone } from "../app/preferences";
import { axisLabel, briefTime } from "../time/format";
import { roundStep, type TimeRange } from "../time/range";
import type { Heat } from "./heat";
import { colourOf, colourScheme, withAlpha } from "./theme-colours";
import { withUnit } from "./unit-format";

interface HeatMapProps {
  readonly label: string;
  readonly heat: Heat;
  readonly range: TimeRange;
  readonly unit: string;
  readonly zone: Zone;
  readonly height: number;
}

interface Cell {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly time: number;
  readonly row: number;
}

const room = { left: 62, right: 10, top: 6, bottom: 22 };

export function HeatMap({ label, heat, range, unit, zone, height }: HeatMapProps) {
  const frame = useRef<HTMLElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [cell, setCell] = useState<Cell | undefined>(undefined);
  const scheme = colourScheme.value;

  useLayoutEffect(() => {
    const [element, target] = [frame.current, canvas.current];
    if (element === null || target === null) return undefined;
    const paint = (): void => draw(target, element.clientWidth, height, heat, range, unit, zone);
    paint();
    const observer = new ResizeObserver(paint);
    observer.observe(element);
    return () => observer.disconnect();
  }, [heat, range.from, range.to, unit, zone, height, scheme]);

  const point = (event: PointerEvent): void => {
    const element = frame.current;
    if (element === null) return;
    const box = element.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    const width = box.width - room.left - room.right;
    const share = (left - room.left) / width;
    const moment = (range.from + share * (range.to - range.from)) / 1000;
    const step = (heat.times[1] ?? 1) - (heat.times[0] ?? 0);
    // A cell stands for the step that ends at its time.
    const time = Math.ceil((moment - (heat.times[0] ?? 0)) / step);
    const tall = height - room.top - room.bottom;
    const row = Math.floor(((room.top + tall - top) / tall) * heat.rows.length);
    const isInside = heat.times[time] !== undefined && heat.rows[row] !== undefined;
    setCell(isInside ? { left, top, width: box.width, time, row } : undefined);
  };
  const row = cell === undefined ? undefined : heat.rows[cell.row];
  return (
    <figure
      class="chart"
      ref={frame}
      aria-label={label}
      onPointerMove={point}
      onPointerLeave={() => setCell(undefined)}
    >
      <canvas ref={canvas} style={{ height: `${height}px`, width: "100%" }} role="img" aria-label={label} />
      {cell !== undefined && row !== undefined && (
        <div
          class="tooltip chart-tooltip"
          style={
            cell.left < cell.width / 2 ? { left: `${cell.left + 14}px` } : { right: `${cell.width - cell.left + 14}px` }
          }
        >
          <div class="tooltip-title">{briefTime((heat.times[cell.time] ?? 0) * 1000, zone, true)}</div>
          <div class="tooltip-row">
            <span>
              {withUnit(row.low, unit)} – {row.high === Infinity ? "∞" : withUnit(row.high, unit)}
            </span>
            <span class="tooltip-number">{shortValue(row.counts[cell.time] ?? 0)}</span>
          </div>
        </div>
      )}
    </figure>
  );
}

function draw(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  heat: Heat,
  range: TimeRange,
  unit: string,
  zone: Zone,
): void {
  const ratio = window.devicePixelRatio;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.scale(ratio, ratio);
  const [wide, tall] = [width - room.left - room.right, height - room.top - room.bottom];
  const x = (milliseconds: number): number =>
    room.left + ((milliseconds - range.from) / (range.to - range.from)) * wide;
  const step = ((heat.times[1] ?? 1) - (heat.times[0] ?? 0)) * 1000;
  const rowHeight = tall / heat.rows.length;
  const colour = colourOf("--accent");
  // Steps of strength, so that each colour is set once; the root lets rare values be seen beside common ones.
  for (const [number, { counts }] of heat.rows.entries()) {
    const top = room.top + tall - (number + 1) * rowHeight;
    for (const [at, count] of counts.entries()) {
      if (count <= 0) continue;
      const time = (heat.times[at] ?? 0) * 1000;
      const left = Math.max(room.left, x(time - step));
      const right = Math.min(room.left + wide, x(time));
      if (right <= left) continue;
      context.fillStyle = withAlpha(colour, 0.1 + 0.9 * Math.sqrt(count / heat.most));
      context.fillRect(left, top, Math.max(1, right - left - 0.5), Math.max(1, rowHeight - 0.5));
    }
  }
  context.fillStyle = colourOf("--text-muted");
  context.font = "11px ui-sans-serif, system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  const every = Math.max(1, Math.ceil(heat.rows.length / (tall / 26)));
  for (const [number, { low }] of heat.rows.entries()) {
    if (number % every === 0)
      context.fillText(withUnit(low, unit), room.left - 6, room.top + tall - number * rowHeight);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  const axisStep = roundStep(range.to - range.from, Math.max(2, Math.floor(wide / 80)));
  for (let time = Math.ceil(range.from / axisStep) * axisStep; time < range.to; time += axisStep) {
    context.fillText(axisLabel(time, axisStep, zone), x(time), room.top + tall + 6);
  }
}
