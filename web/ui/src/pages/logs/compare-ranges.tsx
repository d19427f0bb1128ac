/** The two stretches of time that are compared, as the address has them, and where they lie on the histogram. */
import { computed, signal } from "@preact/signals";
import { amend, parameter } from "../../app/location";
import { isoOf, type TimeRange } from "../../time/range";
import { timeRange } from "../../time/range-state";

export type SideName = "before" | "after";
export const sideNames: readonly SideName[] = ["before", "after"];

/** The side that the next drag over the histogram marks. */
export const marking = signal<SideName>("before");

/** Both sides; of those that nobody marked, the halves of the range. */
export const sides = computed<Readonly<Record<SideName, TimeRange>>>(() => {
  const { from, to } = timeRange.value;
  const middle = from + (to - from) / 2;
  return {
    before: readSide(parameter("before")) ?? { from, to: middle },
    after: readSide(parameter("after")) ?? { from: middle, to },
  };
});

export function mark(range: TimeRange): void {
  setSide(marking.peek(), range);
  marking.value = marking.peek() === "before" ? "after" : "before";
}

export function setSide(side: SideName, { from, to }: TimeRange): void {
  amend({ [side]: `${isoOf(from)}~${isoOf(to)}` });
}

export function Bands({ placeOf }: { readonly placeOf: (time: number) => number }) {
  return (
    <>
      {sideNames.map((side) => {
        const { from, to } = sides.value[side];
        const left = Math.max(0, placeOf(from));
        const right = Math.min(100, placeOf(to));
        return right <= left ? null : (
          <span
            key={side}
            class={`histogram-band histogram-band-${side}`}
            style={{ left: `${left}%`, width: `${right - left}%` }}
          >
            {side === "before" ? "A" : "B"}
          </span>
        );
      })}
    </>
  );
}

function readSide(text: string): TimeRange | undefined {
  const [from = NaN, to = NaN] = text.split("~").map((moment) => Date.parse(moment));
  return from < to ? { from, to } : undefined;
}
