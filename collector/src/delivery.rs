//! The wall between the collector and whoever takes its batches: a bounded channel of batches, each with a receipt.
//!
//! The server's ingest holds the other end when both run in one process; an agent's sender holds it on a distant host.
//! A full channel slows the sender down: that is the back-pressure of the whole system.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::model::{Batch, Lane};

/// A batch and the promise to answer for it.
#[derive(Debug)]
pub struct Delivery {
    /// What to store.
    pub batch: Batch,
    /// How urgent it is, when its source says so; none leaves that to its content.
    pub lane: Option<Lane>,
    /// Where to answer, once.
    pub receipt: Receipt,
}

/// Answers for one batch. Dropping it unanswered tells the sender that the taker went away.
#[derive(Debug)]
pub struct Receipt(oneshot::Sender<Outcome>);

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable: on disk and fsynced. `acked_through` is the last sequence number of its stream that is, when it has a place.
    Stored {
        /// Last durable sequence number of the stream.
        acked_through: Option<u64>,
    },
    /// All of it was durable before: a resend.
    Duplicate {
        /// Last durable sequence number of the stream.
        acked_through: u64,
    },
    /// The batch starts after a hole; nothing of it was stored.
    Gap {
        /// The sequence number that the stream goes on with.
        expected: u64,
    },
    /// It was not stored.
    Refused(Refusal),
}

/// Why a batch was not stored, in words for the sender's operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which limit or fault.
    pub reason: RefusalReason,
    /// A sentence that names the setting to change.
    pub message: String,
    /// When to try again; none when trying again cannot help.
    pub retry_after: Option<Duration>,
}

/// The named reasons for which a batch or a record is turned away. Each has its own counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// The batch is larger than one batch may be.
    BatchTooLarge,
    /// The store takes no more just now (memory, queue).
    Overloaded,
    /// The disk is full.
    DiskFull,
    /// Writing failed in another way.
    WriteFailed,
    /// The server is stopping.
    ShuttingDown,
    /// Two live agents use one identity.
    IdentityConflict,
}

/// The sending end, cheap to clone.
#[derive(Clone, Debug)]
pub struct Outlet {
    sender: mpsc::Sender<Delivery>,
    lane: Option<Lane>,
    source: &'static str,
    onlooker: Option<Arc<dyn Onlooker>>,
}

/// Watches what passes an outlet, without holding it up.
pub trait Onlooker: fmt::Debug + Send + Sync {
    /// Looks at a batch that a source hands over. What it gives back is called once the batch is stored, and dropped when it is
    /// not; none when nobody watches, which must cost next to nothing.
    fn look(&self, source: &'static str, batch: &Batch) -> Option<Seen>;
}

/// What an [`Onlooker`] does once the batch it saw is stored.
pub type Seen = Box<dyn FnOnce() + Send>;

/// A new channel that holds at most `capacity` batches.
pub fn channel(capacity: usize) -> (Outlet, mpsc::Receiver<Delivery>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Outlet { sender, lane: None, source: "", onlooker: None }, receiver)
}

impl Outlet {
    /// The same, for batches that are all as urgent as this.
    #[must_use]
    pub fn with_lane(mut self, lane: Lane) -> Outlet {
        self.lane = Some(lane);
        self
    }

    /// The same, for the batches of one source (its kind).
    #[must_use]
    pub fn of_source(mut self, source: &'static str) -> Outlet {
        self.source = source;
        self
    }

    /// The same, watched.
    #[must_use]
    pub fn with_onlooker(mut self, onlooker: Arc<dyn Onlooker>) -> Outlet {
        self.onlooker = Some(onlooker);
        self
    }

    /// Hands the batch over and waits until it is durable or refused. Waits as long as the channel is full.
    ///
    /// Not cancel-safe in the sense of `select!`: when the future is dropped after the batch was handed over, the batch
    /// may still be stored.
    pub async fn deliver(&self, batch: Batch) -> Outcome {
        match self.send(batch).await {
            Ok(pending) => pending.outcome().await,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// Hands the batch over and returns at once with the pending answer, so that several batches can be under way.
    pub async fn send(&self, batch: Batch) -> Result<Pending, Refusal> {
        let seen = self.onlooker.as_ref().and_then(|onlooker| onlooker.look(self.source, &batch));
        let (answer, pending) = oneshot::channel();
        match self.sender.send(Delivery { batch, lane: self.lane, receipt: Receipt(answer) }).await {
            Ok(()) => Ok(Pending { answer: pending, seen }),
            Err(_) => Err(Refusal::shutting_down()),
        }
    }
}

/// The answer to come for a batch that was handed over.
pub struct Pending {
    answer: oneshot::Receiver<Outcome>,
    seen: Option<Seen>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("answer", &self.answer).finish_non_exhaustive()
    }
}

impl Pending {
    /// Waits for the answer.
    pub async fn outcome(self) -> Outcome {
        let outcome = self.answer.await.unwrap_or_else(|_| Outcome::Refused(Refusal::shutting_down()));
        if let (Some(seen), Outcome::Stored { .. }) = (self.seen, &outcome) {
            seen();
        }
        outcome
    }
}

impl Receipt {
    /// Answers the sender. A sender that no longer waits is no error.
    pub fn answer(self, outcome: Outcome) {
        let _ = self.0.send(outcome);
    }
}

impl Refusal {
    /// The taker is stopping or has stopped.
    pub fn shutting_down() -> Refusal {
        Refusal {
            reason: RefusalReason::ShuttingDown,
            message: "the server is stopping; send again when it is back".to_owned(),
            retry_after: Some(Duration::from_secs(1)),
        }
    }
}

impl RefusalReason {
    /// The reason's name in counters, answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            RefusalReason::BatchTooLarge => "batch_too_large",
            RefusalReason::Overloaded => "overloaded",
            RefusalReason::DiskFull => "disk_full",
            RefusalReason::WriteFailed => "write_failed",
            RefusalReason::ShuttingDown => "shutting_down",
            RefusalReason::IdentityConflict => "identity_conflict",
        }
    }
}
