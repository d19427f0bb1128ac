//! Native histograms with float counts, as Prometheus 3 has them
//! (<https://prometheus.io/docs/specs/native_histograms/>): buckets whose bounds follow from a schema, or are listed.
//!
//! `arithmetic` (sums, differences, counter resets), `layout` (making two layouts one), `estimate` (quantiles, shares,
//! deviations), `trim`, `display` (text and buckets as answers show them), `distribution` (our windows' sketches as native
//! histograms).

mod arithmetic;
mod display;
mod distribution;
mod estimate;
mod layout;
mod trim;

use std::sync::Arc;

pub(crate) use arithmetic::Combined;
#[cfg(test)]
use arithmetic::MixedLayouts;
pub(crate) use display::go_text as number_text;
pub(crate) use distribution::cumulative_histograms;
pub(crate) use estimate::{Estimate, bucket_fraction, bucket_quantile};

/// The schema of histograms whose bounds are listed.
pub const CUSTOM_SCHEMA: i32 = -53;

/// What is known of a counter's restart before a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    /// Nothing.
    #[default]
    Unknown,
    /// The counter started again.
    Reset,
    /// It did not.
    NotReset,
    /// It is no counter.
    Gauge,
}

/// See the module's documentation. A bucket of index `i` and schema `s` holds what lies above 2^((i−1)·2^−s) and is not above
/// 2^(i·2^−s), or, of listed bounds, what lies above the bound before and is not above bound `i`. Buckets are sorted by index;
/// those that hold nothing are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// What is known of a restart before it.
    pub hint: ResetHint,
    /// −4 to 8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// What is no farther from zero than this is in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// (index, observations) above zero.
    pub positive: Vec<(i32, f64)>,
    /// (index of the absolute value, observations) below zero.
    pub negative: Vec<(i32, f64)>,
    /// The listed bounds.
    pub custom: Arc<[f64]>,
}

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Observations.
    pub count: f64,
    /// Whether the lower bound itself belongs to it.
    pub lower_inclusive: bool,
    /// Whether the upper bound itself belongs to it.
    pub upper_inclusive: bool,
}

impl Histogram {
    /// Whether its bounds are listed.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// The upper bound of a positive bucket.
    fn upper_bound(&self, index: i32) -> f64 {
        if self.is_custom() {
            return match usize::try_from(index) {
                Ok(place) => self.custom.get(place).copied().unwrap_or(f64::INFINITY),
                Err(_) => f64::NEG_INFINITY,
            };
        }
        exponential_bound(index, self.schema)
    }

    fn lower_bound(&self, index: i32) -> f64 {
        self.upper_bound(index.saturating_sub(1))
    }

    fn positive_bucket(&self, (index, count): (i32, f64)) -> Bucket {
        let (lower, upper) = (self.lower_bound(index), self.upper_bound(index));
        // Listed bounds may be below zero, where buckets mirror those above it.
        Bucket { lower, upper, count, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0 }
    }

    fn negative_bucket(&self, (index, count): (i32, f64)) -> Bucket {
        let (lower, upper) = (-self.upper_bound(index), -self.lower_bound(index));
        Bucket { lower, upper, count, lower_inclusive: true, upper_inclusive: false }
    }

    fn zero_bucket(&self) -> Bucket {
        let (lower, upper) = (-self.zero_threshold, self.zero_threshold);
        Bucket { lower, upper, count: self.zero_count, lower_inclusive: true, upper_inclusive: true }
    }

    /// The buckets that hold something, by rising bounds.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let negative = self.negative.iter().rev().map(|&bucket| self.negative_bucket(bucket));
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        negative.chain(zero).chain(self.positive.iter().map(|&bucket| self.positive_bucket(bucket)))
    }

    /// The same values, whatever is known of restarts.
    pub fn same_values(&self, other: &Histogram) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a == b;
        let same_buckets = |a: &[(i32, f64)], b: &[(i32, f64)]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && same(self.zero_threshold, other.zero_threshold)
            && same(self.zero_count, other.zero_count)
            && (!self.is_custom() || self.custom == other.custom)
            && same_buckets(&self.positive, &other.positive)
            && same_buckets(&self.negative, &other.negative)
    }
}

/// 2^(index·2^−schema), infinite beyond all numbers; the last bound that is one is the greatest number.
fn exponential_bound(index: i32, schema: i32) -> f64 {
    let exponent = f64::from(index) * f64::from(-schema).exp2();
    if exponent == 1024.0 { f64::MAX } else { exponent.exp2() }
}

#[cfg(test)]
mod tests;
