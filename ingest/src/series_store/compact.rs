//! Carries out what `plan` finds worth it: some blocks become one, a day becomes its blocks.

use std::sync::Arc;

use taffrail_collector::model::Timestamp;

use super::block_reader::Block;
use super::block_writer::BlockWriter;
use super::change::BlockChange;
use super::day::{DaySources, DayTargets, Source, merge_day};
use super::merge::{MergedParts, SeriesPart, SortedParts};
use super::place::{DAY_HOURS, LONG_HOURS, Place, RAW, hours};
use super::plan::{Merge, next_merge};
use super::{BlockInfo, RESOLUTIONS_MS, SeriesStore, SeriesStoreError};
use crate::scan::TimeRange;

type Progress<'a> = dyn FnMut(u64) -> Result<(), SeriesStoreError> + 'a;

impl SeriesStore {
    /// See [`SeriesStore::prepare_compaction`].
    pub(super) fn compact(
        &self,
        now: Timestamp,
        progress: &mut Progress<'_>,
    ) -> Result<Option<BlockChange>, SeriesStoreError> {
        let blocks = self.sound_blocks();
        let infos: Vec<&BlockInfo> = blocks.iter().map(|block| &block.info).collect();
        let merged_at = self.merged_at.lock().clone();
        let left_alone = |resolution_ms, start| merged_at.get(&(resolution_ms, start)).map(std::time::Instant::elapsed);
        let work = match next_merge(&infos, now, &left_alone) {
            None => return Ok(None),
            Some(Merge::Blocks(which)) => {
                let sources: Vec<&Block> = which.into_iter().map(|at| &*blocks[at]).collect();
                self.merge_blocks(&sources, progress)
            }
            Some(Merge::Day(day)) => self.merge_day(&blocks, day, progress),
        };
        if let Err(SeriesStoreError::Block { block: name, message }) = &work
            && let Some(block) = blocks.iter().find(|block| block.info.name == *name)
        {
            // Left alone from now on, so that the others can be merged.
            self.view.read().damaged.note(block, message.clone());
        }
        work.map(Some)
    }

    /// All blocks, but none of a stretch in which one is damaged.
    fn sound_blocks(&self) -> Vec<Arc<Block>> {
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
        view.blocks.iter().filter(sound).cloned().collect()
    }

    /// Some blocks of one resolution become one that has the time of the longest of them, or thirty days.
    fn merge_blocks(&self, sources: &[&Block], progress: &mut Progress<'_>) -> Result<BlockChange, SeriesStoreError> {
        let first = sources[0].info.place;
        let hours = if first.resolution_ms == RAW { first.hours } else { LONG_HOURS };
        let partition = first.partition.floor_to(super::place::hours(hours));
        let mut parts = Vec::new();
        for block in sources {
            // The days that were rolled up again stand for their time.
            let masked = |other: &&&Block| other.info.place.hours < block.info.place.hours;
            let without = sources.iter().filter(masked).map(|other| other.info.place.range()).collect();
            parts.push(parts_without(block, without)?);
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
            deletions_through: places().map(|place| place.deletions_through).min().unwrap_or(0),
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
            whole: merged(&whole, None)?,
            late: merged(&late, None)?,
            first: whole.is_empty() && rolled.iter().all(Vec::is_empty),
            rolled: [
                merged(&rolled[0], Some(stretch.range()))?,
                merged(&rolled[1], Some(stretch.range()))?,
                merged(&rolled[2], Some(stretch.range()))?,
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
        let deletions_through = all.iter().map(|block| block.info.place.deletions_through).min().unwrap_or(0);
        for (resolution_ms, writer) in targets.into_writers() {
            let days_held = u32::from(resolution_ms != RAW);
            let place = Place { resolution_ms, days_held, order, deletions_through, ..stretch };
            writer.finish(place)?.into_iter().for_each(|info| change.add(self.block(info)));
        }
        Ok(change)
    }
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
fn merged<'a>(blocks: &[&'a Block], range: Option<TimeRange>) -> Result<Source<'a>, SeriesStoreError> {
    let mut sources: Vec<SortedParts<'a>> = Vec::new();
    for block in blocks {
        let parts = block.parts()?;
        sources.push(match range {
            None => Box::new(parts),
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
fn parts_without<'a>(block: &'a Block, without: Vec<TimeRange>) -> Result<SortedParts<'a>, SeriesStoreError> {
    let parts = block.parts()?;
    if without.is_empty() {
        return Ok(Box::new(parts));
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
