//! Sums and means that keep what plain addition would lose: Neumaier's variant of Kahan summation, and a mean that does not
//! overflow where its sum would. Step for step as in Prometheus 3 (`util/kahansum`, `promql/functions.go`), whose scripts
//! test the last bits.

/// A compensated sum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    sum: f64,
    compensation: f64,
}

impl Sum {
    pub(super) fn starting_at(value: f64) -> Sum {
        Sum { sum: value, compensation: 0.0 }
    }

    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.compensation = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.compensation += (self.sum - total) + value;
        } else {
            self.compensation += (value - total) + self.sum;
        }
        self.sum = total;
    }

    /// The mean of so many values whose sum this is; none when the sum overflowed.
    pub(super) fn mean_of(self, count: usize) -> Option<f64> {
        let count = count as f64;
        self.sum.is_finite().then(|| self.sum / count + self.compensation / count)
    }

    pub(super) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.compensation }
    }
}

/// Windows that are summed side by side: the additions of one wait for each other, those of several do not.
const SIDE_BY_SIDE: usize = 8;

/// The sums of these windows (places from, to) of values, each as adding its values one by one gives it.
pub(super) fn window_sums(values: &[f64], windows: &[(u32, u32)]) -> Vec<Sum> {
    let mut sums = Vec::with_capacity(windows.len());
    let mut rest = windows;
    while let Some(&(from, to)) = rest.first() {
        let length = to.saturating_sub(from);
        let same = rest.iter().take(SIDE_BY_SIDE).take_while(|(from, to)| to.saturating_sub(*from) == length).count();
        let (now, later) = rest.split_at(same);
        if let Ok(now) = <&[(u32, u32); SIDE_BY_SIDE]>::try_from(now) {
            let starts = now.map(|(from, _)| from as usize);
            sums.extend(sums_side_by_side(values, starts, length as usize));
        } else {
            sums.extend(now.iter().map(|&(from, to)| {
                let mut sum = Sum::default();
                values[from as usize..to.max(from) as usize].iter().for_each(|&value| sum.add(value));
                sum
            }));
        }
        rest = later;
    }
    // Where a sum overflowed, or a value was no number, the errors below mean nothing.
    for (sum, &(from, to)) in sums.iter_mut().zip(windows).filter(|(sum, _)| !sum.compensation.is_finite()) {
        *sum = Sum::default();
        values[from as usize..to.max(from) as usize].iter().for_each(|&value| sum.add(value));
    }
    sums
}

/// What each addition loses is worked out without a comparison (D. E. Knuth, TAOCP 2, §4.2.2, theorem B); it is the same number.
fn sums_side_by_side(values: &[f64], starts: [usize; SIDE_BY_SIDE], length: usize) -> [Sum; SIDE_BY_SIDE] {
    let windows = starts.map(|start| &values[start..start + length]);
    let (mut sums, mut lost) = ([0.0; SIDE_BY_SIDE], [0.0; SIDE_BY_SIDE]);
    (0..length).for_each(|place| {
        for lane in 0..SIDE_BY_SIDE {
            let (sum, value): (f64, f64) = (sums[lane], windows[lane][place]);
            let total = sum + value;
            let added = total - sum;
            lost[lane] += (sum - (total - added)) + (value - added);
            sums[lane] = total;
        }
    });
    std::array::from_fn(|lane| Sum { sum: sums[lane], compensation: lost[lane] })
}

/// A mean. It is sum ÷ count until the sum overflows, and is then carried on step by step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    count: f64,
    sum: Sum,
    /// The mean so far and its compensation, once the sum has overflowed.
    stepwise: Option<Sum>,
}

impl Mean {
    pub(super) fn starting_at(value: f64) -> Mean {
        Mean { count: 1.0, sum: Sum::starting_at(value), stepwise: None }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let mean = match &mut self.stepwise {
            Some(mean) => mean,
            None => {
                let mut next = self.sum;
                next.add(value);
                if !next.sum.is_infinite() {
                    self.sum = next;
                    return;
                }
                let before = self.count - 1.0;
                let mean = Sum { sum: self.sum.sum / before, compensation: self.sum.compensation / before };
                self.stepwise.insert(mean)
            }
        };
        if mean.sum.is_infinite() {
            let same_infinity = value.is_infinite() && (mean.sum > 0.0) == (value > 0.0);
            if same_infinity || value.is_finite() {
                return;
            }
        }
        let share = (self.count - 1.0) / self.count;
        *mean = Sum { sum: share * mean.sum, compensation: share * mean.compensation };
        mean.add(value / self.count);
    }

    pub(super) fn value(self) -> f64 {
        match self.stepwise {
            Some(mean) => mean.sum + mean.compensation,
            None => self.sum.sum / self.count + self.sum.compensation / self.count,
        }
    }
}

/// The mean of values; none of none.
pub(super) fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values = values.into_iter();
    let mut mean = Mean::starting_at(values.next()?);
    values.for_each(|value| mean.add(value));
    Some(mean.value())
}

/// The population variance, by Welford's method with compensated steps.
pub(super) fn variance(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for value in values {
        count += 1.0;
        let delta = value - (mean.sum + mean.compensation);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.sum + mean.compensation)));
    }
    (squares.sum + squares.compensation) / count
}

/// The `q`-quantile of values by linear interpolation between ranks; NaNs count as the smallest. Beyond 0–1 it is infinite.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let lower = lower as usize;
    values[lower] * (1.0 - weight) + values[(lower + 1).min(last)] * weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_summed_side_by_side_are_summed_as_one_by_one(
            values in prop::collection::vec(
                prop_oneof![8 => -1e3f64..1e3, 1 => any::<f64>(), 1 => Just(f64::INFINITY), 1 => Just(1e308)],
                1..60,
            ),
            windows in prop::collection::vec((any::<prop::sample::Index>(), 0usize..9), 0..30),
        ) {
            let places = |(from, length): (prop::sample::Index, usize)| {
                let from = from.index(values.len());
                (from as u32, (from + length).min(values.len()) as u32)
            };
            let windows: Vec<(u32, u32)> = windows.into_iter().map(places).collect();
            for (sum, &(from, to)) in window_sums(&values, &windows).into_iter().zip(&windows) {
                let mut expected = Sum::default();
                values[from as usize..to as usize].iter().for_each(|&value| expected.add(value));
                prop_assert_eq!(sum.total().to_bits(), expected.total().to_bits());
            }
        }
    }

    #[test]
    fn small_values_survive_large_ones_and_means_do_not_overflow() {
        assert_eq!(window_sums(&[2.0, 8.0, 1e100, -1e100], &[(0, 4)])[0].total(), 10.0);
        assert_eq!(mean([1e308; 4]), Some(1e308));
        assert_eq!(mean([52.0; 12]), Some(52.0));
        assert_eq!(variance([13.3; 3]), 0.0);
        assert!(mean([f64::INFINITY, f64::NEG_INFINITY]).unwrap().is_nan());
    }

    #[test]
    fn quantiles_interpolate_and_nan_is_the_smallest() {
        assert_eq!(quantile(0.8, &mut [4.0, 0.0, 1.0]), 2.8000000000000003);
        assert_eq!(quantile(0.8, &mut [0.0, f64::NAN, 1.0]), 0.6000000000000001);
        assert!(quantile(0.2, &mut [0.0, f64::NAN, 1.0]).is_nan());
        assert_eq!(quantile(-1.0, &mut [1.0]), f64::NEG_INFINITY);
    }
}
