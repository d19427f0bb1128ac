//! `/metrics`: Taffrail's own counters in the Prometheus text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), so that any Prometheus can watch it.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderValue, header};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::DamagedSplit;
use taffrail_ingest::series_store::DamagedBlock;

use super::App;
use super::question::DAMAGED_NAMED_MAX;
use crate::notify::routing::silence::SilenceState;

/// Agents that are shown one by one, those in trouble first.
const AGENTS_SHOWN_MAX: usize = 1_000;

/// Groups of rules that are shown one by one.
const RULE_GROUPS_SHOWN_MAX: usize = 1_000;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], exposition(&app).await)
}

/// The figures of this moment, as text.
pub async fn exposition(app: &App) -> String {
    let (logs, series) = (app.ingest.logs().clone(), app.ingest.series().clone());
    let look = move || (logs.damaged_splits(), series.damaged_blocks());
    let (splits, blocks) = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    render(app, &splits, &blocks)
}

fn render(app: &App, damaged: &[DamagedSplit], blocks: &[DamagedBlock]) -> String {
    let mut text = Exposition::default();
    text.family("taffrail_build_info", "gauge", "The running version.");
    text.value(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("taffrail_uptime_seconds", "gauge", "Seconds since the start.");
    text.value(&[], Timestamp::now().saturating_since(app.started).as_secs());

    let sources = app.tallies.snapshot();
    text.family("taffrail_source_records_total", "counter", "Records and samples that a source took.");
    for source in &sources {
        text.value(&[("kind", source.kind), ("name", &source.name)], source.records);
    }
    text.family("taffrail_source_bytes_total", "counter", "Bytes that a source took, as they arrived.");
    for source in &sources {
        text.value(&[("kind", source.kind), ("name", &source.name)], source.bytes);
    }
    text.family("taffrail_source_receive_buffer_bytes", "gauge", "The receive buffer of each of a source's sockets.");
    for source in &sources {
        if let Some(bytes) = source.receive_buffer_bytes {
            text.value(&[("kind", source.kind), ("name", &source.name)], bytes);
        }
    }
    text.family("taffrail_source_problems_total", "counter", "What a source could not take as it was, by reason.");
    for source in &sources {
        for problem in &source.problems {
            text.value(&[("kind", source.kind), ("name", &source.name), ("reason", problem.reason)], problem.count);
        }
    }

    text.family(
        "taffrail_source_rule_effects_total",
        "counter",
        "What rules of the configuration did, by rule and effect.",
    );
    for source in &sources {
        for done in &source.rules {
            let labels = [("kind", source.kind), ("name", &source.name), ("rule", &done.rule), ("effect", done.effect)];
            text.value(&labels, done.count);
        }
    }

    let store = app.ingest.status();
    text.family(
        "taffrail_series_limited_windows_total",
        "counter",
        "Metric windows whose series had no room, by limit, and what became of them: joined to overflow series, or dropped.",
    );
    for (limit, windows) in &store.series_limited {
        text.value(&[("limit", limit), ("outcome", "joined")], windows.joined);
        text.value(&[("limit", limit), ("outcome", "dropped")], windows.dropped);
    }
    let mut single = |name: &str, kind: &str, help: &str, value: u64| {
        text.family(name, kind, help);
        text.value(&[], value);
    };
    single("taffrail_log_records_total", "counter", "Log records stored since the start.", store.log_records);
    single("taffrail_samples_total", "counter", "Metric windows stored since the start.", store.samples);
    single("taffrail_batches_total", "counter", "Batches stored since the start.", store.batches);
    single("taffrail_duplicate_batches_total", "counter", "Batches recognised as resends.", store.duplicate_batches);
    single("taffrail_head_rows", "gauge", "Rows in memory, not sealed yet.", store.head_rows);
    single("taffrail_head_bytes", "gauge", "Their bytes.", store.head_bytes);
    single("taffrail_splits", "gauge", "Log splits on disk.", store.splits);
    single("taffrail_split_rows", "gauge", "Rows in them.", store.split_rows);
    single("taffrail_split_bytes", "gauge", "Their bytes.", store.split_bytes);
    single(
        "taffrail_deletions_pending",
        "gauge",
        "Deletions whose records, though hidden, may still be on the disk.",
        store.deletions_pending,
    );
    let watched = app.watch.counters();
    single(
        "taffrail_watched_records_total",
        "counter",
        "Log records looked at for annotations and errors.",
        watched.records.load(Relaxed),
    );
    single(
        "taffrail_annotations_from_logs_total",
        "counter",
        "Annotations that log records made.",
        watched.annotations.load(Relaxed),
    );
    single(
        "taffrail_annotations_limited_total",
        "counter",
        "Annotations that were not made: more than 600 in a minute.",
        watched.annotations_limited.load(Relaxed),
    );
    single(
        "taffrail_annotations_removed_total",
        "counter",
        "Annotations that left for newer ones, by annotations.count_max.",
        watched.annotations_left.load(Relaxed),
    );
    let (groups, groups_left) = app.watch.with(|watcher| watcher.groups.counts());
    single("taffrail_error_groups", "gauge", "Error groups that are remembered.", groups as u64);
    single(
        "taffrail_error_groups_removed_total",
        "counter",
        "Error groups that left for newer ones, by errors.groups_max.",
        groups_left,
    );
    single(
        "taffrail_error_notices_limited_total",
        "counter",
        "Error groups of which it was not told that they are new or back: more than 200 in a minute.",
        watched.notices_limited.load(Relaxed),
    );
    single(
        "taffrail_watch_dropped_total",
        "counter",
        "Records and samples of what was noted that could not be stored.",
        watched.outbox_dropped.load(Relaxed),
    );
    let compaction = &store.compaction;
    single("taffrail_compactions_total", "counter", "Times that splits were rewritten.", compaction.rewrites);
    single("taffrail_compacted_splits_total", "counter", "Splits that were rewritten.", compaction.splits);
    single("taffrail_compacted_rows_total", "counter", "Rows read for it.", compaction.rows);
    single(
        "taffrail_compaction_removed_rows_total",
        "counter",
        "Rows left out of it: expired or deleted.",
        compaction.rows_removed,
    );
    single("taffrail_compaction_read_bytes_total", "counter", "Bytes read for it.", compaction.bytes_read);
    single("taffrail_compaction_written_bytes_total", "counter", "Bytes written by it.", compaction.bytes_written);
    single(
        "taffrail_compaction_seconds_total",
        "counter",
        "Seconds that it took, rests included.",
        compaction.seconds as u64,
    );
    single(
        "taffrail_compaction_failures_total",
        "counter",
        "Attempts that failed and will be repeated.",
        compaction.failures,
    );
    single(
        "taffrail_compactions_postponed_total",
        "counter",
        "Merges put off for want of disk space.",
        compaction.postponed,
    );
    single("taffrail_series", "gauge", "Series known.", store.series);
    single("taffrail_head_series", "gauge", "Series that have windows in memory.", store.head_series);
    single("taffrail_known_series", "gauge", "Series known without a look at blocks.", store.known_series);
    single("taffrail_known_series_bytes", "gauge", "Memory that knowing them takes.", store.known_series_bytes);
    single("taffrail_blocks", "gauge", "Series blocks on disk.", store.blocks);
    single("taffrail_block_bytes", "gauge", "Their bytes.", store.block_bytes);
    single("taffrail_journal_bytes", "gauge", "Bytes of the write-ahead journal.", store.journal_bytes);
    single(
        "taffrail_journal_damaged_total",
        "counter",
        "Damaged journal stretches met at start.",
        store.journal_damaged,
    );
    single("taffrail_replayed_rows_total", "counter", "Rows replayed from the journal at start.", store.replayed_rows);
    single("taffrail_disk_free_bytes", "gauge", "Free bytes on the data directory's disk.", store.disk_free_bytes);
    text.family(
        "taffrail_damaged_splits",
        "gauge",
        "Log splits that cannot be read; answers are without their records.",
    );
    text.value(&[], damaged.len() as u64);
    text.family("taffrail_damaged_split_rows", "gauge", "Rows in a damaged log split, by its name.");
    for split in damaged.iter().take(DAMAGED_NAMED_MAX) {
        text.value(&[("split", &split.name)], split.rows);
    }
    text.family(
        "taffrail_damaged_blocks",
        "gauge",
        "Series blocks that cannot be read; answers are without their windows.",
    );
    text.value(&[], blocks.len() as u64);
    text.family("taffrail_damaged_block_windows", "gauge", "Windows in a damaged series block, by its name.");
    for DamagedBlock { block, .. } in blocks.iter().take(DAMAGED_NAMED_MAX) {
        text.value(&[("block", &block.name)], block.samples);
    }
    text.family("taffrail_refused_batches_total", "counter", "Batches that were not stored, by reason.");
    for (reason, count) in &store.refused {
        text.value(&[("reason", reason)], *count);
    }
    text.family("taffrail_adjusted_records_total", "counter", "Records stored otherwise than they came, by reason.");
    for (reason, count) in &store.adjusted {
        text.value(&[("reason", reason)], *count);
    }

    agents(&mut text, app);
    notifications(&mut text, app);

    let questions = app.questions.counts();
    let mut single = |name: &str, kind: &str, help: &str, value: u64| {
        text.family(name, kind, help);
        text.value(&[], value);
    };
    single("taffrail_questions_total", "counter", "Questions that got a turn.", questions.asked);
    single(
        "taffrail_questions_refused_total",
        "counter",
        "Questions refused for want of a turn.",
        questions.turned_away,
    );
    single("taffrail_questions_cancelled_total", "counter", "Questions nobody waited for.", questions.cancelled);
    single("taffrail_questions_running", "gauge", "Questions under way.", questions.running as u64);
    single("taffrail_exports_running", "gauge", "Files of records that are being written.", questions.exports as u64);
    let told = &app.audience.told;
    single("taffrail_followers", "gauge", "Readers that follow live records.", app.audience.followers() as u64);
    single("taffrail_followers_refused_total", "counter", "Readers turned away.", told.turned_away.load(Relaxed));
    single("taffrail_followed_records_total", "counter", "Records sent to followers.", told.shown.load(Relaxed));
    single(
        "taffrail_followers_dropped_records_total",
        "counter",
        "Records that followers were too slow for, and were told of.",
        told.dropped.load(Relaxed),
    );
    rules(&mut text, app);
    text.text
}

/// How the evaluation of rules keeps up, and whether it succeeds.
fn rules(text: &mut Exposition, app: &App) {
    let groups = app.alerts.snapshot();
    let shown = &groups[..groups.len().min(RULE_GROUPS_SHOWN_MAX)];
    text.family(
        "taffrail_rule_group_missed_total",
        "counter",
        "Evaluations of a group that were left out because the one before took too long.",
    );
    for group in shown {
        text.value(&[("file", &group.file), ("group", &group.name)], group.missed);
    }
    text.family("taffrail_rule_group_failing", "gauge", "Rules of a group whose last evaluation failed.");
    for group in shown {
        let failing = group.rules.iter().filter(|rule| rule.health == "err").count();
        text.value(&[("file", &group.file), ("group", &group.name)], failing as u64);
    }
    text.family("taffrail_rule_files_bad", "gauge", "Problems of rules files that keep them from being taken up.");
    text.value(&[], app.alerts.problems().len() as u64);
}

/// Attempts to tell people of alerts, and how long silences last.
fn notifications(text: &mut Exposition, app: &App) {
    text.family(
        "taffrail_notifications_total",
        "counter",
        "Attempts to tell people of alerts, by channel and outcome.",
    );
    for ((channel, outcome), count) in app.notifier.counts() {
        text.value(&[("channel", &channel), ("outcome", outcome)], count);
    }
    let now = Timestamp::now();
    text.family("taffrail_silence_ends_seconds", "gauge", "Seconds until a silence at work ends.");
    for silence in app.notifier.silences().all().iter().filter(|one| one.state(now) == SilenceState::Active) {
        let labels = [("id", silence.id.as_str()), ("author", &silence.created_by)];
        text.value(&labels, silence.ends_at.saturating_since(now).as_secs());
    }
}

/// How long ago agents were heard of, and how far they are behind.
fn agents(text: &mut Exposition, app: &App) {
    let agents = app.agents.in_short(Timestamp::now());
    text.family("taffrail_agents", "gauge", "Agents heard of in the last week, by state.");
    for state in ["ok", "lagging", "silent"] {
        text.value(&[("state", state)], agents.iter().filter(|agent| agent.state == state).count() as u64);
    }
    let shown = &agents[..agents.len().min(AGENTS_SHOWN_MAX)];
    text.family("taffrail_agent_last_seen_seconds", "gauge", "Seconds since an agent was last heard of.");
    for agent in shown {
        text.value(&[("agent", &agent.agent), ("host", &agent.host)], agent.last_seen_seconds as u64);
    }
    text.family(
        "taffrail_agent_lag_seconds",
        "gauge",
        "Age of the oldest record that an agent has not delivered, as it says itself.",
    );
    for agent in shown {
        if let Some(lag) = agent.lag_seconds {
            text.value(&[("agent", &agent.agent), ("host", &agent.host)], lag as u64);
        }
    }
    text.family("taffrail_agent_received_rows_total", "counter", "Records and samples that an agent brought.");
    for agent in shown {
        let rows = agent.received["rows"].as_u64().unwrap_or_default();
        text.value(&[("agent", &agent.agent), ("host", &agent.host)], rows);
    }
}

/// The text form: a family's two comment lines, then its values.
#[derive(Default)]
struct Exposition {
    text: String,
    family: String,
}

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        name.clone_into(&mut self.family);
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, labels: &[(&str, &str)], value: u64) {
        self.text.push_str(&self.family);
        for (at, (name, value)) in labels.iter().enumerate() {
            let opening = if at == 0 { '{' } else { ',' };
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.text, "{opening}{name}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_their_family_with_escaped_labels() {
        let mut exposition = Exposition::default();
        exposition.family("a_total", "counter", "All of a.");
        exposition.value(&[], 1);
        exposition.value(&[("name", "C:\\\"x\"\n"), ("kind", "file")], 2);
        let expected = concat!(
            "# HELP a_total All of a.\n# TYPE a_total counter\n",
            "a_total 1\n",
            r#"a_total{name="C:\\\"x\"\n",kind="file"} 2"#,
            "\n"
        );
        assert_eq!(exposition.text, expected);
    }
}
