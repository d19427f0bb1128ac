import { expect, test } from "vitest";
import { annotationAddress, annotationTitle, type Annotation } from "../../src/api/annotations";
import { marksOf } from "../../src/chart/annotation-marks";

function at(id: string, second: number, more: Partial<Annotation> = {}): Annotation {
  return {
    id,
    time: new Date(second * 1000).toISOString(),
    end: null,
    kind: "note",
    service: "",
    version: "",
    text: "",
    author: "",
    links: [],
    source: "api",
    ...more,
  };
}

test("annotations near each other are one mark, and those outside are none", () => {
  const range = { from: 0, to: 100_000 };
  const marks = marksOf([at("d", 60), at("a", 10), at("b", 11), at("c", 10.5), at("x", 101), at("y", -1)], range);
  expect(marks.map(({ at: place, annotations }) => [place, annotations.map(({ id }) => id).join("")])).toEqual([
    [10, "acb"],
    [60, "d"],
  ]);
  expect(marksOf([at("a", 10)], { from: 5, to: 5 })).toEqual([]);
});

test("an annotation is told in a line and leads somewhere", () => {
  const deploy = at("d1", 10, { kind: "deploy", service: "web", version: "1.2", text: "hi", author: "ann" });
  expect(annotationTitle(deploy)).toBe("deploy web 1.2: hi (ann)");
  expect(annotationTitle(at("n", 1))).toBe("note");
  expect(annotationAddress(deploy)).toBe("/errors?deploy=d1");
  expect(annotationAddress(at("log-5-7", 1000))).toBe("/logs?from=700000&to=1300000&line=5-7");
});
