//! Where series come from: the store, a test's `load`, or one source laid over another.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_ingest::Scan;
use taffrail_ingest::log_store::LogStore;
use taffrail_ingest::series_store::LabelMatcher;

use super::{Histogram, PromqlError, Series};

/// See the module's documentation.
pub trait SeriesSource: Sync {
    /// Points of every matching series with `start < time <= end` (milliseconds), by rising time.
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        wanted: Wanted,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError>;

    /// Where the records are that `logs_count` counts; none when that is a series like any other.
    fn logs(&self) -> Option<&LogStore> {
        None
    }

    /// Calls `visit` with each matching series and its place among them, perhaps on several threads at once and in any order,
    /// so that only those at hand are in memory. A series may have points from before `start_ms` too.
    fn visit(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        wanted: Wanted,
        scan: &Scan,
        visit: Visit<'_>,
    ) -> Result<(), PromqlError> {
        let selected = self.select(matchers, start_ms, end_ms, wanted, scan)?;
        selected.into_iter().enumerate().try_for_each(|(place, series)| visit(place, series.into()))
    }
}

/// How series should be given, where a source has a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Points may sum up so many milliseconds of time each; 0 asks for them as they came.
    pub resolution_ms: u32,
    /// What can be read as native histograms should be, since that is what a function wants.
    pub histograms: bool,
    /// What is asked of each window that points lie in.
    pub of_windows: OfWindows,
}

/// What is asked of the points of a window. Stored points may be windows themselves, with a level at their end and the lowest
/// and highest of all their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfWindows {
    /// Something of each of them, so that those which sum others up will not do as long as there are finer ones.
    #[default]
    Each,
    /// Levels at some moments only.
    Levels,
    /// The lowest level.
    Lowest,
    /// The highest level.
    Highest,
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
    /// The histograms then, where there are any at all; where one stands the value means nothing.
    pub histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

impl SourceSeries {
    /// A series of numbers.
    pub fn of_numbers(labels: Arc<LabelSet>, times: Arc<[i64]>, values: Vec<f64>) -> SourceSeries {
        SourceSeries { labels, times, values, histograms: None }
    }

    /// Only the points that pass; `keep` is given their places.
    pub(super) fn retained(self, keep: impl Fn(usize) -> bool) -> SourceSeries {
        let places: Vec<usize> = (0..self.values.len()).filter(|&place| keep(place)).collect();
        SourceSeries {
            times: places.iter().map(|&place| self.times[place]).collect(),
            values: places.iter().map(|&place| self.values[place]).collect(),
            histograms: self.histograms.map(|all| places.iter().map(|&place| all[place].clone()).collect()),
            labels: self.labels,
        }
    }
}

impl From<Series> for SourceSeries {
    fn from(series: Series) -> SourceSeries {
        if series.histograms.is_empty() {
            let (times, values): (Vec<i64>, Vec<f64>) = series.points.into_iter().unzip();
            return SourceSeries::of_numbers(series.labels, times.into(), values);
        }
        let numbers = series.points.into_iter().map(|(time, value)| (time, value, None));
        let histograms = series.histograms.into_iter().map(|(time, histogram)| (time, f64::NAN, Some(histogram)));
        let mut points: Vec<_> = numbers.chain(histograms).collect();
        points.sort_by_key(|point| point.0);
        SourceSeries {
            labels: series.labels,
            times: points.iter().map(|point| point.0).collect(),
            values: points.iter().map(|point| point.1).collect(),
            histograms: Some(points.into_iter().map(|point| point.2).collect()),
        }
    }
}

impl From<SourceSeries> for Series {
    fn from(series: SourceSeries) -> Series {
        let Some(histograms) = series.histograms else {
            let points = series.times.iter().copied().zip(series.values).collect();
            return Series::of_numbers(series.labels, points);
        };
        let mut split = Series::of_numbers(series.labels, Vec::new());
        for ((&time, value), histogram) in series.times.iter().zip(series.values).zip(histograms) {
            match histogram {
                Some(histogram) => split.histograms.push((time, histogram)),
                None => split.points.push((time, value)),
            }
        }
        split
    }
}
