//! The windows that a range selector or subquery lays over a series, one a step.

use std::sync::Arc;

use parking_lot::Mutex;

use super::super::histogram::Histogram;
use super::super::source::SourceSeries;

/// The points of one series inside one window, by rising time; at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'s> {
    pub(crate) times: &'s [i64],
    pub(crate) values: &'s [f64],
}

/// The points of one series inside one window, where some are histograms; at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MixedWindow<'s> {
    pub(crate) times: &'s [i64],
    pub(crate) values: &'s [f64],
    /// Where one stands the value means nothing.
    pub(crate) histograms: &'s [Option<Arc<Histogram>>],
}

/// Where windows lie: the points with `end − range < time <= end`, for each of these ends.
#[derive(Debug)]
pub(crate) struct Windows {
    /// Rising.
    pub(crate) ends_ms: Vec<i64>,
    pub(crate) range_ms: i64,
    /// Which points each window holds, of times met lately: series that were measured together share them.
    known: Mutex<Option<KnownPlaces>>,
}

/// Times, and for each step the places of the window's points among them.
type KnownPlaces = (Arc<[i64]>, Arc<[(u32, u32)]>);

impl<'s> Window<'s> {
    pub(crate) fn len(self) -> usize {
        self.times.len()
    }

    pub(crate) fn first(self) -> (i64, f64) {
        (self.times[0], self.values[0])
    }

    pub(crate) fn last(self) -> (i64, f64) {
        let last = self.len() - 1;
        (self.times[last], self.values[last])
    }

    pub(crate) fn points(self) -> impl ExactSizeIterator<Item = (i64, f64)> + Clone + 's {
        self.times.iter().copied().zip(self.values.iter().copied())
    }
}

impl Windows {
    pub(crate) fn new(ends_ms: Vec<i64>, range_ms: i64) -> Windows {
        Windows { ends_ms, range_ms, known: Mutex::new(None) }
    }

    /// Calls `visit` with each step, the points of the series' window at it, and where they start among all of them. Steps
    /// whose window is empty are passed over.
    pub(crate) fn each<'s>(&self, series: &'s SourceSeries, mut visit: impl FnMut(usize, Window<'s>, usize)) {
        let places = self.places(&series.times);
        for (step, &(from, to)) in places.iter().enumerate() {
            let places = from as usize..to as usize;
            if from < to {
                let window = Window { times: &series.times[places.clone()], values: &series.values[places] };
                visit(step, window, from as usize);
            }
        }
    }

    /// The same of a series that holds histograms.
    pub(crate) fn each_mixed<'s>(&self, series: &'s SourceSeries, mut visit: impl FnMut(usize, MixedWindow<'s>)) {
        let Some(histograms) = &series.histograms else { return };
        for (step, &(from, to)) in self.places(&series.times).iter().enumerate() {
            let places = from as usize..to as usize;
            if from < to {
                let (times, values) = (&series.times[places.clone()], &series.values[places.clone()]);
                visit(step, MixedWindow { times, values, histograms: &histograms[places] });
            }
        }
    }

    /// Of each step the places (from, to) of its window's points; an empty window has the same twice.
    pub(crate) fn places(&self, times: &Arc<[i64]>) -> Arc<[(u32, u32)]> {
        if let Some((known, places)) = &*self.known.lock()
            && Arc::ptr_eq(known, times)
        {
            return places.clone();
        }
        let (mut from, mut to) = (0, 0);
        let of_step = |&end: &i64| {
            let start = end.saturating_sub(self.range_ms);
            while to < times.len() && times[to] <= end {
                to += 1;
            }
            while from < to && times[from] <= start {
                from += 1;
            }
            (from as u32, to as u32)
        };
        let places: Arc<[(u32, u32)]> = self.ends_ms.iter().map(of_step).collect();
        *self.known.lock() = Some((times.clone(), places.clone()));
        places
    }
}
