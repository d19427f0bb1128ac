//! From the channel into the spool: what waits is written together, fsynced once, and then answered.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lanes;
use super::spool::{Commit, with_order};
use super::{CHANNEL_BATCHES, Shared};
use crate::crash_point::crash_point;
use crate::delivery::{Delivery, Outcome, Receipt, Refusal, RefusalReason};
use crate::file_system::FileSystem;
use crate::frame;
use crate::model::{Batch, Checkpoint, Lane};
use crate::stored_range::RANGE_PREFIX;

/// How long a stopping agent waits for a source that still holds an outlet and says nothing.
const QUIET_AFTER_STOP: Duration = Duration::from_secs(2);

/// See the module's documentation.
pub(super) struct Intake<F: FileSystem> {
    shared: Arc<Shared<F>>,
    deliveries: mpsc::Receiver<Delivery>,
    stop: CancellationToken,
}

impl<F: FileSystem> Intake<F> {
    pub(super) fn new(
        shared: Arc<Shared<F>>,
        deliveries: mpsc::Receiver<Delivery>,
        stop: CancellationToken,
    ) -> Intake<F> {
        Intake { shared, deliveries, stop }
    }

    /// Runs until every outlet is dropped, or the agent is stopping and the sources are quiet.
    pub(super) async fn run(mut self) {
        loop {
            let mut group = Vec::with_capacity(CHANNEL_BATCHES);
            // `recv_many` is cancel-safe: what it received stands in `group`.
            let received = tokio::select! {
                received = self.deliveries.recv_many(&mut group, CHANNEL_BATCHES) => received,
                () = quiet_after(&self.stop) => 0,
            };
            if received == 0 {
                return;
            }
            let shared = Arc::clone(&self.shared);
            let stored = tokio::task::spawn_blocking(move || store(&shared, group)).await;
            if stored.is_err() {
                tracing::error!("spooling a batch failed; its source was told so");
            }
            self.shared.changed.notify_one();
        }
    }
}

async fn quiet_after(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(QUIET_AFTER_STOP).await;
}

fn store<F: FileSystem>(shared: &Shared<F>, group: Vec<Delivery>) {
    let writing = shared.writing.lock();
    let mut appended = Vec::new();
    for Delivery { batch, lane, receipt } in group {
        match put(shared, batch, lane) {
            Ok(()) => appended.push(receipt),
            Err(refusal) => receipt.answer(Outcome::Refused(refusal)),
        }
    }
    let mut spool = shared.spool.lock();
    let Commit { stored, refusal } = spool.commit();
    let bytes = spool.disk_bytes();
    drop(spool);
    drop(writing);
    // Until the sender has counted itself.
    shared.status.update(|status| {
        status.spool_bytes = bytes;
        status.waiting_batches += stored as u64;
    });
    crash_point("ship:after_spooling");
    let lost = appended.split_off(stored);
    appended.into_iter().for_each(|receipt: Receipt| receipt.answer(Outcome::Stored { acked_through: None }));
    if let Some(refusal) = refusal {
        tracing::error!(%refusal, batches = lost.len(), "batches could not be spooled; their sources try again");
        lost.into_iter().for_each(|receipt| receipt.answer(Outcome::Refused(refusal.clone())));
    }
}

/// Appends a batch to the spool; not durable yet. The encoding, which takes longest, is done without the lock.
fn put<F: FileSystem>(shared: &Shared<F>, batch: Batch, lane: Option<Lane>) -> Result<(), Refusal> {
    let mut batch = Batch { place: None, ..batch };
    let (order, ranges) = {
        let mut spool = shared.spool.lock();
        batch.agent = spool.agent();
        let order = if batch.checkpoints.is_empty() { 0 } else { spool.next_order() };
        (order, spool.ranges_to(order, &batch.checkpoints))
    };
    batch.checkpoints.iter_mut().for_each(|checkpoint| with_order(checkpoint, order));
    let checkpoints = batch.checkpoints.clone();
    let mut frames = Vec::with_capacity(1);
    let mut parts = lanes::frames(batch, lane, shared.is_backlogged.load(Relaxed));
    lanes::add_ranges(&mut parts, order, &ranges);
    for (lane, part) in parts {
        shared.spool.lock().has_room(lane, !checkpoints.is_empty())?;
        let mut bytes = Vec::new();
        frame::encode(&part, &mut bytes).map_err(|error| Refusal {
            reason: RefusalReason::BatchTooLarge,
            message: error.to_string(),
            retry_after: None,
        })?;
        frames.push((lane, bytes));
    }
    shared.spool.lock().put(frames, checkpoints)
}

/// Spools how far all sources were read, in a batch of its own, durably. What servers keep of ranges from before it ends with it, but
/// for those that this agent has still to pass over.
pub(super) fn put_checkpoints<F: FileSystem>(shared: &Shared<F>) -> Result<(), Refusal> {
    let _writing = shared.writing.lock();
    let known = shared.spool.lock().checkpoints().clone();
    let end = Checkpoint { key: RANGE_PREFIX.to_owned(), value: vec![0] };
    let known = known.into_iter().map(|(key, value)| Checkpoint { key, value });
    let batch = Batch { checkpoints: [end].into_iter().chain(known).collect(), ..Batch::local() };
    put(shared, batch, Some(Lane::Normal))?;
    let Commit { refusal, .. } = shared.spool.lock().commit();
    refusal.map_or(Ok(()), Err)
}
