//! The windows of one series in columns, sorted by their end, each end once: what heads fill, blocks hold and answers are.
//!
//! Two windows with the same end are one window seen in two parts (a resend of late data, two flushes of one interval)
//! and are joined: counters add up, of gauges the later one is the last and the extremes are kept, distributions and
//! sets merge. Of two running totals the later stands.

use std::ops::Range;

use taffrail_collector::model::{DistinctSet, Distribution, SampleKind, SampleValue};

use super::GaugeWindow;
pub(super) use super::window_ends::{End, WindowEnds};

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    ends: WindowEnds,
    values: Values,
}

/// What windows hold, one entry a window.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Increments.
    Counter(Vec<f64>),
    /// Levels.
    Gauge(Levels),
    /// Summaries.
    Distribution(Vec<Distribution>),
    /// The different values seen.
    Set(Vec<DistinctSet>),
    /// Running totals as their sender keeps them; staleness markers are among them.
    Cumulative(Vec<f64>),
}

/// The levels of a gauge.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    last: Vec<f64>,
    /// The lowest and highest; absent while every one of them is the last, bit for bit.
    extremes: Option<Box<[Vec<f64>; 2]>>,
}

/// What all windows so far add up to. A counter uses `sum` only; gauges, sets and running totals neither.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningTotal {
    /// Observations of a distribution.
    pub count: f64,
    /// Increments of a counter, or observed values of a distribution.
    pub sum: f64,
}

impl Points {
    pub(super) fn new(kind: SampleKind) -> Points {
        Points { ends: WindowEnds::new(), values: Values::new(kind) }
    }

    /// Of columns of one length.
    pub(super) fn of(ends: WindowEnds, values: Values) -> Points {
        debug_assert_eq!(ends.len(), values.len());
        Points { ends, values }
    }

    /// When the windows end.
    pub fn ends(&self) -> &WindowEnds {
        &self.ends
    }

    /// What they hold.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Both columns.
    pub fn into_columns(self) -> (WindowEnds, Values) {
        (self.ends, self.values)
    }

    /// What the series measures.
    pub fn kind(&self) -> SampleKind {
        self.values.kind()
    }

    /// How many windows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn first_end(&self) -> Option<End> {
        self.ends.first()
    }

    pub(super) fn last_end(&self) -> Option<End> {
        self.ends.last()
    }

    /// Takes in one window, newer than those with the same end.
    ///
    /// # Panics
    /// When the value is of another kind: kind is part of a series' identity.
    pub(super) fn insert(&mut self, end: End, value: SampleValue) {
        let place = match self.ends.last() {
            Some(last) if last >= end => self.ends.find(end),
            _ => Err(self.ends.len()),
        };
        if let Err(place) = place {
            self.ends.insert(place, end);
        }
        fn put<T: Window>(list: &mut Vec<T>, place: Result<usize, usize>, value: T) {
            match place {
                Ok(at) => list[at].join(value),
                Err(at) => list.insert(at, value),
            }
        }
        match (&mut self.values, value) {
            (Values::Counter(list), SampleValue::Counter { sum }) => put(list, place, sum),
            (Values::Gauge(levels), SampleValue::Gauge { last, min, max }) => {
                levels.put(place, GaugeWindow { last, min, max });
            }
            (Values::Distribution(list), SampleValue::Distribution(value)) => put(list, place, *value),
            (Values::Set(list), SampleValue::Set(value)) => put(list, place, *value),
            (Values::Cumulative(list), SampleValue::Cumulative { total }) => match place {
                Ok(at) => list[at] = total,
                Err(at) => list.insert(at, total),
            },
            _ => unreachable!("a series' windows are of its kind"),
        }
    }

    /// Takes in windows that became durable later than these.
    ///
    /// # Panics
    /// When they are of another kind.
    pub(super) fn merge(&mut self, newer: Points) {
        let in_order = match (self.ends.last(), newer.ends.first()) {
            (Some(last), Some(first)) => last < first,
            (None, _) => {
                *self = newer;
                return;
            }
            (Some(_), None) => return,
        };
        if in_order {
            self.ends.append(&newer.ends);
            self.values.append(newer.values);
            return;
        }
        let mut merged = Points::new(self.kind());
        let (mut old, mut new) = (0, 0);
        let (mut older, mut newer_values) =
            (std::mem::replace(&mut self.values, Values::new(newer.kind())), newer.values);
        while old < self.ends.len() || new < newer.ends.len() {
            let from_old = (old < self.ends.len()).then(|| self.ends.at(old));
            let from_new = (new < newer.ends.len()).then(|| newer.ends.at(new));
            let end = match (from_old, from_new) {
                (Some(a), Some(b)) => a.min(b),
                (Some(a), None) | (None, Some(a)) => a,
                (None, None) => break,
            };
            if from_old == Some(end) {
                merged.insert(end, older.take(old));
                old += 1;
            }
            if from_new == Some(end) {
                merged.insert(end, newer_values.take(new));
                new += 1;
            }
        }
        *self = merged;
    }

    /// The windows with `start <= end of window < end`.
    pub(super) fn between(&self, start: End, end: End) -> Points {
        self.slice(self.places_between(start, end))
    }

    /// The same without a copy when it is all of them.
    pub(super) fn into_between(self, start: End, end: End) -> Points {
        let places = self.places_between(start, end);
        if places == (0..self.len()) { self } else { self.slice(places) }
    }

    /// The windows at these places.
    pub(super) fn slice(&self, places: Range<usize>) -> Points {
        Points { ends: self.ends.slice(places.clone()), values: self.values.slice(places) }
    }

    fn places_between(&self, start: End, end: End) -> Range<usize> {
        let from = self.ends.count_before(start);
        from..self.ends.count_before(end).max(from)
    }

    /// The end of the first window that ends at `start` or later.
    pub(super) fn first_end_from(&self, start: End) -> Option<End> {
        let place = self.ends.count_before(start);
        (place < self.len()).then(|| self.ends.at(place))
    }

    /// What the windows that end before `end` add up to.
    pub(super) fn total_before(&self, end: End) -> RunningTotal {
        let before = self.ends.count_before(end);
        match &self.values {
            Values::Counter(list) => RunningTotal { count: 0.0, sum: list[..before].iter().sum() },
            Values::Distribution(list) => RunningTotal {
                count: list[..before].iter().map(|window| window.count).sum(),
                sum: list[..before].iter().map(|window| window.sum).sum(),
            },
            Values::Gauge(_) | Values::Set(_) | Values::Cumulative(_) => RunningTotal::default(),
        }
    }

    /// What all windows add up to.
    pub(super) fn total(&self) -> RunningTotal {
        let last = self.last_end().map_or(0, |end| end.saturating_add(1));
        self.total_before(last)
    }
}

impl Values {
    fn new(kind: SampleKind) -> Values {
        match kind {
            SampleKind::Counter => Values::Counter(Vec::new()),
            SampleKind::Gauge => Values::Gauge(Levels::default()),
            SampleKind::Distribution => Values::Distribution(Vec::new()),
            SampleKind::Set => Values::Set(Vec::new()),
            SampleKind::Cumulative => Values::Cumulative(Vec::new()),
        }
    }

    /// What is measured.
    pub fn kind(&self) -> SampleKind {
        match self {
            Values::Counter(_) => SampleKind::Counter,
            Values::Gauge(_) => SampleKind::Gauge,
            Values::Distribution(_) => SampleKind::Distribution,
            Values::Set(_) => SampleKind::Set,
            Values::Cumulative(_) => SampleKind::Cumulative,
        }
    }

    fn len(&self) -> usize {
        match self {
            Values::Counter(list) | Values::Cumulative(list) => list.len(),
            Values::Gauge(levels) => levels.last.len(),
            Values::Distribution(list) => list.len(),
            Values::Set(list) => list.len(),
        }
    }

    fn slice(&self, places: Range<usize>) -> Values {
        match self {
            Values::Counter(list) => Values::Counter(list[places].to_vec()),
            Values::Gauge(levels) => Values::Gauge(levels.slice(places)),
            Values::Distribution(list) => Values::Distribution(list[places].to_vec()),
            Values::Set(list) => Values::Set(list[places].to_vec()),
            Values::Cumulative(list) => Values::Cumulative(list[places].to_vec()),
        }
    }

    fn append(&mut self, newer: Values) {
        match (self, newer) {
            (Values::Counter(list), Values::Counter(newer)) | (Values::Cumulative(list), Values::Cumulative(newer)) => {
                list.extend(newer);
            }
            (Values::Gauge(levels), Values::Gauge(newer)) => levels.append(newer),
            (Values::Distribution(list), Values::Distribution(newer)) => list.extend(newer),
            (Values::Set(list), Values::Set(newer)) => list.extend(newer),
            _ => unreachable!("a series' windows are of its kind"),
        }
    }

    /// One window's content, which is not looked at again.
    fn take(&mut self, place: usize) -> SampleValue {
        match self {
            Values::Counter(list) => SampleValue::Counter { sum: list[place] },
            Values::Gauge(levels) => {
                let GaugeWindow { last, min, max } = levels.at(place);
                SampleValue::Gauge { last, min, max }
            }
            Values::Distribution(list) => SampleValue::Distribution(Box::new(std::mem::take(&mut list[place]))),
            Values::Set(list) => SampleValue::Set(Box::new(std::mem::take(&mut list[place]))),
            Values::Cumulative(list) => SampleValue::Cumulative { total: list[place] },
        }
    }
}

impl Levels {
    /// Of the last levels and, where they differ from those, the lowest and highest; columns of one length.
    pub(super) fn of(last: Vec<f64>, extremes: Option<[Vec<f64>; 2]>) -> Levels {
        Levels { last, extremes: extremes.map(Box::new) }
    }

    /// The last level of each window.
    pub fn last(&self) -> &[f64] {
        &self.last
    }

    /// The lowest level of each window.
    pub fn min(&self) -> &[f64] {
        self.extremes.as_ref().map_or(&self.last, |extremes| &extremes[0])
    }

    /// The highest level of each window.
    pub fn max(&self) -> &[f64] {
        self.extremes.as_ref().map_or(&self.last, |extremes| &extremes[1])
    }

    /// The last level of each window, without the others.
    pub fn into_last(self) -> Vec<f64> {
        self.last
    }

    /// Whether windows have extremes of their own.
    pub(super) fn has_extremes(&self) -> bool {
        self.extremes.is_some()
    }

    /// One window.
    pub fn at(&self, place: usize) -> GaugeWindow {
        GaugeWindow { last: self.last[place], min: self.min()[place], max: self.max()[place] }
    }

    fn put(&mut self, place: Result<usize, usize>, value: GaugeWindow) {
        let bits = value.last.to_bits();
        if bits != value.min.to_bits() || bits != value.max.to_bits() || place.is_ok() {
            self.extremes.get_or_insert_with(|| Box::new([self.last.clone(), self.last.clone()]));
        }
        match place {
            Ok(at) => self.last[at] = value.last,
            Err(at) => self.last.insert(at, value.last),
        }
        let Some(extremes) = &mut self.extremes else { return };
        let [min, max] = &mut **extremes;
        match place {
            Ok(at) => (min[at], max[at]) = (min[at].min(value.min), max[at].max(value.max)),
            Err(at) => {
                min.insert(at, value.min);
                max.insert(at, value.max);
            }
        }
    }

    fn slice(&self, places: Range<usize>) -> Levels {
        let extremes = self.extremes.as_ref().map(|extremes| {
            let [min, max] = &**extremes;
            Box::new([min[places.clone()].to_vec(), max[places.clone()].to_vec()])
        });
        Levels { last: self.last[places].to_vec(), extremes }
    }

    fn append(&mut self, newer: Levels) {
        if self.extremes.is_some() || newer.extremes.is_some() {
            let extremes = self.extremes.get_or_insert_with(|| Box::new([self.last.clone(), self.last.clone()]));
            extremes[0].extend_from_slice(newer.min());
            extremes[1].extend_from_slice(newer.max());
        }
        self.last.extend(newer.last);
    }
}

/// The same levels are equal, whether or not extremes are written out.
impl PartialEq for Levels {
    fn eq(&self, other: &Levels) -> bool {
        self.last == other.last && self.min() == other.min() && self.max() == other.max()
    }
}

impl std::ops::Add for RunningTotal {
    type Output = RunningTotal;
    fn add(self, other: RunningTotal) -> RunningTotal {
        RunningTotal { count: self.count + other.count, sum: self.sum + other.sum }
    }
}

/// A window that can take in a newer part of itself.
pub(super) trait Window {
    fn join(&mut self, newer: Self);
}

impl Window for f64 {
    fn join(&mut self, newer: f64) {
        *self += newer;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(list: &[(End, f64)]) -> Points {
        let (ends, sums) = list.iter().copied().unzip();
        Points::of(WindowEnds::from_list(ends), Values::Counter(sums))
    }

    #[test]
    fn windows_out_of_order_are_sorted_and_the_same_window_is_joined() {
        let mut points = Points::new(SampleKind::Gauge);
        for (end, level) in [(30, 3.0), (10, 1.0), (20, 2.0), (10, 0.5), (30, 9.0)] {
            points.insert(end, SampleValue::Gauge { last: level, min: level, max: level });
        }
        let levels = Levels::of(vec![0.5, 2.0, 9.0], Some([vec![0.5, 2.0, 3.0], vec![1.0, 2.0, 9.0]]));
        assert_eq!(points, Points::of(WindowEnds::from_list(vec![10, 20, 30]), Values::Gauge(levels)));
    }

    #[test]
    fn merging_lists_equals_inserting_their_windows() {
        let check = |older: &[(i64, f64)], newer: &[(i64, f64)], expected: &[(i64, f64)]| {
            let mut points = counters(older);
            points.merge(counters(newer));
            assert_eq!(points, counters(expected));
        };
        check(&[(1, 1.0), (2, 2.0)], &[(3, 3.0)], &[(1, 1.0), (2, 2.0), (3, 3.0)]);
        check(&[(2, 2.0), (4, 4.0)], &[(1, 1.0), (2, 5.0), (5, 1.0)], &[(1, 1.0), (2, 7.0), (4, 4.0), (5, 1.0)]);
        check(&[], &[(1, 1.0)], &[(1, 1.0)]);
    }

    #[test]
    fn a_cut_keeps_what_ends_inside_and_knows_what_came_before() {
        let points = counters(&[(10, 1.0), (20, 2.0), (30, 4.0)]);
        assert_eq!(points.between(20, 30), counters(&[(20, 2.0)]));
        assert_eq!(points.between(30, 10), counters(&[]));
        assert_eq!(points.total_before(30).sum, 3.0);
        assert_eq!(points.total().sum, 7.0);
    }
}
