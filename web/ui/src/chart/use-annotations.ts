/** The annotations of the range that a page shows: fetched when the range changes, kept while the next ones are on their way. */
import { useEffect, useState } from "preact/hooks";
import { fetchAnnotations, type Annotation } from "../api/annotations";
import type { TimeRange } from "../time/range";

/** A chart without them is still a chart: a failure leaves those that are there. */
export function useAnnotations(range: TimeRange): readonly Annotation[] {
  const [annotations, setAnnotations] = useState<readonly Annotation[]>([]);
  useEffect(() => {
    const asking = new AbortController();
    void fetchAnnotations(range, asking.signal).then((answer) => {
      if (answer.ok) setAnnotations(answer.value.annotations);
    });
    return () => asking.abort();
  }, [range.from, range.to]);
  return annotations;
}
