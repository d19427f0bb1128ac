/** Series that had no room, in words. */
import type { Limited } from "../../api/cardinality";
import { count } from "../../app/number-format";

/** What became of windows whose series had no room, and the setting that made it so. */
export function noRoomText({ by, series, joined_windows, dropped_windows }: Limited): string {
  const setting = {
    metric: "store.series_per_metric_max",
    source: "store.series_per_source_max",
    memory: "store.memory_bytes_max",
  }[by];
  const fate = [
    joined_windows > 0 ? `${count(joined_windows)} windows joined to overflow series` : "",
    dropped_windows > 0 ? `${count(dropped_windows)} windows dropped` : "",
  ];
  return `about ${count(series)} series: ${fate.filter((text) => text !== "").join(", ")} (${setting})`;
}
