/** A small line without axes: the shape of the last minutes beside a number. */

interface SparklineProps {
  readonly values: readonly number[];
  /** How many values the whole width holds; fewer stand at its right end. */
  readonly capacity: number;
  readonly label: string;
}

const width = 100;
const height = 28;

export function Sparkline({ values, capacity, label }: SparklineProps) {
  const highest = Math.max(...values, 0);
  const x = (at: number): number => width - ((values.length - 1 - at) / (capacity - 1)) * width;
  const y = (value: number): number => height - 1 - (highest === 0 ? 0 : (value / highest) * (height - 3));
  const line = values.map((value, at) => `${at === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return (
    <svg class="sparkline" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {values.length > 1 && <path class="sparkline-area" d={`${line}V${height}H${x(0).toFixed(1)}Z`} />}
      <path class="sparkline-line" d={line} />
    </svg>
  );
}
