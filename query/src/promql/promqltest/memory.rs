//! Series in memory: what a script has loaded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use taffrail_collector::model::LabelSet;
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::LabelMatcher;

use super::super::{PromqlError, Series, SeriesSource};
use super::notation::{LoadedSeries, Written};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct MemorySource {
    series: BTreeMap<Arc<LabelSet>, BTreeMap<i64, f64>>,
    /// Series that hold native histograms, which are left out.
    histograms: Vec<Arc<LabelSet>>,
    histograms_met: AtomicBool,
}

impl MemorySource {
    /// Adds series whose values start at 0 and are `step_ms` apart. Of two lines of one series the later stands.
    pub(super) fn load(&mut self, step_ms: i64, series: Vec<LoadedSeries>) {
        let lines: BTreeMap<Arc<LabelSet>, Vec<Written>> =
            series.into_iter().map(|line| (line.labels, line.values)).collect();
        for (labels, values) in lines {
            if values.iter().any(|value| matches!(value, Written::Histogram)) {
                self.histograms.push(labels.clone());
            }
            let points = self.series.entry(labels).or_default();
            for (time, value) in (0..).map(|i: i64| i * step_ms).zip(values) {
                if let Written::Number(value) = value {
                    points.insert(time, value);
                }
            }
        }
    }

    pub(super) fn forget_histograms_met(&self) {
        self.histograms_met.store(false, Relaxed);
    }

    /// Whether a selector has asked for a series with native histograms since.
    pub(super) fn histograms_met(&self) -> bool {
        self.histograms_met.load(Relaxed)
    }
}

impl SeriesSource for MemorySource {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let passes = |labels: &LabelSet| matchers.iter().all(|matcher| matcher.passes(labels));
        if self.histograms.iter().any(|labels| passes(labels)) {
            self.histograms_met.store(true, Relaxed);
        }
        let mut found = Vec::new();
        for (labels, points) in self.series.iter().filter(|(labels, _)| passes(labels)) {
            let inside = (start_ms.saturating_add(1) <= end_ms).then(|| points.range(start_ms + 1..=end_ms));
            let points: Vec<(i64, f64)> = inside.into_iter().flatten().map(|(&time, &value)| (time, value)).collect();
            scan.touch(points.len() as u64, 0).map_err(PromqlError::Stopped)?;
            if !points.is_empty() {
                found.push(Series { labels: labels.clone(), points });
            }
        }
        Ok(found)
    }
}
