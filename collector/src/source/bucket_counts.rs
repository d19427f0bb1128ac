//! Histograms whose buckets grow by a constant factor, as Prometheus' native ones and OpenTelemetry's exponential ones, or have
//! boundaries of their own; and how they become our distributions.
//!
//! With the scale `s` the factor is `2^(2^-s)`, and bucket `i` holds what lies in `(factor^(i-1), factor^i]`. Of a bucket only
//! its count is known. All of it is put at the bucket's middle, `factor^(i-1/2)`, so a value read from the sketch is off by at
//! most `√factor - 1` and the sketch's own 1 %: by 0.14 % and 1 % at scale 8, 4.4 % at 3, 41 % at 0. Least and greatest are the
//! outer boundaries of the outermost buckets in use, where the sender does not say them.

use std::sync::Arc;

use crate::model::Distribution;

/// A histogram's counts since its start.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketCounts {
    /// Where the buckets lie.
    pub layout: Layout,
    /// What lies no further from zero than this is in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero: f64,
    /// Buckets of positive values: index and count above zero, by rising index.
    pub positive: Vec<(i32, f64)>,
    /// Buckets of negative values, by the index of their absolute values.
    pub negative: Vec<(i32, f64)>,
    /// All observations.
    pub count: f64,
    /// What they add up to.
    pub sum: f64,
}

/// Where the boundaries of buckets lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// At powers, with this scale: -10 to 20.
    Powers(i32),
    /// At these rising values; the positive bucket `i` ends at the `i`th and the last has no end. There are no other buckets.
    Custom(Arc<[f64]>),
}

/// Scales that are understood: OpenTelemetry's, which include Prometheus' -4 to 8.
pub const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

/// Indices that are understood: further out no number lies at any scale.
pub const INDICES: std::ops::RangeInclusive<i32> = -(1 << 30)..=1 << 30;

impl BucketCounts {
    /// What was observed since `earlier` counts of the same histogram; none when it started anew in between.
    pub fn since(&self, earlier: &BucketCounts) -> Option<BucketCounts> {
        let mut earlier = earlier.clone();
        match (&self.layout, &earlier.layout) {
            // A sender joins buckets to bound their number; it never parts them again without starting anew.
            (Layout::Powers(now), Layout::Powers(then)) if now <= then => {
                let halvings = then.abs_diff(*now);
                join_buckets(&mut earlier.positive, halvings);
                join_buckets(&mut earlier.negative, halvings);
            }
            (Layout::Custom(now), Layout::Custom(then)) if now == then => {}
            _ => return None,
        }
        earlier.layout = self.layout.clone();
        if self.zero_threshold < earlier.zero_threshold {
            return None;
        }
        earlier.widen_zero(self.zero_threshold);
        let at_least = |now: f64, then: f64| (now >= then).then_some(now - then);
        Some(BucketCounts {
            layout: self.layout.clone(),
            zero_threshold: self.zero_threshold,
            zero: at_least(self.zero, earlier.zero)?,
            positive: buckets_since(&self.positive, &earlier.positive)?,
            negative: buckets_since(&self.negative, &earlier.negative)?,
            count: at_least(self.count, earlier.count)?,
            sum: self.sum - earlier.sum,
        })
    }

    /// A distribution of these observations. `least` and `greatest` as the sender says them, if it does.
    pub fn distribution(&self, least: Option<f64>, greatest: Option<f64>) -> Distribution {
        let mut distribution = Distribution::new();
        let sides = [(-1.0, &self.negative), (1.0, &self.positive)];
        for (sign, buckets) in sides {
            for &(index, count) in buckets {
                let (lower, middle, upper) = self.layout.bucket(index);
                distribution.sketch.add(sign * middle, count);
                distribution.min = distribution.min.min(sign * if sign > 0.0 { lower } else { upper });
                distribution.max = distribution.max.max(sign * if sign > 0.0 { upper } else { lower });
            }
        }
        if self.zero > 0.0 {
            distribution.sketch.add(0.0, self.zero);
            distribution.min = distribution.min.min(0.0);
            distribution.max = distribution.max.max(0.0);
        }
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        distribution.min = finite(least).unwrap_or(distribution.min);
        distribution.max = finite(greatest).unwrap_or(distribution.max);
        distribution.count = self.count;
        distribution.sum = self.sum;
        distribution
    }

    /// Moves buckets that lie within the wider zero bucket there.
    fn widen_zero(&mut self, threshold: f64) {
        if threshold <= self.zero_threshold {
            return;
        }
        self.zero_threshold = threshold;
        let mut moved = 0.0;
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.retain(|&(index, count)| {
                let stays = self.layout.bucket(index).2 > threshold;
                moved += if stays { 0.0 } else { count };
                stays
            });
        }
        self.zero += moved;
    }
}

impl Layout {
    /// Lower boundary, middle and upper boundary of a bucket, all finite.
    fn bucket(&self, index: i32) -> (f64, f64, f64) {
        match self {
            Layout::Powers(scale) => {
                let power = |at: f64| (at * f64::from(-scale).exp2()).exp2().min(f64::MAX);
                let index = f64::from(index);
                (power(index - 1.0), power(index - 0.5), power(index))
            }
            Layout::Custom(bounds) => {
                let at = usize::try_from(index).unwrap_or_default();
                let last = bounds.last().copied().unwrap_or_default();
                let upper = bounds.get(at).copied().unwrap_or(last);
                // The first bucket has no lower end; observations are positive as a rule.
                let lower = at.checked_sub(1).and_then(|at| bounds.get(at)).copied().unwrap_or(upper.min(0.0));
                (lower, lower / 2.0 + upper / 2.0, upper)
            }
        }
    }
}

/// Joins buckets as if the scale had been less by so much: what ends within a wider bucket is part of it.
fn join_buckets(buckets: &mut Vec<(i32, f64)>, halvings: u32) {
    if halvings == 0 {
        return;
    }
    for (index, _) in buckets.iter_mut() {
        *index = ((*index - 1) >> halvings) + 1;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

/// Each bucket's count less that of before; none when one has fallen.
fn buckets_since(now: &[(i32, f64)], then: &[(i32, f64)]) -> Option<Vec<(i32, f64)>> {
    let mut then = then.iter().peekable();
    let mut since = Vec::with_capacity(now.len());
    for &(index, count) in now {
        let before = match then.peek() {
            Some(&&(earlier, _)) if earlier < index => return None,
            Some(&&(earlier, before)) if earlier == index => {
                then.next();
                before
            }
            _ => 0.0,
        };
        if count < before {
            return None;
        }
        if count > before {
            since.push((index, count - before));
        }
    }
    then.next().is_none().then_some(since)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(scale: i32, positive: &[(i32, f64)]) -> BucketCounts {
        let count = positive.iter().map(|(_, count)| count).sum();
        BucketCounts {
            layout: Layout::Powers(scale),
            zero_threshold: 0.0,
            zero: 0.0,
            positive: positive.to_vec(),
            negative: Vec::new(),
            count,
            sum: count,
        }
    }

    /// The buckets of these values, as a client library would count them.
    fn observed(scale: i32, values: &[f64]) -> BucketCounts {
        let factor_log = f64::from(-scale).exp2();
        let mut buckets = std::collections::BTreeMap::new();
        for value in values {
            *buckets.entry((value.log2() / factor_log).ceil() as i32).or_insert(0.0) += 1.0;
        }
        BucketCounts { sum: values.iter().sum(), ..counts(scale, &buckets.into_iter().collect::<Vec<_>>()) }
    }

    proptest! {
        #[test]
        fn quantiles_are_off_by_the_width_of_a_bucket_at_most(
            scale in 0i32..=8,
            mut values in prop::collection::vec(1e-6f64..1e6, 1..200),
            q in 0.0f64..=1.0,
        ) {
            let distribution = observed(scale, &values).distribution(None, None);
            values.sort_by(f64::total_cmp);
            let exact = values[(q * (values.len() - 1) as f64).floor() as usize];
            let found = distribution.quantile(q).unwrap();
            let off = (f64::from(-scale).exp2() / 2.0).exp2() * 1.0101 - 1.0;
            prop_assert!((found / exact - 1.0).abs() <= off + 1e-9, "{found} for {exact} at scale {scale}");
            prop_assert!(distribution.min <= values[0] && distribution.max >= *values.last().unwrap() * (1.0 - 1e-9));
            prop_assert_eq!(distribution.count, values.len() as f64);
        }

        #[test]
        fn what_came_since_is_what_was_observed_since_even_when_buckets_were_joined(
            scale in -2i32..=8,
            coarser in 0i32..=3,
            before in prop::collection::vec(1e-6f64..1e6, 0..50),
            since in prop::collection::vec(1e-6f64..1e6, 0..50),
        ) {
            let all = [&before[..], &since].concat();
            let found = observed(scale - coarser, &all).since(&observed(scale, &before)).unwrap();
            let expected = observed(scale - coarser, &since);
            prop_assert_eq!(found.positive, expected.positive);
            prop_assert_eq!(found.count, expected.count);
        }
    }

    #[test]
    fn what_fell_started_anew() {
        let check = |now: &BucketCounts, then: &BucketCounts, expected: Option<&[(i32, f64)]>| {
            let found = now.since(then).map(|since| since.positive);
            assert_eq!(found.as_deref(), expected, "{now:?} {then:?}");
        };
        let then = counts(3, &[(1, 2.0), (5, 1.0)]);
        check(&counts(3, &[(1, 2.0), (3, 4.0), (5, 2.0)]), &then, Some(&[(3, 4.0), (5, 1.0)]));
        check(&then, &then, Some(&[]));
        check(&counts(3, &[(1, 1.0), (5, 9.0)]), &then, None);
        check(&counts(3, &[(1, 9.0)]), &then, None);
        check(&counts(3, &[(2, 9.0), (5, 1.0)]), &then, None);
        check(&counts(4, &[(1, 9.0), (2, 9.0), (9, 9.0), (10, 9.0)]), &then, None);
        // A wider zero bucket has taken in the bucket that ends at 2^(1/8).
        let wider = BucketCounts { zero_threshold: 1.1, zero: 3.0, ..counts(3, &[(5, 1.0)]) };
        assert_eq!(BucketCounts { count: 4.0, ..wider.clone() }.since(&then).map(|since| since.zero), Some(1.0));
        check(&then, &wider, None);
        let custom = |bounds: &[f64]| BucketCounts { layout: Layout::Custom(bounds.into()), ..then.clone() };
        check(&custom(&[1.0, 2.0]), &custom(&[1.0, 2.0]), Some(&[]));
        check(&custom(&[1.0, 2.0]), &custom(&[1.0, 3.0]), None);
        check(&custom(&[1.0, 2.0]), &then, None);
    }

    #[test]
    fn both_sides_of_zero_and_own_boundaries_have_their_place() {
        let both = BucketCounts { zero: 1.0, negative: vec![(1, 2.0)], count: 4.0, ..counts(0, &[(3, 1.0)]) };
        let distribution = both.distribution(None, None);
        assert_eq!((distribution.min, distribution.max), (-2.0, 8.0));
        let said = both.distribution(Some(-1.5), Some(5.0));
        assert_eq!((said.min, said.max, said.quantile(1.0)), (-1.5, 5.0, Some(5.0)));
        let custom = BucketCounts {
            layout: Layout::Custom([1.0, 2.0, 4.0].into()),
            ..counts(0, &[(0, 1.0), (2, 1.0), (3, 1.0)])
        };
        let distribution = custom.distribution(None, None);
        let found = [0.0, 0.5, 1.0].map(|q| (distribution.quantile(q).unwrap() * 10.0).round() / 10.0);
        assert_eq!((distribution.min, found, distribution.max), (0.0, [0.5, 3.0, 4.0], 4.0));
        // The widest buckets there are lie beyond all numbers.
        let widest = counts(-10, &[(-1, 1.0), (2, 1.0)]).distribution(None, None);
        assert!(widest.max.is_finite() && widest.quantile(1.0).is_some_and(f64::is_finite));
    }
}
