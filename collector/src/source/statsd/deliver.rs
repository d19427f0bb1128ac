//! From windows that ended to the outlet: at every tick of the grid, at once for events, and all the rest at the end.
//!
//! Closing windows and delivering them are two tasks with a bounded queue between, so that a store that is slow, or an
//! agent's server that is away, does not stretch the windows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::intake::{Intake, Ready};
use crate::delivery::{Outcome, Outlet, RefusalReason};
use crate::model::{Batch, Timestamp};
use crate::source::kernel_drops::KernelDrops;
use crate::source::{Tally, deliver_patiently};

/// Samples in one batch. A window of more is several batches.
const BATCH_SAMPLES_MAX: usize = 4_000;

/// Batches that wait for the outlet; the newest beyond that are dropped and counted.
const BATCHES_WAITING_MAX: usize = 120;

/// Delivers what the intake gathers until `stop`, then, once the `readers` of its sockets have ended, what is left.
pub async fn run(
    intake: Arc<Intake>,
    interval: Duration,
    mut drops: Option<KernelDrops>,
    outlet: Outlet,
    tally: Arc<Tally>,
    stop: CancellationToken,
    mut readers: JoinSet<()>,
) {
    let (batches, waiting) = mpsc::channel(BATCHES_WAITING_MAX);
    let delivering = tokio::spawn(deliver(waiting, outlet, Arc::clone(&tally), stop.clone()));
    loop {
        tokio::select! {
            () = tokio::time::sleep(until_next_tick(Timestamp::now(), interval)) => {}
            () = intake.event_came.notified() => {}
            () = stop.cancelled() => break,
        }
        if let Some(drops) = &mut drops {
            report_drops(drops, &tally);
        }
        for batch in batches_of(intake.ready(Timestamp::now())) {
            if let Err(TrySendError::Full(batch)) = batches.try_send(batch) {
                count_lost(&tally, "delivery_queue_full", &batch);
            }
        }
    }
    while let Some(ended) = readers.join_next().await {
        if ended.is_err() {
            tracing::error!("a reader of StatsD lines failed");
        }
    }
    if let Some(drops) = &mut drops {
        report_drops(drops, &tally);
    }
    for batch in batches_of(intake.rest()) {
        if batches.send(batch).await.is_err() {
            break;
        }
    }
    drop(batches);
    if delivering.await.is_err() {
        tracing::error!("the task that delivers StatsD windows failed");
    }
}

async fn deliver(mut waiting: mpsc::Receiver<Batch>, outlet: Outlet, tally: Arc<Tally>, stop: CancellationToken) {
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

fn batches_of(ready: Ready) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut samples = ready.samples;
    if !ready.logs.is_empty() {
        batches.push(Batch { logs: ready.logs, ..Batch::local() });
    }
    while !samples.is_empty() {
        let rest = samples.split_off(samples.len().min(BATCH_SAMPLES_MAX));
        batches.push(Batch { samples, ..Batch::local() });
        samples = rest;
    }
    batches
}

fn count_lost(tally: &Tally, reason: &'static str, batch: &Batch) {
    let example = match (batch.samples.first(), batch.logs.first()) {
        (Some(sample), _) => sample.labels.to_string(),
        (None, Some(record)) => record.body.clone(),
        (None, None) => String::new(),
    };
    tally.problem(reason, batch.len() as u64, example.as_bytes());
}

fn report_drops(drops: &mut KernelDrops, tally: &Tally) {
    let dropped = drops.since_last();
    if dropped > 0 {
        tally.problem("kernel_drop", dropped, b"raise collector.statsd.receive_buffer_bytes and net.core.rmem_max");
    }
}

fn until_next_tick(now: Timestamp, interval: Duration) -> Duration {
    now.floor_to(interval).saturating_add(interval).saturating_since(now)
}
