//! Sealing: records become an immutable split on disk, newest first.
//!
//! A split is a directory: a tantivy index of one segment ([`split_index`](super::split_index)) and the records themselves
//! ([`record_file`](super::record_file)). It is written under a temporary name, made durable, and only then renamed, so that
//! a split that has its name is whole. The catalog decides whether it counts.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use taffrail_collector::model::LogRecord;
use tantivy::directory::MmapDirectory;
use tantivy::store::Compressor;
use tantivy::tokenizer::TokenizerManager;
use tantivy::{Index, IndexSettings, SingleSegmentIndexWriter, TantivyError};

use super::head::HeadSnapshot;
use super::split::SplitMeta;
use super::split_index::{self, TOKENIZER, WordTokenizer};
use super::{RecordId, record_file};

/// Where the records lie in a split's directory.
pub const RECORDS_FILE: &str = "records";
/// Directories that start so are unfinished.
pub const TEMPORARY_PREFIX: &str = "unfinished-";

/// tantivy's indexing arena; a single-segment writer never flushes early, so this is a hint, not a limit.
const INDEXING_BYTES: usize = 64 << 20;
/// Rows between two looks at whether the seal is still wanted.
const ABANDON_CHECK_ROWS: usize = 1024;

/// Writes the records as one split into `splits_directory` and returns what to put in the catalog; none when there are no
/// records. Once `abandon` is set it gives up with an error.
pub fn write_split(
    splits_directory: &Path,
    snapshot: &HeadSnapshot,
    abandon: &AtomicBool,
) -> io::Result<Option<SplitMeta>> {
    let mut rows: Vec<(RecordId, &LogRecord)> = snapshot
        .chunks()
        .flat_map(|chunk| chunk.records().iter().enumerate().map(|(at, record)| (chunk.id(at), record)))
        .collect();
    rows.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    let (Some(&(newest, _)), Some(&(oldest, _))) = (rows.first(), rows.last()) else { return Ok(None) };
    let seqs = || rows.iter().map(|(id, _)| id.seq);
    let (seq_first, seq_last) = (seqs().min().unwrap_or(0), seqs().max().unwrap_or(0));
    let name = format!("{seq_first:020}-{seq_last:020}");

    let temporary = splits_directory.join(format!("{TEMPORARY_PREFIX}{name}"));
    if temporary.exists() {
        fs::remove_dir_all(&temporary)?;
    }
    fs::create_dir_all(&temporary)?;
    write_index(&temporary, &rows, abandon)?;
    record_file::write(&temporary.join(RECORDS_FILE), rows.iter().map(|(_, record)| (*record).clone()))?;
    let mut bytes = 0;
    for entry in fs::read_dir(&temporary)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        bytes += file.metadata()?.len();
    }
    sync_directory(&temporary)?;
    let path = splits_directory.join(&name);
    if path.exists() {
        // Left by a seal whose catalog transaction failed; nothing refers to it.
        fs::remove_dir_all(&path)?;
    }
    fs::rename(&temporary, &path)?;
    sync_directory(splits_directory)?;
    Ok(Some(SplitMeta { name, rows: rows.len() as u64, bytes, oldest, newest, seq_first, seq_last }))
}

/// Makes creations, renames and removals in a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn write_index(directory: &Path, rows: &[(RecordId, &LogRecord)], abandon: &AtomicBool) -> io::Result<()> {
    let (schema, fields) = split_index::schema();
    let tokenizers = TokenizerManager::default();
    tokenizers.register(TOKENIZER, WordTokenizer::default());
    let settings = IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    };
    let directory = MmapDirectory::open(directory).map_err(io::Error::other)?;
    let mut writer: SingleSegmentIndexWriter = Index::builder()
        .schema(schema)
        .settings(settings)
        .tokenizers(tokenizers)
        .single_segment_index_writer(directory, INDEXING_BYTES)
        .map_err(into_io)?;
    for (at, (id, record)) in rows.iter().enumerate() {
        if at % ABANDON_CHECK_ROWS == 0 && abandon.load(Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the store is stopping"));
        }
        writer.add_document(split_index::document(&fields, record, id.seq)).map_err(into_io)?;
    }
    writer.finalize().map_err(into_io)?;
    Ok(())
}

/// tantivy's error with the system's own inside it, where there is one: a full disk must stay recognisable.
fn into_io(error: TantivyError) -> io::Error {
    match error {
        TantivyError::IoError(source) => io::Error::new(source.kind(), source),
        other => io::Error::other(other),
    }
}
