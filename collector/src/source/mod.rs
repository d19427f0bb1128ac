//! The ways in. A source turns what one protocol brings into batches and hands them to the [`Outlet`].
//!
//! Every source is a folder with a `Config` (its section of the configuration) and a `start` function that binds or opens
//! what it needs, reports what is wrong at once, and then runs as a task until [`SourceContext::stop`] is cancelled: it
//! stops taking, delivers what it holds, and ends. What it refuses, cuts or drops it counts in its [`Tally`], by reason.
//!
//! Lines: [`file_tail`], [`journald`], [`stdin`], [`syslog`], [`json_lines`]. Metrics: [`statsd`], [`host_metrics`], [`graphite`],
//! [`prometheus_write`], [`prometheus_scrape`]. Both, and spans: [`otlp`].
//! Batches of other agents: [`agent`]. Line sources share [`line_splitter`] (bytes become lines), [`multiline`] (lines
//! become groups) and [`feeder`] (records become batches). What rules drop is said by [`shape_reports`]. What readings of the
//! Prometheus world measure is told by [`series_type`], what senders say of their metrics is kept by [`descriptions`];
//! histograms of other systems become ours by [`bucket_counts`] and [`running_histograms`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::delivery::{Outcome, Outlet, RefusalReason};
use crate::enrich::Enricher;
use crate::model::{Batch, Resource};

pub mod agent;
pub mod bucket_counts;
mod cut_record;
pub mod descriptions;
mod exemplar_trace;
pub mod feeder;
pub mod file_tail;
pub mod graphite;
pub mod host_metrics;
pub mod journald;
pub mod json_lines;
mod kernel_drops;
pub mod line_splitter;
pub mod multiline;
pub mod otlp;
pub mod prometheus_scrape;
pub mod prometheus_write;
pub mod protobuf;
mod record_batches;
pub mod running_histograms;
mod sample_feeder;
mod series_cache;
pub mod series_type;
pub mod shape_reports;
#[cfg(test)]
mod small_store;
pub mod statsd;
pub mod stdin;
pub mod syslog;
mod tally;
mod whole_request;

pub use tally::{Backlog, ProblemSnapshot, RuleSnapshot, Tallies, Tally, TallySnapshot};

/// How long a batch is still tried after the stop when the taker refuses it for a while. A service manager that waits the usual
/// 10 s or more before it kills leaves the taker the rest.
pub const STOP_GRACE: Duration = Duration::from_secs(5);

/// After the stop the next try waits no longer, whatever the taker asks for.
const STOP_RETRY_WAIT_MAX: Duration = Duration::from_millis(500);

/// What a source needs from the process it runs in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SourceContext {
    /// Where batches go.
    pub outlet: Outlet,
    /// Where what arrived and what went wrong is counted.
    pub tallies: Arc<Tallies>,
    /// Reads what a line says about itself.
    pub enricher: Enricher,
    /// This host, for what does not say where it comes from.
    pub resource: Arc<Resource>,
    /// How far sources had been read when this process started, as the taker of the batches knows it.
    pub checkpoints: Arc<HashMap<String, Vec<u8>>>,
    /// Cancelled when the source is to stop.
    pub stop: CancellationToken,
}

impl SourceContext {
    /// One that nothing is known to, for tests.
    #[cfg(test)]
    pub(crate) fn bare(outlet: Outlet) -> SourceContext {
        SourceContext {
            outlet,
            tallies: Arc::default(),
            enricher: Enricher::default(),
            resource: Arc::default(),
            checkpoints: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// The same for one source, whose batches are known by its kind.
    #[must_use]
    pub fn of_source(&self, kind: &'static str) -> SourceContext {
        SourceContext { outlet: self.outlet.clone().of_source(kind), ..self.clone() }
    }
}

/// A source that runs.
#[derive(Debug)]
pub struct Running {
    /// The source's kind, as its section is called.
    pub kind: &'static str,
    /// What it listens on, when it listens.
    pub address: Option<SocketAddr>,
    /// Ends after [`SourceContext::stop`] was cancelled and everything held was delivered.
    pub task: JoinHandle<()>,
}

/// Why a source could not start; the message names the setting to change.
#[derive(Debug, Error)]
#[error("{setting}: {message}")]
pub struct StartError {
    /// The setting, as it stands in the file (`collector.statsd.address`).
    pub setting: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// Delivers a batch, waiting and trying again while the taker says that waiting can help. Once `stop` is
/// cancelled it goes on for [`STOP_GRACE`], and gives up at once when the taker is stopping too. Returns the last outcome.
pub async fn deliver_patiently(outlet: &Outlet, batch: &Batch, stop: &CancellationToken) -> Outcome {
    let mut gives_up_at = None;
    loop {
        let outcome = outlet.deliver(batch.clone()).await;
        let Outcome::Refused(refusal) = &outcome else { return outcome };
        let Some(wait) = refusal.retry_after else { return outcome };
        let wait = wait.clamp(Duration::from_millis(50), Duration::from_secs(30));
        if gives_up_at.is_none() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => continue,
            }
        }
        let now = tokio::time::Instant::now();
        if refusal.reason == RefusalReason::ShuttingDown || now >= *gives_up_at.get_or_insert(now + STOP_GRACE) {
            return outcome;
        }
        tokio::time::sleep(wait.min(STOP_RETRY_WAIT_MAX)).await;
    }
}
