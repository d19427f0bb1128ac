//! Heads become splits, and splits other splits: several are merged, and what is hidden (deleted, expired) is left out. All sources are read
//! once, side by side, newest record first; a few blocks of each are in memory at a time, and the records of the split that is
//! written, unpacked: it ends when those are enough, however well they compress.
//!
//! Merged rows are cut at midnight (UTC), so that a split of one day is found by its day, and goes with it when the retention
//! comes. Late records may lie on many days, a few on each: then a cut waits until it is worth a split of its own.

use std::collections::{BTreeMap, BinaryHeap};
use std::fs;
use std::io;
use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taffrail_collector::model::{LogRecord, Timestamp};
use thiserror::Error;

use super::head::{HeadSnapshot, record_bytes};
use super::mask::{Extent, Hidden, Masks};
use super::split::{Split, SplitMeta};
use super::split_reader::SplitRecords;
use super::split_records::RecordReader;
use super::split_writer::{newest_first, write_split};
use super::{LogStoreError, RecordId};

/// Nanoseconds of a day.
const DAY: i64 = 86_400_000_000_000;
/// Sources on more days than this are not cut at every midnight, only where this part of their rows has come together.
const PIECES: u64 = 16;

/// What became of the sources.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The splits that take their place, not in the catalog yet; none when no row was left.
    pub splits: Vec<SplitMeta>,
    /// Bytes of each of them with its records in memory.
    pub unpacked_bytes: Vec<u64>,
    /// Rows read.
    pub rows: u64,
    /// Rows left out because their time to be kept is over.
    pub expired: u64,
    /// Rows left out because they were deleted, by deletion.
    pub deleted: BTreeMap<u64, u64>,
}

/// Why splits could not be rewritten. They are as they were.
#[derive(Debug, Error)]
pub enum RewriteError {
    /// A source is damaged.
    #[error(transparent)]
    Source(#[from] LogStoreError),
    /// The new split could not be written, or the work was abandoned ([`io::ErrorKind::Interrupted`]).
    #[error("a split could not be written below data_dir: {0}")]
    Write(#[from] io::Error),
}

/// Writes a head as a split into `splits_directory`, without what was deleted; none when no row is left. Tells how many rows each
/// deletion removed. Once `abandon` is set it gives up with an error.
pub fn write_head(
    splits_directory: &Path,
    head: &HeadSnapshot,
    masks: &Masks,
    abandon: &AtomicBool,
) -> io::Result<(Option<SplitMeta>, BTreeMap<u64, u64>)> {
    let mut deleted = BTreeMap::new();
    let mut rows = newest_first(head).filter(|row| {
        let gone = row.as_ref().ok().and_then(|(id, record)| masks.deletes(*id, record));
        gone.map(|deletion| *deleted.entry(deletion).or_default() += 1).is_none()
    });
    let mut split = write_split(splits_directory, 0, &mut rows, abandon)?;
    drop(rows);
    if let Some(split) = &mut split {
        split.deletions_through = masks.deletions_through();
    }
    Ok((split, deleted))
}

/// Writes the sources' rows anew into `splits_directory`, without those that `masks` hide at the moment `now`. `pace` is
/// called now and then with the number of rows read since, and may take its time. A split ends with the record with which its
/// records pass `unpacked_bytes_max` in memory. Once `abandon` is set it gives up.
pub fn rewrite(
    splits_directory: &Path,
    sources: &[Arc<Split>],
    (masks, now): (&Masks, Timestamp),
    unpacked_bytes_max: u64,
    pace: &mut dyn FnMut(u64),
    abandon: &AtomicBool,
) -> Result<Rewritten, RewriteError> {
    let mut rewritten = Rewritten::default();
    let mut broken = None;
    let merged = Merged::new(sources, (masks, now), unpacked_bytes_max, pace, &mut rewritten, &mut broken)?;
    let written = write_pieces(splits_directory, sources, unpacked_bytes_max, merged, abandon);
    let (mut splits, unpacked_bytes) = match (written, broken) {
        (Ok(written), _) => written,
        (Err(_), Some(broken)) => return Err(RewriteError::Source(broken)),
        (Err(error), None) => return Err(RewriteError::Write(error)),
    };
    splits.iter_mut().for_each(|split| split.deletions_through = masks.deletions_through());
    (rewritten.splits, rewritten.unpacked_bytes) = (splits, unpacked_bytes);
    Ok(rewritten)
}

/// How many bytes the split's records take in memory, by a sample of them.
pub fn unpacked_bytes(split: &Split) -> Result<u64, LogStoreError> {
    let reader = split.reader_for_once()?;
    let rows: Vec<u32> = (0..reader.rows()).step_by((reader.rows() / SAMPLE_ROWS).max(1) as usize).collect();
    let records = RecordReader::new(&reader).and_then(|mut records| records.records(&rows));
    let records = records.map_err(|error| reader.failed(error))?;
    let bytes: u64 = records.iter().map(|stored| record_bytes(&stored.record) as u64).sum();
    Ok((bytes as f64 / rows.len().max(1) as f64 * f64::from(reader.rows())) as u64)
}

/// Removes splits that were written and will not be used.
pub fn discard(splits_directory: &Path, splits: &[SplitMeta]) {
    for split in splits {
        if let Err(error) = fs::remove_file(splits_directory.join(&split.name)) {
            tracing::warn!(split = split.name, %error, "an unused split could not be removed; the next start does it");
        }
    }
}

fn write_pieces(
    splits_directory: &Path,
    sources: &[Arc<Split>],
    unpacked_bytes_max: u64,
    merged: Merged<'_>,
    abandon: &AtomicBool,
) -> io::Result<(Vec<SplitMeta>, Vec<u64>)> {
    let metas = || sources.iter().map(|split| &split.meta);
    let generation = metas().map(|meta| meta.generation).max().unwrap_or(0).saturating_add(1);
    let days = metas().map(|meta| day(meta.oldest.time)).min()..=metas().map(|meta| day(meta.newest.time)).max();
    let spanned = days.end().unwrap_or(0).saturating_sub(days.start().unwrap_or(0)).unsigned_abs();
    let cut_rows = match (sources.len(), spanned) {
        // Nobody wants one split in pieces.
        (0 | 1, _) => u64::MAX,
        (_, ..PIECES) => 1,
        _ => metas().map(|meta| meta.rows).sum::<u64>() / PIECES,
    };
    let mut rows = merged.peekable();
    let (mut splits, mut unpacked) = (Vec::new(), Vec::new());
    while rows.peek().is_some() {
        let mut piece = Piece { rows: &mut rows, cut_rows, unpacked_bytes_max, taken: 0, unpacked_bytes: 0, day: None };
        match write_split(splits_directory, generation, &mut piece, abandon) {
            Ok(None) => {}
            Ok(Some(split)) => {
                unpacked.push(piece.unpacked_bytes);
                splits.push(split);
            }
            Err(error) => {
                discard(splits_directory, &splits);
                return Err(error);
            }
        }
    }
    Ok((splits, unpacked))
}

fn day(time: Timestamp) -> i64 {
    time.unix_nanos().div_euclid(DAY)
}

/// Rows up to the next cut.
struct Piece<'p, 'a> {
    rows: &'p mut Peekable<Merged<'a>>,
    cut_rows: u64,
    unpacked_bytes_max: u64,
    taken: u64,
    unpacked_bytes: u64,
    day: Option<i64>,
}

impl Iterator for Piece<'_, '_> {
    type Item = io::Result<(RecordId, LogRecord)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok((id, record)) = self.rows.peek()? {
            let day = day(id.time);
            let next_day = self.taken >= self.cut_rows && self.day.is_some_and(|before| before != day);
            if next_day || self.unpacked_bytes > self.unpacked_bytes_max {
                return None;
            }
            self.day = Some(day);
            self.taken += 1;
            self.unpacked_bytes += record_bytes(record) as u64;
        }
        self.rows.next()
    }
}

/// All rows of the sources that are not hidden, newest first.
struct Merged<'a> {
    sources: Vec<Source>,
    /// The next row of each source that has one.
    next: BinaryHeap<(RecordId, usize)>,
    masks: &'a Masks,
    now: Timestamp,
    pace: &'a mut dyn FnMut(u64),
    counted: &'a mut Rewritten,
    broken: &'a mut Option<LogStoreError>,
}

struct Source {
    extent: Extent,
    records: SplitRecords,
    next: Option<LogRecord>,
}

/// Rows of all sources that are in memory at a time. A block of a source costs the same to find whether few or many of its rows
/// are wanted, so more is quicker.
const ROWS_IN_MEMORY: u32 = 1 << 17;
/// Where they are large there are fewer of them, of a source not fewer than this.
const ROWS_MIN: u64 = 256;
/// A record in memory is taken to be so many times larger than on disk.
const UNPACKED_TIMES: u64 = 20;
/// Rows whose size tells how large the others of their split are.
const SAMPLE_ROWS: u32 = 256;
/// Rows between two calls of `pace`.
const PACE_ROWS: u64 = 512;

impl<'a> Merged<'a> {
    fn new(
        splits: &[Arc<Split>],
        (masks, now): (&'a Masks, Timestamp),
        unpacked_bytes_max: u64,
        pace: &'a mut dyn FnMut(u64),
        counted: &'a mut Rewritten,
        broken: &'a mut Option<LogStoreError>,
    ) -> Result<Merged<'a>, LogStoreError> {
        let mut merged = Merged { sources: Vec::new(), next: BinaryHeap::new(), masks, now, pace, counted, broken };
        let sources = splits.len().max(1) as u64;
        for (at, split) in splits.iter().enumerate() {
            let of_row = split.meta.bytes.saturating_mul(UNPACKED_TIMES) / split.meta.rows.max(1);
            let rows_max = (u64::from(ROWS_IN_MEMORY) / sources).max(ROWS_MIN);
            let rows_at_once = (unpacked_bytes_max / sources / of_row.max(1)).clamp(ROWS_MIN, rows_max) as u32;
            let records = split.reader_for_once()?.records_by(rows_at_once);
            merged.sources.push(Source { extent: Extent::from(&**split), records, next: None });
            merged.advance(at)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, at: usize) -> Result<(), LogStoreError> {
        let source = &mut self.sources[at];
        if let Some((id, record)) = source.records.next().transpose()? {
            source.next = Some(record);
            self.next.push((id, at));
        }
        Ok(())
    }

    /// The next row, hidden or not, and its source.
    fn row(&mut self) -> Option<Result<(RecordId, LogRecord, usize), LogStoreError>> {
        let (id, at) = self.next.pop()?;
        let record = self.sources[at].next.take()?;
        if let Err(error) = self.advance(at) {
            return Some(Err(error));
        }
        self.counted.rows += 1;
        if self.counted.rows.is_multiple_of(PACE_ROWS) {
            (self.pace)(PACE_ROWS);
        }
        Some(Ok((id, record, at)))
    }
}

impl Iterator for Merged<'_> {
    type Item = io::Result<(RecordId, LogRecord)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (id, record, at) = match self.row()? {
                Ok(row) => row,
                Err(error) => {
                    self.next.clear();
                    let told = io::Error::other(error.to_string());
                    *self.broken = Some(error);
                    return Some(Err(told));
                }
            };
            match self.masks.hides(&self.sources[at].extent, id, &record, self.now) {
                None => return Some(Ok((id, record))),
                Some(Hidden::Expired) => self.counted.expired += 1,
                Some(Hidden::Deleted(deletion)) => *self.counted.deleted.entry(deletion).or_default() += 1,
            }
        }
    }
}
