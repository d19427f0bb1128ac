//! From the channel into the spool: what waits is written together, fsynced once, and then answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::spool::Commit;
use super::{CHANNEL_BATCHES, Shared};
use crate::delivery::{Delivery, Outcome, Receipt, Refusal, RefusalReason};
use crate::file_system::FileSystem;
use crate::frame;
use crate::model::{AgentId, Batch};

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
    let agent = shared.spool.lock().agent();
    let encoded: Vec<_> = group.into_iter().map(|delivery| encode(delivery, agent)).collect();
    let mut spool = shared.spool.lock();
    let mut appended = Vec::new();
    for (frame, receipt) in encoded {
        let result = frame.and_then(|(bytes, checkpoints)| spool.put(bytes, checkpoints));
        match result {
            Ok(()) => appended.push(receipt),
            Err(refusal) => receipt.answer(Outcome::Refused(refusal)),
        }
    }
    let Commit { stored, refusal } = spool.commit();
    shared.status.spool(spool.disk_bytes(), spool.end() - spool.acked_frames());
    drop(spool);
    let lost = appended.split_off(stored);
    appended.into_iter().for_each(|receipt: Receipt| receipt.answer(Outcome::Stored { acked_through: None }));
    if let Some(refusal) = refusal {
        tracing::error!(%refusal, batches = lost.len(), "batches could not be spooled; their sources try again");
        lost.into_iter().for_each(|receipt| receipt.answer(Outcome::Refused(refusal.clone())));
    }
}

type Encoded = (Result<(Vec<u8>, Vec<crate::model::Checkpoint>), Refusal>, Receipt);

fn encode(delivery: Delivery, agent: AgentId) -> Encoded {
    let Delivery { batch, receipt, .. } = delivery;
    let batch = Batch { agent, place: None, ..batch };
    let mut bytes = Vec::new();
    let frame = match frame::encode(&batch, &mut bytes) {
        Ok(()) => Ok((bytes, batch.checkpoints)),
        Err(error) => {
            Err(Refusal { reason: RefusalReason::BatchTooLarge, message: error.to_string(), retry_after: None })
        }
    };
    (frame, receipt)
}
