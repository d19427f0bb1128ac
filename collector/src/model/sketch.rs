//! A DDSketch: quantiles of any number of observations within 1 % of their value, mergeable without loss.
//!
//! C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
//! guarantees", VLDB 2019. A value `v > 0` falls into the bin `i = ⌈ln v ÷ ln γ⌉` with γ = (1 + α) ÷ (1 − α), which
//! stands for every value of (γ^(i−1), γ^i] by `2γ^i ÷ (γ + 1)`, at most α off in relative terms. Negative values mirror
//! that; values nearer to zero than [`SMALLEST`] count as zero.

/// The relative error α.
pub const RELATIVE_ERROR: f64 = 0.01;

/// What is nearer to zero than this is zero.
pub const SMALLEST: f64 = 1e-9;

/// Bins kept on each side of zero: enough for values from 1 ns to 10^9 s side by side (ln 10^18 ÷ ln γ ≈ 2,072). Past
/// that the bins nearest to zero are joined, which blurs the lowest quantiles only.
pub const BINS_MAX: usize = 2_048;

/// See the module's documentation. Bins are sorted by index, with positive finite weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    zero: f64,
    positive: Vec<(i32, f64)>,
    negative: Vec<(i32, f64)>,
}

impl Sketch {
    /// A sketch of nothing.
    pub fn new() -> Sketch {
        Sketch::default()
    }

    /// From its parts, as read back from disk or wire. None when an index repeats or falls, when there are more than
    /// [`BINS_MAX`] bins on a side, or when a weight is not positive and finite (`zero` may be 0).
    pub fn from_parts(zero: f64, positive: Vec<(i32, f64)>, negative: Vec<(i32, f64)>) -> Option<Sketch> {
        let sound = |bins: &[(i32, f64)]| {
            bins.len() <= BINS_MAX
                && bins.iter().all(|&(_, weight)| weight.is_finite() && weight > 0.0)
                && bins.windows(2).all(|pair| pair[0].0 < pair[1].0)
        };
        (zero.is_finite() && zero >= 0.0 && sound(&positive) && sound(&negative)).then_some(Sketch {
            zero,
            positive,
            negative,
        })
    }

    /// The weight of the values that count as zero.
    pub fn zero(&self) -> f64 {
        self.zero
    }

    /// (bin index, weight) of the positive values, by rising index.
    pub fn positive(&self) -> &[(i32, f64)] {
        &self.positive
    }

    /// (bin index of the absolute value, weight) of the negative values, by rising index.
    pub fn negative(&self) -> &[(i32, f64)] {
        &self.negative
    }

    /// Adds a finite value that stands for `weight` observations.
    pub fn add(&mut self, value: f64, weight: f64) {
        let side = if value >= SMALLEST {
            &mut self.positive
        } else if value <= -SMALLEST {
            &mut self.negative
        } else {
            self.zero += weight;
            return;
        };
        let index = bin_of(value.abs());
        match side.binary_search_by_key(&index, |&(at, _)| at) {
            Ok(at) => side[at].1 += weight,
            Err(at) => {
                side.insert(at, (index, weight));
                join_lowest(side);
            }
        }
    }

    /// Adds finite values in rising order that stand for `weight` observations each: what adding them one by one would give, in
    /// a third of the time.
    pub fn add_sorted(&mut self, values: &[f64], weight: f64) {
        let (below, others) = values.split_at(values.partition_point(|&value| value <= -SMALLEST));
        let (zeros, above) = others.split_at(others.partition_point(|&value| value < SMALLEST));
        self.zero += zeros.len() as f64 * weight;
        add_rising(&mut self.negative, below.iter().rev().map(|value| bin_of(-value)), weight);
        add_rising(&mut self.positive, above.iter().map(|&value| bin_of(value)), weight);
    }

    /// Takes in another sketch: the result is what adding all values of both would give.
    pub fn merge(&mut self, other: &Sketch) {
        self.zero += other.zero;
        merge_side(&mut self.positive, &other.positive);
        merge_side(&mut self.negative, &other.negative);
    }

    /// The weight of all observations.
    pub fn count(&self) -> f64 {
        let side = |bins: &[(i32, f64)]| bins.iter().map(|&(_, weight)| weight).sum::<f64>();
        self.zero + side(&self.positive) + side(&self.negative)
    }

    /// The value at rank `q × (count − 1)`, within [`RELATIVE_ERROR`]; none when the sketch is empty or `q` is not in 0–1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count <= 0.0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * (count - 1.0).max(0.0);
        let mut below = 0.0;
        let downwards = self.negative.iter().rev().map(|&(index, weight)| (-value_of(index), weight));
        let middle = (self.zero > 0.0).then_some((0.0, self.zero)).into_iter();
        let upwards = self.positive.iter().map(|&(index, weight)| (value_of(index), weight));
        let mut last = None;
        for (value, weight) in downwards.chain(middle).chain(upwards) {
            below += weight;
            last = Some(value);
            if below > rank {
                break;
            }
        }
        last
    }
}

/// The bin of a value of at least [`SMALLEST`].
pub fn bin_of(magnitude: f64) -> i32 {
    (magnitude.ln() / gamma().ln()).ceil() as i32 // |index| ≤ 35,488 over all of f64
}

fn gamma() -> f64 {
    (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)
}

fn value_of(index: i32) -> f64 {
    let gamma = gamma();
    2.0 * gamma.powi(index) / (gamma + 1.0)
}

fn join_lowest(side: &mut Vec<(i32, f64)>) {
    let Some(surplus) = side.len().checked_sub(BINS_MAX).filter(|&n| n > 0) else { return };
    let weight: f64 = side.drain(..surplus).map(|(_, weight)| weight).sum();
    side[0].1 += weight;
}

/// Adds a weight to each of these bins, which rise. Mostly all are there already, and nothing moves.
fn add_rising(side: &mut Vec<(i32, f64)>, bins: impl Iterator<Item = i32>, weight: f64) {
    let mut missing: Vec<(i32, f64)> = Vec::new();
    let mut at = 0;
    for bin in bins {
        while side.get(at).is_some_and(|&(other, _)| other < bin) {
            at += 1;
        }
        match (side.get_mut(at), missing.last_mut()) {
            (Some(found), _) if found.0 == bin => found.1 += weight,
            (_, Some(last)) if last.0 == bin => last.1 += weight,
            _ => missing.push((bin, weight)),
        }
    }
    if side.is_empty() {
        missing.shrink_to_fit();
        *side = missing;
    } else {
        merge_side(side, &missing);
    }
}

fn merge_side(into: &mut Vec<(i32, f64)>, from: &[(i32, f64)]) {
    if from.is_empty() {
        return;
    }
    let mut merged = Vec::with_capacity(into.len() + from.len());
    let (mut a, mut b) = (into.as_slice(), from);
    while let (Some(&x), Some(&y)) = (a.first(), b.first()) {
        let taken = match x.0.cmp(&y.0) {
            std::cmp::Ordering::Less => (x, 1, 0),
            std::cmp::Ordering::Greater => (y, 0, 1),
            std::cmp::Ordering::Equal => ((x.0, x.1 + y.1), 1, 1),
        };
        merged.push(taken.0);
        a = &a[taken.1..];
        b = &b[taken.2..];
    }
    merged.extend_from_slice(a);
    merged.extend_from_slice(b);
    *into = merged;
    join_lowest(into);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(sorted: &[f64], q: f64) -> f64 {
        sorted[(q * (sorted.len() - 1) as f64).floor() as usize]
    }

    proptest! {
        #[test]
        fn every_quantile_is_within_one_percent_and_merging_equals_adding(
            left in prop::collection::vec(-1e6f64..1e6, 1..200),
            right in prop::collection::vec(1e-3f64..1e9, 0..200),
            q in 0.0f64..=1.0,
        ) {
            let sketch_of = |values: &[f64]| {
                let mut sketch = Sketch::new();
                values.iter().for_each(|&v| sketch.add(v, 1.0));
                sketch
            };
            let mut merged = sketch_of(&left);
            merged.merge(&sketch_of(&right));
            let mut all = left;
            all.extend(right);
            prop_assert_eq!(&merged, &sketch_of(&all));
            all.sort_by(f64::total_cmp);
            let mut together = sketch_of(&all[..all.len() / 3]);
            together.add_sorted(&all[all.len() / 3..], 1.0);
            prop_assert_eq!(&merged, &together);
            let (found, exact) = (merged.quantile(q).unwrap(), exact(&all, q));
            prop_assert!((found - exact).abs() <= RELATIVE_ERROR * exact.abs() + SMALLEST, "{found} for {exact}");
        }
    }

    #[test]
    fn parts_out_of_order_are_no_sketch() {
        assert!(Sketch::from_parts(0.0, vec![(1, 1.0), (1, 2.0)], vec![]).is_none());
        assert!(Sketch::from_parts(0.0, vec![(1, 0.0)], vec![]).is_none());
        assert!(Sketch::from_parts(f64::NAN, vec![], vec![]).is_none());
        assert!(Sketch::from_parts(0.0, vec![(1, 1.0), (2, 2.0)], vec![(-3, 1.0)]).is_some());
    }

    #[test]
    fn the_bins_nearest_to_zero_are_joined_when_there_are_too_many() {
        let mut sketch = Sketch::new();
        for i in 0..(BINS_MAX + 500) {
            sketch.add(1e-8 * gamma().powi(i32::try_from(i).unwrap()), 1.0);
        }
        assert_eq!(sketch.positive().len(), BINS_MAX);
        assert_eq!(sketch.count(), (BINS_MAX + 500) as f64);
    }
}
