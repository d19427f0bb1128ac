//! Opening the store: lock, catalog, parts, replay of the journal, threads.
//!
//! ```text
//! data_dir/lock             held while the store is open
//!          catalog.sqlite   which parts count, marks, checkpoints, documents
//!          journal/         segments: what is not sealed yet
//!          splits/<name>/   log records
//!          blocks/          metric windows
//!          set-aside/       parts that an older catalog does not list
//!          pins/            what backups hold while they copy
//!          quarantine/      what `taffrail doctor --repair` moved away
//! ```

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use taffrail_collector::delivery;
use taffrail_collector::file_system::{FileSystem, RealFileSystem};
use taffrail_collector::frame;
use taffrail_collector::journal::{JournalConfig, JournalError, JournalReader, JournalWriter};
use taffrail_collector::model::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::admission::{DiskSpace, Limits, UNREADABLE};
use crate::backup::remove_stale_pins;
use crate::catalog::Catalog;
use crate::compaction::{Compaction, Compactor, Target, UnpackedSizes};
use crate::counters::Counters;
use crate::deletion::{DeletionError, is_needed};
use crate::live_feed::LiveFeed;
use crate::log_store::mask::Extent;
use crate::log_store::split_writer::{SPLIT_SUFFIX, sync_directory};
use crate::log_store::{LogStore, SplitMeta};
use crate::pipeline::{Ingest, IngestConfig, OpenError, Replayed, Threads, encode_ahead};
use crate::sealer::Sealer;
use crate::series_deletion::hide_deleted;
use crate::series_store::SeriesStore;
use crate::set_aside::{BLOCKS, SPLITS, catalog_is_lost, set_aside};
use crate::stream_marks::{StreamMarks, Verdict, trim};
use crate::write_ahead::{SealTriggers, Shared, Unsealed, Writer};

/// Batches that wait to be encoded. They are not in the memory limit yet, so they are few.
const DELIVERIES: usize = 16;
/// Encoded batches that wait for the writer: enough to fill a group while an fsync runs.
const PREPARED: usize = 32;
/// A sealed segment is removed as a whole, so segments are much smaller than a head.
const SEGMENT_BYTES: u64 = 32 << 20;

/// See [`Ingest::open`]. The journal lies on `file_system`, everything else on the real one.
pub fn open<F: FileSystem>(
    config: IngestConfig,
    file_system: F,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Ingest, OpenError> {
    let data_dir = &config.data_dir;
    RealFileSystem.create_directories(data_dir).map_err(|error| cannot_use(data_dir, &error))?;
    let lock = lock(data_dir)?;
    remove_stale_pins(data_dir);
    let catalog_file = data_dir.join("catalog.sqlite");
    if catalog_is_lost(data_dir, &catalog_file).map_err(|error| cannot_use(data_dir, &error))? {
        return Err(OpenError(format!(
            "data_dir = {}: catalog.sqlite is missing or empty, but {SPLITS}/ or {BLOCKS}/ hold data that only it can bring back; \
             restore it from a backup, make it anew with `taffrail doctor --repair`, or give taffrail another data_dir to start empty",
            data_dir.display()
        )));
    }
    let catalog = Catalog::open(&catalog_file).map_err(|error| cannot_use(data_dir, &error))?;
    let listed = |error| cannot_use(data_dir, &error);
    let splits = catalog.splits().map_err(listed)?;
    let blocks = catalog.blocks().map_err(listed)?;
    let sealed_through = catalog.sealed_through().map_err(listed)?;
    let marks = StreamMarks::new(catalog.stream_marks().map_err(listed)?, catalog.checkpoints().map_err(listed)?);

    let journal_directory = data_dir.join("journal");
    let journal_config = JournalConfig { directory: journal_directory.clone(), segment_bytes_max: SEGMENT_BYTES };
    let journal = JournalWriter::open(file_system.clone(), journal_config, sealed_through)
        .map_err(|error| cannot_use(&journal_directory, &error))?;

    let continues = journal.first_seq() <= sealed_through && sealed_through < journal.next_seq();
    let split_names = splits.iter().map(|split| split.name.as_str()).collect();
    let block_names = blocks.iter().map(|block| block.name.as_str()).collect();
    set_aside(data_dir, SPLITS, &split_names, continues, sealed_through)
        .and_then(|()| set_aside(data_dir, BLOCKS, &block_names, continues, sealed_through))
        .map_err(|error| cannot_use(data_dir, &error))?;
    let splits_directory = data_dir.join(SPLITS);
    clean_splits(&splits_directory, &splits).map_err(|error| cannot_use(&splits_directory, &error))?;
    let series = SeriesStore::open(&data_dir.join(BLOCKS), blocks).map_err(|error| cannot_use(data_dir, &error))?;
    series.set_limits(config.series_limits);
    series.set_retention(Arc::new(config.series_retention.clone()));
    series.expire(Timestamp::now());

    let limits = Limits {
        memory_bytes_max: config.memory_bytes_max,
        disk_reserve_bytes: config.disk_reserve_bytes,
        future_max: config.future_max,
        retention: Arc::new(ArcSwap::from_pointee(config.retention())),
    };
    let shared = Shared {
        logs: Arc::new(LogStore::new(splits_directory, splits)),
        series: Arc::new(series),
        feed: LiveFeed::new(journal.next_seq()),
        marks: Arc::new(Mutex::new(marks)),
        counters: Arc::new(Counters::default()),
        disk: Arc::new(DiskSpace::new(data_dir)),
        queued_bytes: Arc::default(),
        crashed: Arc::new(AtomicBool::new(false)),
    };
    hide(&shared, &catalog, &config).map_err(|error| cannot_use(data_dir, &error))?;
    let deletions = catalog.series_deletions().map_err(|error| cannot_use(data_dir, &error))?;
    hide_deleted(&shared.series, deletions, config.parse_selector).map_err(|error| cannot_use(data_dir, &error))?;
    let total = journal.disk_bytes();
    let reader = JournalReader::open(file_system, &journal_directory, sealed_through)
        .map_err(|error| cannot_use(&journal_directory, &error))?;
    let (replayed, unsealed) =
        replay(&shared, reader, total, progress).map_err(|error| cannot_use(&journal_directory, &error))?;
    shared.series.forget_limited_windows();
    Ok(start(&config, limits, shared, catalog, journal, (replayed, unsealed), lock))
}

fn start<F: FileSystem>(
    config: &IngestConfig,
    limits: Limits,
    shared: Shared,
    catalog: Catalog,
    journal: JournalWriter<F>,
    (replayed, unsealed): (Replayed, Unsealed),
    lock: File,
) -> Ingest {
    let catalog = Arc::new(catalog);
    let (outlet, deliveries) = delivery::channel(DELIVERIES);
    let (commands, writer_commands) = sync_channel(PREPARED);
    let (jobs, sealer_jobs) = sync_channel(1);
    let closing = CancellationToken::new();
    let abandon = Arc::new(AtomicBool::new(false));
    let compaction = Arc::new(Compaction::default());
    let retention = limits.retention.clone();
    let sealer = Sealer {
        logs: shared.logs.clone(),
        series: shared.series.clone(),
        catalog: catalog.clone(),
        retention: retention.clone(),
        compaction: compaction.clone(),
        abandon: abandon.clone(),
    };
    let compactor = Compactor {
        logs: shared.logs.clone(),
        series: shared.series.clone(),
        catalog: catalog.clone(),
        commands: commands.clone(),
        budget: config.compaction,
        target: Target {
            rows: config.seal_rows as u64,
            bytes: config.seal_bytes as u64,
            unpacked_bytes: (config.seal_bytes as u64).saturating_mul(2),
        },
        unpacked: UnpackedSizes::default(),
        disk: (shared.disk.clone(), config.disk_reserve_bytes),
        shared: compaction.clone(),
        abandon: abandon.clone(),
    };
    let triggers = SealTriggers { rows: config.seal_rows, bytes: config.seal_bytes, age: config.seal_age };
    let writer = Writer::new(journal, shared.clone(), limits.clone(), triggers, jobs, unsealed);
    let encoder = encode_ahead(deliveries, commands.clone(), limits, closing.clone(), shared.clone());
    let done = commands.clone();
    let threads = Threads {
        closing,
        abandon,
        encoder: thread("taffrail-encode", move || block_on(encoder)),
        writer: thread("taffrail-journal", move || writer.run(&writer_commands)),
        sealer: thread("taffrail-seal", move || sealer.run(&sealer_jobs, &done)),
        compactor: thread("taffrail-compact", move || compactor.run()),
        compaction: compaction.clone(),
    };
    let deleting = Mutex::new(());
    let threads = Mutex::new(Some(threads));
    let parse_selector = config.parse_selector;
    Ingest {
        outlet,
        shared,
        catalog,
        retention,
        compaction,
        parse_selector,
        deleting,
        replayed,
        commands,
        threads,
        _lock: lock,
    }
}

/// Puts the retention and the deletions that are still needed in force, before anything can be asked.
fn hide(shared: &Shared, catalog: &Catalog, config: &IngestConfig) -> Result<(), DeletionError> {
    let deletions = catalog.deletions()?;
    shared.logs.change_masks(|masks, splits| {
        let mut masks = masks.with_rules(&config.retention().rules)?;
        for deletion in &deletions {
            masks = masks.with_deletion(deletion.mask.clone())?;
        }
        let needed = |id| {
            let parts = splits.iter().map(|split| Extent::from(&**split));
            deletions.iter().any(|deletion| deletion.mask.id == id && is_needed(deletion, parts.clone()))
        };
        Ok(masks.without_deletions(|mask| needed(mask.id)))
    })?;
    for mask in shared.logs.masks().deletions() {
        shared.feed.hide(mask)?;
    }
    Ok(())
}

/// Rebuilds heads, marks and checkpoints from what the journal holds beyond the last seal.
fn replay<F: FileSystem>(
    shared: &Shared,
    mut reader: JournalReader<F>,
    total: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Replayed, Unsealed), JournalError> {
    let (mut replayed, mut unsealed, mut done) = (Replayed::default(), Unsealed::default(), 0u64);
    let mut marks = shared.marks.lock();
    while let Some(record) = reader.next_record()? {
        done += record.payload.len() as u64;
        let mut batch = match frame::decode(&record.payload) {
            Ok((batch, _)) => batch,
            Err(error) => {
                tracing::error!(seq = record.seq, %error, "a journal record is whole but no batch; it is passed over");
                shared.counters.add_adjusted(UNREADABLE, u64::from(record.rows));
                continue;
            }
        };
        let mut first_seq = record.seq;
        match marks.judge(&batch) {
            // After a damaged stretch a stream may have a hole; what follows it is still true.
            Verdict::Next | Verdict::Gap { .. } => {}
            // A batch that was refused after a failed fsync, survived all the same, and was sent again.
            Verdict::Duplicate { .. } => continue,
            Verdict::Overlap { stored } => {
                trim(&mut batch, stored);
                first_seq += stored;
            }
        }
        marks.advance(&batch);
        marks.note_checkpoints(batch.agent, std::mem::take(&mut batch.checkpoints));
        replayed.rows += batch.len() as u64;
        unsealed.add(&batch);
        shared.enter(first_seq, batch);
        progress(done.min(total), total);
    }
    progress(total, total);
    replayed.damaged = reader.report().damaged;
    if replayed.damaged > 0 {
        tracing::error!(
            stretches = replayed.damaged,
            bytes = reader.report().damaged_bytes,
            "the journal is damaged in the middle; what stood there is lost, everything else was replayed"
        );
    }
    Ok((replayed, unsealed))
}

/// Removes splits that the catalog does not list (seals that did not finish) and reports listed ones that are missing.
fn clean_splits(directory: &Path, listed: &[SplitMeta]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let names: HashSet<&str> = listed.iter().map(|split| split.name.as_str()).collect();
    let mut found = HashSet::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if names.contains(name.as_str()) {
            found.insert(name);
        } else if name.ends_with(SPLIT_SUFFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    for name in names.iter().filter(|name| !found.contains(**name)) {
        tracing::error!(
            split = name,
            directory = %directory.display(),
            "the catalog lists a split that is missing"
        );
    }
    sync_directory(directory)
}

fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| cannot_use(data_dir, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError(format!(
            "data_dir = {}: another taffrail is using it; stop that one, or give this one another data_dir",
            data_dir.display()
        ))),
        Err(error) => Err(cannot_use(data_dir, &error)),
    }
}

fn cannot_use(path: &Path, error: &dyn std::fmt::Display) -> OpenError {
    OpenError(format!("data_dir: cannot use {}: {error}", path.display()))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has threads left at start")
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without input or time needs nothing from the system")
        .block_on(work);
}
