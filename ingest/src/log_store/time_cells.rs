//! Rows of a split by stretches of time that follow each other: which rows lie in which, and how many of a template's do.

use std::ops::Range;

use taffrail_collector::model::Timestamp;

use super::split_filter::{Hits, Stop, Window};
use super::split_reader::SplitReader;
use crate::scan::Scan;

/// Rows for which looking up where a cell starts costs as much as reading on.
const ROWS_OF_A_LOOKUP: u64 = 512;

/// Time in cells, numbered as it rises.
pub trait TimeCells {
    /// The cell in which a moment lies.
    fn cell_of(&self, moment: Timestamp) -> i64;
    /// The first moment of a cell, as far as that can be said.
    fn start_of(&self, cell: i64) -> Timestamp;
}

/// Which of a split's rows lie in which cell.
pub struct RowCells {
    /// Falling.
    cells: Vec<i64>,
    /// The first row of each, and the row behind the last.
    starts: Vec<u32>,
}

/// Rows counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// The first of them; rows fall in time.
    pub newest: u32,
    /// The last of them.
    pub oldest: u32,
    /// How many in each cell.
    pub cells: Vec<(i64, u64)>,
}

impl Counted {
    fn add(&mut self, cell: i64, count: u64) {
        self.count += count;
        match self.cells.last_mut() {
            Some((last, sum)) if *last == cell => *sum += count,
            _ => self.cells.push((cell, count)),
        }
    }
}

impl RowCells {
    /// The cells of the rows, of which there is one at least.
    pub fn new(split: &SplitReader, rows: Range<u32>, time: &impl TimeCells, scan: &Scan) -> Result<RowCells, Stop> {
        let mut times = split.times()?;
        let mut found = RowCells { cells: Vec::new(), starts: Vec::new() };
        let (newest, oldest) = (time.cell_of(times.get(rows.start)?), time.cell_of(times.get(rows.end - 1)?));
        let few = newest.abs_diff(oldest).saturating_mul(ROWS_OF_A_LOOKUP) < rows.len() as u64;
        let mut row = rows.start;
        while row < rows.end {
            scan.touch(0, 0)?;
            let cell = time.cell_of(times.get(row)?);
            found.cells.push(cell);
            found.starts.push(row);
            let start = time.start_of(cell);
            row = match few {
                true => split.first_before(start)?.clamp(row + 1, rows.end),
                false => {
                    let mut next = row + 1;
                    while next < rows.end && times.get(next)? >= start {
                        next += 1;
                    }
                    next
                }
            };
        }
        found.starts.push(rows.end);
        Ok(found)
    }

    /// The cell in which all these rows lie; none when they lie in several.
    pub fn cell_of_all(&self, rows: &Range<u32>) -> Option<i64> {
        let within = self.starts.partition_point(|&start| start <= rows.start).saturating_sub(1);
        let in_one = self.starts.get(within + 1).is_some_and(|&next| rows.end <= next);
        in_one.then(|| self.cells[within])
    }

    /// Looks up rows that rise, from the first of the window on.
    pub fn cursor(&self, window: &Window<'_>, clip: &Range<u32>) -> CellCursor<'_> {
        let first = window.split.superblock_rows(window.superblocks.start).start.max(clip.start);
        CellCursor { of: self, at: self.starts.partition_point(|&start| start <= first).saturating_sub(1) }
    }

    /// Counts the window's rows that hit and lie in `clip`. Superblocks that lie within one cell are counted whole.
    pub fn count(&self, window: &Window<'_>, hits: &Hits, clip: &Range<u32>) -> Result<Counted, Stop> {
        let mut counted = Counted::default();
        let mut cursor = self.cursor(window, clip);
        let mut add_row = |counted: &mut Counted, row: u32| {
            if clip.contains(&row) {
                if counted.count == 0 {
                    counted.newest = row;
                }
                counted.oldest = row;
                counted.add(cursor.of(row), 1);
            }
        };
        if !matches!(hits, Hits::All) {
            hits.visit_rows(window, &mut |row| add_row(&mut counted, row))?;
            return Ok(counted);
        }
        let mut blocks = Vec::new();
        for number in window.superblocks.clone() {
            if window.split.superblock(number)?.entry(window.template).is_some() {
                blocks.push(number);
            }
        }
        for (at, &number) in blocks.iter().enumerate() {
            let (block, rows) = (window.split.superblock(number)?, window.split.superblock_rows(number));
            let Some(entry) = block.entry(window.template) else { continue };
            // The first and the last block say which row is the newest and which the oldest.
            let is_inner = at > 0 && at + 1 < blocks.len() && clip.start <= rows.start && rows.end <= clip.end;
            match self.cell_of_all(&rows).filter(|_| is_inner) {
                Some(cell) => counted.add(cell, u64::from(entry.count)),
                None => block.visit_rows(entry, |row| add_row(&mut counted, rows.start + row))?,
            }
        }
        Ok(counted)
    }
}

/// Says in which cell rows lie that rise.
pub struct CellCursor<'a> {
    of: &'a RowCells,
    at: usize,
}

impl CellCursor<'_> {
    /// The cell of a row.
    #[inline]
    pub fn of(&mut self, row: u32) -> i64 {
        while self.at + 1 < self.of.cells.len() && row >= self.of.starts[self.at + 1] {
            self.at += 1;
        }
        self.of.cells[self.at]
    }
}
