//! A log store for the records of one test: the one that a server has, in a directory that goes away with it.

use std::path::Path;
use std::time::Duration;

use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{Batch, LogRecord};
use taffrail_ingest::log_store::LogStore;
use taffrail_ingest::series_store::{SeriesLimits, SeriesRetention};
use taffrail_ingest::{CompactionBudget, Ingest, IngestConfig};

/// Records of one delivery.
const BATCH: usize = 10_000;

/// See the module's documentation.
pub(super) struct TestLogs {
    ingest: Ingest,
    /// What the store works on besides us.
    _runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

impl TestLogs {
    /// A store of these records.
    pub(super) fn of(records: Vec<LogRecord>) -> Result<TestLogs, String> {
        let directory = tempfile::tempdir().map_err(|error| format!("no directory for input_logs: {error}"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| format!("no thread for input_logs: {error}"))?;
        let ingest = {
            let _inside = runtime.enter();
            Ingest::open(config(directory.path()), &mut |_, _| {}).map_err(|error| format!("input_logs: {error}"))?
        };
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let batch = Batch { logs: records.by_ref().take(BATCH).collect(), ..Batch::local() };
            match runtime.block_on(ingest.outlet().deliver(batch)) {
                Outcome::Stored { .. } => {}
                other => return Err(format!("input_logs were not stored: {other:?}")),
            }
        }
        Ok(TestLogs { ingest, _runtime: runtime, _directory: directory })
    }

    pub(super) fn store(&self) -> &LogStore {
        self.ingest.logs()
    }
}

/// As a server's, but nothing is ever too old, too much or sealed.
fn config(directory: &Path) -> IngestConfig {
    IngestConfig {
        data_dir: directory.to_owned(),
        seal_rows: usize::MAX,
        seal_bytes: 1 << 30,
        seal_age: Duration::from_secs(86_400),
        memory_bytes_max: 1 << 30,
        retention_age: None,
        retention_rules: Vec::new(),
        compaction: CompactionBudget { cpu_share: 1.0, bytes_per_second: u64::MAX },
        retention_bytes: None,
        disk_reserve_bytes: 0,
        future_max: Duration::from_secs(600),
        parse_selector: |text| Err(format!("`{text}` is not asked for here")),
        series_retention: SeriesRetention::default(),
        series_limits: SeriesLimits::default(),
    }
}
