//! A source of series with a few fresh points on top: what the rules of a group recorded a moment ago is not stored yet, and
//! the rules after them must see it.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_ingest::Scan;
use taffrail_ingest::log_store::LogStore;
use taffrail_ingest::series_store::{LabelMatcher, LabelTest};

use crate::promql::{PromqlError, Series, SeriesSource, Wanted};

/// See the module's documentation.
pub(super) struct Overlay<'a> {
    beneath: &'a dyn SeriesSource,
    fresh: Vec<(Arc<LabelSet>, i64, f64)>,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(beneath: &'a dyn SeriesSource) -> Overlay<'a> {
        Overlay { beneath, fresh: Vec::new() }
    }

    /// Puts a point (time in milliseconds) on top.
    pub(super) fn add(&mut self, labels: Arc<LabelSet>, time_ms: i64, value: f64) {
        self.fresh.push((labels, time_ms, value));
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
        let fresh = self.fresh.iter().filter(|(labels, time_ms, _)| {
            start_ms < *time_ms && *time_ms <= end_ms && matchers.iter().all(|matcher| matches(matcher, labels))
        });
        for (labels, time_ms, value) in fresh {
            match series.iter_mut().find(|known| known.labels == *labels) {
                Some(known) => {
                    let at = known.points.partition_point(|(time, _)| time < time_ms);
                    let replaces = known.points.get(at).is_some_and(|(time, _)| time == time_ms);
                    known.points.splice(at..at + usize::from(replaces), [(*time_ms, *value)]);
                }
                None => series.push(Series::of_numbers(labels.clone(), vec![(*time_ms, *value)])),
            }
        }
        Ok(series)
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
