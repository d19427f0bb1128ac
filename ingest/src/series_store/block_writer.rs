//! Writes a block file (drawn in block_layout.rs): chunk by chunk as series come, so that memory holds one chunk and the
//! series table. The file stands under its name only once all its bytes are durable.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taffrail_collector::model::{Exemplar, LabelSet, SampleKind, Timestamp};

use super::block_layout::{Extent, Footer, HEADER_BYTES, Section, encode_footer, header};
use super::chunk::{self, ROW_WINDOWS_MAX, SERIES_MAX, WINDOWS_WANTED};
use super::merge::SeriesPart;
use super::place::Place;
use super::points::{End, Points};
use super::series_table::{NewRow, TableWriter};
use super::{BlockInfo, SeriesStoreError};
use crate::byte_cursor::{put_prefixed, put_varint};

/// What a file is called until it is whole; leftovers are removed when the store opens.
pub(super) const UNFINISHED_SUFFIX: &str = ".unfinished";

/// Writes the parts, sorted by kind and labels, as the file `name` in `directory`; none when there is no window.
pub(super) fn write_block(
    directory: &Path,
    name: &str,
    place: Place,
    parts: impl Iterator<Item = Result<SeriesPart, SeriesStoreError>>,
) -> Result<Option<BlockInfo>, SeriesStoreError> {
    let mut writer = BlockWriter::create(directory, name)?;
    for part in parts {
        writer.push(part?)?;
    }
    writer.finish(place)
}

fn publish(directory: &Path, unfinished: &Path, path: &Path) -> Result<(), SeriesStoreError> {
    let rename = || {
        fs::rename(unfinished, path)?;
        File::open(directory)?.sync_all()
    };
    rename().map_err(|error| SeriesStoreError::write(path, &error))
}

/// A block that is being written. Dropping it before it is finished removes what was written.
pub(super) struct BlockWriter {
    directory: PathBuf,
    name: String,
    path: PathBuf,
    file: BufWriter<File>,
    offset: u64,
    chunks: Vec<Extent>,
    rows: TableWriter,
    /// Kind and labels of the last row.
    last: Option<(SampleKind, Arc<LabelSet>)>,
    exemplars: Vec<(usize, Exemplar)>,
    pending: Vec<Points>,
    pending_windows: usize,
    first_end: End,
    last_end: End,
    windows: u64,
}

impl BlockWriter {
    /// Begins the file `name` in `directory`.
    pub(super) fn create(directory: &Path, name: &str) -> Result<BlockWriter, SeriesStoreError> {
        let path = directory.join(format!("{name}{UNFINISHED_SUFFIX}"));
        let file = File::create(&path).map_err(|error| SeriesStoreError::write(&path, &error))?;
        let mut writer = BlockWriter {
            directory: directory.to_owned(),
            name: name.to_owned(),
            path,
            file: BufWriter::new(file),
            offset: 0,
            chunks: Vec::new(),
            rows: TableWriter::default(),
            last: None,
            exemplars: Vec::new(),
            pending: Vec::new(),
            pending_windows: 0,
            first_end: End::MAX,
            last_end: End::MIN,
            windows: 0,
        };
        writer.write(&header())?;
        debug_assert_eq!(writer.offset, HEADER_BYTES);
        Ok(writer)
    }

    /// Takes the next series, sorted by kind and labels; one with very many windows takes several rows.
    pub(super) fn push(&mut self, mut part: SeriesPart) -> Result<(), SeriesStoreError> {
        while part.points.len() > ROW_WINDOWS_MAX {
            let cut = part.points.ends().at(ROW_WINDOWS_MAX);
            let first = SeriesPart { points: part.points.between(End::MIN, cut), ..part.clone() };
            let total = first.points.total();
            self.push_row(first)?;
            part.points = part.points.between(cut, End::MAX);
            part.before = part.before + total;
            part.exemplars.clear();
        }
        self.push_row(part)
    }

    fn push_row(&mut self, part: SeriesPart) -> Result<(), SeriesStoreError> {
        let (Some(first_end), Some(last_end)) = (part.points.first_end(), part.points.last_end()) else {
            return Ok(());
        };
        self.close_chunk_before(&part)?;
        let row = self.rows.len();
        self.exemplars.extend(part.exemplars.into_iter().map(|exemplar| (row, exemplar)));
        self.last = Some((part.points.kind(), part.labels.clone()));
        self.rows.push(&NewRow {
            kind: part.points.kind(),
            labels: part.labels,
            unit: part.unit,
            interval_ms: part.interval_ms,
            windows: part.points.len(),
            chunk: self.chunks.len(),
            place: self.pending.len(),
            first_end,
            last_end,
            before: part.before,
            total: part.points.total(),
        });
        self.first_end = self.first_end.min(first_end);
        self.last_end = self.last_end.max(last_end);
        self.windows += part.points.len() as u64;
        self.pending_windows += part.points.len();
        self.pending.push(part.points);
        Ok(())
    }

    /// Ends the chunk when it is full, or when this series is of another kind, or of another name while the chunk is long
    /// enough to compress well alone.
    fn close_chunk_before(&mut self, next: &SeriesPart) -> Result<(), SeriesStoreError> {
        let Some((kind, labels)) = &self.last else { return Ok(()) };
        let full = self.pending.len() >= SERIES_MAX || self.pending_windows >= WINDOWS_WANTED;
        let other_name = labels.name() != next.labels.name() && self.pending_windows >= WINDOWS_WANTED / 16;
        if full || other_name || *kind != next.points.kind() { self.close_chunk() } else { Ok(()) }
    }

    fn close_chunk(&mut self) -> Result<(), SeriesStoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = chunk::encode(&self.pending);
        self.pending.clear();
        self.pending_windows = 0;
        let extent = self.write_extent(&bytes)?;
        self.chunks.push(extent);
        Ok(())
    }

    /// Makes the file durable and gives it its name; none, and no file, when there is no window.
    pub(super) fn finish(mut self, place: Place) -> Result<Option<BlockInfo>, SeriesStoreError> {
        if self.windows == 0 {
            return Ok(None);
        }
        self.close_chunk()?;
        let metrics = self.write_section(&metrics_of(&self.rows))?;
        let table = self.write_section(&self.rows.encode(self.first_end))?;
        let exemplars = self.write_section(&encode_exemplars(&self.exemplars))?;
        let times = || self.exemplars.iter().map(|(_, exemplar)| exemplar.timestamp.unix_nanos());
        let footer = encode_footer(&Footer {
            place,
            first_end: self.first_end,
            last_end: self.last_end,
            windows: self.windows,
            series: self.rows.len() as u64,
            exemplar_first: times().min().unwrap_or(i64::MAX),
            exemplar_last: times().max().unwrap_or(i64::MIN),
            chunks: std::mem::take(&mut self.chunks),
            metrics,
            table,
            exemplars,
        });
        self.write(&footer)?;
        let sync = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        sync.map_err(|error| SeriesStoreError::write(&self.path, &error))?;
        publish(&self.directory, &self.path, &self.directory.join(&self.name))?;
        Ok(Some(BlockInfo {
            name: self.name.clone(),
            place,
            first_end: Timestamp::from_unix_nanos(self.first_end),
            last_end: Timestamp::from_unix_nanos(self.last_end),
            bytes: self.offset,
            samples: self.windows,
            series: self.rows.len() as u64,
        }))
    }

    fn write_section(&mut self, raw: &[u8]) -> Result<Section, SeriesStoreError> {
        let too_long = |_| SeriesStoreError::write(&self.path, &io::Error::other("a section is over 4 GiB"));
        let raw_length = u32::try_from(raw.len()).map_err(too_long)?;
        let packed = zstd::bulk::compress(raw, 3).map_err(|error| SeriesStoreError::write(&self.path, &error))?;
        Ok(Section { extent: self.write_extent(&packed)?, raw_length })
    }

    fn write_extent(&mut self, bytes: &[u8]) -> Result<Extent, SeriesStoreError> {
        let too_long = |_| SeriesStoreError::write(&self.path, &io::Error::other("a part is over 4 GiB"));
        let length = u32::try_from(bytes.len()).map_err(too_long)?;
        let extent = Extent { offset: self.offset, length, crc: crc32c::crc32c(bytes) };
        self.write(bytes)?;
        Ok(extent)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SeriesStoreError> {
        self.file.write_all(bytes).map_err(|error| SeriesStoreError::write(&self.path, &error))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        // A finished file has another name by now. Best effort: what is left is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// The metrics section: names, kinds and how many series each has.
fn metrics_of(rows: &TableWriter) -> Vec<u8> {
    let mut metrics: BTreeMap<(SampleKind, &str), (&str, u64)> = BTreeMap::new();
    for (kind, name, unit) in rows.names() {
        let metric = metrics.entry((kind, name)).or_default();
        if !unit.is_empty() {
            metric.0 = unit;
        }
        metric.1 += 1;
    }
    let mut out = Vec::new();
    for ((kind, name), (unit, series)) in metrics {
        out.push(kind as u8);
        put_prefixed(&mut out, name.as_bytes());
        put_prefixed(&mut out, unit.as_bytes());
        put_varint(&mut out, series);
    }
    out
}

fn encode_exemplars(exemplars: &[(usize, Exemplar)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (row, exemplar) in exemplars {
        put_varint(&mut out, *row as u64);
        out.extend(exemplar.timestamp.unix_nanos().to_le_bytes());
        out.extend(exemplar.value.to_le_bytes());
        out.extend(exemplar.trace_id.bits().to_le_bytes());
        out.extend(exemplar.span_id.map_or(0, |span| span.bits()).to_le_bytes());
    }
    out
}
