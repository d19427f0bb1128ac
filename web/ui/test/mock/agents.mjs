/** Agents of the mock server: one well, one behind an outage, one gone, one that says little. */

export function agents(now) {
  const ago = (seconds) => new Date(now - seconds * 1000).toISOString();
  const agent = (number, host, state, seenSeconds, lagSeconds, report) => ({
    agent: String(number).repeat(32),
    host,
    state,
    version: report === null ? null : "0.1.0",
    address: `10.0.0.${number}`,
    first_seen: ago(400_000),
    last_seen: ago(seenSeconds),
    last_seen_seconds: seenSeconds,
    newest_record: ago(seenSeconds),
    lag_seconds: lagSeconds,
    received: {
      batches: 8012,
      rows: 1_203_112 * number,
      bytes: 98_000_000 * number,
      rows_per_second: state === "silent" ? 0 : 1203.4,
      bytes_per_second: state === "silent" ? 0 : 98_000,
      duplicate_batches: number - 1,
      refused: state === "lagging" ? { overloaded: 12 } : {},
    },
    report,
  });
  const report = (state, spool, shed) => ({
    time: ago(3),
    interval_seconds: 10,
    version: "0.1.0",
    process: { uptime_seconds: 400_000, resident_bytes: 21_000_000, open_files: 40, cpu_seconds_per_second: 0.034 },
    sources: [
      {
        kind: "files",
        name: "/var/log/nginx/*.log /srv/app/log/**/*.log",
        records: 1_203_112,
        records_per_second: 1180.2,
        bytes: 98_000_000,
        bytes_per_second: 96_000,
        open_files: 12,
        lag_bytes: shed > 0 ? 4_800_000 : 0,
        lag_seconds: shed > 0 ? 94 : 0,
        problems: [
          { reason: "line_too_long", count: 3 },
          { reason: "invalid_utf8", count: 41 },
        ],
      },
      { kind: "journald", name: "journal", records: 8123, records_per_second: 0.4, bytes_per_second: 90, problems: [] },
      {
        kind: "syslog",
        name: "127.0.0.1:5514",
        records: 90_412,
        records_per_second: 88,
        bytes_per_second: 9_000,
        problems: shed > 0 ? [{ reason: "kernel_drop", count: shed }] : [],
        shed: shed > 0 ? [{ reason: "kernel_drop", count: shed }] : [],
      },
    ],
    ship: {
      spool_bytes: spool,
      spool_bytes_max: 1_073_741_824,
      waiting_batches: shed > 0 ? 812 : 0,
      oldest_waiting_ms: shed > 0 ? 94_000 : 0,
      quarantined_records: 0,
      endpoints: [
        {
          url: "https://logs-a:6464",
          state,
          failures_in_a_row: state === "open" ? 14 : 0,
          in_flight: 1,
          concurrency: 4,
          deadline_ms: 2000,
          rtt_ms: 3,
          acked_batches_per_second: state === "open" ? 0 : 1.2,
        },
        { url: "https://logs-b:6464", state: "closed", failures_in_a_row: 0, in_flight: 0, concurrency: 2 },
      ],
      lanes: ["control", "urgent", "normal", "bulk"].map((lane) => ({
        lane,
        waiting_batches: lane === "bulk" && shed > 0 ? 812 : 0,
        in_flight: 0,
        acked_rows_per_second: lane === "normal" ? 1180 : 0.4,
        backlog_batches: lane === "bulk" && shed > 0 ? 800 : 0,
      })),
    },
    own_log: { records: 12, limited: 0, dropped: 0 },
  });
  return {
    now: new Date(now).toISOString(),
    lagging_after_seconds: 60,
    forgotten_after_seconds: 604_800,
    agents: [
      agent(4, "db-2", "silent", 3200, 3200, report("closed", 4096, 0)),
      agent(2, "web-2", "lagging", 2, 94, report("open", 812_000_000, 18_204)),
      agent(3, "old-host", "ok", 8, null, null),
      agent(1, "web-1", "ok", 1, 0, report("closed", 4096, 0)),
    ],
  };
}
