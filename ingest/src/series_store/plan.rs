//! What of the blocks is to be merged next: pure, so that it can be tried on any history.
//!
//! 1. A stretch of two hours that has many blocks: they become one, so that questions open few files.
//! 2. A day that is over: its raw blocks become one, and its windows are rolled up. What comes late after that waits until it
//!    is worth it (an eighth of the day's windows), or until the day was left alone for an hour; until then the day is read
//!    raw.
//! 3. Thirty days of rolled up windows that are over: the blocks of their days become one for each resolution.
//!
//! The newest first: they are asked about most.

use std::collections::BTreeMap;
use std::time::Duration;

use taffrail_collector::model::Timestamp;

use super::place::{DAY_HOURS, FRESH_HOURS, LONG_HOURS, RAW, hours};
use super::{BLOCKS_OF_A_PARTITION_MAX, BlockInfo, RESOLUTIONS_MS};

/// A day is merged so long after its end: what is on its way until then is merged with it.
const GRACE: Duration = hours(1);
/// What came late is merged into its day once this part of the day's windows did …
const LATE_SHARE: u64 = 8;
/// … or when the day was not written anew for so long.
const DAY_LEFT_ALONE: Duration = hours(1);
/// Thirty days are merged so long after their end.
const LONG_GRACE: Duration = hours(48);
/// Days that were rolled up again are merged into their thirty days once there are so many, or after a while.
const DAYS_AGAIN: usize = 8;
const LONG_LEFT_ALONE: Duration = hours(24);

/// Blocks to merge, by their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// Blocks of one stretch into one.
    Blocks(Vec<usize>),
    /// All raw windows of a day into one block, rolled up as well.
    Day(Timestamp),
}

/// What to merge next; none when nothing is worth it. `left_alone` tells for how long a stretch of a resolution was not
/// written, as far as known.
pub(super) fn next_merge(
    blocks: &[&BlockInfo],
    now: Timestamp,
    left_alone: &dyn Fn(u32, Timestamp) -> Option<Duration>,
) -> Option<Merge> {
    crowded(blocks).or_else(|| day(blocks, now, left_alone)).or_else(|| long(blocks, now, left_alone))
}

fn crowded(blocks: &[&BlockInfo]) -> Option<Merge> {
    let mut partitions: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| is_fresh(block)) {
        partitions.entry(block.place.partition).or_default().push(at);
    }
    let mut crowded = partitions.into_values().rev().filter(|of| of.len() > BLOCKS_OF_A_PARTITION_MAX);
    crowded.next().map(Merge::Blocks)
}

fn day(
    blocks: &[&BlockInfo],
    now: Timestamp,
    left_alone: &dyn Fn(u32, Timestamp) -> Option<Duration>,
) -> Option<Merge> {
    let mut late: BTreeMap<Timestamp, u64> = BTreeMap::new();
    for block in blocks.iter().filter(|block| is_fresh(block)) {
        *late.entry(block.place.partition.floor_to(hours(DAY_HOURS))).or_default() += block.samples;
    }
    let due = |&(day, late): &(Timestamp, u64)| {
        if day.saturating_add(hours(DAY_HOURS)).saturating_add(GRACE) > now {
            return false;
        }
        let merged = blocks.iter().find(|block| {
            block.place.resolution_ms == RAW && block.place.hours == DAY_HOURS && block.place.partition == day
        });
        let much = merged.is_some_and(|merged| late.saturating_mul(LATE_SHARE) >= merged.samples);
        much || left_alone(RAW, day).is_none_or(|span| span >= DAY_LEFT_ALONE)
    };
    late.into_iter().rev().find(due).map(|(day, _)| Merge::Day(day))
}

fn long(
    blocks: &[&BlockInfo],
    now: Timestamp,
    left_alone: &dyn Fn(u32, Timestamp) -> Option<Duration>,
) -> Option<Merge> {
    RESOLUTIONS_MS[1..].iter().find_map(|&resolution_ms| {
        let mut stretches: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
        for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.place.resolution_ms == resolution_ms) {
            stretches.entry(block.place.partition.floor_to(hours(LONG_HOURS))).or_default().push(at);
        }
        let due = |(start, of): &(Timestamp, Vec<usize>)| {
            let over = start.saturating_add(hours(LONG_HOURS)).saturating_add(LONG_GRACE) <= now;
            let days = of.iter().filter(|&&at| blocks[at].place.hours == DAY_HOURS).count();
            let long_alone = || left_alone(resolution_ms, *start).is_none_or(|span| span >= LONG_LEFT_ALONE);
            over && days > 0 && of.len() > 1 && (days >= DAYS_AGAIN || long_alone())
        };
        stretches.into_iter().rev().find(due).map(|(_, of)| Merge::Blocks(of))
    })
}

fn is_fresh(block: &BlockInfo) -> bool {
    block.place.resolution_ms == RAW && block.place.hours == FRESH_HOURS
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    fn block(hour: i64, length: u32, resolution_ms: u32, samples: u64) -> BlockInfo {
        let partition = Timestamp::from_unix_seconds(hour * 3_600);
        BlockInfo {
            name: format!("{hour}-{length}-{resolution_ms}"),
            place: Place { partition, hours: length, resolution_ms, days_held: 1, order: 1, deletions_through: 0 },
            first_end: partition,
            last_end: partition,
            bytes: 1,
            samples,
            series: 1,
        }
    }

    fn next(blocks: &[BlockInfo], hour: i64, left_alone: Option<Duration>) -> Option<Merge> {
        let blocks: Vec<&BlockInfo> = blocks.iter().collect();
        next_merge(&blocks, Timestamp::from_unix_seconds(hour * 3_600), &|_, _| left_alone)
    }

    #[test]
    fn crowded_stretches_then_days_then_thirty_days() {
        let day = |day: i64| Merge::Day(Timestamp::from_unix_seconds(day * 86_400));
        let mut blocks: Vec<BlockInfo> = (0..12).map(|i| block(i * 2, 2, RAW, 100)).collect();
        assert_eq!(next(&blocks, 24, None), None, "the day is hardly over");
        assert_eq!(next(&blocks, 25, None), Some(day(0)));
        blocks.extend((0..4).map(|_| block(4, 2, RAW, 100)));
        assert_eq!(next(&blocks, 25, None), Some(Merge::Blocks(vec![2, 12, 13, 14, 15])));
        // Its day has been merged: what comes late waits for more, or for an hour.
        let check = |late: u64, left_alone: Option<u64>, expected: Option<Merge>| {
            let blocks = [block(0, 24, RAW, 800), block(6, 2, RAW, late)];
            assert_eq!(next(&blocks, 40, left_alone.map(Duration::from_secs)), expected);
        };
        check(99, Some(10), None);
        check(100, Some(10), Some(day(0)));
        check(1, Some(3_600), Some(day(0)));
        check(1, None, Some(day(0)));
        // Thirty days of ten minutes.
        let mut blocks: Vec<BlockInfo> = (0..30).map(|i| block(i * 24, 24, 600_000, 100)).collect();
        assert_eq!(next(&blocks, 720, None), None);
        assert_eq!(next(&blocks, 768, None), Some(Merge::Blocks((0..30).collect())));
        blocks = vec![block(0, 720, 600_000, 100), block(24, 24, 600_000, 100), block(24, 24, 60_000, 100)];
        assert_eq!(next(&blocks, 800, Some(Duration::ZERO)), None);
        assert_eq!(next(&blocks, 800, Some(hours(24))), Some(Merge::Blocks(vec![0, 1])));
        assert_eq!(next(&blocks[..1], 800, None), None);
        assert_eq!(next(&blocks[2..], 8_000, None), None, "minutes stay in days");
    }
}
