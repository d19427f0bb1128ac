//! A series with one value, or none, at every step.

use std::collections::HashMap;
use std::sync::Arc;

use taffrail_collector::model::LabelSet;

use super::super::{PromqlError, STALE, Series};
use super::Steps;

/// Stands where a series has no value at a step. It is the staleness marker, which means the same and is never data.
pub(crate) const ABSENT: f64 = STALE;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct StepSeries {
    pub(crate) labels: Arc<LabelSet>,
    /// One for each step; [`ABSENT`] where there is none.
    pub(crate) values: Vec<f64>,
}

/// Whether a value says that there is none.
pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

impl StepSeries {
    /// The values that are there, with their times.
    pub(crate) fn into_series(self, steps: Steps) -> Series {
        let points = self.values.into_iter().enumerate().filter(|(_, value)| !is_absent(*value));
        Series { labels: self.labels, points: points.map(|(step, value)| (steps.at(step), value)).collect() }
    }
}

/// Joins series with the same labels into one, as dropping a name makes them; that two of them have a value at one step is
/// an error.
pub(crate) fn join_same_labels(series: Vec<StepSeries>) -> Result<Vec<StepSeries>, PromqlError> {
    let mut joined: Vec<StepSeries> = Vec::with_capacity(series.len());
    let mut places: HashMap<Arc<LabelSet>, usize> = HashMap::with_capacity(series.len());
    for one in series {
        let place = *places.entry(one.labels.clone()).or_insert(joined.len());
        if place == joined.len() {
            joined.push(one);
            continue;
        }
        for (into, value) in joined[place].values.iter_mut().zip(one.values) {
            if is_absent(value) {
                continue;
            }
            if !is_absent(*into) {
                return Err(PromqlError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
            }
            *into = value;
        }
    }
    Ok(joined)
}
