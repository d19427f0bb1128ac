//! Carries out what `plan` finds worth it: some blocks become one, a day becomes its blocks.

use std::sync::Arc;

use taffrail_collector::model::Timestamp;

use super::block_reader::Block;
use super::block_writer::BlockWriter;
use super::change::BlockChange;
use super::day::{DaySources, DayTargets, Source, merge_day};
use super::hidden::{Hidden, Masks, SeriesMask};
use super::merge::{MergedParts, SeriesPart, SortedParts};
use super::place::{DAY_HOURS, LONG_HOURS, Place, RAW, hours, partition_of};
use super::plan::{Merge, next_merge};
use super::series_retention::level_of;
use super::{BlockInfo, RESOLUTIONS_MS, SeriesStore, SeriesStoreError};
use crate::scan::TimeRange;

/// A block is thinned once this part of its windows is kept only in longer ones: 3 of 10.
const THIN_SHARE: (u64, u64) = (3, 10);

type Progress<'a> = dyn FnMut(u64) -> Result<(), SeriesStoreError> + 'a;

/// What there was to do for deletions.
#[derive(Debug)]
pub enum DeletionWork {
    /// Blocks without windows that were deleted, in the place of others.
    Rewritten(BlockChange),
    /// Nothing is to be rewritten: in these blocks are no windows of the deletions up to `through`.
    Unconcerned {
        /// Their names.
        blocks: Vec<String>,
        /// The last deletion that was looked for.
        through: u64,
    },
}

impl SeriesStore {
    /// See [`SeriesStore::prepare_compaction`].
    pub(super) fn compact(
        &self,
        now: Timestamp,
        progress: &mut Progress<'_>,
    ) -> Result<Option<BlockChange>, SeriesStoreError> {
        let (blocks, hidden) = self.sound_blocks();
        // Deletions first: how they leave blocks is known to `delete` alone.
        if blocks.iter().any(|block| !hidden.open_in(block).is_empty()) {
            return Ok(None);
        }
        let infos: Vec<&BlockInfo> = blocks.iter().map(|block| &block.info).collect();
        let merged_at = self.merged_at.lock().clone();
        let left_alone = |resolution_ms, start| merged_at.get(&(resolution_ms, start)).map(std::time::Instant::elapsed);
        let work = match next_merge(&infos, now, &left_alone) {
            None => {
                let Some(at) = self.tell_damage(&blocks, self.block_to_thin(&blocks, &hidden))? else {
                    return Ok(None);
                };
                self.rewrite(&blocks, at, &hidden, progress)
            }
            Some(Merge::Blocks(which)) => {
                let sources: Vec<&Block> = which.into_iter().map(|at| &*blocks[at]).collect();
                self.merge_blocks(&sources, &hidden, progress)
            }
            Some(Merge::Day(day)) => self.merge_day(&blocks, day, &hidden, progress),
        };
        self.tell_damage(&blocks, work).map(Some)
    }

    /// See [`SeriesStore::prepare_deletion`].
    pub(super) fn delete(&self, progress: &mut Progress<'_>) -> Result<DeletionWork, SeriesStoreError> {
        let (blocks, hidden) = self.sound_blocks();
        let mut unconcerned = Vec::new();
        for (at, block) in blocks.iter().enumerate() {
            let masks = hidden.open_in(block);
            if block.deletions_through() == hidden.last_deletion() || masks.is_empty() {
                continue;
            }
            if !self.tell_damage(&blocks, concerned(block, &masks))? {
                unconcerned.push(block.info.name.clone());
                continue;
            }
            let work = match day_to_roll_up(&blocks, block, &masks) {
                Some(day) => self.merge_day(&blocks, day, &hidden, progress),
                None => self.rewrite(&blocks, at, &hidden, progress),
            };
            return self.tell_damage(&blocks, work).map(DeletionWork::Rewritten);
        }
        Ok(DeletionWork::Unconcerned { blocks: unconcerned, through: hidden.last_deletion() })
    }

    /// The position of a block of which so much is kept only in longer windows, or not at all, that it is worth a rewriting.
    fn block_to_thin(&self, blocks: &[Arc<Block>], hidden: &Hidden) -> Result<Option<usize>, SeriesStoreError> {
        let retention = hidden.retention();
        if retention.rules.is_empty() {
            return Ok(None);
        }
        let mut looked = self.thinned.lock();
        looked.retain(|name, _| blocks.iter().any(|block| block.info.name == *name));
        for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.info.place.hours >= DAY_HOURS) {
            let place = &block.info.place;
            let age = hidden.now().saturating_since(place.end());
            let levels = retention.finest_levels(level_of(place.resolution_ms), age);
            if looked.get(&block.info.name) == Some(&levels) {
                continue;
            }
            let (windows, finer) = block.windows_to_thin(retention, hidden.now())?;
            looked.insert(block.info.name.clone(), levels);
            let (share, of) = THIN_SHARE;
            if finer > 0 && finer.saturating_mul(of) >= windows.saturating_mul(share) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Writes a block anew, with the others of its day where it is one of a day's.
    fn rewrite(
        &self,
        blocks: &[Arc<Block>],
        at: usize,
        hidden: &Hidden,
        progress: &mut Progress<'_>,
    ) -> Result<BlockChange, SeriesStoreError> {
        let place = blocks[at].info.place;
        if place.hours == DAY_HOURS {
            self.merge_day(blocks, place.partition, hidden, progress)
        } else {
            self.merge_blocks(&[&*blocks[at]], hidden, progress)
        }
    }

    /// A block that turned out to be damaged is left alone from now on, so that the others can be merged.
    fn tell_damage<T>(&self, blocks: &[Arc<Block>], work: Result<T, SeriesStoreError>) -> Result<T, SeriesStoreError> {
        if let Err(SeriesStoreError::Block { block: name, message }) = &work
            && let Some(block) = blocks.iter().find(|block| block.info.name == *name)
        {
            self.view.read().damaged.note(block, message.clone());
        }
        work
    }

    /// All blocks, but none of a stretch in which one is damaged; and what is hidden in them.
    fn sound_blocks(&self) -> (Vec<Arc<Block>>, Arc<Hidden>) {
        let view = self.snapshot();
        let damaged = view.damaged.among(&view.blocks);
        let sound = |block: &&Arc<Block>| {
            let place = &block.info.place;
            let day = |place: &Place| place.partition.floor_to(hours(DAY_HOURS));
            !damaged.iter().any(|damaged| {
                let damaged = &damaged.block.place;
                damaged.lies_in(place) || place.lies_in(damaged) || day(place) == day(damaged)
            })
        };
        (view.blocks.iter().filter(sound).cloned().collect(), view.hidden)
    }

    /// Some blocks of one resolution become one that has the time of the longest of them, or thirty days.
    fn merge_blocks(
        &self,
        sources: &[&Block],
        hidden: &Hidden,
        progress: &mut Progress<'_>,
    ) -> Result<BlockChange, SeriesStoreError> {
        let first = sources[0].info.place;
        let hours = if first.resolution_ms == RAW { first.hours } else { LONG_HOURS };
        let partition = first.partition.floor_to(super::place::hours(hours));
        let mut parts = Vec::new();
        for block in sources {
            // The days that were rolled up again stand for their time.
            let masked = |other: &&&Block| other.info.place.hours < block.info.place.hours;
            let without = sources.iter().filter(masked).map(|other| other.info.place.range()).collect();
            parts.push(parts_without(block, hidden, without)?);
        }
        let (name, _) = self.new_name(partition);
        let mut writer = BlockWriter::create(&self.directory, &name)?;
        for part in MergedParts::new(parts) {
            let part = part?;
            progress(part.points.len() as u64)?;
            writer.push(part)?;
        }
        let places = || sources.iter().map(|block| block.info.place);
        let place = Place {
            partition,
            hours,
            resolution_ms: first.resolution_ms,
            days_held: places().map(|place| place.days_held_since(partition)).fold(0, |held, days| held | days),
            order: places().map(|place| place.order).max().unwrap_or(0),
            deletions_through: hidden.last_deletion(),
        };
        let mut change = BlockChange::removing(names(sources), vec![(first.resolution_ms, partition)]);
        writer.finish(place)?.into_iter().for_each(|info| change.add(self.block(info)));
        Ok(change)
    }

    /// All that is there of a day becomes its blocks.
    fn merge_day(
        &self,
        blocks: &[Arc<Block>],
        day: Timestamp,
        hidden: &Hidden,
        progress: &mut Progress<'_>,
    ) -> Result<BlockChange, SeriesStoreError> {
        let stretch = Place {
            partition: day,
            hours: DAY_HOURS,
            resolution_ms: RAW,
            days_held: 0,
            order: 0,
            deletions_through: 0,
        };
        let raw = |whole: bool| {
            let of_day = blocks.iter().filter(move |block| {
                let place = &block.info.place;
                place.resolution_ms == RAW && place.lies_in(&stretch) && (place.hours == DAY_HOURS) == whole
            });
            of_day.map(|block| &**block).collect::<Vec<&Block>>()
        };
        let (whole, late) = (raw(true), raw(false));
        let rolled = RESOLUTIONS_MS.map(|resolution_ms| rolled_blocks(blocks, &stretch, resolution_ms));
        let sources = DaySources {
            whole: merged(&whole, hidden, None)?,
            late: merged(&late, hidden, None)?,
            first: whole.is_empty() && rolled.iter().all(Vec::is_empty),
            rolled: [
                merged(&rolled[0], hidden, Some(stretch.range()))?,
                merged(&rolled[1], hidden, Some(stretch.range()))?,
                merged(&rolled[2], hidden, Some(stretch.range()))?,
            ],
        };
        let writer = |_| BlockWriter::create(&self.directory, &self.new_name(day).0).map(Some);
        let [raw, minute, ten_minutes, hour] = [writer(0)?, writer(1)?, writer(2)?, writer(3)?];
        let mut targets = DayTargets { raw, rolled: [minute, ten_minutes, hour] };
        merge_day(sources, &mut targets, progress)?;
        let all: Vec<&Block> = [&whole, &late].into_iter().chain(&rolled).flatten().copied().collect();
        // What reaches beyond the day stays, and is read without the day from now on.
        let replaced: Vec<&Block> = all.iter().copied().filter(|block| block.info.place.lies_in(&stretch)).collect();
        let merged = std::iter::once(RAW).chain(RESOLUTIONS_MS).map(|resolution_ms| (resolution_ms, day));
        let mut change = BlockChange::removing(names(&replaced), merged.collect());
        let order = all.iter().map(|block| block.info.place.order).max().unwrap_or(0);
        let deletions_through = hidden.last_deletion();
        for (resolution_ms, writer) in targets.into_writers() {
            let days_held = u32::from(resolution_ms != RAW);
            let place = Place { resolution_ms, days_held, order, deletions_through, ..stretch };
            writer.finish(place)?.into_iter().for_each(|info| change.add(self.block(info)));
        }
        Ok(change)
    }
}

/// A day of a block of thirty days that is to be rolled up from its raw windows before the block is written without what the
/// masks hide: a range cuts windows of that day, which only raw ones can tell in two.
fn day_to_roll_up(blocks: &[Arc<Block>], long: &Block, masks: &[Arc<SeriesMask>]) -> Option<Timestamp> {
    let place = &long.info.place;
    if place.hours != LONG_HOURS {
        return None;
    }
    let of_day = |day: Timestamp, resolution_ms: u32| {
        blocks.iter().find(move |block| {
            let own = &block.info.place;
            own.hours == DAY_HOURS && own.partition == day && own.resolution_ms == resolution_ms
        })
    };
    masks.iter().find_map(|mask| {
        let cut = [mask.range.start, mask.range.end].map(|edge| partition_of(edge.unix_nanos(), DAY_HOURS));
        cut.into_iter().filter(|cut| place.days().any(|day| day == *cut)).find(|&day| {
            let anew = of_day(day, place.resolution_ms).is_some_and(|block| block.deletions_through() >= mask.id);
            of_day(day, RAW).is_some() && !anew
        })
    })
}

/// Whether the block has windows that the masks hide.
fn concerned(block: &Block, masks: &[Arc<SeriesMask>]) -> Result<bool, SeriesStoreError> {
    let none = Masks::default();
    for mask in masks {
        for matchers in &mask.selectors {
            if !block.rows(matchers, mask.range, &none)?.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What was rolled up of the day: its own block, or else the thirty days'.
fn rolled_blocks<'a>(blocks: &'a [Arc<Block>], day: &Place, resolution_ms: u32) -> Vec<&'a Block> {
    let covers = |block: &&Arc<Block>| {
        let place = &block.info.place;
        place.resolution_ms == resolution_ms && place.days().any(|held| held == day.partition)
    };
    let shortest = blocks.iter().filter(covers).min_by_key(|block| block.info.place.hours);
    shortest.into_iter().map(|block| &**block).collect()
}

fn names(blocks: &[&Block]) -> Vec<String> {
    blocks.iter().map(|block| block.info.name.clone()).collect()
}

/// The blocks' series, all of their windows or those of one stretch.
fn merged<'a>(blocks: &[&'a Block], hidden: &Hidden, range: Option<TimeRange>) -> Result<Source<'a>, SeriesStoreError> {
    let mut sources: Vec<SortedParts<'a>> = Vec::new();
    for block in blocks {
        let parts = block.kept_parts(hidden.masks_of(block))?;
        sources.push(match range {
            None => parts,
            Some(range) => Box::new(parts.filter_map(move |part| part.map(|part| cut(part, range)).transpose())),
        });
    }
    Ok(MergedParts::new(sources).peekable())
}

/// The windows of a part that end in the range, with the anchor that goes with them; none when there is none.
fn cut(part: SeriesPart, range: TimeRange) -> Option<SeriesPart> {
    let (start, end) = (range.start.unix_nanos(), range.end.unix_nanos());
    let points = part.points.between(start, end);
    let before = part.before + part.points.total_before(start);
    (!points.is_empty()).then_some(SeriesPart { points, before, ..part })
}

/// A block's series without the windows of some stretches.
fn parts_without<'a>(
    block: &'a Block,
    hidden: &Hidden,
    without: Vec<TimeRange>,
) -> Result<SortedParts<'a>, SeriesStoreError> {
    let parts = block.kept_parts(hidden.masks_of(block))?;
    if without.is_empty() {
        return Ok(parts);
    }
    let mut without = without;
    without.sort_by_key(|range| range.start);
    Ok(Box::new(parts.filter_map(move |part| {
        part.map(|part| {
            let mut left: Option<SeriesPart> = None;
            let mut from = TimeRange::ALL.start;
            for range in without.iter().chain([&TimeRange { start: TimeRange::ALL.end, end: TimeRange::ALL.end }]) {
                let piece = cut(part.clone(), TimeRange { start: from, end: range.start });
                from = range.end;
                match (&mut left, piece) {
                    (Some(left), Some(piece)) => left.absorb(piece),
                    (None, piece) => left = piece,
                    (Some(_), None) => {}
                }
            }
            left
        })
        .transpose()
    })))
}
