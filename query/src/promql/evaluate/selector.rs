//! Selectors and subqueries: what a source's points say at each step.
//!
//! An instant selector takes the latest point of the last five minutes, unless that is a staleness marker; a range selector
//! takes a window of points that ends at the step. Windows are open on the left, as in Prometheus 3.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taffrail_collector::model::Timestamp;
use taffrail_ingest::series_store::{LabelMatcher, wanted_resolution_ms};

use super::super::function;
use super::super::histogram::{Histogram, ResetHint};
use super::super::select::QUANTILE_LABEL;
use super::super::selection::matchers;
use super::super::source::{OfWindows, SourceSeries, Visit, Wanted};
use super::super::syntax::{At, Expression, Extension, Kind, Length, Selector, Subquery};
use super::super::{PromqlError, Series};
use super::window::Windows;
use super::{ABSENT, Cell, Evaluator, StepSeries, Steps, is_absent};

/// The step of a subquery that does not say one: Prometheus' default evaluation interval.
const SUBQUERY_STEP_MS: i64 = 60_000;

/// An instant selector looks back for some minutes only, so windows must end more often.
const INSTANT_RESOLUTION_MAX_MS: u32 = 60_000;

/// … so much more often that one of them surely lies in it.
const WINDOWS_PER_LOOKBACK: i64 = 5;

/// Series with a window of points at every step.
pub(crate) struct RangeVector<'a> {
    pub(crate) windows: Windows,
    /// `anchored` or `smoothed`: points beyond the windows' borders are read too.
    pub(crate) extension: Option<Extension>,
    series: Windowed<'a>,
}

/// The series that windows are laid over.
enum Windowed<'a> {
    /// Those a selector finds, read when they are visited.
    Selected(&'a Evaluator<'a>, Vec<LabelMatcher>, Wanted),
    /// Those a subquery gave, and whether their names are to go.
    Evaluated(Vec<(SourceSeries, bool)>),
}

impl RangeVector<'_> {
    /// Calls `visit` with each series and its place among them, perhaps on several threads at once. Staleness markers are not
    /// among their points.
    pub(crate) fn visit(&self, visit: Visit<'_>) -> Result<(), PromqlError> {
        match &self.series {
            Windowed::Evaluated(series) => {
                series.iter().enumerate().try_for_each(|(place, (series, _))| visit(place, series.clone()))
            }
            Windowed::Selected(evaluator, matchers, wanted) => {
                let windows = &self.windows;
                // The quantiles of windows that sum others up are other quantiles.
                let is_exact = |matcher: &LabelMatcher| matcher.name != QUANTILE_LABEL;
                let resolution_ms = match wanted.of_windows {
                    OfWindows::Each => 0,
                    OfWindows::Levels => resolution(&windows.ends_ms, windows.range_ms),
                    OfWindows::Lowest | OfWindows::Highest if matchers.iter().all(is_exact) => {
                        resolution(&windows.ends_ms, windows.range_ms)
                    }
                    OfWindows::Lowest | OfWindows::Highest => 0,
                };
                let wanted = Wanted { resolution_ms, ..*wanted };
                let lookback_ms = evaluator.dialect().lookback_ms;
                let (before, after) = match self.extension {
                    None => (0, 0),
                    Some(Extension::Anchored) => (lookback_ms, 0),
                    Some(Extension::Smoothed) => (lookback_ms, lookback_ms),
                };
                let length = windows.range_ms.saturating_add(before);
                evaluator.fetch(matchers, &windows.ends_ms, (length, after), wanted, &|place, series| {
                    let mut series = without_markers(series);
                    evaluator.hold_histograms(&series)?;
                    if evaluator.reads_only_totals() {
                        tell_resets(&mut series);
                    }
                    visit(place, series)
                })
            }
        }
    }

    /// Whether the series at this place is to lose its name at the end.
    pub(crate) fn drops_name(&self, place: usize) -> bool {
        matches!(&self.series, Windowed::Evaluated(series) if series[place].1)
    }

    /// The only window, for an instant query that asks for nothing else.
    pub(crate) fn into_window(self) -> Result<Vec<Series>, PromqlError> {
        let found = Mutex::new(Vec::new());
        self.visit(&|place, series| {
            for &(from, to) in self.windows.places(&series.times).iter().filter(|(from, to)| from < to) {
                let inside = series.clone().retained(|at| (from as usize..to as usize).contains(&at));
                let mut shown = Series::from(inside);
                if self.drops_name(place) {
                    shown.labels = super::without_name(&shown.labels);
                }
                found.lock().push((place, shown));
            }
            Ok(())
        })?;
        Ok(in_order(found))
    }
}

/// What visits gave, by the places of the series.
pub(crate) fn in_order<T>(found: Mutex<Vec<(usize, T)>>) -> Vec<T> {
    let mut found = found.into_inner();
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, found)| found).collect()
}

fn without_markers(series: SourceSeries) -> SourceSeries {
    if !series.values.iter().any(|&value| is_absent(value)) {
        return series;
    }
    let values = series.values.clone();
    series.retained(|place| !is_absent(values[place]))
}

/// Says of each histogram whether its counter started again since the one before, where nothing is said.
fn tell_resets(series: &mut SourceSeries) {
    let Some(histograms) = &mut series.histograms else { return };
    let mut before: Option<Arc<Histogram>> = None;
    for slot in histograms.iter_mut() {
        let Some(histogram) = slot else { continue };
        if let (ResetHint::Unknown, Some(before)) = (histogram.hint, &before) {
            let fell = histogram.fell_since(before);
            Arc::make_mut(histogram).hint = if fell { ResetHint::Reset } else { ResetHint::NotReset };
        }
        before = Some(histogram.clone());
    }
}

impl Evaluator<'_> {
    /// The value of a selector at every step; with `times`, the time of the point instead, in seconds.
    pub(crate) fn instant_selector(
        &self,
        selector: &Selector,
        steps: Steps,
        times: bool,
    ) -> Result<Vec<StepSeries>, PromqlError> {
        if let Some(logs) = self.logs_of(selector) {
            return self.instant_counts(logs, selector, steps, times);
        }
        let moments = self.moments(steps, selector.at, selector.offset.as_ref())?;
        let lookback_ms = self.dialect().lookback_ms;
        let windows = Windows::new(moments, lookback_ms);
        let selected = Mutex::new(Vec::new());
        let resolution_ms = resolution(&windows.ends_ms, 0).min(INSTANT_RESOLUTION_MAX_MS);
        let resolution_ms = resolution_ms.min(u32::try_from(lookback_ms / WINDOWS_PER_LOOKBACK).unwrap_or(u32::MAX));
        let wanted = Wanted { resolution_ms, histograms: self.reads_histograms(), of_windows: OfWindows::Levels };
        let smoothed = selector.extension == Some(Extension::Smoothed);
        let reach = (lookback_ms, if smoothed { lookback_ms } else { 0 });
        self.fetch(&matchers(selector)?, &windows.ends_ms, reach, wanted, &|place, mut series| {
            self.hold(steps.count)?;
            if self.reads_only_totals() {
                tell_resets(&mut series);
            }
            self.hold_histograms(&series)?;
            let mut found = StepSeries::empty(series.labels.clone(), steps.count);
            let mut is_there = false;
            let seconds = |time: i64| time as f64 / 1000.0;
            if let Some(histograms) = &series.histograms {
                let places = windows.places(&series.times);
                for (step, &(_, to)) in places.iter().enumerate().filter(|(_, (from, to))| from < to) {
                    let last = to as usize - 1;
                    let cell = match &histograms[last] {
                        _ if times && (histograms[last].is_some() || !is_absent(series.values[last])) => {
                            Cell::Number(seconds(series.times[last]))
                        }
                        Some(histogram) => Cell::Histogram(histogram.clone()),
                        None => Cell::Number(series.values[last]),
                    };
                    found.put(step, cell);
                }
                is_there = found.is_anywhere();
            } else if smoothed && !times {
                found.values = smoothed_values(&without_markers(series), &windows.ends_ms, lookback_ms);
                is_there = found.is_anywhere();
            } else {
                windows.each(&series, |step, window, _| {
                    let (time, value) = window.last();
                    if !is_absent(value) {
                        found.values[step] = if times { seconds(time) } else { value };
                        is_there = true;
                    }
                });
            }
            if is_there {
                selected.lock().push((place, found));
            }
            Ok(())
        })?;
        Ok(in_order(selected))
    }

    /// The windows of a range selector or subquery, of points as they are wanted.
    pub(crate) fn range_vector(
        &self,
        expression: &Expression,
        steps: Steps,
        wanted: Wanted,
    ) -> Result<RangeVector<'_>, PromqlError> {
        match &expression.kind {
            Kind::Parentheses(inner) => self.range_vector(inner, steps, wanted),
            Kind::Range { selector, .. } if self.logs_of(selector).is_some() => {
                Err(function::refused_of_records("this"))
            }
            Kind::Range { selector, range } => {
                let ends_ms = self.moments(steps, selector.at, selector.offset.as_ref())?;
                let windows = Windows::new(ends_ms, self.positive_ms(range)?);
                let wanted = Wanted { histograms: wanted.histograms || self.reads_histograms(), ..wanted };
                let series = Windowed::Selected(self, matchers(selector)?, wanted);
                Ok(RangeVector { windows, extension: selector.extension, series })
            }
            Kind::Subquery(subquery) => self.subquery(subquery, steps),
            _ => Err(PromqlError::Invalid("a range vector is wanted".to_owned())),
        }
    }

    fn subquery(&self, subquery: &Subquery, steps: Steps) -> Result<RangeVector<'_>, PromqlError> {
        let ends_ms = self.moments(steps, subquery.at, subquery.offset.as_ref())?;
        let range_ms = self.positive_ms(&subquery.range)?;
        let step_ms = subquery.step.as_ref().map_or(Ok(SUBQUERY_STEP_MS), |step| self.positive_ms(step))?;
        let first = ends_ms.iter().min().copied().unwrap_or(0).saturating_sub(range_ms);
        let last = ends_ms.iter().max().copied().unwrap_or(0);
        // Steps lie on multiples of the step, the first of them after the first window's open left end.
        let start = first.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
        let inner = Steps::new(start, last, step_ms);
        self.hold(inner.count)?;
        let found = self.vector(&subquery.of, inner)?;
        let times: Arc<[i64]> = inner.iter().collect();
        let series = found.into_iter().map(|series| {
            let drop_name = series.drop_name;
            let present: Vec<bool> = (0..inner.count).map(|step| series.is_there(step)).collect();
            let whole = SourceSeries {
                labels: series.labels,
                times: times.clone(),
                values: series.values,
                histograms: series.histograms,
            };
            let all = present.iter().all(|&present| present);
            (if all { whole } else { whole.retained(|step| present[step]) }, drop_name)
        });
        let series = Windowed::Evaluated(series.collect());
        Ok(RangeVector { windows: Windows::new(ends_ms, range_ms), extension: None, series })
    }

    /// Counts the buckets of a series' histograms as values that are held.
    fn hold_histograms(&self, series: &SourceSeries) -> Result<(), PromqlError> {
        let Some(histograms) = &series.histograms else { return Ok(()) };
        let sizes = histograms.iter().flatten().map(|one| 4 + one.positive.len() + one.negative.len());
        self.hold(sizes.sum())
    }

    /// The moments that a selector looks at: the steps, or what `@` says, less the offset.
    pub(crate) fn moments(
        &self,
        steps: Steps,
        at: Option<At>,
        offset: Option<&Length>,
    ) -> Result<Vec<i64>, PromqlError> {
        let (start, end) = self.query_bounds();
        let fixed = at.map(|at| match at {
            At::Start => start,
            At::End => end,
            At::Moment(time_ms) => time_ms,
        });
        let shift = offset.map_or(Ok(0), |offset| self.length_ms(offset))?;
        Ok(steps.iter().map(|step| fixed.unwrap_or(step).saturating_sub(shift)).collect())
    }

    /// Visits the series with the points that windows of this length before these (rising) moments can hold, and so much after
    /// them.
    pub(crate) fn fetch(
        &self,
        matchers: &[LabelMatcher],
        moments: &[i64],
        (before_ms, after_ms): (i64, i64),
        wanted: Wanted,
        visit: Visit<'_>,
    ) -> Result<(), PromqlError> {
        let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else { return Ok(()) };
        let (start_ms, end_ms) = (first.saturating_sub(before_ms), last.saturating_add(after_ms));
        self.source.visit(matchers, start_ms, end_ms, wanted, self.scan, visit)
    }
}

/// Values at these moments on straight lines between the points before and after, where both are near enough; without a point
/// after it that before stands, without one before there is nothing.
fn smoothed_values(series: &SourceSeries, moments: &[i64], lookback_ms: i64) -> Vec<f64> {
    let at = |&moment: &i64| {
        let next = series.times.partition_point(|&time| time <= moment);
        let near = |place: usize| {
            let distance = series.times[place].abs_diff(moment);
            (distance < lookback_ms.unsigned_abs()).then(|| (series.times[place], series.values[place]))
        };
        let before = next.checked_sub(1).and_then(near);
        let after = if next < series.times.len() { near(next) } else { None };
        match (before, after) {
            (Some((time, value)), _) if time == moment => value,
            (Some(before), Some(after)) => {
                before.1 + (after.1 - before.1) * ((moment - before.0) as f64 / (after.0 - before.0) as f64)
            }
            (Some((_, value)), None) => value,
            (None, _) => ABSENT,
        }
    };
    moments.iter().map(at).collect()
}

/// How long stored windows may be for what is asked at these moments, each time over this range (0: the level).
fn resolution(moments: &[i64], range_ms: i64) -> u32 {
    let [first, second, ..] = moments else { return 0 };
    let span = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    wanted_resolution_ms(Timestamp::from_unix_millis(*first), span(second.saturating_sub(*first)), span(range_ms))
}
