//! Sealing: records become an immutable split on disk, newest first.
//!
//! A split is a directory: a tantivy index of one segment ([`split_index`](super::split_index)) and the records themselves
//! ([`record_file`](super::record_file)). It is written under a temporary name, made durable, and only then renamed, so that
//! a split that has its name is whole. The catalog decides whether it counts.

use std::borrow::Cow;
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
use super::split_index::{self, IndexFields, TOKENIZER, WordTokenizer};
use super::{RecordId, record_file};

/// Where the records lie in a split's directory.
pub const RECORDS_FILE: &str = "records";
/// Directories that start so are unfinished.
pub const TEMPORARY_PREFIX: &str = "unfinished-";

/// tantivy's indexing arena; a single-segment writer never flushes early, so this is a hint, not a limit.
const INDEXING_BYTES: usize = 64 << 20;
/// Rows between two looks at whether the seal is still wanted.
const ABANDON_CHECK_ROWS: u64 = 1024;

/// What a split is called in the splits directory.
pub fn file_name(name: &str) -> String {
    name.to_owned()
}

/// The head's records, newest first, as [`write_split`] takes them.
pub fn newest_first(head: &HeadSnapshot) -> impl Iterator<Item = io::Result<(RecordId, Cow<'_, LogRecord>)>> {
    let mut rows: Vec<(RecordId, &LogRecord)> = head
        .chunks()
        .flat_map(|chunk| chunk.records().iter().enumerate().map(|(at, record)| (chunk.id(at), record)))
        .collect();
    rows.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    rows.into_iter().map(|(id, record)| Ok((id, Cow::Borrowed(record))))
}

/// Writes the rows, which come newest first, as one split into `splits_directory` and returns what to put in the catalog;
/// none when there are no rows. A split that replaces others has a greater `generation` than they, so that their names
/// never meet. Once `abandon` is set it gives up with an error, as it does at the rows' first error.
pub fn write_split<'a>(
    splits_directory: &Path,
    generation: u32,
    rows: &mut dyn Iterator<Item = io::Result<(RecordId, Cow<'a, LogRecord>)>>,
    abandon: &AtomicBool,
) -> io::Result<Option<SplitMeta>> {
    let mut rows = rows.peekable();
    let newest = match rows.peek() {
        None => return Ok(None),
        Some(Err(_)) => return rows.next().expect("just seen").map(|_| None),
        Some(Ok((newest, _))) => *newest,
    };
    let temporary = splits_directory.join(format!("{TEMPORARY_PREFIX}{:020}-{generation}", newest.seq));
    if temporary.exists() {
        fs::remove_dir_all(&temporary)?;
    }
    fs::create_dir_all(&temporary)?;
    let mut index = IndexFile::create(&temporary)?;
    let mut meta = SplitMeta {
        name: String::new(),
        rows: 0,
        bytes: 0,
        oldest: newest,
        newest,
        seq_first: newest.seq,
        seq_last: newest.seq,
        generation,
    };
    let mut failed = None;
    let written = record_file::write(
        &temporary.join(RECORDS_FILE),
        std::iter::from_fn(|| {
            let row = rows.next()?.and_then(|(id, record)| {
                if meta.rows.is_multiple_of(ABANDON_CHECK_ROWS) && abandon.load(Relaxed) {
                    return Err(io::Error::new(io::ErrorKind::Interrupted, "the store is stopping"));
                }
                index.add(&record, id.seq)?;
                meta.rows += 1;
                meta.oldest = id;
                meta.seq_first = meta.seq_first.min(id.seq);
                meta.seq_last = meta.seq_last.max(id.seq);
                Ok(record.into_owned())
            });
            row.map_err(|error| failed = Some(error)).ok()
        }),
    );
    if let Some(error) = failed {
        // What was written so far helps nobody, and may be what fills the disk.
        drop(fs::remove_dir_all(&temporary));
        return Err(error);
    }
    written?;
    index.finish()?;
    for entry in fs::read_dir(&temporary)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        meta.bytes += file.metadata()?.len();
    }
    sync_directory(&temporary)?;
    meta.name = format!("{:020}-{:020}-{generation}", meta.seq_first, meta.seq_last);
    let path = splits_directory.join(&meta.name);
    if path.exists() {
        // Left by a seal whose catalog transaction failed; nothing refers to it.
        fs::remove_dir_all(&path)?;
    }
    fs::rename(&temporary, &path)?;
    sync_directory(splits_directory)?;
    Ok(Some(meta))
}

/// Makes creations, renames and removals in a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The index of a split that is being written.
struct IndexFile {
    writer: SingleSegmentIndexWriter,
    fields: IndexFields,
}

impl IndexFile {
    fn create(directory: &Path) -> io::Result<IndexFile> {
        let (schema, fields) = split_index::schema();
        let tokenizers = TokenizerManager::default();
        tokenizers.register(TOKENIZER, WordTokenizer::default());
        let settings = IndexSettings {
            docstore_compression: Compressor::None,
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let directory = MmapDirectory::open(directory).map_err(io::Error::other)?;
        let writer = Index::builder()
            .schema(schema)
            .settings(settings)
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory, INDEXING_BYTES)
            .map_err(into_io)?;
        Ok(IndexFile { writer, fields })
    }

    fn add(&mut self, record: &LogRecord, seq: u64) -> io::Result<()> {
        self.writer.add_document(split_index::document(&self.fields, record, seq)).map_err(into_io)
    }

    fn finish(self) -> io::Result<()> {
        self.writer.finalize().map(drop).map_err(into_io)
    }
}

/// tantivy's error with the system's own inside it, where there is one: a full disk must stay recognisable.
fn into_io(error: TantivyError) -> io::Error {
    match error {
        TantivyError::IoError(source) => io::Error::new(source.kind(), source),
        other => io::Error::other(other),
    }
}
