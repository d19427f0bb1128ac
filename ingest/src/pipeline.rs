//! The way of a batch: admission, journal, heads, seal. One task takes batches in order; answers follow the fsync.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use taffrail_collector::delivery::Outlet;
use taffrail_collector::model::{AgentId, Checkpoint};
use thiserror::Error;

use crate::catalog::{Catalog, StreamMark};
use crate::live_feed::LiveFeed;
use crate::log_store::LogStore;
use crate::series_store::SeriesStore;

/// Checked settings of the store.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Everything durable lies below this directory.
    pub data_dir: PathBuf,
    /// The head is sealed at this many rows …
    pub seal_rows: usize,
    /// … or this many bytes of text …
    pub seal_bytes: usize,
    /// … or this long after its first row.
    pub seal_age: Duration,
    /// Bytes the heads may hold, those being sealed included, before batches are refused.
    pub memory_bytes_max: usize,
    /// Data older than this is removed; none keeps it for ever.
    pub retention_age: Option<Duration>,
    /// The oldest data is removed while more than this is on disk; none has no limit.
    pub retention_bytes: Option<u64>,
    /// Free bytes below which batches are refused (507) so that queries and the system go on.
    pub disk_reserve_bytes: u64,
    /// Records later than now by more than this get their arrival time (the time they claim is kept as an attribute).
    pub future_max: Duration,
}

/// The store, open. Dropping it without [`Ingest::shutdown`] is like a crash: nothing acknowledged is lost.
pub struct Ingest {}

/// Why the store could not be opened; the message names the setting.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// What a seal wrote.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SealReport {
    /// Log records sealed.
    pub log_rows: u64,
    /// Metric windows sealed.
    pub samples: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// The store's condition, for `/api/v1/ingest`, the Home page and metrics.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IngestStatus {
    /// Log records taken since start.
    pub log_records: u64,
    /// Metric windows taken since start.
    pub samples: u64,
    /// Batches taken since start.
    pub batches: u64,
    /// Batches recognised as resends.
    pub duplicate_batches: u64,
    /// Refused batches by reason.
    pub refused: std::collections::BTreeMap<&'static str, u64>,
    /// Records whose time was replaced because it lay too far in the future, or dropped as too old, … by reason.
    pub adjusted: std::collections::BTreeMap<&'static str, u64>,
    /// Rows in memory.
    pub head_rows: u64,
    /// Their bytes.
    pub head_bytes: u64,
    /// Splits on disk.
    pub splits: u64,
    /// Rows in them.
    pub split_rows: u64,
    /// Their bytes.
    pub split_bytes: u64,
    /// Series known.
    pub series: u64,
    /// Series blocks on disk.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Journal bytes on disk.
    pub journal_bytes: u64,
    /// Damaged journal stretches met at start.
    pub journal_damaged: u64,
    /// Rows replayed from the journal at start.
    pub replayed_rows: u64,
    /// The next row's sequence number.
    pub next_seq: u64,
    /// Free bytes on the data directory's disk.
    pub disk_free_bytes: u64,
}

impl Ingest {
    /// Opens or creates the store below `config.data_dir`, replays the journal, starts the pipeline's threads.
    /// `progress` is told (done, total) bytes of the replay.
    pub fn open(config: IngestConfig, progress: &mut dyn FnMut(u64, u64)) -> Result<Ingest, OpenError> {
        let _ = (config, progress);
        unimplemented!()
    }
    /// Where batches go in.
    pub fn outlet(&self) -> &Outlet {
        unimplemented!()
    }
    /// The log store.
    pub fn logs(&self) -> &Arc<LogStore> {
        unimplemented!()
    }
    /// The series store.
    pub fn series(&self) -> &Arc<SeriesStore> {
        unimplemented!()
    }
    /// Small durable documents and the list of splits and blocks.
    pub fn catalog(&self) -> &Arc<Catalog> {
        unimplemented!()
    }
    /// Durable records as they come.
    pub fn live_feed(&self) -> &LiveFeed {
        unimplemented!()
    }
    /// How far the agent's sources were read: the truth from which they go on.
    pub fn checkpoints(&self, agent: AgentId) -> Vec<Checkpoint> {
        let _ = agent;
        unimplemented!()
    }
    /// The agent's streams and their last durable sequence numbers.
    pub fn streams(&self, agent: AgentId) -> Vec<StreamMark> {
        let _ = agent;
        unimplemented!()
    }
    /// Counts and sizes now.
    pub fn status(&self) -> IngestStatus {
        unimplemented!()
    }
    /// Seals the heads and returns once what was durable at the call lies in splits and blocks.
    pub async fn seal(&self) -> Result<SealReport, OpenError> {
        unimplemented!()
    }
    /// Takes no more, makes everything taken durable, stops the threads.
    pub async fn shutdown(&self) {
        unimplemented!()
    }
}
