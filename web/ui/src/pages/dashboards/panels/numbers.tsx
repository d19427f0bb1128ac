/** Panels that show one number for each series: large ones, gauges, bars. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Panel } from "../../../api/dashboards";
import type { ChartLine } from "../../../chart/chart-data";
import { withUnit } from "../../../chart/unit-format";
import { calculated } from "../panel-data";
import { levelOf, levelVariable } from "../thresholds";

interface NumbersProps {
  readonly panel: Panel;
  readonly lines: readonly ChartLine[];
}

export function Numbers({ panel, lines }: NumbersProps) {
  const valued = lines.map((line) => {
    const value = calculated(line, panel.calc);
    return { line, value, level: levelOf(value, panel.thresholds) };
  });
  const ends = endsOf(
    panel,
    valued.map(({ value }) => value),
  );
  if (panel.type === "bars") {
    const ordered = valued.toSorted((one, other) => (other.value ?? -Infinity) - (one.value ?? -Infinity));
    return (
      <div class="panel-scroll" tabIndex={0} role="group" aria-label="Values">
        <table class="bars">
          <tbody>
            {ordered.map(({ line, value, level }) => (
              <tr key={line.name}>
                <th scope="row" title={line.name}>
                  {line.name}
                </th>
                <td class="bars-track">
                  <span
                    class="bars-bar"
                    style={{
                      width: `${100 * shareOf(value, ends)}%`,
                      background: level === "none" ? "var(--series-1)" : `var(${levelVariable(level)})`,
                    }}
                  />
                </td>
                <td class="bars-number">{shown(value, panel)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  }
  return (
    <div class={valued.length > 1 ? "stats stats-several" : "stats"}>
      {valued.map(({ line, value, level }) => (
        <div key={line.name} class="stat">
          {panel.type === "gauge" ? (
            <Gauge label={line.name} share={shareOf(value, ends)} panel={panel} ends={ends} value={value} />
          ) : (
            <Trend line={line} colour={level === "none" ? "--series-1" : levelVariable(level)} />
          )}
          <Fitted
            text={shown(value, panel)}
            several={valued.length > 1 || panel.type === "gauge"}
            colour={level === "none" ? "--text" : levelVariable(level)}
          />
          {valued.length > 1 && (
            <span class="stat-name" title={line.name}>
              {line.name}
            </span>
          )}
        </div>
      ))}
    </div>
  );
}

function shown(value: number | undefined, { unit = "", decimals }: Panel): string {
  return value === undefined ? "–" : withUnit(value, unit, decimals);
}

/** A number as large as there is room for. */
function Fitted({
  text,
  several,
  colour,
}: {
  readonly text: string;
  readonly several: boolean;
  readonly colour: string;
}) {
  const element = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState(several ? 22 : 30);
  useLayoutEffect(() => {
    const box = element.current?.parentElement;
    if (box === null || box === undefined) return undefined;
    const fit = (): void => {
      const widest = (box.clientWidth - 16) / Math.max(3, text.length * 0.56);
      setSize(Math.max(14, Math.min(several ? 26 : 46, widest, box.clientHeight * (several ? 0.4 : 0.55))));
    };
    fit();
    const observer = new ResizeObserver(fit);
    observer.observe(box);
    return () => observer.disconnect();
  }, [text.length, several]);
  return (
    <div ref={element} class="stat-number" style={{ fontSize: `${size}px`, color: `var(${colour})` }}>
      {text}
    </div>
  );
}

/** The line's shape behind its number. */
function Trend({ line, colour }: { readonly line: ChartLine; readonly colour: string }) {
  const { values, lowest, highest } = line;
  const known = values.filter((value) => value !== null).length;
  if (known < 3 || lowest === undefined || highest === undefined || lowest === highest) return null;
  const y = (value: number): number => 38 - ((value - lowest) / (highest - lowest)) * 34;
  const x = (at: number): number => (at / (values.length - 1)) * 100;
  let path = "";
  let isDown = false;
  for (const [at, value] of values.entries()) {
    if (value !== null) path += `${isDown ? "L" : "M"}${x(at).toFixed(2)} ${y(value).toFixed(2)}`;
    isDown = value !== null;
  }
  return (
    <svg class="stat-trend" viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true">
      <path d={path} style={{ stroke: `var(${colour})` }} />
    </svg>
  );
}

interface Ends {
  readonly low: number;
  readonly high: number;
}

function endsOf({ min, max, unit, thresholds = [] }: Panel, values: readonly (number | undefined)[]): Ends {
  const known = values.filter((value) => value !== undefined);
  const whole = unit === "ratio" ? 1 : unit === "percent" || unit === "%" ? 100 : undefined;
  const low = min ?? Math.min(0, ...known);
  const high = max ?? whole ?? Math.max(...known, ...thresholds.map(({ from }) => from), low);
  return { low, high: high > low ? high : low + 1 };
}

function shareOf(value: number | undefined, { low, high }: Ends): number {
  return value === undefined ? 0 : Math.min(1, Math.max(0, (value - low) / (high - low)));
}

/** A half circle, filled as far as the value goes. */
function Gauge({
  label,
  share,
  panel,
  ends,
  value,
}: {
  readonly label: string;
  readonly share: number;
  readonly panel: Panel;
  readonly ends: Ends;
  readonly value: number | undefined;
}) {
  const level = levelOf(value, panel.thresholds);
  const point = (part: number, radius: number): string => {
    const angle = Math.PI * (1 - part);
    return `${(50 + radius * Math.cos(angle)).toFixed(2)} ${(48 - radius * Math.sin(angle)).toFixed(2)}`;
  };
  const arc = (from: number, to: number, radius: number): string =>
    `M${point(from, radius)}A${radius} ${radius} 0 0 1 ${point(to, radius)}`;
  const stops = (panel.thresholds ?? []).map(({ from, level: of }, index, all) => ({
    from: shareOf(from, ends),
    to: shareOf(all[index + 1]?.from ?? Infinity, ends),
    of,
  }));
  return (
    <svg class="gauge" viewBox="0 0 100 52" role="img" aria-label={`${label}: ${shown(value, panel)}`}>
      <path class="gauge-track" d={arc(0, 1, 38)} />
      {share > 0 && (
        <path
          class="gauge-value"
          d={arc(0, share, 38)}
          style={{ stroke: `var(${level === "none" ? "--series-1" : levelVariable(level)})` }}
        />
      )}
      {stops.map(({ from, to, of }) =>
        to > from ? (
          <path key={from} class="gauge-stop" d={arc(from, to, 46)} style={{ stroke: `var(${levelVariable(of)})` }} />
        ) : null,
      )}
    </svg>
  );
}
