/**
 * Where panels stand: rows and panels drawn once for each value of a variable are multiplied, and panels that name no width
 * share their line. The grid itself (24 columns, filled from the left) is CSS.
 */
import type { Dashboard, Panel } from "../../api/dashboards";
import { repeatedValues, withValue, type Choices } from "./variables";

export const columns = 24;
/** Copies that one repeated row or panel may have: more nobody reads, and each asks its questions. */
const copiesMax = 60;

/** A panel where it stands. */
export interface PlacedPanel {
  /** Names it in the address: `1.2`, and with the value of a repeated one behind. */
  readonly id: string;
  readonly panel: Panel;
  readonly width: number;
  readonly height: number;
  readonly choices: Choices;
}

export interface PlacedRow {
  readonly id: string;
  readonly title: string;
  readonly collapsed: boolean;
  readonly choices: Choices;
  readonly panels: readonly PlacedPanel[];
  /** Copies left out because there would be too many. */
  readonly leftOut: number;
}

export function placed(dashboard: Dashboard, choices: Choices): readonly PlacedRow[] {
  return dashboard.rows.flatMap((row, number) => {
    const values = row.repeat === undefined ? [undefined] : repeatedValues(choices, row.repeat);
    return values.slice(0, copiesMax).map((value, copy) => {
      const own = value === undefined || row.repeat === undefined ? choices : withValue(choices, row.repeat, value);
      const id = value === undefined ? String(number) : `${number}~${copy}`;
      return {
        id,
        title: row.title ?? "",
        collapsed: row.collapsed ?? false,
        choices: own,
        panels: panelsOf(row.panels, own, id),
        leftOut: copy === 0 ? Math.max(0, values.length - copiesMax) : 0,
      };
    });
  });
}

function panelsOf(panels: readonly Panel[], choices: Choices, row: string): readonly PlacedPanel[] {
  const several = panels.flatMap((panel, number) => {
    const { repeat } = panel;
    if (repeat === undefined) return [{ id: `${row}.${number}`, panel, choices }];
    return repeatedValues(choices, repeat)
      .slice(0, copiesMax)
      .map((value, copy) => ({ id: `${row}.${number}~${copy}`, panel, choices: withValue(choices, repeat, value) }));
  });
  const widths = widthsOf(several.map(({ panel }) => panel.width));
  return several.map((one, number) => ({
    ...one,
    width: widths[number] ?? columns,
    height: one.panel.height ?? heightOf(one.panel),
  }));
}

/** Panels without a width share what the others of the row leave, four to a line at most. */
export function widthsOf(wanted: readonly (number | undefined)[]): readonly number[] {
  const unsaid = wanted.filter((width) => width === undefined).length;
  if (unsaid === 0) return wanted.map((width) => width ?? columns);
  const taken = wanted.reduce<number>((sum, width) => sum + (width ?? 0), 0);
  const left = columns - (taken % columns);
  const share = Math.max(columns / 4, Math.floor(left / unsaid));
  return wanted.map((width) => width ?? Math.min(columns, share));
}

function heightOf(panel: Panel): number {
  return panel.type === "stat" || panel.type === "gauge" ? 4 : 8;
}
