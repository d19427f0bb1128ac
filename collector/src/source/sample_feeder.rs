//! Turns the samples of a source whose senders await no answer into batches, and delivers them in order.
//!
//! Samples that come within [`BATCH_AGE`] of each other go together, and those that wait are taken along. The channel in front is
//! bounded, which slows the source down.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{SourceContext, Tally, deliver_patiently};
use crate::delivery::{Outcome, Outlet};
use crate::model::{Batch, Sample};

/// A batch waits so long for more …
const BATCH_AGE: Duration = Duration::from_millis(100);
/// … unless it has this many samples.
const BATCH_SAMPLES: usize = 20_000;
/// Portions that wait in front of the feeder.
const PORTIONS_MAX: usize = 16;

/// Samples and the bytes that they arrived in.
#[derive(Debug, Default)]
pub struct SamplePortion {
    /// The samples.
    pub samples: Vec<Sample>,
    /// Their bytes as they arrived.
    pub bytes: u64,
}

/// The sending end; the feeder ends when all of them are gone and everything is delivered.
#[derive(Clone, Debug)]
pub struct SampleFeed(mpsc::Sender<SamplePortion>);

impl SampleFeed {
    /// Hands a portion over; waits while the feeder is busy. What comes after the feeder has ended, which it does only by a
    /// panic, is gone.
    ///
    /// Cancel-safe in that a portion is handed over entirely or not at all.
    pub async fn send(&self, portion: SamplePortion) {
        if !portion.samples.is_empty() {
            let _ = self.0.send(portion).await;
        }
    }
}

/// Starts a feeder that counts in `tally` what was stored and what was lost.
pub fn start(context: &SourceContext, tally: Arc<Tally>) -> (SampleFeed, JoinHandle<()>) {
    let (sender, portions) = mpsc::channel(PORTIONS_MAX);
    (SampleFeed(sender), tokio::spawn(run(portions, context.outlet.clone(), context.stop.clone(), tally)))
}

async fn run(mut portions: mpsc::Receiver<SamplePortion>, outlet: Outlet, stop: CancellationToken, tally: Arc<Tally>) {
    while let Some(mut held) = portions.recv().await {
        let due = tokio::time::Instant::now() + BATCH_AGE;
        while held.samples.len() < BATCH_SAMPLES {
            // `recv` loses nothing when the deadline wins.
            let Ok(Some(mut portion)) = tokio::time::timeout_at(due, portions.recv()).await else { break };
            held.samples.append(&mut portion.samples);
            held.bytes += portion.bytes;
        }
        let (count, batch) = (held.samples.len() as u64, Batch { samples: held.samples, ..Batch::local() });
        match deliver_patiently(&outlet, &batch, &stop).await {
            Outcome::Stored { .. } | Outcome::Duplicate { .. } => tally.took(count, held.bytes),
            Outcome::Refused(refusal) => tally.shed(refusal.reason.name(), count, refusal.message.as_bytes()),
            Outcome::Gap { .. } => tally.shed("unexpected_gap", count, b""),
        }
    }
}
