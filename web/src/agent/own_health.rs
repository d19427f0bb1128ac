//! Sends what the agent says of itself: its log and, every so often, its figures, on the lane that goes before all others.
//!
//! Nothing here slows the agent down: what waits is bounded ([`super::own_log`]), and while the spool takes nothing the next
//! figures are simply read later. Nothing here writes to the log either: it would send what it says.

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::delivery::Outlet;
use taffrail_collector::model::{Batch, Lane, LogRecord, Resource, Sample, Timestamp};
use taffrail_collector::source::deliver_patiently;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::figures::figures;
use super::own_log::OwnLogRecords;
use super::own_samples::OwnSamples;
use super::status::StatusReader;

/// The service that the agent's own records name.
pub const SERVICE: &str = "taffrail-agent";
/// Its kind among the sources.
pub const KIND: &str = "own_health";
/// Records of one batch.
const BATCH_RECORDS: usize = 500;
/// How long a first record waits for others to go with it: each batch costs an fsync.
const BATCH_AGE: Duration = Duration::from_millis(500);

/// The task that sends it.
pub struct OwnHealth {
    log: OwnLogRecords,
    status: StatusReader,
    samples: OwnSamples,
    resource: Arc<Resource>,
    outlet: Outlet,
    interval: Duration,
}

impl OwnHealth {
    /// Of the agent that `status` reads, by this outlet, with figures once an interval.
    pub fn new(log: OwnLogRecords, status: StatusReader, outlet: Outlet, interval: Duration) -> OwnHealth {
        let resource = Resource {
            host: Arc::clone(&status.host),
            service: SERVICE.into(),
            attributes: vec![("agent".into(), status.agent.as_str().into())],
        };
        OwnHealth {
            samples: OwnSamples::new(status.agent.clone(), Arc::clone(&status.host)),
            log,
            status,
            resource: Arc::new(resource),
            outlet: outlet.with_lane(Lane::Control).of_source(KIND),
            interval,
        }
    }

    /// Runs until `stop` is cancelled; then what was said by then and the last figures are handed over.
    pub async fn run(mut self, stop: CancellationToken) {
        // The first reading is taken at once, for the window that just ended: a newcomer is seen before its first is over.
        let mut window = Timestamp::now().floor_to(self.interval).saturating_sub(self.interval);
        let mut due = Instant::now();
        let mut log_ended = false;
        loop {
            let mut logs = Vec::new();
            // Every branch is cancel-safe: `next` leaves what it took in `logs`.
            let (stopping, figures_due) = tokio::select! {
                biased;
                () = stop.cancelled() => (true, true),
                () = tokio::time::sleep_until(due) => (false, true),
                count = self.log.next(&mut logs, BATCH_RECORDS), if !log_ended => {
                    log_ended = count == 0;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(BATCH_AGE) => {}
                    }
                    (false, false)
                }
            };
            while logs.len() < BATCH_RECORDS
                && let Some(record) = self.log.try_next()
            {
                logs.push(record);
            }
            let samples = if figures_due { self.read(window).await } else { Vec::new() };
            if figures_due {
                window = Timestamp::now().floor_to(self.interval);
                due = Instant::now() + window.saturating_add(self.interval).saturating_since(Timestamp::now());
            }
            self.deliver(logs, samples, &stop).await;
            if stopping {
                return;
            }
        }
    }

    async fn read(&mut self, window: Timestamp) -> Vec<Sample> {
        let status = self.status.clone();
        let Ok(status) = tokio::task::spawn_blocking(move || serde_json::to_value(status.read())).await else {
            return Vec::new();
        };
        let interval_ms = u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX);
        self.samples.samples(figures(&status.unwrap_or_default()), window, interval_ms)
    }

    async fn deliver(&self, mut logs: Vec<LogRecord>, samples: Vec<Sample>, stop: &CancellationToken) {
        logs.iter_mut().for_each(|record| record.resource = Arc::clone(&self.resource));
        let batch = Batch { logs, samples, ..Batch::local() };
        if !batch.is_empty() {
            // What is refused for good is lost, and with it only what the agent said of itself.
            deliver_patiently(&self.outlet, &batch, stop).await;
        }
    }
}
