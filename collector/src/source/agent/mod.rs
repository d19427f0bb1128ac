//! Batches of other agents: `POST /api/v1/ship` takes one frame, `GET /api/v1/streams` tells an agent what is known of it.
//!
//! The answer to a frame comes after its batch is durable, and is the sender's cue ([`crate::ship`] is the other side):
//!
//! | Answer | Meaning |
//! |---|---|
//! | 200 `{"acked_through":N,"duplicate":bool}` | durable through N (null for a stream that has no row yet) |
//! | 409 `{"expected":N}` | a hole: the stream goes on at N |
//! | 400, 413 `{"error":{"message"}}` | will never be taken: not a frame, no place, too large |
//! | 403 | two live agents use one identity |
//! | 429, 503, 507, with `Retry-After` | too busy, stopping or damaged on the way, disk full: send it again |
//! | 501 | a version of the frame that this release does not know: update the server; the agent waits |

mod routes;
#[cfg(test)]
mod tests;

use crate::model::{AgentId, Checkpoint};

pub use routes::routes;

/// What the store knows of agents.
pub trait StreamMarks: Send + Sync {
    /// Epoch, stream and last durable sequence number of the agent's streams.
    fn streams(&self, agent: AgentId) -> Vec<(u64, u32, u64)>;
    /// How far the agent's sources were read.
    fn checkpoints(&self, agent: AgentId) -> Vec<Checkpoint>;
}
