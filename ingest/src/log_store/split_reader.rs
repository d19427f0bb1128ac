//! An open split: its parts, read and checked when they are first needed, and kept as long as it is open.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use taffrail_collector::model::{Attributes, LogRecord, Timestamp};

use super::id_column::{IdDictionary, IdRuns};
use super::minute_counts::MinuteCounts;
use super::number_column::{NumberColumn, NumberCursor, PAGE, PackedColumn};
use super::pattern::{Pattern, PatternId};
use super::postings::{SUPERBLOCK, Superblock};
use super::schema::insert_rest;
use super::split::SplitMeta;
use super::split_file::{Region, SplitFile, damaged};
use super::split_layout::{Directory, turned_back};
use super::split_records::RecordReader;
use super::template::Holds;
use super::template_index::TemplateIndex;
use super::template_table::{Place, Template, TemplateTable};
use super::variable_column::{Column, PageSource};
use super::{LogStoreError, Order, RecordId, StoredRecord};
use crate::byte_cursor::{ByteCursor, Malformed};
use crate::scan::TimeRange;

/// See the module's documentation.
pub struct SplitReader {
    name: String,
    file: SplitFile,
    directory: Directory,
    table: OnceLock<TemplateTable>,
    index: OnceLock<TemplateIndex>,
    pattern_ids: OnceLock<Vec<Option<PatternId>>>,
    times: OnceLock<Vec<u8>>,
    seqs: OnceLock<Vec<u8>>,
    observed: OnceLock<Vec<u8>>,
    origins: OnceLock<Vec<Origin>>,
    origin_codes: OnceLock<PackedColumn>,
    superblocks: Vec<OnceLock<Superblock>>,
    traces: OnceLock<IdColumn>,
    spans: OnceLock<IdColumn>,
    cube: OnceLock<MinuteCounts>,
    /// What small templates share, and the columns of others; by number.
    groups: OnceLock<Box<[OnceLock<Vec<u8>>]>>,
    columns: OnceLock<Box<[OnceLock<Vec<u8>>]>>,
    loaded_bytes: AtomicUsize,
}

/// A host with the attributes of its resource.
#[derive(Debug)]
pub struct Origin {
    /// The host's name.
    pub host: String,
    /// What else is known of the sender.
    pub attributes: Attributes,
}

/// Trace or span ids of all rows.
#[derive(Debug)]
pub struct IdColumn {
    /// The ids.
    pub dictionary: IdDictionary,
    /// Which of them each row has.
    pub runs: IdRuns,
}

/// The columns of one template, not unpacked.
pub struct TemplateColumns<'a> {
    columns: Vec<&'a [u8]>,
    rows: usize,
}

impl SplitReader {
    /// Opens the split's file at `path` and checks it against what the catalog says.
    pub fn open(path: &Path, meta: &SplitMeta) -> Result<SplitReader, LogStoreError> {
        let reader = SplitReader::open_unlisted(path, &meta.name)?;
        // Which deletions it is without is known to the catalog alone: it changes though the file does not.
        let found = SplitMeta { deletions_through: meta.deletions_through, ..reader.describe(meta.bytes) };
        if found != *meta {
            return Err(reader.failed(damaged("it is not the split that the catalog lists under its name")));
        }
        Ok(reader)
    }

    /// Opens a split's file that the catalog may not know.
    pub fn open_unlisted(path: &Path, name: &str) -> Result<SplitReader, LogStoreError> {
        let fail = |error: io::Error| LogStoreError::Split {
            split: name.to_owned(),
            message: error.to_string(),
            kind: error.kind(),
        };
        let (file, directory) = SplitFile::open(path).map_err(fail)?;
        let directory = Directory::read(&directory).map_err(|error| fail(error.into()))?;
        Ok(SplitReader {
            name: name.to_owned(),
            file,
            table: OnceLock::new(),
            index: OnceLock::new(),
            pattern_ids: OnceLock::new(),
            times: OnceLock::new(),
            seqs: OnceLock::new(),
            observed: OnceLock::new(),
            origins: OnceLock::new(),
            origin_codes: OnceLock::new(),
            superblocks: directory.superblocks.iter().map(|_| OnceLock::new()).collect(),
            traces: OnceLock::new(),
            spans: OnceLock::new(),
            cube: OnceLock::new(),
            groups: OnceLock::new(),
            columns: OnceLock::new(),
            loaded_bytes: AtomicUsize::new(0),
            directory,
        })
    }

    /// What the catalog should say of the split, whose file has so many bytes.
    pub fn describe(&self, bytes: u64) -> SplitMeta {
        let Directory { rows, oldest, newest, seq_first, seq_last, generation, .. } = self.directory;
        SplitMeta {
            name: self.name.clone(),
            rows: u64::from(rows),
            bytes,
            oldest,
            newest,
            seq_first,
            seq_last,
            generation,
            deletions_through: 0,
        }
    }

    /// Reads every region but pages of text, which records lead to.
    pub fn read_all(&self) -> io::Result<()> {
        let table = self.table()?;
        self.index()?;
        for number in 0..self.superblocks() {
            self.superblock(number)?;
        }
        for number in 0..table.templates.len() as u32 {
            self.columns(number)?;
        }
        for group in &table.groups {
            self.read(group)?;
        }
        self.origins()?;
        self.origin_codes()?;
        self.traces()?;
        self.spans()?;
        self.minute_counts()?;
        Ok(())
    }

    /// How many records it holds. Row 0 is the newest.
    pub fn rows(&self) -> u32 {
        self.directory.rows
    }

    /// Services that stepped down, and to what.
    pub fn stepped_down(&self) -> &[(String, String)] {
        &self.directory.stepped_down
    }

    /// Bytes in memory, near enough.
    pub fn loaded_bytes(&self) -> usize {
        self.loaded_bytes.load(Relaxed)
    }

    /// An error of this split.
    pub fn failed(&self, error: io::Error) -> LogStoreError {
        LogStoreError::Split { split: self.name.clone(), message: error.to_string(), kind: error.kind() }
    }

    /// The templates.
    pub fn table(&self) -> io::Result<&TemplateTable> {
        cell(&self.table, || {
            let table = TemplateTable::read(self.read(&self.directory.table)?)?;
            let rows: u64 = table.templates.iter().map(|template| u64::from(template.rows)).sum();
            if rows != u64::from(self.rows()) {
                return Err(damaged("its templates have another number of rows"));
            }
            Ok(table)
        })
    }

    /// The words of the templates.
    pub fn index(&self) -> io::Result<&TemplateIndex> {
        let templates = self.table()?.templates.len() as u32;
        cell(&self.index, || TemplateIndex::open(&self.read(&self.directory.index)?, templates))
    }

    /// The pattern of all bodies of each template; none where they may have different ones.
    pub fn pattern_ids(&self) -> io::Result<&[Option<PatternId>]> {
        let table = self.table()?;
        let ids = cell(&self.pattern_ids, || {
            let id = |template: &Template| {
                let shapes = &table.shapes(template)[..template.variables as usize];
                (template.holds == Holds::Digits).then(|| Pattern::of_template(table.text(template), shapes).id())
            };
            Ok(table.templates.iter().map(id).collect::<Vec<_>>())
        })?;
        Ok(ids)
    }

    /// How many superblocks there are.
    pub fn superblocks(&self) -> usize {
        self.superblocks.len()
    }

    /// The rows of a superblock.
    pub fn superblock_rows(&self, number: usize) -> Range<u32> {
        let start = number as u32 * SUPERBLOCK;
        start..(start + SUPERBLOCK).min(self.rows())
    }

    /// A superblock.
    pub fn superblock(&self, number: usize) -> io::Result<&Superblock> {
        let templates = &self.table()?.templates;
        cell(&self.superblocks[number], || {
            let rows = self.superblock_rows(number).len() as u32;
            let template_rows = |template: u32| templates.get(template as usize).map(|template| template.rows);
            let bytes = self.read(&self.directory.superblocks[number])?;
            Ok(Superblock::read(&bytes, rows, &template_rows)?)
        })
    }

    /// The columns of a template.
    pub fn columns(&self, number: u32) -> io::Result<TemplateColumns<'_>> {
        let table = self.table()?;
        let template = &table.templates[number as usize];
        let bytes = match template.place {
            Place::Own(region) => {
                let columns = self.columns.get_or_init(|| table.templates.iter().map(|_| OnceLock::new()).collect());
                cell(&columns[number as usize], || self.read(&region))?.as_slice()
            }
            Place::Shared { group, offset, length } => {
                let groups = self.groups.get_or_init(|| table.groups.iter().map(|_| OnceLock::new()).collect());
                let group = cell(&groups[group as usize], || self.read(&table.groups[group as usize]))?;
                let end = (offset as usize).saturating_add(length as usize);
                group.get(offset as usize..end).ok_or_else(|| damaged("a template's columns lie outside"))?
            }
        };
        let count = template.variables as usize + table.schemas[template.schema as usize].columns();
        Ok(TemplateColumns::read(bytes, count, template)?)
    }

    /// Times of all rows, falling.
    pub fn times(&self) -> io::Result<TimeCursor<'_>> {
        let bytes = cell(&self.times, || self.read(&self.directory.times))?;
        Ok(TimeCursor(NumberCursor::new(NumberColumn::new(bytes, self.rows() as usize))))
    }

    /// Observed times of all rows.
    pub fn observed(&self) -> io::Result<TimeCursor<'_>> {
        let bytes = cell(&self.observed, || self.read(&self.directory.observed))?;
        Ok(TimeCursor(NumberCursor::new(NumberColumn::new(bytes, self.rows() as usize))))
    }

    /// Sequence numbers of all rows.
    pub fn seqs(&self) -> io::Result<NumberCursor<'_>> {
        let bytes = cell(&self.seqs, || self.read(&self.directory.seqs))?;
        Ok(NumberCursor::new(NumberColumn::new(bytes, self.rows() as usize)))
    }

    /// Hosts with what else is known of them.
    pub fn origins(&self) -> io::Result<&[Origin]> {
        let origins = cell(&self.origins, || {
            let bytes = self.read(&self.directory.origins)?;
            let mut cursor = ByteCursor(&bytes);
            let origins = (0..cursor.count(1, usize::MAX)?).map(|_| Origin::read(cursor.prefixed()?)).collect();
            let origins: Result<Vec<Origin>, Malformed> = origins;
            Ok(origins?)
        })?;
        Ok(origins)
    }

    /// Which of them each row has.
    pub fn origin_codes(&self) -> io::Result<&PackedColumn> {
        cell(&self.origin_codes, || {
            Ok(PackedColumn::new(self.read(&self.directory.origin_codes)?, self.rows() as usize)?)
        })
    }

    /// Trace ids; none when no row has one.
    pub fn traces(&self) -> io::Result<Option<&IdColumn>> {
        self.ids(&self.traces, self.directory.traces, 16)
    }

    /// Span ids; none when no row has one.
    pub fn spans(&self) -> io::Result<Option<&IdColumn>> {
        self.ids(&self.spans, self.directory.spans, 8)
    }

    fn ids<'a>(
        &'a self,
        kept: &'a OnceLock<IdColumn>,
        regions: Option<(Region, Region)>,
        id_bytes: usize,
    ) -> io::Result<Option<&'a IdColumn>> {
        let Some((dictionary, runs)) = regions else { return Ok(None) };
        let column = cell(kept, || {
            let dictionary = IdDictionary::new(self.read(&dictionary)?, id_bytes)?;
            let runs = IdRuns::new(&self.read(&runs)?, self.rows(), dictionary.len())?;
            Ok(IdColumn { dictionary, runs })
        })?;
        Ok(Some(column))
    }

    /// Counts by minute, service and severity, where the split keeps them.
    pub fn minute_counts(&self) -> io::Result<Option<&MinuteCounts>> {
        let Some(region) = &self.directory.cube else { return Ok(None) };
        Ok(Some(cell(&self.cube, || Ok(MinuteCounts::read(&self.read(region)?, self.rows())?))?))
    }

    /// The rows in a time range.
    pub fn rows_in(&self, range: TimeRange) -> io::Result<Range<u32>> {
        let (oldest, newest) = (self.directory.oldest.time, self.directory.newest.time);
        let start = if newest < range.end { 0 } else { self.first_before(range.end)? };
        let end = if oldest >= range.start { self.rows() } else { self.first_before(range.start)? };
        Ok(start..end.max(start))
    }

    /// The rows that come after a place in the given order.
    pub fn rows_after(&self, order: Order, after: RecordId) -> io::Result<Range<u32>> {
        // Rows of the place's own time fall by their sequence number.
        let start = match after.time.unix_nanos().checked_add(1) {
            Some(next) => self.first_before(Timestamp::from_unix_nanos(next))?,
            None => 0,
        };
        let end = self.first_before(after.time)?;
        let mut seqs = self.seqs()?;
        let mut first = |holds: &dyn Fn(u64) -> bool| -> io::Result<u32> {
            let (mut low, mut high) = (start, end.max(start));
            while low < high {
                let middle = low + (high - low) / 2;
                if holds(seqs.get(middle as usize)?) { low = middle + 1 } else { high = middle }
            }
            Ok(low)
        };
        Ok(match order {
            Order::NewestFirst => first(&|seq| seq >= after.seq)?..self.rows(),
            Order::OldestFirst => 0..first(&|seq| seq > after.seq)?,
        })
    }

    /// The first row whose time lies before `moment`.
    pub fn first_before(&self, moment: Timestamp) -> io::Result<u32> {
        let moment = moment.unix_nanos();
        let pages = &self.directory.page_starts;
        let Some(page) = pages.partition_point(|&start| start >= moment).checked_sub(1) else { return Ok(0) };
        let mut times = self.times()?;
        let (mut low, mut high) = (page * PAGE, ((page + 1) * PAGE).min(self.rows() as usize));
        while low < high {
            let middle = low + (high - low) / 2;
            if times.get(middle as u32)?.unix_nanos() >= moment { low = middle + 1 } else { high = middle }
        }
        Ok(low as u32)
    }

    /// For each of the rows, which rise: its template, and its number among the template's rows.
    pub fn locate(&self, rows: &[u32]) -> io::Result<Vec<(u32, u32)>> {
        let mut located = Vec::with_capacity(rows.len());
        for of_one in rows.chunk_by(|a, b| a / SUPERBLOCK == b / SUPERBLOCK) {
            let number = (of_one[0] / SUPERBLOCK) as usize;
            if number >= self.superblocks() {
                return Err(damaged("a row lies behind its end"));
            }
            let start = self.superblock_rows(number).start;
            let within: Vec<u32> = of_one.iter().map(|row| row - start).collect();
            located.extend(self.superblock(number)?.locate(&within)?);
        }
        Ok(located)
    }

    /// All records with their places, newest first, some in memory at a time; it ends with the first error.
    pub fn records(self: &Arc<Self>) -> SplitRecords {
        self.records_by(SUPERBLOCK)
    }

    /// The same with so many records in memory at a time, at most a block of them.
    pub fn records_by(self: &Arc<Self>, at_once: u32) -> SplitRecords {
        let at_once = at_once.clamp(1, SUPERBLOCK);
        SplitRecords { split: self.clone(), rows: 0..self.rows(), at_once, ready: Vec::new().into_iter() }
    }

    fn read(&self, region: &Region) -> io::Result<Vec<u8>> {
        let bytes = self.file.read(region)?;
        self.loaded_bytes.fetch_add(bytes.len(), Relaxed);
        Ok(bytes)
    }
}

impl PageSource for SplitReader {
    fn page(&self, region: &Region) -> io::Result<Vec<u8>> {
        self.file.read(region)
    }
}

/// See [`SplitReader::records`].
pub struct SplitRecords {
    split: Arc<SplitReader>,
    rows: Range<u32>,
    at_once: u32,
    ready: std::vec::IntoIter<StoredRecord>,
}

impl Iterator for SplitRecords {
    type Item = Result<(RecordId, LogRecord), LogStoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.len() == 0 && !self.rows.is_empty() {
            // Finding the templates of some rows of a superblock costs as much as of all, so they are not cut.
            let block_end = (self.rows.start / SUPERBLOCK + 1) * SUPERBLOCK;
            let end = (self.rows.start + self.at_once).min(block_end).min(self.rows.end);
            let rows: Vec<u32> = (self.rows.start..end).collect();
            match RecordReader::new(&self.split).and_then(|mut reader| reader.records(&rows)) {
                Ok(records) => self.ready = records.into_iter(),
                Err(error) => {
                    self.rows = 0..0;
                    return Some(Err(self.split.failed(error)));
                }
            }
            self.rows.start = end;
        }
        self.ready.next().map(|stored| Ok((stored.id, stored.record)))
    }
}

/// Times of rows.
pub struct TimeCursor<'a>(NumberCursor<'a>);

impl TimeCursor<'_> {
    /// The row's time.
    #[inline]
    pub fn get(&mut self, row: u32) -> io::Result<Timestamp> {
        Ok(Timestamp::from_unix_nanos(turned_back(self.0.get(row as usize)?)))
    }
}

impl Origin {
    fn read(bytes: &[u8]) -> Result<Origin, Malformed> {
        let mut cursor = ByteCursor(bytes);
        let host = super::schema::text(cursor.prefixed()?)?;
        let mut attributes = Attributes::new();
        insert_rest(cursor.0, &mut attributes)?;
        Ok(Origin { host, attributes })
    }
}

impl<'a> TemplateColumns<'a> {
    fn read(bytes: &'a [u8], count: usize, template: &Template) -> Result<TemplateColumns<'a>, Malformed> {
        let mut cursor = ByteCursor(bytes);
        let lengths = (0..count).map(|_| cursor.count(0, bytes.len())).collect::<Result<Vec<usize>, Malformed>>()?;
        let columns = lengths.into_iter().map(|length| cursor.bytes(length)).collect::<Result<_, _>>()?;
        cursor.finish()?;
        Ok(TemplateColumns { columns, rows: template.rows as usize })
    }

    /// A column's bytes: variables first, then the schema's.
    pub fn bytes(&self, column: usize) -> io::Result<&'a [u8]> {
        self.columns.get(column).copied().ok_or_else(|| damaged("a template has fewer columns"))
    }

    /// A column of texts.
    pub fn texts(&self, column: usize) -> io::Result<Column<'a>> {
        match Column::read(self.bytes(column)?, self.rows)? {
            Column::SameAs(other) => Ok(Column::read(self.bytes(other)?, self.rows)?),
            column => Ok(column),
        }
    }
}

/// What the cell holds, made first if need be. Two that make it at once make it twice, and one of the two stays.
fn cell<T>(cell: &OnceLock<T>, make: impl FnOnce() -> io::Result<T>) -> io::Result<&T> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let made = make()?;
            Ok(cell.get_or_init(|| made))
        }
    }
}
