//! Batches of other agents: `POST /api/v1/ship` takes one frame, `GET /api/v1/streams` tells an agent what is known of it.
//!
//! The answer to a frame comes after its batch is durable, and is the sender's cue ([`crate::ship`] is the other side):
//!
//! | Answer | Meaning |
//! |---|---|
//! | 200 `{"acked_through":N,"duplicate":bool}` | durable through N (null for a stream that has no row yet) |
//! | 409 `{"expected":N}` | a hole: the stream goes on at N |
//! | 400, 413 `{"error":{"message"}}` | will never be taken: not a frame, no place, too large |
//! | 429, 503, 507, with `Retry-After` | too busy, stopping or damaged on the way, disk full: send it again |
//! | 403 | another run of the agent with the same identity came after this one, and lives |
//! | 501 | a version of the frame that this release does not know: update the server; the agent waits |
//!
//! An error says `"stored": false` where that is certain. Where it does not (stopping, a failed write), the batch may be found
//! after a crash, and the agent settles that with this server before another gets it.

mod live_runs;
mod routes;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{AgentId, Batch, Checkpoint, Sample, Timestamp};

pub use routes::routes;

/// The header that tells one run of an agent from another with the same identity: 16 hexadecimal digits, random.
pub const RUN_HEADER: &str = "taffrail-run";

/// What the names of an agent's own figures begin with; they travel in batches of their own.
pub const OWN_FIGURES: &str = "taffrail_agent_";

/// What is known of agents, and who is told of what they send.
pub trait StreamMarks: Send + Sync {
    /// Who this store is, wherever it is reached.
    fn server_id(&self) -> u128;
    /// Epoch, stream and last durable sequence number of the agent's streams.
    fn streams(&self, agent: AgentId) -> Vec<(u64, u32, u64)>;
    /// How far the agent's sources were read.
    fn checkpoints(&self, agent: AgentId) -> Vec<Checkpoint>;
    /// A batch of an agent was answered. Must not block.
    fn heard(&self, heard: Heard) {
        drop(heard);
    }
}

/// What came from an agent, and what became of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Who.
    pub agent: AgentId,
    /// From where, as far as the connection tells.
    pub address: Option<IpAddr>,
    /// Records and samples.
    pub rows: u64,
    /// Bytes of the frame.
    pub bytes: u64,
    /// The newest record's time.
    pub newest: Option<Timestamp>,
    /// The host that its first record names.
    pub host: Option<Arc<str>>,
    /// What the agent says of itself: the samples of a batch of such figures.
    pub own_samples: Vec<Sample>,
    /// What it was answered.
    pub answer: HeardAnswer,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeardAnswer {
    /// It is stored.
    Stored,
    /// It was stored before.
    Duplicate,
    /// It was not stored, for this reason.
    Refused(&'static str),
}

impl Heard {
    /// What is to be told of a batch before it is handed over; whether it is stored is not known yet.
    fn of(batch: &Batch, bytes: u64, address: Option<IpAddr>) -> Heard {
        let is_own = batch.samples.first().is_some_and(|sample| sample.labels.name().starts_with(OWN_FIGURES));
        Heard {
            agent: batch.agent,
            address,
            rows: batch.len() as u64,
            bytes,
            newest: batch.logs.iter().map(|record| record.timestamp).max(),
            host: batch.logs.first().map(|record| Arc::clone(&record.resource.host)),
            own_samples: if is_own { batch.samples.clone() } else { Vec::new() },
            answer: HeardAnswer::Stored,
        }
    }
}
