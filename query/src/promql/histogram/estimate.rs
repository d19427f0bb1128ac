//! What histograms tell of the observations in them: quantiles, shares, deviations. The rules and the interpolation are those
//! of Prometheus' specification of native histograms; classic buckets are (upper bound, cumulative count).

use super::{Bucket, Histogram};

/// An estimate, and what observations that are no numbers did to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Estimate {
    Plain(f64),
    /// They count as more than any number.
    Skewed(f64),
    /// The answer is among them.
    NotANumber,
}

impl Histogram {
    /// The `q`-quantile of its observations.
    pub(crate) fn quantile(&self, q: f64) -> Estimate {
        if q < 0.0 {
            return Estimate::Plain(f64::NEG_INFINITY);
        }
        if q > 1.0 {
            return Estimate::Plain(f64::INFINITY);
        }
        if self.count == 0.0 || q.is_nan() {
            return Estimate::Plain(f64::NAN);
        }
        let buckets: Vec<Bucket> = self.buckets().collect();
        // What is no number is in no bucket, so that only the way up from the least observation finds a rank.
        let has_nan = self.has_nan();
        let upwards = self.sum.is_nan() || q < 0.5;
        let rank = if upwards { q * self.count } else { (1.0 - q) * self.count };
        let mut count = 0.0;
        let mut found = None;
        for step in 0..buckets.len() {
            let bucket = buckets[if upwards { step } else { buckets.len() - 1 - step }];
            count += bucket.count;
            found = Some(bucket);
            if count >= rank {
                break;
            }
        }
        let Some(mut bucket) = found else { return Estimate::Plain(f64::NAN) };
        if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return Estimate::Plain(bucket.upper);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return Estimate::Plain(bucket.lower);
            }
        } else {
            self.narrow_zero(&mut bucket);
        }
        count = count.min(self.count);
        if has_nan && count < rank {
            return Estimate::NotANumber;
        }
        if count < rank {
            return Estimate::Plain(if upwards { bucket.upper } else { bucket.lower });
        }
        let into = if upwards { rank - (count - bucket.count) } else { count - rank };
        let share = into / bucket.count;
        let value = if self.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
            bucket.lower + (bucket.upper - bucket.lower) * share
        } else {
            let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
            if bucket.lower > 0.0 {
                (low + (high - low) * share).exp2()
            } else {
                -((high + (low - high) * (1.0 - share)).exp2())
            }
        };
        if has_nan { Estimate::Skewed(value) } else { Estimate::Plain(value) }
    }

    /// Whether some observations are no numbers: they are counted, and are in no bucket.
    pub(crate) fn has_nan(&self) -> bool {
        let in_buckets = || self.buckets().map(|bucket| bucket.count).sum::<f64>();
        self.sum.is_nan() && !self.is_custom() && in_buckets() < self.count
    }

    /// The zero bucket holds nothing below zero when nothing else is there, and nothing above it likewise.
    fn narrow_zero(&self, bucket: &mut Bucket) {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            match (self.negative.is_empty(), self.positive.is_empty()) {
                (true, false) => bucket.lower = 0.0,
                (false, true) => bucket.upper = 0.0,
                _ => {}
            }
        }
    }

    /// Which share of its observations lies between the two.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> f64 {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        let mut buckets: Vec<(Bucket, bool)> = Vec::new();
        buckets.extend(self.buckets().map(|mut bucket| {
            let is_zero = !self.is_custom() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if is_zero {
                self.narrow_zero(&mut bucket);
            }
            if self.is_custom() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
                bucket.lower = 0.0;
            }
            (bucket, is_zero || self.is_custom())
        }));
        let below = |value: f64| share_below(buckets.iter().copied(), value);
        let in_buckets = below(upper) - below(lower);
        // An estimate from inside a bucket may be beyond what is counted in all by a rounding.
        in_buckets / self.count
    }

    /// The variance of its observations, each taken for the middle of its bucket.
    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let squares: f64 = self
            .buckets()
            .map(|bucket| {
                let middle = if self.is_custom() {
                    (bucket.upper + bucket.lower) / 2.0
                } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                    0.0
                } else {
                    (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
                };
                bucket.count * (middle - mean) * (middle - mean)
            })
            .sum();
        squares / self.count
    }
}

/// Observations not above the value; each bucket comes with whether it is filled evenly.
fn share_below(buckets: impl Iterator<Item = (Bucket, bool)>, value: f64) -> f64 {
    let mut below = 0.0;
    for (bucket, evenly) in buckets {
        if bucket.lower >= value {
            break;
        }
        if bucket.upper <= value {
            below += bucket.count;
            continue;
        }
        let share = if evenly {
            if bucket.lower == f64::NEG_INFINITY { 0.0 } else { (value - bucket.lower) / (bucket.upper - bucket.lower) }
        } else {
            let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
            let at = value.abs().log2();
            if value > 0.0 { (at - low) / (high - low) } else { 1.0 - (at - high) / (low - high) }
        };
        return below + bucket.count * share;
    }
    below
}

/// The `q`-quantile of classic buckets, linear within a bucket; the lowest bucket starts at 0 when its bound is positive. NaN
/// without an infinite bucket or observations. And whether counts fell and had to be made to rise.
pub(crate) fn bucket_quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if !coalesce(&mut buckets) {
        return (f64::NAN, false);
    }
    let forced = make_monotonic(&mut buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].1;
    if buckets.len() < 2 || observations == 0.0 || observations.is_nan() {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let place = buckets[..last].partition_point(|bucket| bucket.1 < rank);
    if place == last {
        return (buckets[last - 1].0, forced);
    }
    if place == 0 && buckets[0].0 <= 0.0 {
        return (buckets[0].0, forced);
    }
    let (end, mut count) = buckets[place];
    let mut start = 0.0;
    if place > 0 {
        start = buckets[place - 1].0;
        count -= buckets[place - 1].1;
        rank -= buckets[place - 1].1;
    }
    (start + (end - start) * (rank / count), forced)
}

/// Which share of the observations of classic buckets lies between the two.
pub(crate) fn bucket_fraction(lower: f64, upper: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if !coalesce(&mut buckets) {
        return f64::NAN;
    }
    let observations = buckets[buckets.len() - 1].1;
    if observations == 0.0 || observations.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut before = (f64::NEG_INFINITY, 0.0);
    let single: Vec<(Bucket, bool)> = buckets
        .iter()
        .enumerate()
        .map(|(place, &(upper, count))| {
            let lower = if place == 0 && upper > 0.0 { 0.0 } else { before.0 };
            let of_bucket = count - before.1;
            before = (upper, count);
            (Bucket { lower, upper, count: of_bucket, lower_inclusive: false, upper_inclusive: true }, true)
        })
        .collect();
    (share_below(single.iter().copied(), upper) - share_below(single.iter().copied(), lower)) / observations
}

/// Sorts, and joins buckets of one bound. Whether the last is infinite, as it must be.
fn coalesce(buckets: &mut Vec<(f64, f64)>) -> bool {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 += later.1;
        }
        same
    });
    buckets.last().is_some_and(|last| last.0 == f64::INFINITY)
}

/// Differences of counts below this share of their sum are rounding (Prometheus' `smallDeltaTolerance`).
const ROUNDING: f64 = 1e-12;

/// Counts of one moment can have been read at slightly different times: they are made to rise. Whether one fell by more than
/// rounding explains.
fn make_monotonic(buckets: &mut [(f64, f64)]) -> bool {
    let mut forced = false;
    let mut before = buckets[0].1;
    for bucket in buckets.iter_mut().skip(1) {
        let count = bucket.1;
        if count == before {
            continue;
        }
        if (before - count).abs() < ROUNDING * (before + count).abs() {
            bucket.1 = before;
            continue;
        }
        if count < before {
            bucket.1 = before;
            forced = true;
            continue;
        }
        before = count;
    }
    forced
}
