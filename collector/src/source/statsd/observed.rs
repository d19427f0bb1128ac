//! Observations of one timer in one window on one thread: few bytes to touch for each, and few to keep.
//!
//! ```text
//! Observed   64 bytes: weight, sum, least, greatest, values, zeros, first bin ─┬─► row: u16 for each bin of a Sketch, side by side
//!                                                                              └─► rest: only when something does not fit
//! ```
//! Most timers stay within a factor of a few hundred, which is a few hundred bins: a row of small counts holds them in a sixth of
//! what a list of bins and weights takes, an observation is one addition to it, and nothing is sorted. What does not fit is exact
//! all the same: values far from the others, and those of another sample rate than the first, are kept as they came and summed up 64
//! at a time; a count that is full moves the whole row into the summary.

use std::sync::LazyLock;

use super::etsy::VALUES_MAX;
use crate::model::Distribution;
use crate::model::sketch::{SMALLEST, Sketch, bin_of};

/// Bins of a row at most: values within a factor of 14,000, and a KiB with all that belongs to it.
const ROW_BINS_MAX: usize = 480;

/// Bins of a new row, and the least by which one grows: values within a factor of 1.4.
const ROW_BINS_MIN: usize = 16;

/// Values beside the row that are kept as they came before they are summed up together: sorted first, they cost a third of what
/// they cost one by one.
const OUTLIERS: usize = 64;

/// Whole numbers below this find their bin in a table instead of by a logarithm: most timers count milliseconds.
const WHOLE: usize = 1_024;

static BIN_OF_WHOLE: LazyLock<[i16; WHOLE]> =
    LazyLock::new(|| std::array::from_fn(|n| if n == 0 { 0 } else { small_bin_of(n as f64) }));

/// See the module's documentation.
#[derive(Debug)]
#[repr(align(64))] // one line of the processor's cache
pub struct Observed {
    /// For how many observations each value in the row and each zero stands: as the first value of all.
    weight: f64,
    /// Of those values, not yet times the weight.
    sum: f64,
    min: f64,
    max: f64,
    row: Box<[u16]>,
    rest: Option<Box<Rest>>,
    /// All that came.
    values: u32,
    /// The bin of the row's first count.
    first: i16,
    zeros: u16,
}

/// What few timers have.
#[derive(Debug, Default)]
struct Rest {
    /// Values as they came, and for how many observations each stands.
    outliers: Vec<f64>,
    weight: f64,
    summed: Distribution,
    /// All as they came, when they are to be kept; one too many says that there were more.
    kept: Option<Vec<f64>>,
}

impl Default for Observed {
    fn default() -> Observed {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Observed { weight: 1.0, sum: 0.0, min, max, row: Box::default(), rest: None, values: 0, first: 0, zeros: 0 }
    }
}

impl Observed {
    /// How many values came.
    pub fn values(&self) -> u32 {
        self.values
    }

    /// Takes in a value no greater than [`VALUE_MAX`](super::line::VALUE_MAX) that stands for `weight` observations.
    pub fn observe(&mut self, value: f64, weight: f64) {
        if self.values == 0 {
            self.weight = weight;
        }
        self.values = self.values.saturating_add(1);
        if weight != self.weight {
            return self.observe_outlier(value, weight);
        }
        if value >= SMALLEST {
            let bin = positive_bin_of(value);
            let Some(at) = self.place_of(bin) else { return self.observe_outlier(value, weight) };
            if self.row[at] == u16::MAX {
                self.sum_up();
            }
            self.row[at] += 1;
        } else if value > -SMALLEST {
            if self.zeros == u16::MAX {
                self.sum_up();
            }
            self.zeros += 1;
        } else {
            return self.observe_outlier(value, weight);
        }
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Keeps a value as it came, besides.
    pub fn keep(&mut self, value: f64) {
        let kept = self.rest.get_or_insert_default().kept.get_or_insert_default();
        if kept.len() <= VALUES_MAX {
            kept.push(value);
        }
    }

    /// The values as they came, when they were to be kept.
    pub fn take_kept(&mut self) -> Option<Vec<f64>> {
        self.rest.as_mut()?.kept.take()
    }

    /// Moves all observations into a summary.
    pub fn move_into(mut self, all: &mut Distribution) {
        if self.rest.is_none() && all.count == 0.0 {
            *all = self.row_summed();
            return;
        }
        self.sum_up();
        if let Some(rest) = self.rest {
            all.merge(&rest.summed);
        }
    }

    /// Where a bin's count stands in the row, which grows to hold it unless it would grow too long.
    fn place_of(&mut self, bin: i16) -> Option<usize> {
        let at = usize::try_from(i32::from(bin) - i32::from(self.first)).unwrap_or(usize::MAX);
        if at < self.row.len() { Some(at) } else { self.grow_to(i32::from(bin)) }
    }

    #[cold]
    fn grow_to(&mut self, bin: i32) -> Option<usize> {
        let (first, len) = match self.row.len() {
            0 => (bin - ROW_BINS_MIN as i32 / 2, ROW_BINS_MIN),
            old => {
                let (first, old) = (i32::from(self.first), old as i32);
                let ahead = (old / 4).max(ROW_BINS_MIN as i32); // room beyond what is asked for, so that growing ends soon
                let (start, end) = if bin < first { (bin - ahead, first + old) } else { (first, bin + 1 + ahead) };
                let len = usize::try_from(end - start).ok()?;
                let surplus = i32::try_from(len.saturating_sub(ROW_BINS_MAX)).ok()?;
                if surplus > ahead {
                    return None;
                }
                (if bin < first { start + surplus } else { start }, len.min(ROW_BINS_MAX))
            }
        };
        let at = usize::try_from(bin - first).ok()?;
        let mut row = vec![0; len].into_boxed_slice();
        if !self.row.is_empty() {
            let shift = usize::try_from(i32::from(self.first) - first).ok()?;
            row[shift..shift + self.row.len()].copy_from_slice(&self.row);
        }
        (self.row, self.first) = (row, i16::try_from(first).ok()?);
        Some(at)
    }

    #[cold]
    fn observe_outlier(&mut self, value: f64, weight: f64) {
        let rest = self.rest.get_or_insert_default();
        if weight != rest.weight || rest.outliers.len() >= OUTLIERS {
            rest.sum_up();
            rest.weight = weight;
        }
        rest.outliers.push(value);
    }

    /// Moves what is not summed up yet into the summary.
    #[cold]
    fn sum_up(&mut self) {
        let row = self.row_summed();
        self.row.fill(0);
        (self.sum, self.min, self.max, self.zeros) = (0.0, f64::INFINITY, f64::NEG_INFINITY, 0);
        let rest = self.rest.get_or_insert_default();
        rest.sum_up();
        rest.summed.merge(&row);
    }

    /// What the row and the zeros say.
    fn row_summed(&self) -> Distribution {
        let bins = self.row.iter().filter(|&&count| count > 0).count();
        let mut positive = Vec::with_capacity(bins);
        let counts = (i32::from(self.first)..).zip(&self.row).filter(|&(_, &count)| count > 0);
        positive.extend(counts.map(|(bin, &count)| (bin, f64::from(count) * self.weight)));
        let zero = f64::from(self.zeros) * self.weight;
        let sketch = Sketch::from_parts(zero, positive, Vec::new()).expect("rising bins, no more than a row has");
        let values = u64::from(self.zeros) + self.row.iter().map(|&count| u64::from(count)).sum::<u64>();
        let (count, sum) = (values as f64 * self.weight, self.sum * self.weight);
        Distribution { count, sum, min: self.min, max: self.max, sketch }
    }
}

impl Rest {
    fn sum_up(&mut self) {
        self.summed.observe_all(&mut self.outliers, self.weight);
        self.outliers.clear();
    }
}

/// The bin of a value of at least [`SMALLEST`].
fn positive_bin_of(value: f64) -> i16 {
    let whole = value as usize; // saturates
    if whole < WHOLE && whole as f64 == value { BIN_OF_WHOLE[whole] } else { small_bin_of(value) }
}

fn small_bin_of(value: f64) -> i16 {
    bin_of(value) as i16 // |bin| ≤ 32,237 up to VALUE_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values near one another, values far from them, zeros, and values below; whole and not.
    fn values() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => (1u32..2_000).prop_map(f64::from),
            3 => 0.5f64..50.0,
            1 => 1e-12f64..1e-6,
            1 => 1e6f64..1e280,
            1 => Just(0.0),
            1 => -1e9f64..-1e-12,
        ]
    }

    proptest! {
        #[test]
        fn it_says_what_each_value_by_itself_would(
            values in prop::collection::vec((values(), prop::sample::select(vec![1.0, 1.0, 1.0, 2.0, 8.0])), 1..600),
            threads in 1usize..3,
        ) {
            let mut plainly = Distribution::new();
            let mut observed: Vec<Observed> = (0..threads).map(|_| Observed::default()).collect();
            for (n, &(value, weight)) in values.iter().enumerate() {
                plainly.observe(value, weight);
                observed[n % threads].observe(value, weight);
            }
            let mut together = Distribution::new();
            observed.into_iter().for_each(|observed| observed.move_into(&mut together));
            prop_assert_eq!(&together.sketch, &plainly.sketch);
            let facts = |all: &Distribution| (all.count, all.min, all.max);
            prop_assert_eq!(facts(&together), facts(&plainly));
            let magnitude: f64 = values.iter().map(|&(value, weight)| (value * weight).abs()).sum();
            prop_assert!((together.sum - plainly.sum).abs() <= 1e-12 * magnitude, "{} {}", together.sum, plainly.sum);
        }
    }

    #[test]
    fn counts_that_are_full_lose_nothing() {
        let mut observed = Observed::default();
        for n in 0..200_000 {
            observed.observe(f64::from(n % 2) * 7.0, 1.0);
        }
        let mut all = Distribution::new();
        observed.move_into(&mut all);
        assert_eq!((all.count, all.sum, all.min, all.max), (200_000.0, 700_000.0, 0.0, 7.0));
        assert_eq!((all.sketch.zero(), all.sketch.count()), (100_000.0, 200_000.0));
    }

    #[test]
    fn a_usual_timer_takes_less_than_a_kib() {
        let bytes = |least: u32, greatest: u32| {
            let mut observed = Observed::default();
            (least..=greatest).for_each(|value| observed.observe(f64::from(value), 1.0));
            assert!(observed.rest.is_none(), "{least} to {greatest}");
            size_of::<Observed>() + size_of_val(&*observed.row)
        };
        assert_eq!(size_of::<Observed>(), 64);
        assert!(bytes(20, 30) < 150, "{}", bytes(20, 30));
        assert!(bytes(100, 1_000) < 450, "{}", bytes(100, 1_000));
        assert!(bytes(1, 9_000) <= 1_024, "{}", bytes(1, 9_000));
    }
}
