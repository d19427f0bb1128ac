/** Marks for alerts, from the series that rules leave behind. Pure; asking is in `marks.ts`. */
import type { Series } from "../api/metrics";
import { hrefOf } from "../app/address";
import { isoOf } from "../time/range";
import { second } from "../time/span";
import type { Mark } from "./line-chart";

/** Where a series begins anew after a gap. */
export function beginnings(series: readonly Series[], step: number): readonly Mark[] {
  return series.flatMap(({ metric, values = [] }) => {
    const name = metric["alertname"] ?? "alert";
    return values
      .filter(([time], at) => time - (values[at - 1]?.[0] ?? -Infinity) > 1.5 * step)
      .map(([time]) => ({
        time: time * second,
        kind: "alert" as const,
        label: `${name} fires`,
        href: hrefOf("/alerts", { at: isoOf(time * second) }),
      }));
  });
}
