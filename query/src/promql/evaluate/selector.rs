//! Selectors and subqueries: what a source's points say at each step.
//!
//! An instant selector takes the latest point of the last five minutes, unless that is a staleness marker; a range selector
//! takes a window of points that ends at the step. Windows are open on the left, as in Prometheus 3.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use promql_parser::parser::{AtModifier, Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::series_store::{LabelMatcher, wanted_resolution_ms};

use super::super::parse::matchers;
use super::super::source::{SourceSeries, Visit};
use super::super::{LOOKBACK_MS, PromqlError, Series};
use super::window::Windows;
use super::{ABSENT, Evaluator, StepSeries, Steps, is_absent};

/// The step of a subquery that does not say one: Prometheus' default evaluation interval.
const SUBQUERY_STEP_MS: i64 = 60_000;

/// An instant selector looks back for [`LOOKBACK_MS`] only, so windows must end more often.
const INSTANT_RESOLUTION_MAX_MS: u32 = 60_000;

/// Series with a window of points at every step.
pub(crate) struct RangeVector<'a> {
    pub(crate) windows: Windows,
    series: Windowed<'a>,
}

/// The series that windows are laid over.
enum Windowed<'a> {
    /// Those a selector finds, read when they are visited.
    Selected(&'a Evaluator<'a>, Vec<LabelMatcher>),
    /// Those a subquery gave.
    Evaluated(Vec<SourceSeries>),
}

impl RangeVector<'_> {
    /// Calls `visit` with each series and its place among them, perhaps on several threads at once. Staleness markers are not
    /// among their points.
    pub(crate) fn visit(&self, visit: Visit<'_>) -> Result<(), PromqlError> {
        match &self.series {
            Windowed::Evaluated(series) => {
                series.iter().enumerate().try_for_each(|(place, series)| visit(place, series.clone()))
            }
            Windowed::Selected(evaluator, matchers) => {
                let windows = &self.windows;
                let resolution_ms = resolution(&windows.ends_ms, windows.range_ms);
                evaluator.fetch(matchers, &windows.ends_ms, windows.range_ms, resolution_ms, &|place, series| {
                    visit(place, without_markers(series))
                })
            }
        }
    }

    /// The only window, for an instant query that asks for nothing else.
    pub(crate) fn into_window(self) -> Result<Vec<Series>, PromqlError> {
        let found = Mutex::new(Vec::new());
        self.visit(&|place, series| {
            self.windows.each(&series, |_, window, _| {
                found.lock().push((place, Series { labels: series.labels.clone(), points: window.points().collect() }));
            });
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
    let points = series.times.iter().copied().zip(series.values).filter(|(_, value)| !is_absent(*value));
    let (times, values): (Vec<i64>, Vec<f64>) = points.unzip();
    SourceSeries { labels: series.labels, times: times.into(), values }
}

impl Evaluator<'_> {
    /// The value of a selector at every step; with `times`, the time of the point instead, in seconds.
    pub(crate) fn instant_selector(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        times: bool,
    ) -> Result<Vec<StepSeries>, PromqlError> {
        let moments = self.moments(steps, selector.at.as_ref(), selector.offset.as_ref());
        let windows = Windows::new(moments, LOOKBACK_MS);
        let selected = Mutex::new(Vec::new());
        let resolution_ms = resolution(&windows.ends_ms, 0).min(INSTANT_RESOLUTION_MAX_MS);
        self.fetch(&matchers(selector)?, &windows.ends_ms, LOOKBACK_MS, resolution_ms, &|place, series| {
            self.hold(steps.count)?;
            let mut values = vec![ABSENT; steps.count];
            let mut is_there = false;
            windows.each(&series, |step, window, _| {
                let (time, value) = window.last();
                if !is_absent(value) {
                    values[step] = if times { time as f64 / 1000.0 } else { value };
                    is_there = true;
                }
            });
            if is_there {
                selected.lock().push((place, StepSeries { labels: series.labels, values }));
            }
            Ok(())
        })?;
        Ok(in_order(selected))
    }

    /// The windows of a range selector or subquery.
    pub(crate) fn range_vector(&self, expression: &Expr, steps: Steps) -> Result<RangeVector<'_>, PromqlError> {
        match expression {
            Expr::Paren(inner) => self.range_vector(&inner.expr, steps),
            Expr::MatrixSelector(selector) => self.range_selector(selector, steps),
            Expr::Subquery(subquery) => self.subquery(subquery, steps),
            _ => Err(PromqlError::Invalid("a range vector is wanted".to_owned())),
        }
    }

    fn range_selector(&self, selector: &MatrixSelector, steps: Steps) -> Result<RangeVector<'_>, PromqlError> {
        let vector = &selector.vs;
        let ends_ms = self.moments(steps, vector.at.as_ref(), vector.offset.as_ref());
        let windows = Windows::new(ends_ms, milliseconds(selector.range));
        Ok(RangeVector { windows, series: Windowed::Selected(self, matchers(vector)?) })
    }

    fn subquery(&self, subquery: &SubqueryExpr, steps: Steps) -> Result<RangeVector<'_>, PromqlError> {
        let ends_ms = self.moments(steps, subquery.at.as_ref(), subquery.offset.as_ref());
        let range_ms = milliseconds(subquery.range);
        let step_ms = subquery.step.map_or(SUBQUERY_STEP_MS, milliseconds).max(1);
        let first = ends_ms.iter().min().copied().unwrap_or(0).saturating_sub(range_ms);
        let last = ends_ms.iter().max().copied().unwrap_or(0);
        // Steps lie on multiples of the step, the first of them after the first window's open left end.
        let start = first.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
        let inner = Steps::new(start, last, step_ms);
        self.hold(inner.count)?;
        let found = self.vector(&subquery.expr, inner)?;
        let times: Arc<[i64]> = inner.iter().collect();
        let series = found.into_iter().map(|series| {
            without_markers(SourceSeries { labels: series.labels, times: times.clone(), values: series.values })
        });
        Ok(RangeVector { windows: Windows::new(ends_ms, range_ms), series: Windowed::Evaluated(series.collect()) })
    }

    /// The moments that a selector looks at: the steps, or what `@` says, less the offset.
    fn moments(&self, steps: Steps, at: Option<&AtModifier>, offset: Option<&Offset>) -> Vec<i64> {
        let (start, end) = self.query_bounds();
        let fixed = at.map(|at| match at {
            AtModifier::Start => start,
            AtModifier::End => end,
            AtModifier::At(time) => unix_milliseconds(*time),
        });
        let shift = match offset {
            None => 0,
            Some(Offset::Pos(span)) => milliseconds(*span),
            Some(Offset::Neg(span)) => -milliseconds(*span),
        };
        steps.iter().map(|step| fixed.unwrap_or(step).saturating_sub(shift)).collect()
    }

    /// Visits the series with the points that windows of this length before these (rising) moments can hold.
    fn fetch(
        &self,
        matchers: &[LabelMatcher],
        moments: &[i64],
        length_ms: i64,
        resolution_ms: u32,
        visit: Visit<'_>,
    ) -> Result<(), PromqlError> {
        let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else { return Ok(()) };
        let start_ms = first.saturating_sub(length_ms);
        self.source.visit(matchers, start_ms, last, resolution_ms, self.scan, visit)
    }
}

/// How long stored windows may be for what is asked at these moments, each time over this range (0: the level).
fn resolution(moments: &[i64], range_ms: i64) -> u32 {
    let [first, second, ..] = moments else { return 0 };
    let span = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    wanted_resolution_ms(Timestamp::from_unix_millis(*first), span(second.saturating_sub(*first)), span(range_ms))
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn unix_milliseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => milliseconds(since),
        Err(before) => -milliseconds(before.duration()),
    }
}
