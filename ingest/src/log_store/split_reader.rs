//! An open split: its postings, its dictionary of values, its columns, its records.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use taffrail_collector::model::{LogRecord, Timestamp};
use tantivy::columnar::ColumnValues;
use tantivy::postings::TermInfo;
use tantivy::schema::{Field as IndexField, IndexRecordOption};
use tantivy::termdict::TermDictionary;
use tantivy::{DocSet, Index, InvertedIndexReader, SegmentReader, TERMINATED};

use super::bits::Bits;
use super::record_file::{BLOCK_ROWS, RecordFile};
use super::split::SplitMeta;
use super::split_index::{self, value_prefix};
use super::split_writer::RECORDS_FILE;
use super::{Interrupt, LogStoreError, Order, RecordId};
use crate::scan::{Scan, TimeRange};

/// Dictionary entries between two looks at the scan's budget.
const TERMS_PER_TOUCH: usize = 1024;

/// See the module's documentation.
pub struct SplitReader {
    name: String,
    rows: u32,
    words: Arc<InvertedIndexReader>,
    attribute_words: Arc<InvertedIndexReader>,
    names: Arc<InvertedIndexReader>,
    values: Arc<InvertedIndexReader>,
    times: Arc<dyn ColumnValues<i64>>,
    seqs: Arc<dyn ColumnValues<u64>>,
    records: RecordFile,
}

/// The index's fields with terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Words of the body.
    Words,
    /// Words of text attributes.
    AttributeWords,
    /// Names of fields.
    Names,
    /// Values of fields.
    Values,
}

impl SplitReader {
    /// Opens the split in the directory `path` and checks it against what the catalog says.
    pub fn open(path: &Path, meta: &SplitMeta) -> Result<SplitReader, LogStoreError> {
        let fail = |message: String| LogStoreError::Split { split: meta.name.clone(), message };
        let records =
            RecordFile::open(&path.join(RECORDS_FILE)).map_err(|error| fail(format!("{RECORDS_FILE}: {error}")))?;
        let open = || -> tantivy::Result<SplitReader> {
            let index = Index::open_in_dir(path)?;
            let segments = index.searchable_segments()?;
            let [segment] = segments.as_slice() else {
                return Err(tantivy::TantivyError::InvalidArgument(format!("{} segments, not one", segments.len())));
            };
            let segment = SegmentReader::open(segment)?;
            let (_, fields) = split_index::schema();
            let inverted = |field: IndexField| segment.inverted_index(field);
            Ok(SplitReader {
                name: meta.name.clone(),
                rows: segment.max_doc(),
                words: inverted(fields.words)?,
                attribute_words: inverted(fields.attribute_words)?,
                names: inverted(fields.names)?,
                values: inverted(fields.values)?,
                times: segment.fast_fields().i64("time")?.first_or_default_col(0),
                seqs: segment.fast_fields().u64("seq")?.first_or_default_col(0),
                records,
            })
        };
        let reader = open().map_err(|error| fail(error.to_string()))?;
        if u64::from(reader.rows) != meta.rows || reader.records.rows() != meta.rows {
            return Err(fail(format!(
                "the catalog lists {} rows, the index holds {}, the records file {}",
                meta.rows,
                reader.rows,
                reader.records.rows()
            )));
        }
        Ok(reader)
    }

    /// How many records it holds. Row 0 is the newest.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The row's time.
    pub fn time(&self, row: u32) -> Timestamp {
        Timestamp::from_unix_nanos(self.times.get_val(row))
    }

    /// The row's place.
    pub fn id(&self, row: u32) -> RecordId {
        RecordId { time: self.time(row), seq: self.seqs.get_val(row) }
    }

    /// The rows in a time range.
    pub fn rows_in(&self, range: TimeRange) -> Range<u32> {
        let start = self.partition(|row| self.time(row) >= range.end);
        let end = self.partition(|row| self.time(row) >= range.start);
        start..end.max(start)
    }

    /// The rows that come after a place in the given order.
    pub fn rows_after(&self, order: Order, after: RecordId) -> Range<u32> {
        match order {
            Order::NewestFirst => self.partition(|row| self.id(row) >= after)..self.rows,
            Order::OldestFirst => 0..self.partition(|row| self.id(row) > after),
        }
    }

    /// The first row after `from` whose time lies before `moment`.
    pub fn first_before(&self, moment: Timestamp) -> u32 {
        self.partition(|row| self.time(row) >= moment)
    }

    /// The rows that have the term.
    pub fn postings(&self, terms: Terms, term: &str) -> Result<Bits, LogStoreError> {
        let mut bits = Bits::empty(self.rows);
        let index = self.inverted(terms);
        if let Some(info) = index.terms().get(term.as_bytes()).map_err(|error| self.failed(error))? {
            self.add_postings(index, &info, &mut bits)?;
        }
        Ok(bits)
    }

    /// Calls `visit` with every term that starts with `prefix` (the part after it, and how to read its rows), by byte order.
    pub fn visit_terms(
        &self,
        terms: Terms,
        prefix: &str,
        scan: &Scan,
        visit: &mut dyn FnMut(&str, TermRows<'_>) -> Result<(), Interrupt>,
    ) -> Result<(), Interrupt> {
        let index = self.inverted(terms);
        let dictionary: &TermDictionary = index.terms();
        let mut stream = dictionary.range().ge(prefix.as_bytes()).into_stream().map_err(|error| self.failed(error))?;
        let mut seen = 0;
        while stream.advance() {
            let Some(rest) = stream.key().strip_prefix(prefix.as_bytes()) else { break };
            let rest = std::str::from_utf8(rest).map_err(|error| self.failed(io::Error::other(error)))?;
            visit(rest, TermRows { split: self, index, info: stream.value() })?;
            seen += 1;
            if seen % TERMS_PER_TOUCH == 0 {
                scan.touch(0, 0)?;
            }
        }
        Ok(())
    }

    /// Calls `visit` with every value of the field that stands in the dictionary: its tag, its text.
    pub fn visit_values(
        &self,
        name: &str,
        scan: &Scan,
        visit: &mut dyn FnMut(u8, &str, TermRows<'_>) -> Result<(), Interrupt>,
    ) -> Result<(), Interrupt> {
        self.visit_terms(Terms::Values, &value_prefix(name), scan, &mut |rest, rows| {
            // A NUL instead of a tag: the terms of another field, whose name goes on with a NUL.
            match rest.as_bytes().first() {
                None | Some(0) => Ok(()),
                Some(&tag) => visit(tag, &rest[1..], rows),
            }
        })
    }

    /// Reads records in any order, cheaply when neighbours follow each other.
    pub fn cursor<'a>(&'a self, scan: &'a Scan) -> RecordCursor<'a> {
        self.cursor_at(scan, None)
    }

    /// A cursor that goes on with the frame that an earlier one left.
    pub fn cursor_at<'a>(&'a self, scan: &'a Scan, block: Option<Block>) -> RecordCursor<'a> {
        RecordCursor { split: self, scan, block }
    }

    /// All records with their places, newest first, one block in memory at a time; it ends with the first error.
    pub fn records(self: &Arc<Self>) -> SplitRecords {
        SplitRecords { split: self.clone(), row: 0, block: Vec::new().into_iter() }
    }

    /// An error of this split.
    pub fn failed(&self, error: io::Error) -> LogStoreError {
        LogStoreError::Split { split: self.name.clone(), message: error.to_string() }
    }

    fn inverted(&self, terms: Terms) -> &InvertedIndexReader {
        match terms {
            Terms::Words => &self.words,
            Terms::AttributeWords => &self.attribute_words,
            Terms::Names => &self.names,
            Terms::Values => &self.values,
        }
    }

    fn add_postings(&self, index: &InvertedIndexReader, info: &TermInfo, bits: &mut Bits) -> Result<(), LogStoreError> {
        let mut postings =
            index.read_postings_from_terminfo(info, IndexRecordOption::Basic).map_err(|error| self.failed(error))?;
        let mut row = postings.doc();
        while row != TERMINATED {
            bits.insert(row);
            row = postings.advance();
        }
        Ok(())
    }

    /// The first row for which `holds` does not hold, when it holds for rows up to some row and for none after.
    fn partition(&self, holds: impl Fn(u32) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The rows of one term met while walking a dictionary.
#[derive(Clone, Copy)]
pub struct TermRows<'a> {
    split: &'a SplitReader,
    index: &'a InvertedIndexReader,
    info: &'a TermInfo,
}

impl TermRows<'_> {
    /// Puts the rows into the set.
    pub fn add_to(self, bits: &mut Bits) -> Result<(), LogStoreError> {
        self.split.add_postings(self.index, self.info, bits)
    }

    /// The rows.
    pub fn bits(self) -> Result<Bits, LogStoreError> {
        let mut bits = Bits::empty(self.split.rows);
        self.add_to(&mut bits)?;
        Ok(bits)
    }
}

/// See [`SplitReader::records`].
pub struct SplitRecords {
    split: Arc<SplitReader>,
    row: u32,
    block: std::vec::IntoIter<LogRecord>,
}

impl Iterator for SplitRecords {
    type Item = Result<(RecordId, LogRecord), LogStoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.row >= self.split.rows {
            return None;
        }
        if self.row.is_multiple_of(BLOCK_ROWS) {
            match self.split.records.block(self.row / BLOCK_ROWS) {
                Ok((records, _)) => self.block = records.into_iter(),
                Err(error) => {
                    self.row = self.split.rows;
                    return Some(Err(self.split.failed(error)));
                }
            }
        }
        let record = self.block.next()?;
        let id = self.split.id(self.row);
        self.row += 1;
        Some(Ok((id, record)))
    }
}

/// Reads records of a split, keeping the last frame.
pub struct RecordCursor<'a> {
    split: &'a SplitReader,
    scan: &'a Scan,
    block: Option<Block>,
}

/// A frame's number and those of its records that were not taken yet.
pub type Block = (u32, Vec<Option<LogRecord>>);

impl RecordCursor<'_> {
    /// The record of a row that was not taken yet.
    pub fn record(&mut self, row: u32) -> Result<&LogRecord, Interrupt> {
        Ok(self.slot(row)?.as_ref().expect("a row is taken at most once, and not looked at afterwards"))
    }

    /// The record of a row, to keep.
    pub fn take(&mut self, row: u32) -> Result<LogRecord, Interrupt> {
        Ok(self.slot(row)?.take().expect("a row is taken at most once"))
    }

    /// The frame last read, for a cursor to come.
    pub fn into_block(self) -> Option<Block> {
        self.block
    }

    fn slot(&mut self, row: u32) -> Result<&mut Option<LogRecord>, Interrupt> {
        let (block, at) = (row / BLOCK_ROWS, (row % BLOCK_ROWS) as usize);
        if self.block.as_ref().is_none_or(|(loaded, _)| *loaded != block) {
            let (records, bytes) = self.split.records.block(block).map_err(|error| self.split.failed(error))?;
            self.scan.touch(records.len() as u64, bytes)?;
            self.block = Some((block, records.into_iter().map(Some).collect()));
        }
        let (_, records) = self.block.as_mut().expect("just loaded");
        Ok(&mut records[at])
    }
}
