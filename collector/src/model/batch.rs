//! What travels together: records, samples, where they stand in their stream, and how far their sources were read.

use std::fmt;

use super::{LogRecord, Sample, Severity};

/// Records and samples that are stored together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Who sends it.
    pub agent: AgentId,
    /// Its place in the agent's stream; none for what comes from senders that keep no count (`POST /api/v1/logs`, sockets).
    pub place: Option<StreamPlace>,
    /// How far the sources were read once this batch is stored: stored with it, so that the two cannot part.
    pub checkpoints: Vec<Checkpoint>,
    /// Log records.
    pub logs: Vec<LogRecord>,
    /// Metric windows.
    pub samples: Vec<Sample>,
}

/// Who an agent is: 128 bits made once and kept in its state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u128);

/// A batch's place in the log that its agent writes: the batch holds the sequence numbers
/// `first_seq .. first_seq + logs + samples`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamPlace {
    /// Random; changes only when the agent's state directory is lost.
    pub epoch: u64,
    /// Which of the agent's streams.
    pub stream: u32,
    /// How urgent the stream is.
    pub lane: Lane,
    /// The sequence number of the batch's first record.
    pub first_seq: u64,
}

/// How urgent a stream is; the lower, the sooner it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// The agent's own health.
    Control = 0,
    /// Errors and metric windows.
    Urgent = 1,
    /// Everything else.
    Normal = 2,
    /// Debug lines and backfill.
    Bulk = 3,
}

/// How far one source was read. The value's form is the source's own business.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The source, unique within its agent (`file:<device>:<inode>`, `journald`).
    pub key: String,
    /// Where to go on; empty once the source is gone and the checkpoint with it.
    pub value: Vec<u8>,
}

impl AgentId {
    /// The collector that runs inside the server itself.
    pub const LOCAL: AgentId = AgentId(0);
}

impl Lane {
    /// All of them, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Control, Lane::Urgent, Lane::Normal, Lane::Bulk];

    /// Where a line of this severity goes while a backlog waits.
    pub fn of_severity(severity: Severity) -> Lane {
        match severity {
            severity if severity >= Severity::ERROR => Lane::Urgent,
            severity if severity > Severity::UNSPECIFIED && severity < Severity::INFO => Lane::Bulk,
            _ => Lane::Normal,
        }
    }

    /// The name in counters and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Control => "control",
            Lane::Urgent => "urgent",
            Lane::Normal => "normal",
            Lane::Bulk => "bulk",
        }
    }

    /// The lane with this number on disk and wire.
    pub const fn from_number(number: u8) -> Option<Lane> {
        match number {
            0 => Some(Lane::Control),
            1 => Some(Lane::Urgent),
            2 => Some(Lane::Normal),
            3 => Some(Lane::Bulk),
            _ => None,
        }
    }
}

impl Batch {
    /// A batch without a place, from the collector inside this process.
    pub fn local() -> Batch {
        Batch { agent: AgentId::LOCAL, place: None, checkpoints: Vec::new(), logs: Vec::new(), samples: Vec::new() }
    }

    /// How many sequence numbers the batch takes.
    pub fn len(&self) -> usize {
        self.logs.len() + self.samples.len()
    }

    /// Whether it holds neither records nor samples (it may still carry checkpoints).
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.samples.is_empty()
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
