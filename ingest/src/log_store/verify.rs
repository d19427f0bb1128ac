//! Reads a whole split and compares it with its checksums, with itself and with what the catalog says of it: for
//! `taffrail doctor` and `restore`. Questions read only what they need.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tantivy::Index;

use super::damage::check_length;
use super::record_file::RecordFile;
use super::split_reader::SplitReader;
use super::split_writer::RECORDS_FILE;
use super::{LogStoreError, RecordId, SplitMeta};

/// A split all of whose bytes are sound.
#[derive(Clone, Debug)]
pub struct VerifiedSplit {
    /// Its records.
    pub rows: u64,
    /// Its bytes on disk.
    pub bytes: u64,
}

/// Reads all of the split at `path` and checks it against what the catalog says.
pub fn verify_split(path: &Path, meta: &SplitMeta) -> Result<VerifiedSplit, LogStoreError> {
    let fail = |message: String| LogStoreError::Split { split: meta.name.clone(), message };
    check_length(path, meta).map_err(fail)?;
    let found = read_whole(path, &meta.name)?;
    if found != *meta {
        return Err(fail(format!("its records are not those that the catalog lists: {found:?}, not {meta:?}")));
    }
    Ok(VerifiedSplit { rows: meta.rows, bytes: meta.bytes })
}

/// What the catalog would say of the split at `path`, from all of its own bytes.
pub fn describe_split(path: &Path) -> Result<SplitMeta, LogStoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    read_whole(path, &name)
}

/// The sequence numbers of all records, rising.
pub fn sequence_numbers(path: &Path, meta: &SplitMeta) -> Result<Vec<u64>, LogStoreError> {
    let reader = SplitReader::open(path, meta)?;
    let mut numbers: Vec<u64> = (0..reader.rows()).map(|row| reader.id(row).seq).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_whole(path: &Path, name: &str) -> Result<SplitMeta, LogStoreError> {
    let fail = |message: String| LogStoreError::Split { split: name.to_owned(), message };
    let system = |error: io::Error| fail(error.to_string());
    let index = Index::open_in_dir(path).map_err(|error| fail(error.to_string()))?;
    let damaged = index.validate_checksum().map_err(|error| fail(error.to_string()))?;
    if let Some(file) = damaged.iter().next() {
        return Err(fail(format!("{}: its checksum is wrong", file.display())));
    }
    let rows = RecordFile::open(&path.join(RECORDS_FILE)).map_err(system)?.rows();
    let nowhere = RecordId { time: taffrail_collector::model::Timestamp::EPOCH, seq: 0 };
    let mut meta = SplitMeta {
        name: name.to_owned(),
        rows,
        bytes: super::damage::length(path).map_err(system)?,
        oldest: nowhere,
        newest: nowhere,
        seq_first: u64::MAX,
        seq_last: 0,
        generation: name.rsplit('-').next().and_then(|generation| generation.parse().ok()).unwrap_or(0),
    };
    let reader = Arc::new(SplitReader::open(path, &meta)?);
    let mut before: Option<RecordId> = None;
    for row in reader.records() {
        let (id, _) = row?;
        match before {
            None => meta.newest = id,
            Some(before) if id >= before => return Err(fail("its records are out of order".to_owned())),
            Some(_) => {}
        }
        before = Some(id);
        meta.oldest = id;
        meta.seq_first = meta.seq_first.min(id.seq);
        meta.seq_last = meta.seq_last.max(id.seq);
    }
    if before.is_none() {
        return Err(fail("it holds no record".to_owned()));
    }
    Ok(meta)
}
