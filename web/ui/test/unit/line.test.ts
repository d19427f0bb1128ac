/** Lines, rows and files: what is shown of stored text, where rows lie, what an export holds. */
import { describe, expect, test } from "vitest";
import { csvCell, csvOf, ndjsonOf, tableCsvOf } from "../../src/list/export";
import { linePieces, plainLine } from "../../src/list/line-text";
import { RowGeometry } from "../../src/list/row-geometry";

describe("a line", () => {
  test("keeps its colours as classes", () => {
    expect(linePieces("\u001b[31mbad\u001b[0m ok \u001b[1;92mgood\u001b[m", undefined, true)).toEqual([
      { text: "bad", style: "ansi-red", marked: false },
      { text: " ok ", style: "", marked: false },
      { text: "good", style: "ansi-green ansi-bold", marked: false },
    ]);
  });

  test.each([
    ["\u001b[38;5;196mx\u001b[38;2;1;2;3my", "xy"],
    ["\u001b[2J\u001b[1;1Hcleared", "cleared"],
    ["\u001b]0;title\u0007text", "text"],
    ["bell\u0007", "bell\\x07"],
    ["\u202eevil", "\\u202eevil"],
    ["a\u0000b\u0085c", "a\\x00b\\x85c"],
    ["one\ntwo", "one ⏎ two"],
    ["tab\tstays", "tab\tstays"],
    ["lone \u001b", "lone \\x1b"],
  ])("%j is shown as %j", (line, expected) => expect(plainLine(line)).toBe(expected));

  test("marks what was searched, in coloured text too", () => {
    const pieces = linePieces("a \u001b[31mtime out\u001b[0m", /time/giu, true);
    expect(pieces.filter(({ marked }) => marked)).toEqual([{ text: "time", style: "ansi-red", marked: true }]);
  });

  test("loses no visible character, whatever it holds", () => {
    let seed = 1;
    for (let round = 0; round < 300; round += 1) {
      let line = "";
      for (let at = 0; at < 24; at += 1) {
        seed = (seed * 48271) % 2147483647;
        line += ["a", "b", " ", "<", "\u001b[3", "1m", "\u001b", "\u0007", "é", "\ud83d\ude00"][seed % 10];
      }
      const shown = plainLine(line);
      expect(shown.includes("\u001b")).toBe(false);
      expect([...shown].filter((character) => character === "é").length).toBe(
        [...line].filter((character) => character === "é").length,
      );
    }
  });
});

describe("row geometry", () => {
  test("agrees with adding heights up, whatever is measured, added and put before", () => {
    const rows = new RowGeometry(20);
    let heights: number[] = [];
    let seed = 42;
    const random = (below: number): number => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    for (let round = 0; round < 500; round += 1) {
      const action = random(5);
      if (action === 0) {
        const added = random(700);
        rows.resize(heights.length + added);
        heights = heights.concat(Array<number>(added).fill(20));
      } else if (action === 1 && round % 7 === 0) {
        const added = random(30);
        rows.prepend(added);
        heights = Array<number>(added).fill(20).concat(heights);
      } else if (action === 2 && heights.length > 0 && round % 11 === 0) {
        const kept = random(heights.length);
        rows.resize(kept);
        heights.length = kept;
      } else if (heights.length > 0) {
        const index = random(heights.length);
        const height = 1 + random(200);
        rows.measure(index, height);
        if (Math.abs((heights[index] ?? 0) - height) >= 0.5) heights[index] = height;
      }
      const at = random(heights.length + 1);
      const top = heights.slice(0, at).reduce((sum, height) => sum + height, 0);
      expect(rows.topOf(at)).toBe(top);
      if (at < heights.length) {
        expect(rows.rowAt(top)).toBe(at);
        expect(rows.rowAt(top + (heights[at] ?? 0) - 0.5)).toBe(at);
      }
    }
  });

  test("of a hundred thousand rows ends exactly", () => {
    const rows = new RowGeometry(22);
    rows.resize(100_000);
    rows.measure(50_000, 400);
    expect(rows.total).toBe(22 * 99_999 + 400);
    expect(rows.rowAt(rows.total - 1)).toBe(99_999);
    expect(rows.rowAt(1e12)).toBe(99_999);
  });
});

describe("an export", () => {
  test.each([
    ["plain", "plain"],
    ["a,b", '"a,b"'],
    ['say "x"', '"say ""x"""'],
    ["=1+1", "'=1+1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["-5.5", "-5.5"],
    ["+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"],
    ["\tx", "'\tx"],
    ["two\nlines", '"two\nlines"'],
  ])("guards the cell %j", (text, expected) => expect(csvCell(text)).toBe(expected));

  test("of a table has its columns, and nothing where a cell is empty", () => {
    const rows = [
      { service: "=web", "count()": 3 },
      { "count()": null, service: "a,b" },
    ];
    expect(tableCsvOf(["service", "count()"], rows)).toBe('service,count()\r\n\'=web,3\r\n"a,b",\r\n');
    expect(ndjsonOf(rows.slice(0, 1))).toBe('{"service":"=web","count()":3}\n');
  });

  test("has the chosen columns once and the message last", () => {
    const record = {
      id: "1-1",
      seq: 1,
      time: "2026-11-20T00:00:00Z",
      level: "error",
      service: "web",
      message: "m",
      attributes: { code: 502 },
    };
    expect(csvOf([record], ["service", "code"])).toBe(
      "time,level,host,service,code,trace_id,message\r\n2026-11-20T00:00:00Z,error,,web,502,,m\r\n",
    );
    expect(JSON.parse(ndjsonOf([record]))).toEqual(record);
  });
});
