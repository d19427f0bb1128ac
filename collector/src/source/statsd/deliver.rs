//! From what is ready to the outlet: windows when the merging thread has them, events at once.
//!
//! Merging and delivering are two tasks with a bounded queue between, so that a store that is slow, or an agent's server that is
//! away, does not stretch the windows.

use std::sync::Arc;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::intake::Events;
use crate::delivery::{Outcome, Outlet, RefusalReason};
use crate::model::{Batch, Sample};
use crate::source::{Tally, deliver_patiently};

/// Samples in one batch. A window of more is several batches.
const BATCH_SAMPLES_MAX: usize = 4_000;

/// Batches that may wait for the outlet beside the windows of all series that may be held; the newest beyond that are dropped and
/// counted.
const BATCHES_WAITING_MIN: usize = 120;

/// Windows of all series that may wait for the outlet.
const WINDOWS_WAITING: usize = 3;

/// The queue before the outlet, for a listener that holds so many series.
pub fn queue(series_max: usize) -> (mpsc::Sender<Batch>, mpsc::Receiver<Batch>) {
    mpsc::channel(BATCHES_WAITING_MIN + WINDOWS_WAITING * series_max.min(100_000_000).div_ceil(BATCH_SAMPLES_MAX))
}

/// Puts events into the queue as they come, until the readers have ended and let go of them.
pub async fn send_events(
    events: Arc<Events>,
    batches: mpsc::Sender<Batch>,
    tally: Arc<Tally>,
    ended: CancellationToken,
) {
    loop {
        let is_last = tokio::select! {
            biased;
            () = events.came.notified() => false,
            () = ended.cancelled() => true,
        };
        let logs = events.take();
        if !logs.is_empty() {
            let batch = Batch { logs, ..Batch::local() };
            let refused = match is_last {
                true => batches.send(batch).await.err().map(|refused| refused.0),
                false => {
                    batches.try_send(batch).err().map(|(TrySendError::Full(batch) | TrySendError::Closed(batch))| batch)
                }
            };
            if let Some(batch) = refused {
                count_lost(&tally, "delivery_queue_full", &batch);
            }
        }
        if is_last {
            return;
        }
    }
}

/// Delivers what waits, until nobody puts anything into the queue any more.
pub async fn deliver(mut waiting: mpsc::Receiver<Batch>, outlet: Outlet, tally: Arc<Tally>, stop: CancellationToken) {
    let mut gave_up = false;
    while let Some(batch) = waiting.recv().await {
        let mut pieces = vec![batch];
        while let Some(piece) = pieces.pop() {
            if gave_up {
                // Each further try would cost the stop its grace once more.
                count_lost(&tally, "undelivered_at_stop", &piece);
                continue;
            }
            let refused = match deliver_patiently(&outlet, &piece, &stop).await {
                Outcome::Refused(refusal) => refusal,
                Outcome::Stored { .. } | Outcome::Duplicate { .. } | Outcome::Gap { .. } => continue,
            };
            if refused.reason == RefusalReason::BatchTooLarge && piece.len() > 1 {
                pieces.extend(in_halves(piece));
                continue;
            }
            gave_up = refused.retry_after.is_some();
            let reason = if gave_up { "undelivered_at_stop" } else { refused.reason.name() };
            tracing::warn!(reason, "a StatsD window was not stored: {refused}");
            count_lost(&tally, reason, &piece);
        }
    }
}

/// The two halves of a batch, the second first; one of them may hold the odd record or sample alone.
fn in_halves(mut batch: Batch) -> [Batch; 2] {
    // Rounded so that a batch of one record and one sample falls apart too.
    let logs = batch.logs.split_off(batch.logs.len() / 2);
    let samples = batch.samples.split_off(batch.samples.len().div_ceil(2));
    [Batch { logs, samples, ..Batch::local() }, batch]
}

/// Samples in batches that are neither too large nor many.
pub fn batches_of(mut samples: Vec<Sample>) -> Vec<Batch> {
    let mut batches = Vec::with_capacity(samples.len().div_ceil(BATCH_SAMPLES_MAX));
    while !samples.is_empty() {
        // Taken from the end: what stands at the start need not move.
        let batch = samples.split_off(samples.len() - samples.len().min(BATCH_SAMPLES_MAX));
        batches.push(Batch { samples: batch, ..Batch::local() });
    }
    batches
}

/// Counts what is lost with a batch.
pub fn count_lost(tally: &Tally, reason: &'static str, batch: &Batch) {
    let example = match (batch.samples.first(), batch.logs.first()) {
        (Some(sample), _) => sample.labels.to_string(),
        (None, Some(record)) => record.body.clone(),
        (None, None) => String::new(),
    };
    tally.shed(reason, batch.len() as u64, example.as_bytes());
}
