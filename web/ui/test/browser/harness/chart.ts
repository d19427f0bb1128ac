/** Draws one large chart as the pages do, and says how long that took. Served by Vite's development server. */
import { h, render } from "preact";
import { chartDataOf } from "../../../src/chart/chart-data";
import { LineChart } from "../../../src/chart/line-chart";

const [lines, points, step] = [100, 10_000, 10];
const series = Array.from({ length: lines }, (_, line) => ({
  metric: { n: String(line) },
  values: Array.from(
    { length: points },
    (_, at) => [at * step, String(line + Math.sin(at / 300 + line) * 3 + ((at * 7919) % 100) / 100)] as const,
  ),
}));
const data = chartDataOf([{ label: "", series }], 0, (points - 1) * step, step, lines);
const target = document.getElementById("chart")!;

declare global {
  interface Window {
    /** Milliseconds from the first call to the painted frame; one for each drawing. */
    drawn: (draw: "lines" | "stacked") => Promise<number>;
  }
}

window.drawn = async (draw) => {
  render(null, target);
  const begun = performance.now();
  render(
    h(LineChart, {
      label: draw,
      data,
      range: { from: 0, to: points * step * 1000 },
      unit: "",
      zone: "utc",
      solo: new Set<string>(),
      height: 400,
      draw,
      onZoom: () => undefined,
    }),
    target,
  );
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  return performance.now() - begun;
};
