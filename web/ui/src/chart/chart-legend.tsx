/** The legend below a chart: every line with its numbers; a click shows a line alone, shift-click adds to those shown. */
import type { ChartData } from "./chart-data";
import { lineVariable } from "./theme-colours";
import { withUnit } from "./unit-format";

interface ChartLegendProps {
  readonly data: ChartData;
  readonly unit: string;
  readonly solo: ReadonlySet<string>;
  readonly decimals?: number | undefined;
  /** Names alone, side by side. */
  readonly brief?: boolean;
  onSolo(names: ReadonlySet<string>): void;
}

export function ChartLegend({ data, unit, solo, decimals, brief = false, onSolo }: ChartLegendProps) {
  const choose = (name: string, add: boolean): void => {
    const next = new Set(add ? solo : []);
    if (solo.has(name) && (add || solo.size === 1)) next.delete(name);
    else next.add(name);
    onSolo(next);
  };
  const number = (value: number | undefined): string => (value === undefined ? "–" : withUnit(value, unit, decimals));
  const leftOut = data.leftOut > 0 && (
    <p class="muted">{data.leftOut} smaller series are not drawn. Split by another label or narrow the expression.</p>
  );
  if (brief)
    return (
      <>
        <div class="legend-list" tabIndex={0} role="group" aria-label="Series">
          {data.lines.map(({ name, last }, index) => (
            <button
              key={name}
              type="button"
              class={solo.size > 0 && !solo.has(name) ? "legend-name legend-off" : "legend-name"}
              aria-pressed={solo.has(name)}
              title={`${name}: ${number(last)}. Show alone; with Shift, add`}
              onClick={(event) => choose(name, event.shiftKey || event.metaKey || event.ctrlKey)}
            >
              <span class="swatch" style={{ background: `var(${lineVariable(data.lines[index], index)})` }} />
              <span>{name}</span>
            </button>
          ))}
        </div>
        {leftOut}
      </>
    );
  return (
    <div class="legend-frame">
      <table class="legend">
        <thead>
          <tr>
            <th scope="col">series</th>
            <th scope="col">last</th>
            <th scope="col">mean</th>
            <th scope="col">lowest</th>
            <th scope="col">highest</th>
          </tr>
        </thead>
        <tbody>
          {data.lines.map(({ name, last, mean, lowest, highest }, index) => (
            <tr key={name} class={solo.size > 0 && !solo.has(name) ? "legend-off" : ""}>
              <th scope="row">
                <button
                  type="button"
                  class="legend-name"
                  aria-pressed={solo.has(name)}
                  title="Show alone; with Shift, add"
                  onClick={(event) => choose(name, event.shiftKey || event.metaKey || event.ctrlKey)}
                >
                  <span class="swatch" style={{ background: `var(${lineVariable(data.lines[index], index)})` }} />
                  <span>{name}</span>
                </button>
              </th>
              <td>{number(last)}</td>
              <td>{number(mean)}</td>
              <td>{number(lowest)}</td>
              <td>{number(highest)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {leftOut}
    </div>
  );
}
