//! How long metric windows are kept: those as they came, and those of a minute, ten minutes and an hour, each for its own time,
//! and some series for times of their own.
//!
//! What the blocks of a level hold goes as a whole once the longest time for that level is over. In between a series that is
//! kept for less is **thinned** where blocks are written anyway: its place in a block is taken by its windows of the finest
//! level that is still kept, or by nothing. So a question finds the same series at every level, as fine as they are still there.

use std::time::Duration;

use taffrail_collector::model::{LabelSet, Timestamp};

use super::RESOLUTIONS_MS;
use super::matcher::LabelMatcher;
use super::place::RAW;

/// Windows as they came, and those of each of [`RESOLUTIONS_MS`].
pub const LEVELS: usize = RESOLUTIONS_MS.len() + 1;

/// For each level how long its windows are kept; none is for ever.
pub type LevelAges = [Option<Duration>; LEVELS];

/// How long metric windows are kept.
#[derive(Clone, Debug, Default)]
pub struct SeriesRetention {
    /// Those of series that no rule names.
    pub keep: LevelAges,
    /// Series that are kept for times of their own: the first rule that matches decides.
    pub rules: Vec<SeriesRetentionRule>,
}

/// How long some series are kept.
#[derive(Clone, Debug)]
pub struct SeriesRetentionRule {
    /// Which: those that pass all of them.
    pub matchers: Vec<LabelMatcher>,
    /// How long.
    pub keep: LevelAges,
}

/// The level of windows of this length.
pub(super) fn level_of(resolution_ms: u32) -> usize {
    RESOLUTIONS_MS.iter().position(|other| *other == resolution_ms).map_or(0, |at| at + 1)
}

/// The length of a level's windows in milliseconds.
pub(super) fn resolution_of(level: usize) -> u32 {
    level.checked_sub(1).map_or(RAW, |at| RESOLUTIONS_MS[at])
}

impl SeriesRetention {
    /// How long blocks of windows of this length are kept.
    pub fn keep_of_blocks(&self, resolution_ms: u32) -> Option<Duration> {
        let level = level_of(resolution_ms);
        longest(self.all().map(|keep| keep[level]))
    }

    /// How long anything is kept.
    pub fn longest(&self) -> Option<Duration> {
        longest(self.all().flatten().copied())
    }

    /// For each level how long a series is kept there.
    pub(super) fn keep_of(&self, labels: &LabelSet) -> &LevelAges {
        let rule = self.rules.iter().find(|rule| rule.matchers.iter().all(|matcher| matcher.passes(labels)));
        rule.map_or(&self.keep, |rule| &rule.keep)
    }

    /// The finest levels that are kept at this age, of the rest and of each rule: as long as they stay the same, nothing
    /// more is to be thinned.
    pub(super) fn finest_levels(&self, level: usize, age: Duration) -> Vec<Option<usize>> {
        self.all().map(|keep| finest_level(keep, level, age)).collect()
    }

    fn all(&self) -> impl Iterator<Item = &LevelAges> {
        std::iter::once(&self.keep).chain(self.rules.iter().map(|rule| &rule.keep))
    }
}

/// The finest level, from this one on, that is kept at this age; none when none is.
pub(super) fn finest_level(keep: &LevelAges, level: usize, age: Duration) -> Option<usize> {
    (level..LEVELS).find(|&level| keep[level].is_none_or(|keep| age < keep))
}

/// Until when all windows of a series have expired.
pub(super) fn expired_until(keep: &LevelAges, now: Timestamp) -> Timestamp {
    longest(keep.iter().copied()).map_or(Timestamp::MIN, |keep| now.saturating_sub(keep))
}

fn longest(mut ages: impl Iterator<Item = Option<Duration>>) -> Option<Duration> {
    ages.try_fold(Duration::ZERO, |longest, keep| keep.map(|keep| longest.max(keep)))
}

#[cfg(test)]
mod tests {
    use super::super::LabelTest;
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn days(ages: [u32; LEVELS]) -> LevelAges {
        ages.map(|days| (days > 0).then_some(DAY * days))
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_blocks_stay_for_the_longest() {
        let rule = |name: &str, ages| {
            let matcher = LabelMatcher { name: "__name__".to_owned(), test: LabelTest::Equal(name.to_owned()) };
            SeriesRetentionRule { matchers: vec![matcher], keep: days(ages) }
        };
        let rules = vec![rule("debug", [1, 2, 2, 2]), rule("bill", [9, 9, 9, 0]), rule("debug", [0; LEVELS])];
        let retention = SeriesRetention { keep: days([3, 4, 5, 6]), rules };
        let of = |name: &str| *retention.keep_of(&LabelSet::new([("__name__", name)]));
        assert_eq!([of("debug"), of("other")], [days([1, 2, 2, 2]), days([3, 4, 5, 6])]);
        let blocks = [RAW, 60_000, 600_000, 3_600_000].map(|resolution_ms| retention.keep_of_blocks(resolution_ms));
        assert_eq!(blocks, [None; 4], "the last rule keeps everything for ever");
        let retention = SeriesRetention { rules: retention.rules[..2].to_vec(), ..retention };
        let blocks = [RAW, 60_000, 600_000, 3_600_000].map(|resolution_ms| retention.keep_of_blocks(resolution_ms));
        assert_eq!(blocks, [Some(DAY * 9), Some(DAY * 9), Some(DAY * 9), None]);
        assert_eq!((retention.longest(), SeriesRetention::default().longest()), (None, None));
        assert_eq!(retention.finest_levels(0, DAY * 5), [Some(3), None, Some(0)]);
        assert_eq!(retention.finest_levels(2, DAY), [Some(2), Some(2), Some(2)]);
        let now = Timestamp::from_unix_seconds(10 * 86_400);
        assert_eq!(expired_until(&of("debug"), now), Timestamp::from_unix_seconds(8 * 86_400));
        assert_eq!(expired_until(&days([1, 0, 1, 1]), now), Timestamp::MIN);
    }
}
