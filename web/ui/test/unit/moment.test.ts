/** Moments and ranges as people type them. */
import { describe, expect, test } from "vitest";
import { parseMoment } from "../../src/time/moment";
import { isoOf, parseRangeText, readRange, relativeLabel, shifted, widened } from "../../src/time/range";
import { formatSpan, parseSpan, spanParameter } from "../../src/time/span";

const now = Date.parse("2026-11-21T10:20:30.500Z"); // a Saturday
const reading = { now, zone: "utc" } as const;

describe("a moment", () => {
  test.each([
    ["now", "2026-11-21T10:20:30.500Z"],
    ["now-15m", "2026-11-21T10:05:30.500Z"],
    ["15m", "2026-11-21T10:05:30.500Z"],
    ["3h ago", "2026-11-21T07:20:30.500Z"],
    ["last 2 days", "2026-11-19T10:20:30.500Z"],
    ["1h30m", "2026-11-21T08:50:30.500Z"],
    ["yesterday 17:30", "2026-11-20T17:30:00.000Z"],
    ["yesterday at 5:30pm", "2026-11-20T17:30:00.000Z"],
    ["today", "2026-11-21T00:00:00.000Z"],
    ["12am", "2026-11-21T00:00:00.000Z"],
    ["09:15", "2026-11-21T09:15:00.000Z"],
    ["11:15", "2026-11-20T11:15:00.000Z"],
    ["friday 08:00", "2026-11-20T08:00:00.000Z"],
    ["saturday", "2026-11-14T00:00:00.000Z"],
    ["2026-11-20", "2026-11-20T00:00:00.000Z"],
    ["2026-11-20 17:30", "2026-11-20T17:30:00.000Z"],
    ["2026-11-20T17:30:05.123456789Z", "2026-11-20T17:30:05.123Z"],
    ["2026-11-20T17:30:05+02:00", "2026-11-20T15:30:05.000Z"],
    ["1763714430", "2025-11-21T08:40:30.000Z"],
    ["1763714430123", "2025-11-21T08:40:30.123Z"],
    ["1763714430123456789", "2025-11-21T08:40:30.123Z"],
  ])("%s is read", (text, expected) => {
    const moment = parseMoment(text, reading);
    expect(moment === undefined ? undefined : isoOf(moment)).toBe(expected);
  });

  test.each(["", "soon", "25:99", "2026-13-01", "13pm", "12", "now-", "3 parsecs ago"])("%j is refused", (text) => {
    expect(parseMoment(text, reading)).toBeUndefined();
  });
});

describe("a range", () => {
  test.each([
    ["3h ago", "now-3h", "now"],
    ["last 2 h", "now-2h", "now"],
    ["yesterday", "2026-11-20T00:00:00.000Z", "2026-11-21T00:00:00.000Z"],
    ["today", "2026-11-21T00:00:00.000Z", "now"],
    ["08:00 to 09:30", "2026-11-21T08:00:00.000Z", "2026-11-21T09:30:00.000Z"],
    ["2026-11-20 08:00 - 2026-11-20 09:00", "2026-11-20T08:00:00.000Z", "2026-11-20T09:00:00.000Z"],
    ["now-2h..now-1h", "now-2h", "now-1h"],
  ])("%s is read", (text, from, to) => {
    expect(parseRangeText(text, reading)).toEqual({ from, to });
  });

  test("that is reversed is turned round", () => {
    expect(readRange({ from: "now", to: "now-1h" }, reading)).toEqual({ from: now - 3_600_000, to: now });
  });

  test("never reaches past now when it is widened or shifted", () => {
    const range = { from: now - 1000, to: now };
    expect(widened(range, now)).toEqual({ from: now - 2000, to: now });
    expect(shifted(range, 1, now)).toEqual(range);
    expect(shifted(range, -1, now)).toEqual({ from: now - 1500, to: now - 500 });
  });

  test("that moves with the clock is named", () => {
    expect(relativeLabel({ from: "now-3h", to: "now" })).toBe("Last 3 hours");
    expect(relativeLabel({ from: "now-90m", to: "now" })).toBe("Last 1h 30m");
    expect(relativeLabel({ from: "2026-11-20T00:00:00Z", to: "now" })).toBeUndefined();
  });
});

describe("a span", () => {
  test.each([
    ["90s", 90_000],
    ["1h30m", 5_400_000],
    ["2 days", 172_800_000],
    ["500ms", 500],
    ["1.5h", 5_400_000],
    ["h", undefined],
    ["5 apples", undefined],
  ])("%s is read", (text, expected) => expect(parseSpan(text)).toBe(expected));

  test.each([
    [0.25, "250 µs"],
    [38, "38 ms"],
    [2400, "2.4 s"],
    [90_000, "1m 30s"],
    [5_400_000, "1h 30m"],
    [604_800_000, "1w"],
  ])("%d ms is written", (milliseconds, expected) => expect(formatSpan(milliseconds)).toBe(expected));

  test("is written so that it can be read back", () => {
    for (const milliseconds of [1, 999, 61_000, 5_400_000, 90_061_001])
      expect(parseSpan(spanParameter(milliseconds))).toBe(milliseconds);
  });
});
