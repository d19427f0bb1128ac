import { expect, test } from "vitest";
import { runsOf } from "../../src/pages/errors/stack-view";
import type { Frame } from "../../src/api/errors";

function frames(text: string): readonly Frame[] {
  return [...text].map((letter) => ({ function: letter, file: "", line: null, own: letter === letter.toUpperCase() }));
}

function shown(text: string, all: boolean): readonly string[] {
  return runsOf(frames(text), all).map(({ folded, frames: run }) => {
    const names = run.map((frame) => frame.function).join("");
    return folded ? `(${names})` : names;
  });
}

test("frames of libraries between own ones are folded", () => {
  expect(shown("aAbcBCd", false)).toEqual(["(a)", "A", "(bc)", "BC", "(d)"]);
  expect(shown("aAbcBCd", true)).toEqual(["aAbcBCd"]);
  expect(shown("abc", false)).toEqual(["abc"]);
  expect(shown("", false)).toEqual([""]);
});
