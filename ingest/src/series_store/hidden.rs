//! What answers do not show and merges leave out: windows that were deleted, and windows that have expired.
//!
//! A deletion hides windows of blocks that were written before it. Heads have none: the store is sealed before a deletion is
//! written down. A block that was merged since has such windows no longer, and says so ([`Place::deletions_through`]).
//!
//! A rolled up window goes when its end lies in the range, but it may hold a part of what the range cuts: days that a range cuts
//! are read raw as long as they are there raw, and rolled up anew by the merge that leaves the windows out.
//!
//! Expired is what no level keeps any more ([`SeriesRetention`]), for series that a rule names. Time goes on here only when
//! the retention has its turn ([`Hidden::at`]), so that an answer that was kept is not older than the store says.
//!
//! [`Place::deletions_through`]: super::Place::deletions_through

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{Exemplar, LabelSet, SampleKind, Timestamp};

use super::block_reader::Block;
use super::matcher::LabelMatcher;
use super::merge::SeriesPart;
use super::place::{DAY_HOURS, Place, RAW, partition_of};
use super::rollup::roll_up;
use super::series_retention::{SeriesRetention, expired_until, finest_level, level_of, resolution_of};
use crate::scan::TimeRange;

/// What a deletion hides.
#[derive(Clone, Debug)]
pub struct SeriesMask {
    /// The deletion's number.
    pub id: u64,
    /// Series that pass all matchers of one of these.
    pub selectors: Vec<Vec<LabelMatcher>>,
    /// When their windows end.
    pub range: TimeRange,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Hidden {
    /// By rising number.
    deletions: Vec<Arc<SeriesMask>>,
    last: u64,
    retention: Arc<SeriesRetention>,
    now: Timestamp,
}

/// What is hidden in a block, or in the heads.
#[derive(Clone, Debug, Default)]
pub(super) struct Masks {
    deletions: Vec<Arc<SeriesMask>>,
    retention: Arc<SeriesRetention>,
    now: Timestamp,
}

impl SeriesMask {
    /// Whether it hides windows of this series.
    fn concerns(&self, labels: &LabelSet) -> bool {
        self.selectors.iter().any(|matchers| matchers.iter().all(|matcher| matcher.passes(labels)))
    }
}

impl Hidden {
    /// The number of the last deletion.
    pub(super) fn last_deletion(&self) -> u64 {
        self.last
    }

    /// Deletions that may still hide something.
    pub(super) fn deletions(&self) -> &[Arc<SeriesMask>] {
        &self.deletions
    }

    /// One deletion more.
    pub(super) fn with(&self, mask: SeriesMask) -> Hidden {
        let last = self.last.max(mask.id);
        let mut deletions = self.deletions.clone();
        deletions.push(Arc::new(mask));
        deletions.sort_by_key(|mask| mask.id);
        Hidden { deletions, last, ..self.clone() }
    }

    /// Only the deletions that are still needed.
    pub(super) fn keeping(&self, needed: impl Fn(&SeriesMask) -> bool) -> Hidden {
        let deletions = self.deletions.iter().filter(|mask| needed(mask)).cloned().collect();
        Hidden { deletions, ..self.clone() }
    }

    /// With another retention.
    pub(super) fn keeping_for(&self, retention: Arc<SeriesRetention>) -> Hidden {
        Hidden { retention, ..self.clone() }
    }

    /// At a later time.
    pub(super) fn at(&self, now: Timestamp) -> Hidden {
        Hidden { now, ..self.clone() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn retention(&self) -> &Arc<SeriesRetention> {
        &self.retention
    }

    /// What is hidden in the block.
    pub(super) fn masks_of(&self, block: &Block) -> Masks {
        Masks { deletions: self.open_in(block), ..self.masks_of_heads() }
    }

    /// What is hidden in heads.
    pub(super) fn masks_of_heads(&self) -> Masks {
        Masks { deletions: Vec::new(), retention: self.retention.clone(), now: self.now }
    }

    /// The deletions whose windows may be in the block.
    pub(super) fn open_in(&self, block: &Block) -> Vec<Arc<SeriesMask>> {
        let through = block.deletions_through();
        let open = |mask: &&Arc<SeriesMask>| mask.id > through && block.overlaps(mask.range);
        self.deletions.iter().filter(open).cloned().collect()
    }

    /// The days that must be read raw where that is possible, because a range cuts rolled up windows of theirs.
    pub(super) fn cut_days(&self, blocks: &[Arc<Block>]) -> BTreeSet<Timestamp> {
        let mut days = BTreeSet::new();
        for mask in &self.deletions {
            let holds =
                |block: &&Arc<Block>| block.info.place.resolution_ms != RAW && mask.id > block.deletions_through();
            if blocks.iter().filter(holds).any(|block| block.overlaps(mask.range)) {
                let edges = [mask.range.start, mask.range.end].map(Timestamp::unix_nanos);
                days.extend(edges.into_iter().map(|edge| partition_of(edge, DAY_HOURS)));
            }
        }
        days
    }
}

impl Masks {
    /// Whether nothing is hidden.
    pub(super) fn is_empty(&self) -> bool {
        self.deletions.is_empty() && self.retention.rules.is_empty()
    }

    /// The part without what is hidden; none when nothing is left.
    pub(super) fn shown(&self, part: SeriesPart) -> Option<SeriesPart> {
        let mut left = part;
        for mask in &self.deletions {
            if mask.concerns(&left.labels) {
                left = without(left, mask.range)?;
            }
        }
        match self.expired_until(&left.labels) {
            Timestamp::MIN => Some(left),
            until => without(left, TimeRange { start: Timestamp::MIN, end: after(until) }),
        }
    }

    /// What a merge keeps of a part of a block of this place.
    pub(super) fn kept(&self, place: &Place, part: SeriesPart) -> Option<SeriesPart> {
        let part = self.shown(part)?;
        if self.retention.rules.is_empty() {
            return Some(part);
        }
        let (level, age) = (level_of(place.resolution_ms), self.now.saturating_since(place.end()));
        match finest_level(self.retention.keep_of(&part.labels), level, age) {
            Some(finest) if finest > level => Some(thinned(part, finest)),
            // What is not kept as fine as this nor coarser has expired but for its last day.
            Some(_) | None => Some(part),
        }
    }

    /// Whether nothing is left of a series whose windows end from `first` to `last`.
    pub(super) fn hides_all(&self, labels: &LabelSet, first: Timestamp, last: Timestamp) -> bool {
        let deleted =
            |mask: &Arc<SeriesMask>| mask.range.contains(first) && mask.range.contains(last) && mask.concerns(labels);
        self.deletions.iter().any(deleted) || last <= self.expired_until(labels)
    }

    /// Whether an exemplar of the series is hidden.
    pub(super) fn hides_exemplar(&self, labels: &LabelSet, exemplar: &Exemplar) -> bool {
        self.hides_all(labels, exemplar.timestamp, exemplar.timestamp)
    }

    /// Until when windows of the series have expired; the beginning of time for those that no rule names, whose blocks go as a
    /// whole.
    fn expired_until(&self, labels: &LabelSet) -> Timestamp {
        if self.retention.rules.is_empty() {
            return Timestamp::MIN;
        }
        expired_until(self.retention.keep_of(labels), self.now)
    }
}

/// The part in windows of this level, with its exemplars.
fn thinned(mut part: SeriesPart, level: usize) -> SeriesPart {
    let exemplars = std::mem::take(&mut part.exemplars);
    SeriesPart { exemplars, ..roll_up(&part, resolution_of(level)) }
}

/// Whether windows of this length, so many of them in so much time, are finer than those of a level.
pub(super) fn is_finer(kind: SampleKind, interval_ms: u32, windows: u32, span: Duration, level: usize) -> bool {
    let wanted = resolution_of(level);
    if kind == SampleKind::Cumulative {
        // Readings keep their own times. Beside the last of each window only falls and markers are kept, which are few.
        let of_level = span.as_millis() / u128::from(wanted.max(1));
        return u128::from(windows) > 2 * of_level + 16;
    }
    interval_ms < wanted
}

fn after(moment: Timestamp) -> Timestamp {
    moment.saturating_add(Duration::from_nanos(1))
}

/// The part without the windows that end in the range; none when none is left.
fn without(part: SeriesPart, range: TimeRange) -> Option<SeriesPart> {
    let mut part = part;
    part.exemplars.retain(|exemplar| !range.contains(exemplar.timestamp));
    let (start, end) = (range.start.unix_nanos(), range.end.unix_nanos());
    if part.points.first_end_from(start).is_none_or(|first| first >= end) {
        return Some(part);
    }
    let later = SeriesPart { exemplars: Vec::new(), ..part.clone() };
    let before = some(part.into_range(TimeRange { start: Timestamp::MIN, end: range.start }));
    let later = some(later.into_range(TimeRange { start: range.end, end: Timestamp::MAX }));
    match (before, later) {
        (Some(mut before), Some(later)) => {
            before.absorb(later);
            Some(before)
        }
        (before, later) => before.or(later),
    }
}

fn some(part: SeriesPart) -> Option<SeriesPart> {
    (!part.points.is_empty()).then_some(part)
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::SampleValue;

    use super::super::points::{Points, RunningTotal};
    use super::super::{LabelTest, SeriesRetentionRule};
    use super::*;

    fn named(name: &str) -> Vec<LabelMatcher> {
        vec![LabelMatcher { name: "__name__".to_owned(), test: LabelTest::Equal(name.to_owned()) }]
    }

    fn part(name: &str, seconds: &[i64]) -> SeriesPart {
        let mut points = Points::new(SampleKind::Counter);
        seconds.iter().for_each(|second| points.insert(second * 1_000_000_000, SampleValue::Counter { sum: 1.0 }));
        let labels = Arc::new(LabelSet::new([("__name__", name)]));
        let before = RunningTotal { count: 0.0, sum: 5.0 };
        SeriesPart { labels, unit: String::new(), interval_ms: 10_000, before, points, exemplars: Vec::new() }
    }

    fn seconds(part: Option<SeriesPart>) -> (f64, Vec<i64>) {
        part.map_or((0.0, Vec::new()), |part| {
            (part.before.sum, part.points.ends().iter().map(|end| end / 1_000_000_000).collect())
        })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    #[test]
    fn a_deletion_hides_what_ends_in_its_range() {
        let range = TimeRange { start: at(20), end: at(31) };
        let mask = SeriesMask { id: 7, selectors: vec![named("a"), named("b")], range };
        let masks = Masks { deletions: vec![Arc::new(mask)], ..Masks::default() };
        let check = |name, windows: &[i64], expected: (f64, Vec<i64>)| {
            assert_eq!(seconds(masks.shown(part(name, windows))), expected, "{name} {windows:?}");
        };
        check("a", &[10, 20, 30, 40], (5.0, vec![10, 40]));
        check("b", &[10, 31], (5.0, vec![10, 31]));
        check("b", &[20, 30, 40], (7.0, vec![40]));
        check("a", &[20, 30], (0.0, vec![]));
        check("c", &[10, 20, 30, 40], (5.0, vec![10, 20, 30, 40]));
        let labels = LabelSet::new([("__name__", "a")]);
        assert!(masks.hides_all(&labels, at(20), at(30)));
        assert!(!masks.hides_all(&labels, at(20), at(31)));
        assert!(!masks.hides_all(&LabelSet::default(), at(20), at(30)));
    }

    #[test]
    fn deletions_are_counted_even_when_none_is_needed_any_more() {
        let mask = |id| SeriesMask { id, selectors: Vec::new(), range: TimeRange::ALL };
        let hidden = Hidden::default().with(mask(2)).with(mask(1)).keeping(|mask| mask.id != 2);
        assert_eq!((hidden.last_deletion(), hidden.deletions().len()), (2, 1));
    }

    #[test]
    fn what_a_rule_keeps_no_longer_is_not_shown_and_what_it_keeps_coarser_is_thinned() {
        let hour = Duration::from_secs(3_600);
        let keep = [Some(24 * hour), Some(48 * hour), Some(72 * hour), Some(72 * hour)];
        let rule = SeriesRetentionRule { matchers: named("debug"), keep };
        let retention = Arc::new(SeriesRetention { rules: vec![rule], ..SeriesRetention::default() });
        let place =
            Place { partition: at(0), hours: 24, resolution_ms: RAW, days_held: 0, order: 1, deletions_through: 0 };
        let day = 86_400;
        let part = |name| part(name, &[10, 20, 70, day - 10]);
        let masks = |now| Hidden::default().keeping_for(retention.clone()).at(at(now)).masks_of_heads();
        let all = vec![10, 20, 70, day - 10];
        assert_eq!(seconds(masks(3 * day + 30).shown(part("debug"))), (7.0, vec![70, day - 10]));
        assert_eq!(seconds(masks(9 * day).shown(part("other"))), (5.0, all.clone()));
        assert_eq!(seconds(masks(9 * day).shown(part("debug"))).1, Vec::<i64>::new());
        assert_eq!(seconds(masks(2 * day - 1).kept(&place, part("debug"))), (5.0, all.clone()));
        assert_eq!(seconds(masks(2 * day).kept(&place, part("debug"))), (5.0, vec![60, 120, day]));
        assert_eq!(seconds(masks(3 * day).kept(&place, part("debug"))).1, [600, day]);
        assert_eq!(seconds(masks(9 * day).kept(&place, part("other"))), (5.0, all));
    }
}
