//! A series with one value, or none, at every step.

use std::collections::HashMap;
use std::sync::Arc;

use taffrail_collector::model::LabelSet;

use super::super::histogram::Histogram;
use super::super::labels::without_name;
use super::super::{PromqlError, STALE, Series};
use super::Steps;

/// Stands where a series has no number at a step. It is the staleness marker, which means the same and is never data.
pub(crate) const ABSENT: f64 = STALE;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct StepSeries {
    pub(crate) labels: Arc<LabelSet>,
    /// One for each step; [`ABSENT`] where there is none.
    pub(crate) values: Vec<f64>,
    /// One for each step, where there are any at all; a step has a number or a histogram, never both.
    pub(crate) histograms: Option<Vec<Option<Arc<Histogram>>>>,
    /// The name goes when the answer is given.
    pub(crate) drop_name: bool,
}

/// What a series has at a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Absent,
    Number(f64),
    Histogram(Arc<Histogram>),
}

/// Whether a value says that there is none.
pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

impl StepSeries {
    /// A series of numbers.
    pub(crate) fn of_numbers(labels: Arc<LabelSet>, values: Vec<f64>) -> StepSeries {
        StepSeries { labels, values, histograms: None, drop_name: false }
    }

    /// A series that has nothing yet.
    pub(crate) fn empty(labels: Arc<LabelSet>, steps: usize) -> StepSeries {
        StepSeries::of_numbers(labels, vec![ABSENT; steps])
    }

    /// The histogram at a step.
    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.as_ref().and_then(|histograms| histograms[step].as_ref())
    }

    /// Whether it has something at a step.
    pub(crate) fn is_there(&self, step: usize) -> bool {
        !is_absent(self.values[step]) || self.histogram(step).is_some()
    }

    /// Whether it has something at any step.
    pub(crate) fn is_anywhere(&self) -> bool {
        self.values.iter().any(|&value| !is_absent(value))
            || self.histograms.as_ref().is_some_and(|histograms| histograms.iter().any(Option::is_some))
    }

    pub(crate) fn cell(&self, step: usize) -> Cell {
        match self.histogram(step) {
            Some(histogram) => Cell::Histogram(histogram.clone()),
            None if is_absent(self.values[step]) => Cell::Absent,
            None => Cell::Number(self.values[step]),
        }
    }

    pub(crate) fn put(&mut self, step: usize, cell: Cell) {
        let (value, histogram) = match cell {
            Cell::Absent => (ABSENT, None),
            Cell::Number(value) => (value, None),
            Cell::Histogram(histogram) => (ABSENT, Some(histogram)),
        };
        self.values[step] = value;
        if let Some(histograms) = &mut self.histograms {
            histograms[step] = histogram;
        } else if histogram.is_some() {
            let mut histograms = vec![None; self.values.len()];
            histograms[step] = histogram;
            self.histograms = Some(histograms);
        }
    }

    pub(crate) fn remove(&mut self, step: usize) {
        self.put(step, Cell::Absent);
    }

    /// What is there, with its times.
    pub(crate) fn into_series(self, steps: Steps) -> Series {
        let points = self.values.into_iter().enumerate().filter(|(_, value)| !is_absent(*value));
        let points = points.map(|(step, value)| (steps.at(step), value)).collect();
        let histograms = self.histograms.into_iter().flatten().enumerate();
        let histograms = histograms.filter_map(|(step, histogram)| Some((steps.at(step), histogram?))).collect();
        Series { labels: self.labels, points, histograms }
    }
}

/// Takes the names away that are to go.
pub(crate) fn without_dropped_names(mut series: Vec<StepSeries>) -> Vec<StepSeries> {
    for one in series.iter_mut().filter(|one| one.drop_name) {
        one.labels = without_name(&one.labels);
        one.drop_name = false;
    }
    series
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
        let into = &mut joined[place];
        into.drop_name |= one.drop_name;
        for step in 0..one.values.len() {
            if !one.is_there(step) {
                continue;
            }
            if into.is_there(step) {
                return Err(PromqlError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
            }
            into.put(step, one.cell(step));
        }
    }
    Ok(joined)
}
