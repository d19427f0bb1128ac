//! Reads a block file (drawn in block_layout.rs) on demand: the footer once, the series table through a cache, chunks as
//! they are asked for. Every part is checked against its checksum before it is believed; what is wrong names the block.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use taffrail_collector::model::{Exemplar, LabelSet, SampleKind, SpanId, Timestamp, TraceId};

use super::block_layout::{
    Extent, Footer, HEADER_BYTES, SECTION_BYTES_MAX, Section, TRAILER_BYTES, check_header, decode_footer,
    decode_trailer,
};
use super::chunk;
use super::first_values::FirstValues;
use super::hidden::{Masks, is_finer};
use super::matcher::LabelMatcher;
use super::merge::{SeriesPart, SortedParts};
use super::points::Points;
use super::series_retention::{SeriesRetention, finest_level, level_of};
use super::series_table::SeriesTable;
use super::table_cache::TableCache;
use super::{BlockInfo, SeriesStoreError};
use crate::byte_cursor::{ByteCursor, Malformed};
use crate::scan::{Scan, TimeRange};

/// A block that queries may read. The file of a doomed block is removed when the last reader lets go of it.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) info: BlockInfo,
    path: PathBuf,
    footer: OnceLock<Arc<Footer>>,
    tables: Arc<TableCache>,
    doomed: AtomicBool,
    /// Deletions up to this number have no windows in it; at least what `info` says.
    deletions_through: AtomicU64,
}

/// A series of a block: its row, name and labels, and what it measures.
pub(super) type BlockRow = (u32, Arc<LabelSet>, SampleKind);

/// Reads rows of a block; keeps the chunk it read last, so that neighbours are unpacked together.
#[derive(Debug)]
pub(super) struct BlockCursor<'a> {
    block: &'a Block,
    file: File,
    table: Arc<SeriesTable>,
    chunk: u32,
    /// The chunk's series that were not read yet; none before the first is read.
    unpacked: Vec<Option<Points>>,
}

/// A metric of a block: kind, name, unit, series.
pub(super) type BlockMetric = (SampleKind, String, String, u64);

impl Block {
    /// The block that `info` describes, in `directory`. Nothing is read yet.
    pub(super) fn new(directory: &Path, info: BlockInfo, tables: Arc<TableCache>) -> Block {
        let path = directory.join(&info.name);
        let deletions_through = AtomicU64::new(info.place.deletions_through);
        Block { info, path, footer: OnceLock::new(), tables, doomed: AtomicBool::new(false), deletions_through }
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file once nobody reads it.
    pub(super) fn doom(&self) {
        self.doomed.store(true, Relaxed);
    }

    /// Deletions up to this number have no windows in it.
    pub(super) fn deletions_through(&self) -> u64 {
        self.deletions_through.load(Relaxed)
    }

    /// Hears that deletions up to this number have no windows in it.
    pub(super) fn set_deletions_through(&self, through: u64) {
        self.deletions_through.fetch_max(through, Relaxed);
    }

    /// Whether a window may end in the range.
    pub(super) fn overlaps(&self, range: TimeRange) -> bool {
        range.overlaps(self.info.first_end, self.info.last_end)
    }

    /// The rows of series that pass all matchers and have windows from before the range's end to after its start, with their
    /// labels and kinds; rising. Without those that the masks hide whole.
    pub(super) fn rows(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        masks: &Masks,
    ) -> Result<Vec<BlockRow>, SeriesStoreError> {
        let table = self.table(&self.open()?)?;
        let rows = rows_in(&table, matchers, range, masks);
        Ok(rows.map(|number| (number as u32, Arc::new(table.labels(number)), table.rows()[number].kind)).collect())
    }

    /// The values that a label has in those of these rows whose kind is wanted.
    pub(super) fn label_values(
        &self,
        label: &str,
        (matchers, masks): (&[LabelMatcher], &Masks),
        range: TimeRange,
        is_wanted: fn(SampleKind) -> bool,
        found: &mut FirstValues,
    ) -> Result<(), SeriesStoreError> {
        let table = self.table(&self.open()?)?;
        if !table.rows().iter().any(|row| is_wanted(row.kind)) {
            return Ok(());
        }
        let rows = rows_in(&table, matchers, range, masks).filter(|&number| is_wanted(table.rows()[number].kind));
        for value in table.values_of(label, rows) {
            if found.are_all_before(value) {
                break;
            }
            found.offer(value);
        }
        Ok(())
    }

    /// Reads rows.
    pub(super) fn cursor(&self) -> Result<BlockCursor<'_>, SeriesStoreError> {
        let file = self.open()?;
        let table = self.table(&file)?;
        Ok(BlockCursor { block: self, file, table, chunk: 0, unpacked: Vec::new() })
    }

    /// All series with all their windows and exemplars, sorted by kind and labels; one chunk in memory at a time.
    pub(super) fn parts(&self) -> Result<impl Iterator<Item = Result<SeriesPart, SeriesStoreError>>, SeriesStoreError> {
        let file = self.open()?;
        let table = self.table(&file)?;
        let mut exemplars = self.exemplar_rows(&file)?.into_iter().peekable();
        let mut chunk: Option<(u32, Vec<Points>)> = None;
        let rows = table.rows().len();
        Ok((0..rows).map(move |number| {
            let row = &table.rows()[number];
            if chunk.as_ref().is_none_or(|(loaded, _)| *loaded != row.chunk) {
                chunk = Some((row.chunk, self.chunk(&file, row.chunk)?));
            }
            let points = chunk
                .as_mut()
                .and_then(|(_, chunk)| chunk.get_mut(row.place as usize))
                .map(|points| std::mem::replace(points, Points::new(row.kind)))
                .filter(|points| points.kind() == row.kind && points.len() == row.windows as usize)
                .ok_or_else(|| self.error(Malformed("a series is not where the table says")))?;
            let mut own = Vec::new();
            while let Some((_, exemplar)) = exemplars.next_if(|(at, _)| *at <= number) {
                own.push(exemplar);
            }
            Ok(SeriesPart {
                labels: Arc::new(table.labels(number)),
                unit: table.string(row.unit).to_owned(),
                interval_ms: row.interval_ms,
                before: row.before,
                points,
                exemplars: own,
            })
        }))
    }

    /// The same without what a merge does not keep.
    pub(super) fn kept_parts(&self, masks: Masks) -> Result<SortedParts<'_>, SeriesStoreError> {
        let parts = self.parts()?;
        if masks.is_empty() {
            return Ok(Box::new(parts));
        }
        Ok(Box::new(parts.filter_map(move |part| part.map(|part| masks.kept(&self.info.place, part)).transpose())))
    }

    /// What each counter and distribution has added up to by the end of the block, and its last window's end.
    pub(super) fn for_each_total(
        &self,
        mut visit: impl FnMut(SampleKind, LabelSet, super::points::RunningTotal, i64),
    ) -> Result<(), SeriesStoreError> {
        let table = self.table(&self.open()?)?;
        for (number, row) in table.rows().iter().enumerate() {
            if matches!(row.kind, SampleKind::Counter | SampleKind::Distribution) {
                visit(row.kind, table.labels(number), row.before + row.total, row.last_end);
            }
        }
        Ok(())
    }

    /// How many windows the block has, and how many of them are finer than what of the levels is kept of their series.
    pub(super) fn windows_to_thin(
        &self,
        retention: &SeriesRetention,
        now: Timestamp,
    ) -> Result<(u64, u64), SeriesStoreError> {
        let table = self.table(&self.open()?)?;
        let place = &self.info.place;
        let (level, age) = (level_of(place.resolution_ms), now.saturating_since(place.end()));
        let (mut windows, mut finer) = (0, 0);
        for (number, row) in table.rows().iter().enumerate() {
            windows += u64::from(row.windows);
            let at = Timestamp::from_unix_nanos;
            let span = at(row.last_end).saturating_since(at(row.first_end));
            let goes = match finest_level(retention.keep_of(&table.labels(number)), level, age) {
                Some(finest) => finest > level && is_finer(row.kind, row.interval_ms, row.windows, span, finest),
                None => true,
            };
            finer += if goes { u64::from(row.windows) } else { 0 };
        }
        Ok((windows, finer))
    }

    /// The block's metrics.
    pub(super) fn metrics(&self) -> Result<Vec<BlockMetric>, SeriesStoreError> {
        let file = self.open()?;
        let section = self.footer(&file)?.metrics;
        let raw = self.section(&file, section)?;
        decode_metrics(&raw).map_err(|error| self.error(error))
    }

    /// Exemplars of series that pass all matchers, in the range, as (labels, exemplar) by series.
    pub(super) fn exemplars(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        wanted: impl Fn(&Exemplar) -> bool,
    ) -> Result<Vec<(Arc<LabelSet>, Exemplar)>, SeriesStoreError> {
        let file = self.open()?;
        let footer = self.footer(&file)?;
        let at = Timestamp::from_unix_nanos;
        if footer.exemplar_first > footer.exemplar_last
            || !range.overlaps(at(footer.exemplar_first), at(footer.exemplar_last))
        {
            return Ok(Vec::new());
        }
        let exemplars = self.exemplar_rows(&file)?;
        let mut exemplars = exemplars.into_iter().filter(|(_, e)| range.contains(e.timestamp) && wanted(e)).peekable();
        if exemplars.peek().is_none() {
            return Ok(Vec::new());
        }
        let table = self.table(&file)?;
        let selected = table.select(matchers);
        let passing = exemplars.filter(|(row, _)| selected.binary_search(row).is_ok());
        Ok(passing.map(|(row, exemplar)| (Arc::new(table.labels(row)), exemplar)).collect())
    }

    fn exemplar_rows(&self, file: &File) -> Result<Vec<(usize, Exemplar)>, SeriesStoreError> {
        let footer = self.footer(file)?;
        let raw = self.section(file, footer.exemplars)?;
        decode_exemplars(&raw, footer.series).map_err(|error| self.error(error))
    }

    fn table(&self, file: &File) -> Result<Arc<SeriesTable>, SeriesStoreError> {
        if let Some(table) = self.tables.get(&self.info.name) {
            return Ok(table);
        }
        let footer = self.footer(file)?;
        let raw = self.section(file, footer.table)?;
        let table = SeriesTable::decode(&raw, footer.first_end).map_err(|error| self.error(error))?;
        let table = Arc::new(table);
        self.tables.put(&self.info.name, table.clone());
        Ok(table)
    }

    fn footer(&self, file: &File) -> Result<Arc<Footer>, SeriesStoreError> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer.clone());
        }
        let footer = Arc::new(self.read_footer(file)?);
        Ok(self.footer.get_or_init(|| footer).clone())
    }

    pub(super) fn read_footer(&self, file: &File) -> Result<Footer, SeriesStoreError> {
        let length = file.metadata().map_err(|error| self.unreadable(&error))?.len();
        let read = |offset, length| self.read(file, offset, length);
        let too_short = || self.error(Malformed("it is too short"));
        let trailer_offset =
            length.checked_sub(TRAILER_BYTES).filter(|&at| at >= HEADER_BYTES).ok_or_else(too_short)?;
        check_header(&read(0, HEADER_BYTES as usize)?).map_err(|error| self.error(error))?;
        let (footer_length, crc) =
            decode_trailer(&read(trailer_offset, TRAILER_BYTES as usize)?).map_err(|error| self.error(error))?;
        let footer_offset = trailer_offset
            .checked_sub(u64::from(footer_length))
            .filter(|&at| at >= HEADER_BYTES)
            .ok_or_else(too_short)?;
        let bytes = self.checked(file, Extent { offset: footer_offset, length: footer_length, crc })?;
        decode_footer(&bytes, footer_offset).map_err(|error| self.error(error))
    }

    fn extent_of(&self, file: &File, chunk: u32) -> Result<Extent, SeriesStoreError> {
        let footer = self.footer(file)?;
        footer.chunks.get(chunk as usize).copied().ok_or_else(|| self.error(Malformed("a chunk is missing")))
    }

    fn chunk(&self, file: &File, chunk: u32) -> Result<Vec<Points>, SeriesStoreError> {
        let bytes = self.checked(file, self.extent_of(file, chunk)?)?;
        chunk::decode(&bytes).map_err(|error| self.error(error))
    }

    fn section(&self, file: &File, section: Section) -> Result<Vec<u8>, SeriesStoreError> {
        let length = section.raw_length as usize;
        if length > SECTION_BYTES_MAX {
            return Err(self.error(Malformed("a section is too long")));
        }
        let packed = self.checked(file, section.extent)?;
        let raw = zstd::bulk::decompress(&packed, length).map_err(|error| self.unreadable(&error))?;
        if raw.len() == length { Ok(raw) } else { Err(self.error(Malformed("a section has another length"))) }
    }

    /// The bytes of a part whose checksum fits.
    fn checked(&self, file: &File, extent: Extent) -> Result<Vec<u8>, SeriesStoreError> {
        let file_length = file.metadata().map_err(|error| self.unreadable(&error))?.len();
        if extent.offset.saturating_add(u64::from(extent.length)) > file_length {
            return Err(self.error(Malformed("a part lies outside the file")));
        }
        let bytes = self.read(file, extent.offset, extent.length as usize)?;
        if crc32c::crc32c(&bytes) == extent.crc {
            Ok(bytes)
        } else {
            Err(self.error(Malformed("a checksum does not fit: the file is damaged")))
        }
    }

    fn read(&self, file: &File, offset: u64, length: usize) -> Result<Vec<u8>, SeriesStoreError> {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).map_err(|error| self.unreadable(&error))?;
        Ok(bytes)
    }

    fn open(&self) -> Result<File, SeriesStoreError> {
        File::open(&self.path).map_err(|error| self.unreadable(&error))
    }

    fn error(&self, malformed: Malformed) -> SeriesStoreError {
        SeriesStoreError::Block { block: self.info.name.clone(), message: malformed.to_string() }
    }

    fn unreadable(&self, error: &std::io::Error) -> SeriesStoreError {
        SeriesStoreError::Block { block: self.info.name.clone(), message: error.to_string() }
    }
}

impl BlockCursor<'_> {
    /// The windows of a row, with their anchor. `labels` are the row's.
    pub(super) fn read(
        &mut self,
        number: usize,
        labels: &Arc<LabelSet>,
        scan: &Scan,
    ) -> Result<SeriesPart, SeriesStoreError> {
        let row = &self.table.rows()[number];
        let place = row.place as usize;
        if row.chunk != self.chunk || self.unpacked.get(place).is_none_or(Option::is_none) {
            let unpacked = self.block.chunk(&self.file, row.chunk)?;
            let windows: usize = unpacked.iter().map(Points::len).sum();
            let bytes = self.block.extent_of(&self.file, row.chunk)?.length;
            scan.touch(windows as u64, u64::from(bytes)).map_err(SeriesStoreError::Stopped)?;
            (self.chunk, self.unpacked) = (row.chunk, unpacked.into_iter().map(Some).collect());
        }
        let points = self
            .unpacked
            .get_mut(place)
            .and_then(Option::take)
            .filter(|points| points.kind() == row.kind && points.len() == row.windows as usize)
            .ok_or_else(|| self.block.error(Malformed("a series is not where the table says")))?;
        Ok(SeriesPart {
            labels: labels.clone(),
            unit: self.table.string(row.unit).to_owned(),
            interval_ms: row.interval_ms,
            before: row.before,
            points,
            exemplars: Vec::new(),
        })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if *self.doomed.get_mut() {
            self.tables.remove(&self.info.name);
            if let Err(error) = fs::remove_file(&self.path) {
                tracing::warn!(block = self.info.name, %error, "a series block that is no longer listed stays on disk");
            }
        }
    }
}

/// The rows that pass all matchers and may have windows in the range that the masks do not hide; rising.
fn rows_in<'a>(
    table: &'a SeriesTable,
    matchers: &[LabelMatcher],
    range: TimeRange,
    masks: &'a Masks,
) -> impl Iterator<Item = usize> + use<'a> {
    let at = Timestamp::from_unix_nanos;
    table.select(matchers).into_iter().filter(move |&number| {
        let row = &table.rows()[number];
        // Of windows outside the range nobody asks.
        let (first, last) = (at(row.first_end).max(range.start), at(row.last_end).min(range.end));
        range.overlaps(at(row.first_end), at(row.last_end))
            && (masks.is_empty() || !masks.hides_all(&table.labels(number), first, last))
    })
}

fn decode_metrics(raw: &[u8]) -> Result<Vec<BlockMetric>, Malformed> {
    let mut cursor = ByteCursor(raw);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a name is not UTF-8"));
    let mut metrics = Vec::new();
    while !cursor.0.is_empty() {
        let kind = SampleKind::from_number(cursor.u8()?).ok_or(Malformed("a metric is of an unknown kind"))?;
        metrics.push((kind, text(cursor.prefixed()?)?, text(cursor.prefixed()?)?, cursor.varint()?));
    }
    Ok(metrics)
}

fn decode_exemplars(raw: &[u8], rows: u64) -> Result<Vec<(usize, Exemplar)>, Malformed> {
    let mut cursor = ByteCursor(raw);
    let mut exemplars = Vec::new();
    while !cursor.0.is_empty() {
        let row = cursor.varint()?;
        if row >= rows {
            return Err(Malformed("an exemplar belongs to no series"));
        }
        let exemplar = Exemplar {
            timestamp: Timestamp::from_unix_nanos(cursor.u64()? as i64),
            value: cursor.f64()?,
            trace_id: TraceId::new(cursor.u128()?).ok_or(Malformed("an exemplar points to no trace"))?,
            span_id: SpanId::new(cursor.u64()?),
        };
        exemplars.push((row as usize, exemplar));
    }
    Ok(exemplars)
}
