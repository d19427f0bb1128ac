//! The series that a question asks for: first which they are and where they lie, then the windows of one after the other, on
//! as many threads as the asker likes. What is not read is not unpacked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use taffrail_collector::model::{LabelSet, SampleKind};

use super::block_reader::{Block, BlockCursor};
use super::damage::DamagedBlocks;
use super::matcher::LabelMatcher;
use super::merge::SeriesPart;
use super::{SeriesData, SeriesStoreError};
use crate::scan::{Scan, TimeRange};

/// See the module's documentation. It stays as it was however the store changes.
#[derive(Debug)]
pub struct Selection {
    blocks: Vec<(Arc<Block>, TimeRange)>,
    series: Vec<SelectedSeries>,
    damaged: Arc<DamagedBlocks>,
}

/// One series of a selection.
#[derive(Debug)]
struct SelectedSeries {
    labels: Arc<LabelSet>,
    kind: SampleKind,
    /// Rows of blocks, by the blocks' order.
    rows: Vec<(u32, u32)>,
    /// What the heads hold of it.
    head: Option<SeriesPart>,
}

/// Reads series of a selection. Each thread has its own, and reads neighbours together best.
#[derive(Debug)]
pub struct SelectionReader<'a> {
    selection: &'a Selection,
    cursors: Vec<Option<BlockCursor<'a>>>,
}

impl Selection {
    /// The series that pass all matchers: of each block those with windows in its range, and the heads' parts, which are
    /// newer than any block.
    pub(super) fn new(
        blocks: Vec<(Arc<Block>, TimeRange)>,
        heads: Vec<SeriesPart>,
        matchers: &[LabelMatcher],
        damaged: Arc<DamagedBlocks>,
        scan: &Scan,
    ) -> Result<Selection, SeriesStoreError> {
        let mut found: BTreeMap<(Arc<LabelSet>, SampleKind), SelectedSeries> = BTreeMap::new();
        let selected = |labels: Arc<LabelSet>, kind| SelectedSeries { labels, kind, rows: Vec::new(), head: None };
        for (at, (block, range)) in blocks.iter().enumerate() {
            let rows = match block.rows(matchers, *range) {
                Ok(rows) => rows,
                Err(error) => {
                    damaged.leave_out(block, scan, error)?;
                    continue;
                }
            };
            scan.touch(rows.len() as u64, 0).map_err(SeriesStoreError::Stopped)?;
            for (row, labels, kind) in rows {
                let series = found.entry((labels.clone(), kind)).or_insert_with(|| selected(labels, kind));
                series.rows.push((at as u32, row));
            }
        }
        for part in heads {
            let (labels, kind) = (part.labels.clone(), part.points.kind());
            match found.entry((labels.clone(), kind)) {
                Entry::Vacant(entry) => entry.insert(selected(labels, kind)).head = Some(part),
                Entry::Occupied(mut entry) => match &mut entry.get_mut().head {
                    Some(older) => older.absorb(part),
                    none => *none = Some(part),
                },
            }
        }
        scan.plan_parts(found.len() as u64);
        Ok(Selection { blocks, series: found.into_values().collect(), damaged })
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// A series' labels and what it measures. Places are sorted by both.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn series(&self, place: usize) -> (&Arc<LabelSet>, SampleKind) {
        let series = &self.series[place];
        (&series.labels, series.kind)
    }

    /// Reads series.
    pub fn reader(&self) -> SelectionReader<'_> {
        SelectionReader { selection: self, cursors: self.blocks.iter().map(|_| None).collect() }
    }
}

impl SelectionReader<'_> {
    /// The windows of the series at a place; none when it has none in the range after all.
    ///
    /// # Panics
    /// When there are not so many series.
    pub fn read(&mut self, place: usize, scan: &Scan) -> Result<Option<SeriesData>, SeriesStoreError> {
        let series = &self.selection.series[place];
        let mut whole: Option<SeriesPart> = None;
        for &(at, row) in &series.rows {
            let (block, range) = &self.selection.blocks[at as usize];
            let part = match self.part(at as usize, row, scan) {
                Ok(part) => part.into_range(*range),
                Err(error) => {
                    self.selection.damaged.leave_out(block, scan, error)?;
                    continue;
                }
            };
            match &mut whole {
                _ if part.points.is_empty() => {}
                Some(older) => older.absorb(part),
                none => *none = Some(part),
            }
        }
        if let Some(head) = &series.head {
            scan.touch(head.points.len() as u64, 0).map_err(SeriesStoreError::Stopped)?;
            match &mut whole {
                Some(older) => older.absorb(head.clone()),
                none => *none = Some(head.clone()),
            }
        }
        scan.finish_part();
        Ok(whole.map(|part| {
            let SeriesPart { labels: _, unit, interval_ms, before, points, exemplars: _ } = part;
            SeriesData { labels: series.labels.clone(), unit, interval_ms, before, points }
        }))
    }

    fn part(&mut self, at: usize, row: u32, scan: &Scan) -> Result<SeriesPart, SeriesStoreError> {
        let cursor = match &mut self.cursors[at] {
            Some(cursor) => cursor,
            none => none.insert(self.selection.blocks[at].0.cursor()?),
        };
        cursor.read(row as usize, scan)
    }
}
