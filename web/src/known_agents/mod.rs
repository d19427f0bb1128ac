//! The agents that this server has heard of: when, from where, how far behind they are, and what they say of themselves.
//!
//! Everything is learned from their batches: each says that its agent lives, and those of samples named `taffrail_agent_…`
//! are the agent's own figures ([`report`]). It is kept in memory, and now and then written to the catalog, so that an agent
//! that is gone is still known after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taffrail_collector::model::{AgentId, Timestamp};
use taffrail_collector::source::agent::{Heard, HeardAnswer};
use taffrail_ingest::catalog::Catalog;
use tokio_util::sync::CancellationToken;

pub mod report;

use self::report::Report;

/// The kind of the catalog's documents that hold agents.
const KIND: &str = "agents";
/// Agents that are remembered; from more than that this server takes batches, but forgets who they are.
const AGENTS_MAX: usize = 10_000;
/// How often what changed is written to the catalog; a newcomer is written at the next look.
const SAVE_INTERVAL: Duration = Duration::from_secs(300);
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// An agent that says how it does is silent after three times its interval, and this at least …
const SILENT_AFTER_MIN: Duration = Duration::from_secs(30);
/// … and one that does not, after this.
const SILENT_AFTER_WITHOUT_REPORTS: Duration = Duration::from_secs(300);
/// An agent whose oldest undelivered record is older lags.
pub const LAGGING_AFTER: Duration = Duration::from_secs(60);
/// A silent agent is forgotten after this.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 86_400);
/// What an agent brings is measured over windows of this length.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// All of them.
pub struct KnownAgents {
    agents: Mutex<BTreeMap<AgentId, Known>>,
    catalog: Arc<Catalog>,
}

/// One agent as it is remembered. Times are nanoseconds since 1970 by this server's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    host: String,
    address: String,
    first_seen: i64,
    last_seen: i64,
    newest_record: Option<i64>,
    report: Report,
    /// When the newest report came.
    reported: i64,
    batches: u64,
    rows: u64,
    bytes: u64,
    duplicates: u64,
    refused: BTreeMap<String, u64>,
    #[serde(skip)]
    rate: Rate,
    #[serde(skip)]
    saved: i64,
}

/// Rows and bytes of the window under way and of the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rate {
    window: i64,
    now: (u64, u64),
    before: (u64, u64),
}

/// An agent at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct AgentSnapshot {
    /// Who it is, 32 hexadecimal digits.
    pub agent: String,
    /// The host its records name.
    pub host: String,
    /// `ok`, `lagging` or `silent`.
    pub state: &'static str,
    /// Its version, when it says so.
    pub version: Option<String>,
    /// Where its batches come from.
    pub address: String,
    /// When this server first heard of it, RFC 3339.
    pub first_seen: String,
    /// When it last did.
    pub last_seen: String,
    /// How long ago that is.
    pub last_seen_seconds: f64,
    /// The time of the newest record it brought.
    pub newest_record: Option<String>,
    /// How old the oldest is that it has not delivered yet, as it says itself; none when it does not say.
    pub lag_seconds: Option<f64>,
    /// What it brought since this server first heard of it.
    pub received: Value,
    /// What it says of itself: its own status, with rates beside counts; none when it does not say.
    pub report: Option<Value>,
}

impl KnownAgents {
    /// Those that were saved.
    pub fn load(catalog: Arc<Catalog>) -> KnownAgents {
        let saved = catalog.documents(KIND).unwrap_or_else(|error| {
            tracing::warn!("the agents known before cannot be read: {error}");
            Vec::new()
        });
        let agents = saved.into_iter().filter_map(|(key, document)| {
            let agent = AgentId(u128::from_str_radix(&key, 16).ok()?);
            let mut known: Known = serde_json::from_str(&document).ok()?;
            known.saved = known.last_seen;
            Some((agent, known))
        });
        KnownAgents { agents: Mutex::new(agents.collect()), catalog }
    }

    /// Learns from a batch.
    pub fn heard(&self, heard: &Heard, now: Timestamp) {
        let mut agents = self.agents.lock();
        if agents.len() >= AGENTS_MAX && !agents.contains_key(&heard.agent) {
            return;
        }
        let known = agents.entry(heard.agent).or_default();
        known.hear(heard, now.unix_nanos());
    }

    /// All of them, silent and lagging ones first, then by host.
    pub fn snapshot(&self, now: Timestamp) -> Vec<AgentSnapshot> {
        self.sorted(|agent, known| {
            let report = (!known.report.is_empty()).then(|| known.report.document());
            AgentSnapshot { report, ..known.snapshot(agent, now) }
        })
    }

    /// The same without what they say of themselves.
    pub fn in_short(&self, now: Timestamp) -> Vec<AgentSnapshot> {
        self.sorted(|agent, known| known.snapshot(agent, now))
    }

    fn sorted(&self, snapshot: impl Fn(AgentId, &Known) -> AgentSnapshot) -> Vec<AgentSnapshot> {
        let agents = self.agents.lock();
        let mut shown: Vec<_> = agents.iter().map(|(agent, known)| snapshot(*agent, known)).collect();
        drop(agents);
        let rank = |state: &str| ["silent", "lagging", "ok"].iter().position(|one| *one == state);
        shown.sort_by(|a, b| (rank(a.state), &a.host, &a.agent).cmp(&(rank(b.state), &b.host, &b.agent)));
        shown
    }

    /// Saves and forgets now and then until `stop` is cancelled, and once more then.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            let this = Arc::clone(&self);
            let save = move || this.save(Timestamp::now(), if stopping { Duration::ZERO } else { SAVE_INTERVAL });
            if tokio::task::spawn_blocking(save).await.is_err() || stopping {
                return;
            }
        }
    }

    /// Writes those that changed and were last written `age` ago, and removes those that were silent for too long.
    fn save(&self, now: Timestamp, age: Duration) {
        let (changed, gone) = {
            let mut agents = self.agents.lock();
            let oldest = now.saturating_sub(FORGOTTEN_AFTER).unix_nanos();
            let gone: Vec<_> =
                agents.extract_if(.., |_, known| known.last_seen < oldest).map(|(agent, _)| agent).collect();
            let due = now.saturating_sub(age).unix_nanos();
            let changed = agents.iter_mut().filter(|(_, known)| known.saved != known.last_seen && known.saved <= due);
            let changed: Vec<_> = changed
                .map(|(agent, known)| {
                    known.saved = known.last_seen;
                    (*agent, known.clone())
                })
                .collect();
            (changed, gone)
        };
        let written = changed.into_iter().try_for_each(|(agent, known)| {
            let document = serde_json::to_string(&known).unwrap_or_default();
            self.catalog.put_document(KIND, &agent.to_string(), &document)
        });
        let removed = gone.into_iter().try_for_each(|agent| self.catalog.remove_document(KIND, &agent.to_string()));
        if let Err(error) = written.and(removed) {
            tracing::warn!("what is known of agents cannot be saved: {error}");
        }
    }
}

impl Known {
    fn hear(&mut self, heard: &Heard, now: i64) {
        if self.first_seen == 0 {
            self.first_seen = now;
        }
        self.last_seen = now;
        if let Some(address) = heard.address {
            self.address = address.to_string();
        }
        match heard.answer {
            HeardAnswer::Stored => {}
            HeardAnswer::Duplicate => {
                self.duplicates += 1;
                return;
            }
            HeardAnswer::Refused(reason) => {
                *self.refused.entry(reason.to_owned()).or_default() += 1;
                return;
            }
        }
        self.batches += 1;
        self.rows += heard.rows;
        self.bytes += heard.bytes;
        self.rate.add(now, heard.rows, heard.bytes);
        self.newest_record = self.newest_record.max(heard.newest.map(Timestamp::unix_nanos));
        // Records may name other hosts (an agent that takes syslog); its own figures name its own.
        let own = heard.own_samples.first().map(|sample| sample.labels.get("host"));
        if let Some(host) = own.filter(|host| !host.is_empty()) {
            host.clone_into(&mut self.host);
        } else if let (true, Some(host)) = (self.host.is_empty(), &heard.host) {
            self.host = host.to_string();
        }
        if !heard.own_samples.is_empty() {
            self.report.take(&heard.own_samples, Timestamp::from_unix_nanos(now));
            self.reported = now;
        }
    }

    /// Without the report.
    fn snapshot(&self, agent: AgentId, now: Timestamp) -> AgentSnapshot {
        let since = |moment: i64| now.saturating_since(Timestamp::from_unix_nanos(moment));
        let moment = |nanos: i64| Timestamp::from_unix_nanos(nanos).to_string();
        let silent_after = if self.report.is_empty() {
            SILENT_AFTER_WITHOUT_REPORTS
        } else {
            SILENT_AFTER_MIN.max(3 * self.report.interval())
        };
        let lag = self.lag(since(self.reported));
        let state = if since(self.last_seen) > silent_after {
            "silent"
        } else if lag.is_some_and(|lag| lag > LAGGING_AFTER) {
            "lagging"
        } else {
            "ok"
        };
        let (rows, bytes) = self.rate.per_second(now.unix_nanos());
        AgentSnapshot {
            agent: agent.to_string(),
            host: self.host.clone(),
            state,
            version: self.report.version().map(str::to_owned),
            address: self.address.clone(),
            first_seen: moment(self.first_seen),
            last_seen: moment(self.last_seen),
            last_seen_seconds: since(self.last_seen).as_secs_f64(),
            newest_record: self.newest_record.map(moment),
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            received: json!({
                "batches": self.batches,
                "rows": self.rows,
                "bytes": self.bytes,
                "rows_per_second": rows,
                "bytes_per_second": bytes,
                "duplicate_batches": self.duplicates,
                "refused": self.refused,
            }),
            report: None,
        }
    }

    /// The age of the oldest undelivered: in the spool, or unread at a source. What waited at the last report is older by now,
    /// unless another report says that it is gone.
    fn lag(&self, since_report: Duration) -> Option<Duration> {
        if self.report.is_empty() {
            return None;
        }
        let spooled = self.report.level("oldest_waiting_ms").unwrap_or(0.0) / 1000.0;
        let unread = self.report.level("source_lag_seconds").unwrap_or(0.0);
        let then = Duration::try_from_secs_f64(spooled.max(unread)).unwrap_or_default();
        Some(if then.is_zero() { then } else { then + since_report })
    }
}

impl Rate {
    fn turn_to(&mut self, now: i64) {
        let window = Timestamp::from_unix_nanos(now).floor_to(RATE_WINDOW).unix_nanos();
        if window == self.window {
            return;
        }
        let follows = Timestamp::from_unix_nanos(self.window).saturating_add(RATE_WINDOW).unix_nanos() == window;
        self.before = if follows { self.now } else { (0, 0) };
        (self.window, self.now) = (window, (0, 0));
    }

    fn add(&mut self, now: i64, rows: u64, bytes: u64) {
        self.turn_to(now);
        self.now.0 += rows;
        self.now.1 += bytes;
    }

    /// Rows and bytes a second of the last window that is over.
    fn per_second(mut self, now: i64) -> (f64, f64) {
        self.turn_to(now);
        let seconds = RATE_WINDOW.as_secs_f64();
        (self.before.0 as f64 / seconds, self.before.1 as f64 / seconds)
    }
}

#[cfg(test)]
mod tests;
