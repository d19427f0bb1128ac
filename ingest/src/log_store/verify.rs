//! Reads a whole split and compares it with its checksums, with itself and with what the catalog says of it: for
//! `taffrail doctor` and `restore`. Questions read only what they need.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::damage::check_length;
use super::split_reader::SplitReader;
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
    let fail =
        |message: String| LogStoreError::Split { split: meta.name.clone(), message, kind: io::ErrorKind::InvalidData };
    check_length(path, meta).map_err(fail)?;
    let found = SplitMeta { deletions_through: meta.deletions_through, ..read_whole(path, &meta.name)? };
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
    let mut seqs = reader.seqs().map_err(|error| reader.failed(error))?;
    let numbers: Result<Vec<u64>, _> = (0..reader.rows() as usize).map(|row| seqs.get(row)).collect();
    let mut numbers = numbers.map_err(|error| reader.failed(error.into()))?;
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_whole(path: &Path, name: &str) -> Result<SplitMeta, LogStoreError> {
    let fail =
        |message: String| LogStoreError::Split { split: name.to_owned(), message, kind: io::ErrorKind::InvalidData };
    let system = |error: io::Error| fail(error.to_string());
    let reader = Arc::new(SplitReader::open_unlisted(path, name)?);
    reader.read_all().map_err(system)?;
    let said = reader.describe(fs::metadata(path).map_err(system)?.len());
    let mut meta = SplitMeta { seq_first: u64::MAX, seq_last: 0, ..said.clone() };
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
    if meta != said {
        return Err(fail(format!("its records are not those that its directory lists: {meta:?}, not {said:?}")));
    }
    Ok(meta)
}
