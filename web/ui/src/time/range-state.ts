/** The time range of the page that is shown: read from the address, read anew against the clock when a search is run. */
import { batch, computed, signal } from "@preact/signals";
import { amend, parameter } from "../app/location";
import { zone } from "../app/preferences";
import { serverNow } from "./clock";
import { absoluteRange, defaultRange, readRange, type TimeRange, type WrittenRange } from "./range";

/** Counts the times that an answer was asked for: relative ranges are read again each time. */
export const runs = signal(0);
/** Moves with `runs`, and between them when only the clock has gone on. */
const ticks = signal(0);

// Two texts, so that other changes of the address leave the range as it was read.
const from = computed(() => parameter("from") || defaultRange.from);
const to = computed(() => parameter("to") || defaultRange.to);

/** The range as the address says it. */
export const writtenRange = computed<WrittenRange>(() => ({ from: from.value, to: to.value }));

/** The range in milliseconds, as of the last run or tick. */
export const timeRange = computed<TimeRange>(() => {
  void ticks.value;
  return readRange(writtenRange.value, { now: serverNow(), zone: zone.peek() });
});

/** Reads relative ranges against the clock again and has every question asked anew. */
export function runAgain(): void {
  batch(() => {
    runs.value += 1;
    ticks.value += 1;
  });
}

/** Moves a relative range on to now, without a new question. */
export function moveOn(): void {
  ticks.value += 1;
}

export function setRange(range: WrittenRange): void {
  const isDefault = range.from === defaultRange.from && range.to === defaultRange.to;
  batch(() => {
    amend({ from: isDefault ? null : range.from, to: range.to === defaultRange.to ? null : range.to, line: null });
    runAgain();
  });
}

export function setAbsoluteRange(range: TimeRange): void {
  setRange(absoluteRange(range));
}
