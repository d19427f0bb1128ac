//! What `taffrail top` draws: two snapshots to lines of text. Whatever a snapshot lacks is left out.

use anstyle::{AnsiColor, Color, Style};
use serde_json::Value;

use super::quantity::{bytes, count, span};
use super::terminal::{Format, harmless};
use super::text_table::{Cell, Column, Table, cut, gives_way, left, right};

const BOLD: Style = Style::new().bold();
const GOOD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green)));
const WARNING: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Yellow)));
const BAD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red))).bold();

const SOURCES: &[Column] = &[
    left("SOURCE"),
    gives_way("NAME"),
    right("RECORDS/S"),
    right("BYTES/S"),
    right("RECORDS"),
    right("UNREAD"),
    right("BEHIND"),
    left("PROBLEMS"),
];
const ENDPOINTS: &[Column] = &[
    gives_way("SERVER"),
    left("BREAKER"),
    right("IN FLIGHT"),
    right("DEADLINE"),
    right("ROUND TRIP"),
    right("BATCHES/S"),
    right("FAILED"),
    left("LAST ERROR"),
];
const LANES: &[Column] =
    &[left("LANE"), right("WAITING"), right("BACKLOG"), right("IN FLIGHT"), right("ROWS/S"), right("ROWS")];
const DROPS: &[Column] = &[left("DROPPED"), right("RECORDS"), left("REASON")];
const AGENTS: &[Column] = &[
    gives_way("AGENT"),
    left("STATE"),
    right("LAST SEEN"),
    right("BEHIND"),
    right("ROWS/S"),
    right("BYTES/S"),
    right("SPOOL"),
    right("WAITING"),
    right("SHED"),
    right("PROBLEMS"),
    left("VERSION"),
];

/// An agent's status (`web/src/agent/status.rs` draws it).
pub fn agent_view(before: Option<&Value>, now: &Value, width: usize) -> Vec<String> {
    let change = Change { before, now, seconds: seconds_between(before, now) };
    let (ship, process) = (&now["ship"], &now["process"]);
    let mut lines = Vec::new();
    let title = [
        format!("agent {} on {}", short(&now["agent"]), text(&now["host"])),
        text(&now["version"]).to_owned(),
        format!("up {}", span(number(&process["uptime_seconds"]))),
        change
            .rate(&["process", "cpu_seconds"])
            .map_or_else(|| "cpu –".to_owned(), |cpu| format!("cpu {:.1} %", cpu * 100.0)),
        bytes(number(&process["resident_bytes"])),
        format!("{} files open", count(number(&process["open_files"]))),
    ];
    lines.push(paint(BOLD, &cut(&harmless(&title.join(" · "), Format::Plain), width)));
    let mut delivering = vec![
        format!("delivering {} rows/s", change.shown_rate(&["ship", "acked_rows"], count)),
        format!("spool {}{}", bytes(number(&ship["spool_bytes"])), of_limit(&ship["spool_bytes_max"])),
        format!("{} batches wait", count(number(&ship["waiting_batches"]))),
    ];
    if let Some(oldest) = ship["oldest_waiting_ms"].as_f64().filter(|oldest| *oldest > 0.0) {
        delivering.push(format!("the oldest for {}", span(oldest / 1000.0)));
    }
    lines.push(cut(&delivering.join(" · "), width));
    let sections = [sources(&change), endpoints(&change), lanes(&change), drops(now)];
    for section in sections.into_iter().map(|table| table.lines(width)).filter(|lines| !lines.is_empty()) {
        lines.push(String::new());
        lines.extend(section);
    }
    lines
}

/// What `/api/v1/ingest` says of a server, with `/api/v1/agents` in its place.
pub fn server_view(before: Option<&Value>, now: &Value, width: usize) -> Vec<String> {
    let change = Change { before, now, seconds: seconds_between(before, now) };
    let store = &now["store"];
    let agents = list(&now["agents"]);
    let of = |state: &str| agents.iter().filter(|agent| agent["state"] == state).count();
    let title = [
        format!("server {}", text(&now["listeners"]["http"])),
        text(&now["version"]).to_owned(),
        format!("up {}", span(number(&now["uptime_seconds"]))),
        format!("{} agents: {} silent, {} lagging", agents.len(), of("silent"), of("lagging")),
    ];
    let storing = [
        format!("storing {} records/s", change.shown_rate(&["store", "log_records"], count)),
        format!("{} samples/s", change.shown_rate(&["store", "samples"], count)),
        format!("{} on disk", bytes(number(&store["split_bytes"]) + number(&store["block_bytes"]))),
        format!("{} free", bytes(number(&store["disk_free_bytes"]))),
    ];
    let mut lines =
        vec![paint(BOLD, &cut(&harmless(&title.join(" · "), Format::Plain), width)), cut(&storing.join(" · "), width)];
    for section in [agents_table(agents), sources(&change)].into_iter().map(|table| table.lines(width)) {
        if !section.is_empty() {
            lines.push(String::new());
            lines.extend(section);
        }
    }
    lines
}

/// Two snapshots.
struct Change<'a> {
    before: Option<&'a Value>,
    now: &'a Value,
    seconds: f64,
}

impl Change<'_> {
    /// How much a number grew a second; none before the second snapshot, or when it was counted anew.
    fn rate(&self, at: &[&str]) -> Option<f64> {
        let find = |value: &Value| at.iter().fold(value.clone(), |value, field| value[field].clone()).as_f64();
        self.rate_between(find(self.before?)?, find(self.now)?)
    }

    /// The same of an item of a list, which is told by these fields.
    fn rate_of(&self, list_at: &[&str], item: &Value, told_by: &[&str], field: &str) -> Option<f64> {
        let before = list_at.iter().fold(self.before?, |value, field| &value[field]);
        let before = list(before).iter().find(|one| told_by.iter().all(|field| one[field] == item[field]))?;
        self.rate_between(before[field].as_f64()?, item[field].as_f64()?)
    }

    fn rate_between(&self, before: f64, now: f64) -> Option<f64> {
        (self.seconds > 0.0 && now >= before).then(|| (now - before) / self.seconds)
    }

    fn shown_rate(&self, at: &[&str], show: fn(f64) -> String) -> String {
        shown(self.rate(at), show)
    }
}

fn sources(change: &Change<'_>) -> Table {
    let mut table = Table::new(SOURCES);
    for source in list(&change.now["sources"]) {
        let rate = |field| change.rate_of(&["sources"], source, &["kind", "name"], field);
        let problems = list(&source["problems"]).iter();
        let problems: Vec<_> = problems
            .map(|problem| format!("{} {}", text(&problem["reason"]), count(number(&problem["count"]))))
            .collect();
        let behind = source["lag_seconds"].as_f64();
        let style = if behind.is_some_and(|behind| behind > 10.0) { WARNING } else { Style::new() };
        table.row(vec![
            Cell::new(text(&source["kind"])),
            Cell::new(text(&source["name"])),
            Cell::new(shown(rate("records"), count)),
            Cell::new(shown(rate("bytes"), bytes)),
            Cell::new(count(number(&source["records"]))),
            Cell::new(source["lag_bytes"].as_f64().map_or_else(String::new, bytes)).styled(style),
            Cell::new(behind.map_or_else(String::new, span)).styled(style),
            Cell::new(problems.join(", ")).styled(WARNING),
        ]);
    }
    table
}

fn endpoints(change: &Change<'_>) -> Table {
    let mut table = Table::new(ENDPOINTS);
    for endpoint in list(&change.now["ship"]["endpoints"]) {
        let failures = number(&endpoint["failures_in_a_row"]);
        let state = endpoint["state"].as_str().unwrap_or(if failures > 0.0 { "failing" } else { "closed" });
        let style = match state {
            "closed" => GOOD,
            "half_open" | "paused" => WARNING,
            "new" => Style::new().dimmed(),
            _ => BAD,
        };
        let in_flight = endpoint["in_flight"].as_f64().map_or_else(String::new, count);
        let concurrency =
            endpoint["concurrency"].as_f64().map_or_else(String::new, |most| format!(" of {}", count(most)));
        let millis = |field: &str| endpoint[field].as_f64().map_or_else(String::new, |millis| span(millis / 1000.0));
        let rate = change.rate_of(&["ship", "endpoints"], endpoint, &["url"], "acked_batches");
        table.row(vec![
            Cell::new(text(&endpoint["url"])),
            Cell::new(state.replace('_', " ")).styled(style),
            Cell::new(in_flight + &concurrency),
            Cell::new(millis("deadline_ms")),
            Cell::new(millis("rtt_ms")),
            Cell::new(shown(rate, count)),
            Cell::new(count(failures)).styled(if failures > 0.0 { WARNING } else { Style::new() }),
            // What went wrong before the last success is history.
            Cell::new(if failures > 0.0 { text(&endpoint["last_error"]) } else { "" }).styled(WARNING),
        ]);
    }
    table
}

fn lanes(change: &Change<'_>) -> Table {
    let mut table = Table::new(LANES);
    for lane in list(&change.now["ship"]["lanes"]) {
        table.row(vec![
            Cell::new(word(&lane["lane"])),
            Cell::new(count(number(&lane["waiting_batches"]))),
            Cell::new(count(number(&lane["backlog_batches"]))),
            Cell::new(count(number(&lane["in_flight"]))),
            Cell::new(shown(change.rate_of(&["ship", "lanes"], lane, &["lane"], "acked_rows"), count)),
            Cell::new(count(number(&lane["acked_rows"]))),
        ]);
    }
    table
}

/// What this agent did not deliver, and why.
fn drops(now: &Value) -> Table {
    let mut table = Table::new(DROPS);
    let mut row = |what: &str, rows: f64, reason: &str| {
        if rows > 0.0 {
            table.row(vec![Cell::new(what).styled(BAD), Cell::new(count(rows)), Cell::new(reason)]);
        }
    };
    let ship = &now["ship"];
    for source in list(&now["sources"]) {
        for shed in list(&source["shed"]) {
            row(text(&source["kind"]), number(&shed["count"]), text(&shed["reason"]));
        }
        for rule in list(&source["rules"]) {
            let effect = text(&rule["effect"]);
            if ["dropped", "sampled_out", "limited"].contains(&effect) {
                let reason = format!("{effect} by the rule {}", text(&rule["rule"]));
                row(text(&source["kind"]), number(&rule["count"]), &reason);
            }
        }
    }
    row("quarantine", number(&ship["quarantined_records"]), "refused by the servers for good; kept in quarantine/");
    row("damaged", number(&ship["damaged_records"]), "the spool's files could not be read any more");
    row(
        "perhaps twice",
        number(&ship["possible_duplicates"]),
        "no server said for long whether it has them (collector.uncertain_wait)",
    );
    row("own log", number(&now["own_log"]["dropped"]), "too many of the agent's own events at once");
    table
}

fn agents_table(agents: &[Value]) -> Table {
    let mut table = Table::new(AGENTS);
    for agent in agents {
        let state = text(&agent["state"]);
        let style = match state {
            "ok" => GOOD,
            "lagging" => WARNING,
            _ => BAD,
        };
        let (received, report) = (&agent["received"], &agent["report"]);
        let ship = &report["ship"];
        let shed = list(&report["sources"]).iter().flat_map(|source| list(&source["shed"]));
        let shed: f64 = shed.map(|shed| number(&shed["count"])).sum();
        let problems = list(&report["sources"]).iter().flat_map(|source| list(&source["problems"]));
        let problems: f64 = problems.map(|problem| number(&problem["count"])).sum();
        let optional = |value: &Value, show: fn(f64) -> String| Cell::new(value.as_f64().map_or("–".to_owned(), show));
        let bad = |number: f64, style| Cell::new(count(number)).styled(if number > 0.0 { style } else { Style::new() });
        table.row(vec![
            Cell::new(format!("{} {}", text(&agent["host"]), short(&agent["agent"]))),
            Cell::new(state).styled(style),
            Cell::new(span(number(&agent["last_seen_seconds"]))),
            optional(&agent["lag_seconds"], span),
            optional(&received["rows_per_second"], count),
            optional(&received["bytes_per_second"], bytes),
            optional(&ship["spool_bytes"], bytes),
            optional(&ship["waiting_batches"], count),
            bad(shed, BAD),
            bad(problems, WARNING),
            Cell::new(text(&agent["version"])),
        ]);
    }
    table
}

fn seconds_between(before: Option<&Value>, now: &Value) -> f64 {
    let moment = |value: &Value| value["now"].as_str()?.parse::<jiff::Timestamp>().ok();
    match (before.and_then(moment), moment(now)) {
        (Some(before), Some(now)) => now.duration_since(before).as_secs_f64(),
        _ => 0.0,
    }
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn shown(number: Option<f64>, show: fn(f64) -> String) -> String {
    number.map_or_else(|| "–".to_owned(), show)
}

/// What a limit adds to the figure before it.
fn of_limit(limit: &Value) -> String {
    limit.as_f64().map_or_else(String::new, |limit| format!(" of {}", bytes(limit)))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A lane's name or number.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The start of an id: enough to tell a few hosts' agents apart.
fn short(id: &Value) -> String {
    text(id).chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bare(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    fn status(at: &str, records: u64, failures: u64) -> Value {
        json!({
            "agent": "0123456789abcdef", "host": "web-1", "version": "0.1.0", "now": at,
            "process": {"uptime_seconds": 90.0, "resident_bytes": 20971520.0, "cpu_seconds": 1.0, "open_files": 12},
            "sources": [{"kind": "files", "name": "/var/log/*.log", "records": records, "bytes": records * 100,
                         "lag_bytes": 2048, "lag_seconds": 12.0, "problems": [{"reason": "line_too_long", "count": 3}],
                         "rules": [{"rule": "noise", "effect": "sampled_out", "count": 900},
                                   {"rule": "secrets", "effect": "redacted", "count": 5}],
                         "shed": [{"reason": "undelivered_at_stop", "count": 1200}]}],
            "ship": {"acked_rows": records, "spool_bytes": 4096, "spool_bytes_max": 1073741824u64, "waiting_batches": 2,
                     "oldest_waiting_ms": 1500,
                     "endpoints": [{"url": "http://a:1", "state": "half_open", "in_flight": 1, "concurrency": 4,
                                    "deadline_ms": 2000, "rtt_ms": 3, "failures_in_a_row": failures, "last_error": "refused"}],
                     "lanes": [{"lane": "bulk", "waiting_batches": 1, "backlog_batches": 7, "in_flight": 0, "acked_rows": 5}],
                     "quarantined_records": 1},
            "own_log": {"dropped": 0}
        })
    }

    #[test]
    fn an_agent_is_drawn_with_rates_between_two_snapshots() {
        let (before, now) = (status("2026-01-01T00:00:00Z", 100, 0), status("2026-01-01T00:00:02Z", 2100, 2));
        assert_eq!(
            bare(&agent_view(Some(&before), &now, 130)),
            [
                "agent 01234567 on web-1 · 0.1.0 · up 1m 30s · cpu 0.0 % · 20 MiB · 12 files open",
                "delivering 1,000 rows/s · spool 4.0 KiB of 1.0 GiB · 2 batches wait · the oldest for 1.5 s",
                "",
                "SOURCE  NAME            RECORDS/S  BYTES/S  RECORDS   UNREAD  BEHIND  PROBLEMS",
                "files   /var/log/*.log      1,000   98 KiB    2,100  2.0 KiB    12 s  line_too_long 3",
                "",
                "SERVER      BREAKER    IN FLIGHT  DEADLINE  ROUND TRIP  BATCHES/S  FAILED  LAST ERROR",
                "http://a:1  half open     1 of 4     2.0 s        3 ms          –       2  refused",
                "",
                "LANE  WAITING  BACKLOG  IN FLIGHT  ROWS/S  ROWS",
                "bulk        1        7          0       0     5",
                "",
                "DROPPED     RECORDS  REASON",
                "files         1,200  undelivered_at_stop",
                "files           900  sampled_out by the rule noise",
                "quarantine        1  refused by the servers for good; kept in quarantine/",
            ]
        );
        let first = bare(&agent_view(None, &now, 40));
        assert!(first[1].starts_with("delivering – rows/s"), "{first:?}");
        assert!(first.iter().all(|line| line.chars().count() <= 40), "{first:?}");
    }

    #[test]
    fn a_server_is_drawn_with_its_agents() {
        let now = json!({
            "version": "0.1.0", "now": "2026-01-01T00:00:00Z", "uptime_seconds": 5, "listeners": {"http": "127.0.0.1:6464"},
            "store": {"log_records": 7, "samples": 1, "split_bytes": 1024, "block_bytes": 0, "disk_free_bytes": 2048},
            "sources": [],
            "agents": [
                {"agent": "aaaaaaaaaaaa", "host": "db-2", "state": "silent", "last_seen_seconds": 320.0, "lag_seconds": null,
                 "received": {"rows_per_second": 0.0, "bytes_per_second": 0.0}, "report": null, "version": null},
                {"agent": "bbbbbbbbbbbb", "host": "web-1", "state": "ok", "last_seen_seconds": 1.0, "lag_seconds": 0.0,
                 "received": {"rows_per_second": 12.5, "bytes_per_second": 2048.0}, "version": "0.1.0",
                 "report": {"ship": {"spool_bytes": 0, "waiting_batches": 0},
                            "sources": [{"problems": [{"count": 2}, {"count": 1}], "shed": [{"count": 4}]}]}}
            ]
        });
        assert_eq!(
            bare(&server_view(None, &now, 130)),
            [
                "server 127.0.0.1:6464 · 0.1.0 · up 5.0 s · 2 agents: 1 silent, 0 lagging",
                "storing – records/s · – samples/s · 1.0 KiB on disk · 2.0 KiB free",
                "",
                "AGENT           STATE   LAST SEEN  BEHIND  ROWS/S  BYTES/S  SPOOL  WAITING  SHED  PROBLEMS  VERSION",
                "db-2 aaaaaaaa   silent     5m 20s       –       0      0 B      –        –     0         0  ",
                "web-1 bbbbbbbb  ok          1.0 s     0 s      12  2.0 KiB    0 B        0     4         3  0.1.0",
            ]
        );
    }

    #[test]
    fn an_agent_that_says_little_is_drawn_all_the_same() {
        let lines = bare(&agent_view(None, &json!({}), 80));
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}
