//! The windows of one series, sorted by their end, each end once: what heads fill, blocks hold and answers are cut from.
//!
//! Two windows with the same end are one window seen in two parts (a resend of late data, two flushes of one interval)
//! and are joined: counters add up, of gauges the later one is the last and the extremes are kept, distributions and
//! sets merge. Of two running totals the later stands.

use taffrail_collector::model::{DistinctSet, Distribution, SampleKind, SampleValue};

use super::GaugeWindow;

/// A moment in nanoseconds since the epoch: the end of a window.
pub(super) type End = i64;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Points {
    Counter(Vec<(End, f64)>),
    Gauge(Vec<(End, GaugeWindow)>),
    Distribution(Vec<(End, Distribution)>),
    Set(Vec<(End, DistinctSet)>),
    Cumulative(Vec<(End, Total)>),
}

/// A running total as its sender keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Total(pub(super) f64);

/// What all windows so far add up to. A counter uses `sum` only; gauges, sets and running totals neither.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningTotal {
    /// Observations of a distribution.
    pub count: f64,
    /// Increments of a counter, or observed values of a distribution.
    pub sum: f64,
}

/// Calls `$body` with the list of windows, whatever their kind.
macro_rules! each_kind {
    ($points:expr, $list:ident => $body:expr) => {
        match $points {
            Points::Counter($list) => $body,
            Points::Gauge($list) => $body,
            Points::Distribution($list) => $body,
            Points::Set($list) => $body,
            Points::Cumulative($list) => $body,
        }
    };
}

impl Points {
    pub(super) fn new(kind: SampleKind) -> Points {
        match kind {
            SampleKind::Counter => Points::Counter(Vec::new()),
            SampleKind::Gauge => Points::Gauge(Vec::new()),
            SampleKind::Distribution => Points::Distribution(Vec::new()),
            SampleKind::Set => Points::Set(Vec::new()),
            SampleKind::Cumulative => Points::Cumulative(Vec::new()),
        }
    }

    pub(super) fn kind(&self) -> SampleKind {
        match self {
            Points::Counter(_) => SampleKind::Counter,
            Points::Gauge(_) => SampleKind::Gauge,
            Points::Distribution(_) => SampleKind::Distribution,
            Points::Set(_) => SampleKind::Set,
            Points::Cumulative(_) => SampleKind::Cumulative,
        }
    }

    pub(super) fn len(&self) -> usize {
        each_kind!(self, list => list.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn first_end(&self) -> Option<End> {
        each_kind!(self, list => list.first().map(|point| point.0))
    }

    pub(super) fn last_end(&self) -> Option<End> {
        each_kind!(self, list => list.last().map(|point| point.0))
    }

    pub(super) fn ends(&self) -> Vec<End> {
        each_kind!(self, list => list.iter().map(|point| point.0).collect())
    }

    /// Takes in one window, newer than those with the same end.
    ///
    /// # Panics
    /// When the value is of another kind: kind is part of a series' identity.
    pub(super) fn insert(&mut self, end: End, value: SampleValue) {
        match (self, value) {
            (Points::Counter(list), SampleValue::Counter { sum }) => put(list, end, sum),
            (Points::Gauge(list), SampleValue::Gauge { last, min, max }) => {
                put(list, end, GaugeWindow { last, min, max });
            }
            (Points::Distribution(list), SampleValue::Distribution(value)) => put(list, end, *value),
            (Points::Set(list), SampleValue::Set(value)) => put(list, end, *value),
            (Points::Cumulative(list), SampleValue::Cumulative { total }) => put(list, end, Total(total)),
            _ => unreachable!("a series' windows are of its kind"),
        }
    }

    /// Takes in windows that became durable later than these.
    ///
    /// # Panics
    /// When they are of another kind.
    pub(super) fn merge(&mut self, newer: Points) {
        match (self, newer) {
            (Points::Counter(list), Points::Counter(newer)) => merge_lists(list, newer),
            (Points::Gauge(list), Points::Gauge(newer)) => merge_lists(list, newer),
            (Points::Distribution(list), Points::Distribution(newer)) => merge_lists(list, newer),
            (Points::Set(list), Points::Set(newer)) => merge_lists(list, newer),
            (Points::Cumulative(list), Points::Cumulative(newer)) => merge_lists(list, newer),
            _ => unreachable!("a series' windows are of its kind"),
        }
    }

    /// The windows with `start <= end of window < end`.
    pub(super) fn between(&self, start: End, end: End) -> Points {
        fn cut<T: Clone>(list: &[(End, T)], start: End, end: End) -> Vec<(End, T)> {
            let from = list.partition_point(|point| point.0 < start);
            let to = list.partition_point(|point| point.0 < end).max(from);
            list[from..to].to_vec()
        }
        match self {
            Points::Counter(list) => Points::Counter(cut(list, start, end)),
            Points::Gauge(list) => Points::Gauge(cut(list, start, end)),
            Points::Distribution(list) => Points::Distribution(cut(list, start, end)),
            Points::Set(list) => Points::Set(cut(list, start, end)),
            Points::Cumulative(list) => Points::Cumulative(cut(list, start, end)),
        }
    }

    /// The end of the first window that ends at `start` or later.
    pub(super) fn first_end_from(&self, start: End) -> Option<End> {
        each_kind!(self, list => list.get(list.partition_point(|point| point.0 < start)).map(|point| point.0))
    }

    /// Whether a window ends in `start..end`.
    pub(super) fn any_between(&self, start: End, end: End) -> bool {
        self.first_end_from(start).is_some_and(|first| first < end)
    }

    /// What the windows that end before `end` add up to.
    pub(super) fn total_before(&self, end: End) -> RunningTotal {
        let mut total = RunningTotal::default();
        match self {
            Points::Counter(list) => {
                list.iter().take_while(|point| point.0 < end).for_each(|&(_, sum)| total.sum += sum)
            }
            Points::Distribution(list) => list.iter().take_while(|point| point.0 < end).for_each(|(_, window)| {
                total.count += window.count;
                total.sum += window.sum;
            }),
            Points::Gauge(_) | Points::Set(_) | Points::Cumulative(_) => {}
        }
        total
    }

    /// What all windows add up to.
    pub(super) fn total(&self) -> RunningTotal {
        let last = self.last_end().map_or(0, |end| end.saturating_add(1));
        self.total_before(last)
    }
}

impl std::ops::Add for RunningTotal {
    type Output = RunningTotal;
    fn add(self, other: RunningTotal) -> RunningTotal {
        RunningTotal { count: self.count + other.count, sum: self.sum + other.sum }
    }
}

/// A window that can take in a newer part of itself.
trait Window {
    fn join(&mut self, newer: Self);
}

impl Window for f64 {
    fn join(&mut self, newer: f64) {
        *self += newer;
    }
}

impl Window for Total {
    fn join(&mut self, newer: Total) {
        *self = newer;
    }
}

impl Window for GaugeWindow {
    fn join(&mut self, newer: GaugeWindow) {
        self.last = newer.last;
        self.min = self.min.min(newer.min);
        self.max = self.max.max(newer.max);
    }
}

impl Window for Distribution {
    fn join(&mut self, newer: Distribution) {
        self.merge(&newer);
    }
}

impl Window for DistinctSet {
    fn join(&mut self, newer: DistinctSet) {
        self.merge(&newer);
    }
}

fn put<T: Window>(list: &mut Vec<(End, T)>, end: End, value: T) {
    match list.last() {
        Some(last) if last.0 >= end => match list.binary_search_by_key(&end, |point| point.0) {
            Ok(at) => list[at].1.join(value),
            Err(at) => list.insert(at, (end, value)),
        },
        _ => list.push((end, value)),
    }
}

fn merge_lists<T: Window>(older: &mut Vec<(End, T)>, newer: Vec<(End, T)>) {
    let in_order = match (older.last(), newer.first()) {
        (Some(last), Some(first)) => last.0 < first.0,
        _ => true,
    };
    if in_order {
        older.extend(newer);
        return;
    }
    let mut merged = Vec::with_capacity(older.len() + newer.len());
    let mut newer = newer.into_iter().peekable();
    for mut point in older.drain(..) {
        while let Some(earlier) = newer.next_if(|next| next.0 < point.0) {
            merged.push(earlier);
        }
        if let Some(same) = newer.next_if(|next| next.0 == point.0) {
            point.1.join(same.1);
        }
        merged.push(point);
    }
    merged.extend(newer);
    *older = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_out_of_order_are_sorted_and_the_same_window_is_joined() {
        let mut points = Points::new(SampleKind::Gauge);
        for (end, level) in [(30, 3.0), (10, 1.0), (20, 2.0), (10, 0.5), (30, 9.0)] {
            points.insert(end, SampleValue::Gauge { last: level, min: level, max: level });
        }
        let window = |last, min, max| GaugeWindow { last, min, max };
        let expected = vec![(10, window(0.5, 0.5, 1.0)), (20, window(2.0, 2.0, 2.0)), (30, window(9.0, 3.0, 9.0))];
        assert_eq!(points, Points::Gauge(expected));
    }

    #[test]
    fn merging_lists_equals_inserting_their_windows() {
        let check = |older: &[(i64, f64)], newer: &[(i64, f64)], expected: &[(i64, f64)]| {
            let mut points = Points::Counter(older.to_vec());
            points.merge(Points::Counter(newer.to_vec()));
            assert_eq!(points, Points::Counter(expected.to_vec()));
        };
        check(&[(1, 1.0), (2, 2.0)], &[(3, 3.0)], &[(1, 1.0), (2, 2.0), (3, 3.0)]);
        check(&[(2, 2.0), (4, 4.0)], &[(1, 1.0), (2, 5.0), (5, 1.0)], &[(1, 1.0), (2, 7.0), (4, 4.0), (5, 1.0)]);
        check(&[], &[(1, 1.0)], &[(1, 1.0)]);
    }

    #[test]
    fn a_cut_keeps_what_ends_inside_and_knows_what_came_before() {
        let points = Points::Counter(vec![(10, 1.0), (20, 2.0), (30, 4.0)]);
        assert_eq!(points.between(20, 30), Points::Counter(vec![(20, 2.0)]));
        assert_eq!(points.between(30, 10), Points::Counter(vec![]));
        assert!(points.any_between(11, 21) && !points.any_between(11, 20));
        assert_eq!(points.total_before(30).sum, 3.0);
        assert_eq!(points.total().sum, 7.0);
    }
}
