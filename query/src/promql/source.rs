//! Where series come from: the store, a test's `load`, or one source laid over another.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::LabelMatcher;

use super::{PromqlError, Series};

/// See the module's documentation.
pub trait SeriesSource: Sync {
    /// Points of every matching series with `start < time <= end` (milliseconds), by rising time.
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError>;

    /// Calls `visit` with each matching series and its place among them, perhaps on several threads at once and in any order,
    /// so that only those at hand are in memory. A series may have points from before `start_ms` too. Its points may sum up
    /// `resolution_ms` of time each, where that is kept; 0 asks for them as they came.
    fn visit(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        _resolution_ms: u32,
        scan: &Scan,
        visit: Visit<'_>,
    ) -> Result<(), PromqlError> {
        let selected = self.select(matchers, start_ms, end_ms, scan)?;
        selected.into_iter().enumerate().try_for_each(|(place, series)| visit(place, series.into()))
    }
}

/// What is done with a series at a place.
pub type Visit<'v> = &'v (dyn Fn(usize, SourceSeries) -> Result<(), PromqlError> + Sync);

/// A series as sources give it: in columns of one length. Series that were measured together share their times.
#[derive(Clone, Debug)]
pub struct SourceSeries {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// Milliseconds since the epoch, rising.
    pub times: Arc<[i64]>,
    /// The values then.
    pub values: Vec<f64>,
}

impl From<Series> for SourceSeries {
    fn from(series: Series) -> SourceSeries {
        let (times, values): (Vec<i64>, Vec<f64>) = series.points.into_iter().unzip();
        SourceSeries { labels: series.labels, times: times.into(), values }
    }
}

impl From<SourceSeries> for Series {
    fn from(series: SourceSeries) -> Series {
        let points = series.times.iter().copied().zip(series.values).collect();
        Series { labels: series.labels, points }
    }
}
