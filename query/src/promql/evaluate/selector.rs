//! Selectors and subqueries: what a source's points say at each step.
//!
//! An instant selector takes the latest point of the last five minutes, unless that is a staleness marker; a range selector
//! takes a window of points that ends at the step. Windows are open on the left, as in Prometheus 3.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promql_parser::parser::{AtModifier, Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector};

use super::super::parse::matchers;
use super::super::{LOOKBACK_MS, PromqlError, Series};
use super::{ABSENT, Evaluator, StepSeries, Steps, is_absent};

/// The step of a subquery that does not say one: Prometheus' default evaluation interval.
const SUBQUERY_STEP_MS: i64 = 60_000;

/// Series with a window of points at every step.
#[derive(Debug)]
pub(crate) struct RangeVector {
    /// Points without staleness markers.
    pub(crate) series: Vec<Series>,
    /// Where each step's window ends (included); it starts `range_ms` before (excluded).
    pub(crate) ends_ms: Vec<i64>,
    pub(crate) range_ms: i64,
}

impl RangeVector {
    /// Calls `visit` with each step, the points of the series' window at it, and where they start among all of them. Steps
    /// whose window is empty are passed over.
    pub(crate) fn each_window<'s>(&self, series: &'s Series, mut visit: impl FnMut(usize, &'s [(i64, f64)], usize)) {
        let points = &series.points;
        let (mut from, mut to) = (0, 0);
        for (step, &end) in self.ends_ms.iter().enumerate() {
            let start = end.saturating_sub(self.range_ms);
            while to < points.len() && points[to].0 <= end {
                to += 1;
            }
            while from < to && points[from].0 <= start {
                from += 1;
            }
            if from < to {
                visit(step, &points[from..to], from);
            }
        }
    }

    /// The only window, for an instant query that asks for nothing else.
    pub(crate) fn into_window(self) -> Vec<Series> {
        let end = self.ends_ms.first().copied().unwrap_or(0);
        let start = end.saturating_sub(self.range_ms);
        let inside = self.series.into_iter().map(|mut series| {
            series.points.retain(|point| start < point.0 && point.0 <= end);
            series
        });
        inside.filter(|series| !series.points.is_empty()).collect()
    }
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
        let found = self.fetch(selector, &moments, LOOKBACK_MS)?;
        let mut selected = Vec::with_capacity(found.len());
        for series in found {
            self.hold(steps.count)?;
            let points = &series.points;
            let mut next = 0;
            let value_at = |&moment: &i64| {
                while next < points.len() && points[next].0 <= moment {
                    next += 1;
                }
                match next.checked_sub(1).map(|last| points[last]) {
                    Some((time, value)) if time > moment.saturating_sub(LOOKBACK_MS) && !is_absent(value) => {
                        if times {
                            time as f64 / 1000.0
                        } else {
                            value
                        }
                    }
                    _ => ABSENT,
                }
            };
            let values: Vec<f64> = moments.iter().map(value_at).collect();
            if values.iter().any(|&value| !is_absent(value)) {
                selected.push(StepSeries { labels: series.labels, values });
            }
        }
        Ok(selected)
    }

    /// The windows of a range selector or subquery.
    pub(crate) fn range_vector(&self, expression: &Expr, steps: Steps) -> Result<RangeVector, PromqlError> {
        match expression {
            Expr::Paren(inner) => self.range_vector(&inner.expr, steps),
            Expr::MatrixSelector(selector) => self.range_selector(selector, steps),
            Expr::Subquery(subquery) => self.subquery(subquery, steps),
            _ => Err(PromqlError::Invalid("a range vector is wanted".to_owned())),
        }
    }

    fn range_selector(&self, selector: &MatrixSelector, steps: Steps) -> Result<RangeVector, PromqlError> {
        let vector = &selector.vs;
        let ends_ms = self.moments(steps, vector.at.as_ref(), vector.offset.as_ref());
        let range_ms = milliseconds(selector.range);
        let mut series = self.fetch(vector, &ends_ms, range_ms)?;
        series.iter_mut().for_each(|series| series.points.retain(|point| !is_absent(point.1)));
        series.retain(|series| !series.points.is_empty());
        Ok(RangeVector { series, ends_ms, range_ms })
    }

    fn subquery(&self, subquery: &SubqueryExpr, steps: Steps) -> Result<RangeVector, PromqlError> {
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
        let series = found.into_iter().map(|series| series.into_series(inner)).filter(|s| !s.points.is_empty());
        Ok(RangeVector { series: series.collect(), ends_ms, range_ms })
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

    /// The points that windows of this length before these (rising) moments can hold.
    fn fetch(&self, selector: &VectorSelector, moments: &[i64], length_ms: i64) -> Result<Vec<Series>, PromqlError> {
        let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else { return Ok(Vec::new()) };
        let found = self.source.select(&matchers(selector)?, first.saturating_sub(length_ms), last, self.scan)?;
        self.hold(found.iter().map(|series| series.points.len()).sum())?;
        Ok(found)
    }
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
