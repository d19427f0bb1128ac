/** The last hour of what an alert's rule looks at, as a line beside its value. */
import { useEffect, useState } from "preact/hooks";
import { fetchRange, type Labels, type Series } from "../../api/metrics";
import { Sparkline } from "../../chart/sparkline";
import { serverNow } from "../../time/clock";
import { hour, minute, second } from "../../time/span";

const points = 60;

interface RuleSparklineProps {
  readonly expression: string;
  readonly labels: Labels;
  readonly name: string;
}

export function RuleSparkline({ expression, labels, name }: RuleSparklineProps) {
  const [values, setValues] = useState<readonly number[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    const ask = async (): Promise<void> => {
      const end = serverNow() / second;
      const answer = await fetchRange(expression, end - hour / second, end, hour / second / points, stop.signal);
      if (!answer.ok) return;
      const own = answer.value.find((series) => fits(series, labels));
      setValues((own?.values ?? []).map(([, text]) => Number(text)).filter(Number.isFinite));
    };
    void ask();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void ask();
    }, minute);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [expression, JSON.stringify(labels)]);
  if (values.length < 2) return null;
  return <Sparkline values={values} capacity={points} label={`The last hour of ${name}`} />;
}

/** Whether every label of the series is one of the alert's, but for its name. */
function fits({ metric }: Series, labels: Labels): boolean {
  return Object.entries(metric).every(([name, value]) => name === "__name__" || (labels[name] ?? value) === value);
}
