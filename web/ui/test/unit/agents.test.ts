/** What is made of what a server knows of an agent. */
import { expect, test } from "vitest";
import { lagText } from "../../src/pages/ingest/agent-row";
import { endpointState, matches, problemsOf, shedRows, type Agent } from "../../src/pages/ingest/agents";

const agent: Agent = {
  agent: "ab".repeat(16),
  host: "web-1",
  state: "ok",
  version: "0.1.0",
  address: "10.0.0.1",
  first_seen: "2026-11-21T10:00:00Z",
  last_seen: "2026-11-21T10:00:00Z",
  last_seen_seconds: 1,
  newest_record: null,
  lag_seconds: 0,
  received: { rows: 1, bytes: 1, rows_per_second: 0, bytes_per_second: 0, duplicate_batches: 0, refused: {} },
  report: {
    time: "2026-11-21T10:00:00Z",
    interval_seconds: 10,
    sources: [
      { kind: "files", name: "/var/log/*.log", problems: [{ reason: "line_too_long", count: 3 }] },
      {
        kind: "syslog",
        name: "udp 1",
        problems: [
          { reason: "line_too_long", count: 2 },
          { reason: "kernel_drop", count: 10 },
        ],
        shed: [{ reason: "kernel_drop", count: 10 }],
      },
    ],
    ship: {
      quarantined_records: 1,
      damaged_records: 2,
      endpoints: [{ url: "http://logs-a:6464" }],
    },
  },
};
const silentOnItself: Agent = { ...agent, report: null };

test("what was given up is added up over its reasons", () => {
  expect(shedRows(agent)).toBe(13);
  expect(shedRows(silentOnItself)).toBe(0);
});

test("problems are added up over sources", () => {
  expect([...problemsOf(agent)]).toEqual([
    ["line_too_long", 5],
    ["kernel_drop", 10],
  ]);
  expect([...problemsOf(silentOnItself)]).toEqual([]);
});

test.each([
  ["", true],
  ["WEB-1", true],
  ["abab", true],
  ["syslog", true],
  ["kernel_drop", true],
  ["line_too", true],
  ["logs-a", true],
  ["web-2", false],
])("the filter %j finds it: %s", (filter, expected) => {
  expect(matches(agent, filter)).toBe(expected);
});

test.each([
  ["closed", 0, "up", "good"],
  ["new", 0, "not needed yet", "muted"],
  ["half_open", 3, "being tried", "warning"],
  ["paused", 0, "paused", "warning"],
  ["open", 9, "down", "bad"],
  [undefined, 0, "up", "good"],
  [undefined, 1, "failing", "bad"],
])("a breaker that is %s after %d failures", (state, failures, word, tone) => {
  const endpoint = { url: "x", failures_in_a_row: failures, ...(state === undefined ? {} : { state }) };
  expect(endpointState(endpoint)).toEqual({ word, tone });
});

test.each([
  [0, "none"],
  [0.0004, "1 ms"],
  [0.25, "250 ms"],
  [1.6, "2 s"],
  [94, "1m 34s"],
])("a lag of %d s reads %s", (seconds, text) => {
  expect(lagText(seconds)).toBe(text);
});
