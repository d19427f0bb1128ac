/**
 * Annotations over a chart: a line at the moment of each, a band while it lasted, and a flag that says what it was and leads
 * to what it changed. Flags that would cover each other are one, which names how many.
 */
import { annotationAddress, annotationTitle, type Annotation } from "../api/annotations";
import type { Zone } from "../app/preferences";
import { briefTime } from "../time/format";
import type { TimeRange } from "../time/range";
import "../styles/annotations.css";

interface AnnotationMarksProps {
  readonly annotations: readonly Annotation[];
  readonly range: TimeRange;
  readonly zone: Zone;
  /** The plot's place within the element that the marks are in, in pixels; all of it when absent. */
  readonly plot?: { readonly left: number; readonly width: number; readonly height: number };
}

/** Annotations that stand at one place. */
export interface Mark {
  /** Per cent of the range. */
  readonly at: number;
  readonly annotations: readonly Annotation[];
}

/** Marks nearer than this, in per cent of the range, are one. */
const nearest = 1.2;

/** The marks of those annotations that lie in the range, from left to right. */
export function marksOf(annotations: readonly Annotation[], range: TimeRange): readonly Mark[] {
  const span = range.to - range.from;
  if (span <= 0) return [];
  const marks: { at: number; annotations: Annotation[] }[] = [];
  for (const annotation of annotations.toSorted((one, other) => Date.parse(one.time) - Date.parse(other.time))) {
    const at = ((Date.parse(annotation.time) - range.from) / span) * 100;
    if (!(at >= 0 && at <= 100)) continue;
    const last = marks.at(-1);
    if (last !== undefined && at - last.at < nearest) last.annotations.push(annotation);
    else marks.push({ at, annotations: [annotation] });
  }
  return marks;
}

export function AnnotationMarks({ annotations, range, zone, plot }: AnnotationMarksProps) {
  const span = range.to - range.from;
  const place = plot && { left: `${plot.left}px`, width: `${plot.width}px`, height: `${plot.height}px`, right: "auto" };
  return (
    <div class="annotation-marks" style={place}>
      {annotations
        .filter(({ end }) => end !== null && Date.parse(end) > range.from)
        .map(({ id, time, end }) => {
          const from = Math.max(0, ((Date.parse(time) - range.from) / span) * 100);
          const to = Math.min(100, ((Date.parse(end ?? time) - range.from) / span) * 100);
          return (
            from < to && <span key={id} class="annotation-band" style={{ left: `${from}%`, width: `${to - from}%` }} />
          );
        })}
      {marksOf(annotations, range).map(({ at, annotations: here }) => {
        const first = here.find(({ kind }) => kind === "deploy") ?? here[0];
        if (first === undefined) return null;
        const titles = here.map((one) => `${briefTime(Date.parse(one.time), zone, true)} ${annotationTitle(one)}`);
        return (
          <a
            key={first.id}
            class={`annotation-mark ${first.kind === "deploy" ? "annotation-deploy" : ""}`}
            style={{ left: `${at}%` }}
            href={annotationAddress(first)}
            title={titles.slice(0, 12).join("\n")}
            aria-label={titles.slice(0, 3).join("; ")}
            onPointerDown={(event) => event.stopPropagation()}
          >
            <span class="annotation-flag">{here.length > 1 ? here.length : ""}</span>
          </a>
        );
      })}
    </div>
  );
}
