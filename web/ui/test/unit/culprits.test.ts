/** What is said of series that had no room. */
import { expect, test } from "vitest";
import { noRoomText } from "../../src/pages/ingest/no-room";

test("what had no room is said with what became of it and the setting that made it so", () => {
  const limited = { by: "metric", series: 1200, joined_windows: 3400, dropped_windows: 0, last: "" } as const;
  expect(noRoomText(limited)).toBe(
    "about 1,200 series: 3,400 windows joined to overflow series (store.series_per_metric_max)",
  );
  expect(noRoomText({ ...limited, by: "source", joined_windows: 1, dropped_windows: 2 })).toBe(
    "about 1,200 series: 1 windows joined to overflow series, 2 windows dropped (store.series_per_source_max)",
  );
});
