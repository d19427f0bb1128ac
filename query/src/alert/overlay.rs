//! A source of series with fresh points on top: what the rules of a group recorded a moment ago is not stored yet, and the rules
//! after them must see it; in a rehearsal it never will be stored.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_ingest::Scan;
use taffrail_ingest::log_store::LogStore;
use taffrail_ingest::series_store::{LabelMatcher, LabelTest};

use crate::promql::{PromqlError, Series, SeriesSource, Visit, Wanted};

/// Milliseconds and value of each point, by rising time.
type Points = Vec<(i64, f64)>;

/// A series and those of its fresh points that are asked for.
type FoundPoints<'a> = (&'a Arc<LabelSet>, &'a [(i64, f64)]);

/// See the module's documentation.
pub(super) struct Overlay<'a> {
    beneath: &'a dyn SeriesSource,
    /// By name, then by labels.
    fresh: HashMap<String, BTreeMap<Arc<LabelSet>, Points>>,
    points: usize,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(beneath: &'a dyn SeriesSource) -> Overlay<'a> {
        Overlay { beneath, fresh: HashMap::new(), points: 0 }
    }

    /// Puts a point (time in milliseconds) on top, or takes the place of the one there.
    pub(super) fn add(&mut self, labels: Arc<LabelSet>, time_ms: i64, value: f64) {
        let name = labels.get(NAME_LABEL).to_owned();
        let points = self.fresh.entry(name).or_default().entry(labels).or_default();
        if insert(points, time_ms, value) {
            self.points += 1;
        }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.points * size_of::<(i64, f64)>()
    }

    /// The fresh points that are asked for.
    fn found(&self, matchers: &[LabelMatcher], start_ms: i64, end_ms: i64) -> Vec<FoundPoints<'_>> {
        let name = matchers.iter().find_map(|matcher| match &matcher.test {
            LabelTest::Equal(name) if matcher.name == NAME_LABEL => Some(name),
            _ => None,
        });
        let named: Vec<_> = match name {
            Some(name) => self.fresh.get(name).into_iter().collect(),
            None => self.fresh.values().collect(),
        };
        let inside = |points: &'_ [(i64, f64)]| {
            let from = points.partition_point(|(time, _)| *time <= start_ms);
            let to = points.partition_point(|(time, _)| *time <= end_ms);
            from..to.max(from)
        };
        let all = named.into_iter().flatten();
        let passing = all.filter(|(labels, _)| matchers.iter().all(|matcher| matches(matcher, labels)));
        let cut = passing.map(|(labels, points)| (labels, &points[inside(points)]));
        cut.filter(|(_, points)| !points.is_empty()).collect()
    }
}

impl SeriesSource for Overlay<'_> {
    fn logs(&self) -> Option<&LogStore> {
        self.beneath.logs()
    }

    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        wanted: Wanted,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let mut series = self.beneath.select(matchers, start_ms, end_ms, wanted, scan)?;
        let fresh = self.found(matchers, start_ms, end_ms);
        if fresh.is_empty() {
            return Ok(series);
        }
        let places: HashMap<Arc<LabelSet>, usize> =
            series.iter().enumerate().map(|(at, known)| (known.labels.clone(), at)).collect();
        for (labels, points) in fresh {
            scan.touch(points.len() as u64, 0).map_err(PromqlError::Stopped)?;
            match places.get(labels) {
                Some(&at) => {
                    for &(time, value) in points {
                        insert(&mut series[at].points, time, value);
                    }
                }
                None => series.push(Series::of_numbers(labels.clone(), points.to_vec())),
            }
        }
        Ok(series)
    }

    /// Where nothing fresh is asked for, what lies beneath may be read in its own way.
    fn visit(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        wanted: Wanted,
        scan: &Scan,
        visit: Visit<'_>,
    ) -> Result<(), PromqlError> {
        if self.found(matchers, start_ms, end_ms).is_empty() {
            return self.beneath.visit(matchers, start_ms, end_ms, wanted, scan, visit);
        }
        let selected = self.select(matchers, start_ms, end_ms, wanted, scan)?;
        selected.into_iter().enumerate().try_for_each(|(place, series)| visit(place, series.into()))
    }
}

/// Puts a point into its place; false when it took that of another.
fn insert(points: &mut Points, time_ms: i64, value: f64) -> bool {
    let at = points.partition_point(|(time, _)| *time < time_ms);
    match points.get_mut(at) {
        Some((time, known)) if *time == time_ms => {
            *known = value;
            false
        }
        _ => {
            points.insert(at, (time_ms, value));
            true
        }
    }
}

/// Whether the labels pass the matcher; a label that is not there has the empty value.
pub(super) fn matches(matcher: &LabelMatcher, labels: &LabelSet) -> bool {
    let value = labels.get(&matcher.name);
    match &matcher.test {
        LabelTest::Equal(wanted) => value == wanted,
        LabelTest::NotEqual(unwanted) => value != unwanted,
        LabelTest::Matches(pattern) => pattern.0(value),
        LabelTest::NotMatches(pattern) => !pattern.0(value),
    }
}
