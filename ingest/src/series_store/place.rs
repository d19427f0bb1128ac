//! Where a block lies: its stretch of time, its resolution, and what it is newer than.
//!
//! ```text
//! raw   0        2 h ─► 24 h                 as seals write them; a day once it is over
//! 1 m   60,000          24 h                 ┐
//! 10 m  600,000         24 h ─► 720 h        ├ rolled up from the raw windows of the day
//! 1 h   3,600,000       24 h ─► 720 h        ┘
//! ```
//!
//! A stretch of time holds the windows that end after its start, up to and including its end: a window of a minute that
//! ends at midnight is made of windows of the day that ends there. Of two blocks of one resolution above raw the shorter
//! one stands for its time: it was made later, because late windows had come.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;

use super::points::End;
use crate::scan::TimeRange;

/// Hours of what a seal writes in one block.
pub(super) const FRESH_HOURS: u32 = 2;
/// Hours of a day.
pub(super) const DAY_HOURS: u32 = 24;
/// Hours of the long blocks of ten minutes and of an hour: 30 days.
pub(super) const LONG_HOURS: u32 = 720;
/// As windows came.
pub(super) const RAW: u32 = 0;
/// The lengths of rolled up windows in milliseconds: each a multiple of the one before.
pub const RESOLUTIONS_MS: [u32; 3] = [60_000, 600_000, 3_600_000];

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The start of the stretch of time in which all its windows end.
    #[serde(with = "super::nanos")]
    pub partition: Timestamp,
    /// How long that is.
    pub hours: u32,
    /// The length of its windows in milliseconds; 0 for windows as they came.
    pub resolution_ms: u32,
    /// Which of its days were rolled up into it, its first one the lowest bit; 0 for windows as they came.
    pub days_held: u32,
    /// Of two raw blocks the one with the higher order is the newer.
    pub order: u64,
    /// Deletions up to this number have no windows in it.
    pub deletions_through: u64,
}

impl Place {
    /// When its stretch of time is over.
    pub fn end(&self) -> Timestamp {
        self.partition.saturating_add(hours(self.hours))
    }

    /// The moments at which its windows may end.
    pub(super) fn range(&self) -> TimeRange {
        range_of(self.partition, self.hours)
    }

    /// Whether this block's time lies in that of the other.
    pub fn lies_in(&self, other: &Place) -> bool {
        other.partition <= self.partition && self.end() <= other.end()
    }

    /// The starts of the days that were rolled up into it.
    pub(super) fn days(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let (first, held) = (self.partition, self.days_held);
        (0..u32::BITS)
            .filter(move |day| held >> day & 1 == 1)
            .map(move |day| first.saturating_add(hours(day * DAY_HOURS)))
    }

    /// Its days as those of the thirty days that start at `partition`.
    pub(super) fn days_held_since(&self, partition: Timestamp) -> u32 {
        let days = self.days().map(|day| (day.unix_nanos() - partition.unix_nanos()) / 86_400_000_000_000);
        days.filter(|day| (0..32).contains(day)).fold(0, |held, day| held | 1 << day)
    }
}

/// The start of the stretch of so many hours in which a window with this end lies.
pub(super) fn partition_of(end: End, length: u32) -> Timestamp {
    Timestamp::from_unix_nanos(end.saturating_sub(1)).floor_to(hours(length))
}

/// The moments at which windows end that lie in this stretch.
pub(super) fn range_of(partition: Timestamp, length: u32) -> TimeRange {
    let after = |moment: Timestamp| moment.saturating_add(Duration::from_nanos(1));
    TimeRange { start: after(partition), end: after(partition.saturating_add(hours(length))) }
}

pub(super) const fn hours(count: u32) -> Duration {
    Duration::from_secs(count as u64 * 3_600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_ends_at_midnight_belongs_to_the_day_before() {
        let check = |seconds: i64, length, expected: i64| {
            let partition = partition_of(Timestamp::from_unix_seconds(seconds).unix_nanos(), length);
            assert_eq!(partition, Timestamp::from_unix_seconds(expected));
            assert!(range_of(partition, length).contains(Timestamp::from_unix_seconds(seconds)));
        };
        check(86_400, DAY_HOURS, 0);
        check(86_401, DAY_HOURS, 86_400);
        check(7_200, FRESH_HOURS, 0);
        check(7_210, FRESH_HOURS, 7_200);
        check(-5, FRESH_HOURS, -7_200);
    }
}
