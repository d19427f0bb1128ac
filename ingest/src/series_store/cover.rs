//! Which blocks answer for which time: the one place that decides how fine an answer is.
//!
//! For each day that was rolled up: the coarsest windows that are at least as fine as asked; where those are not there, finer
//! ones; where what is finer has expired, the finest there is. Rolled up windows are not used while some windows of the day
//! are not in them yet (late ones, still in the head or in blocks of their own), as long as the day is there raw. All other
//! time is read raw. Each moment is read at one resolution, for all series alike.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use taffrail_collector::model::Timestamp;

use super::place::{DAY_HOURS, Place, RAW, hours, partition_of, range_of};
use crate::scan::TimeRange;

/// A stretch of time that is read at one resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Ends of windows.
    pub(super) range: TimeRange,
    /// The length of its windows in milliseconds; 0: as they came, and heads have some of them.
    pub(super) resolution_ms: u32,
    /// Positions of the blocks that hold them, by rising order.
    pub(super) blocks: Vec<usize>,
}

/// What is known of one day.
#[derive(Default)]
struct Day {
    /// Positions of the blocks that stand for it, with their resolutions.
    rolled: BTreeMap<u32, usize>,
    raw: bool,
    late: bool,
}

impl Day {
    /// The block to read, with its resolution; none to read it raw.
    fn choose(&self, wanted_ms: u32) -> Option<(u32, usize)> {
        let finest = self.rolled.first_key_value();
        if self.raw && (self.late || finest.is_none_or(|(resolution_ms, _)| *resolution_ms > wanted_ms)) {
            return None;
        }
        let fitting = self.rolled.range(..=wanted_ms).next_back().or(finest);
        fitting.map(|(resolution_ms, at)| (*resolution_ms, *at))
    }
}

/// How to read the windows that end in `range`. `places` are the blocks', `open_days` the starts of the days that heads have
/// windows of; `wanted_ms` is how long windows may be, 0 for windows as they came.
pub(super) fn cover(
    places: &[Place],
    open_days: &BTreeSet<Timestamp>,
    range: TimeRange,
    wanted_ms: u32,
) -> Vec<Stretch> {
    let days = days_inside(places, open_days, range);
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut raw_from = range.start;
    let add_raw = |stretches: &mut Vec<Stretch>, until: Timestamp, from: Timestamp| {
        let range = TimeRange { start: from, end: until };
        if from < until {
            let inside = |at: &usize| {
                let own = places[*at].range();
                places[*at].resolution_ms == RAW && own.start < range.end && range.start < own.end
            };
            stretches.push(Stretch { range, resolution_ms: RAW, blocks: (0..places.len()).filter(inside).collect() });
        }
    };
    for (start, day) in days {
        let Some((resolution_ms, at)) = day.choose(wanted_ms) else { continue };
        let own = range_of(start, DAY_HOURS);
        let own = TimeRange { start: own.start.max(range.start), end: own.end.min(range.end) };
        if own.start >= own.end {
            continue;
        }
        add_raw(&mut stretches, own.start, raw_from);
        raw_from = own.end;
        match stretches.last_mut() {
            Some(last) if last.blocks == [at] && last.range.end == own.start && last.resolution_ms == resolution_ms => {
                last.range.end = own.end;
            }
            _ => stretches.push(Stretch { range: own, resolution_ms, blocks: vec![at] }),
        }
    }
    add_raw(&mut stretches, range.end, raw_from);
    stretches
}

/// The days in the range that were rolled up.
fn days_inside(places: &[Place], open_days: &BTreeSet<Timestamp>, range: TimeRange) -> BTreeMap<Timestamp, Day> {
    let mut days: BTreeMap<Timestamp, Day> = BTreeMap::new();
    for (at, place) in places.iter().enumerate().filter(|(_, place)| place.resolution_ms != RAW) {
        for day in place.days().filter(|day| {
            let own = range_of(*day, DAY_HOURS);
            own.start < range.end && range.start < own.end
        }) {
            let rolled = &mut days.entry(day).or_default().rolled;
            let shorter = rolled.get(&place.resolution_ms).is_none_or(|&other| place.hours < places[other].hours);
            if shorter {
                rolled.insert(place.resolution_ms, at);
            }
        }
    }
    for place in places.iter().filter(|place| place.resolution_ms == RAW) {
        let Some(day) = days.get_mut(&place.partition.floor_to(hours(DAY_HOURS))) else { continue };
        if place.hours == DAY_HOURS {
            day.raw = true;
        } else {
            day.late = true;
        }
    }
    for open in open_days {
        if let Some(day) = days.get_mut(open) {
            day.late = true;
        }
    }
    days
}

/// The days that a head has windows of; cheap to ask for each window, as most are of one day.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenDays {
    starts: BTreeSet<Timestamp>,
    last: Option<TimeRange>,
}

impl OpenDays {
    /// Notes the end of a window.
    pub(super) fn note(&mut self, end: i64) {
        let moment = Timestamp::from_unix_nanos(end);
        if self.last.is_none_or(|last| !last.contains(moment)) {
            let start = partition_of(end, DAY_HOURS);
            self.starts.insert(start);
            self.last = Some(range_of(start, DAY_HOURS));
        }
    }

    /// Their starts.
    pub(super) fn starts(&self) -> &BTreeSet<Timestamp> {
        &self.starts
    }
}

/// How long windows may be for a question that is evaluated every `step` from `start` on, each time over `range` (0 for the
/// level at that moment).
///
/// Steps that fall on the ends of windows read the same from windows as long as a step as from finer ones. Otherwise, and for
/// what is computed over a range, a window is at most a tenth as long, so that what is cut off at the edges is little.
pub fn wanted_resolution_ms(start: Timestamp, step: Duration, range: Duration) -> u32 {
    let milliseconds = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    let over_range = if range.is_zero() { u32::MAX } else { milliseconds(range) / 10 };
    let aligned = |resolution: &u32| {
        let width = Duration::from_millis(u64::from(*resolution));
        step.as_millis().is_multiple_of(width.as_millis()) && start.floor_to(width) == start
    };
    let on_grid = super::RESOLUTIONS_MS.into_iter().filter(aligned).max().unwrap_or(0);
    // One moment alone is asked as finely as can be.
    if step.is_zero() { 0 } else { over_range.min(on_grid.min(milliseconds(step)).max(milliseconds(step) / 10)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    fn place(day: i64, length: u32, resolution_ms: u32) -> Place {
        // Of long blocks days 0, 2 and 4.
        let days_held = if length == DAY_HOURS { 1 } else { 0b1_0101 };
        Place { partition: at(day * DAY), hours: length, resolution_ms, days_held, order: 0, deletions_through: 0 }
    }

    /// (first second after, last second, resolution, blocks) of each stretch.
    fn read(places: &[Place], open: &[i64], wanted_ms: u32) -> Vec<(i64, i64, u32, Vec<usize>)> {
        let range = TimeRange { start: range_of(at(0), DAY_HOURS).start, end: range_of(at(4 * DAY), DAY_HOURS).end };
        let open = open.iter().map(|day| at(day * DAY)).collect();
        let stretches = cover(places, &open, range, wanted_ms);
        for pair in stretches.windows(2) {
            assert_eq!(pair[0].range.end, pair[1].range.start, "each moment is read once");
        }
        assert_eq!((stretches[0].range.start, stretches[stretches.len() - 1].range.end), (range.start, range.end));
        let seconds = |moment: Timestamp| moment.unix_nanos().div_euclid(1_000_000_000);
        stretches
            .into_iter()
            .map(|stretch| {
                (seconds(stretch.range.start), seconds(stretch.range.end), stretch.resolution_ms, stretch.blocks)
            })
            .collect()
    }

    #[test]
    fn the_coarsest_windows_that_are_fine_enough_are_read_and_raw_ones_where_there_are_none() {
        let places = [
            place(1, 24, RAW),
            place(1, 24, 60_000),
            place(1, 24, 600_000),
            place(2, 24, RAW),
            place(2, 24, 60_000),
            place(2, 24, 600_000),
            place(3, 2, RAW),
        ];
        assert_eq!(read(&places, &[], 0), [(0, 5 * DAY, RAW, vec![0, 3, 6])]);
        assert_eq!(read(&places, &[], 59_999), read(&places, &[], 0));
        let (before, after) = ((0, DAY, RAW, vec![]), (3 * DAY, 5 * DAY, RAW, vec![6]));
        let minutes =
            [before.clone(), (DAY, 2 * DAY, 60_000, vec![1]), (2 * DAY, 3 * DAY, 60_000, vec![4]), after.clone()];
        assert_eq!(read(&places, &[], 60_000), minutes);
        let tens = [before, (DAY, 2 * DAY, 600_000, vec![2]), (2 * DAY, 3 * DAY, 600_000, vec![5]), after];
        assert_eq!(read(&places, &[], 3_600_000), tens);
        // A late window of the second day waits in the head: that day is read raw, with the head.
        assert_eq!(read(&places, &[2], 60_000)[2], (2 * DAY, 5 * DAY, RAW, vec![3, 6]));
    }

    #[test]
    fn where_raw_windows_have_expired_the_finest_that_is_left_is_read() {
        let places = [place(0, 720, 600_000), place(1, 24, 60_000), place(1, 24, 600_000), place(2, 2, RAW)];
        let tens = |from: i64, to: i64| (from * DAY, to * DAY, 600_000, vec![0]);
        let raw = |from: i64, to: i64| (from * DAY, to * DAY, RAW, vec![]);
        let rest = [tens(2, 3), raw(3, 4), tens(4, 5)];
        let with = |day| [vec![tens(0, 1), day], rest.to_vec()].concat();
        assert_eq!(read(&places, &[2], 0), with((DAY, 2 * DAY, 60_000, vec![1])));
        assert_eq!(read(&places, &[], 600_000), with((DAY, 2 * DAY, 600_000, vec![2])));
        // A day that was rolled up again stands for its time.
        let places = [place(0, 720, 600_000), place(2, 24, 600_000)];
        assert_eq!(read(&places, &[], 600_000)[2], (2 * DAY, 3 * DAY, 600_000, vec![1]));
    }

    #[test]
    fn questions_say_how_long_windows_may_be() {
        let check = |start: i64, step: u64, range: u64, expected: u32| {
            let found = wanted_resolution_ms(at(start), Duration::from_secs(step), Duration::from_secs(range));
            let level = super::super::RESOLUTIONS_MS.into_iter().rfind(|resolution| *resolution <= found).unwrap_or(0);
            assert_eq!(level, expected, "{start} {step} {range}: {found}");
        };
        check(0, 15, 0, 0);
        check(0, 60, 0, 60_000);
        check(30, 60, 0, 0);
        check(30, 600, 0, 60_000);
        check(0, 86_400, 0, 3_600_000);
        check(0, 60, 300, 0);
        check(0, 3_600, 3_600, 60_000);
        check(0, 86_400, 86_400, 3_600_000);
        check(0, 0, 86_400, 0);
    }
}
