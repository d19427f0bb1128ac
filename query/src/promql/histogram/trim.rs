//! `</` and `>/`: what of a histogram lies below or above a number. A bucket that the number cuts is shared out by the
//! interpolation that quantiles use; count and sum are estimated anew from what is left.

use super::{Bucket, Histogram};

impl Histogram {
    /// What is left when everything above (or, with `keep_above`, below) the number is taken away.
    pub(crate) fn trimmed(&self, at: f64, keep_above: bool) -> Histogram {
        let mut trimmed = self.clone();
        if at.is_nan() {
            return trimmed;
        }
        let mut changed = false;
        let mut sum = 0.0;
        let mut keep = |bucket: Bucket, evenly: bool, is_zero: bool| -> f64 {
            let mut narrowed = bucket;
            if is_zero {
                self.narrow_zero_for_trim(&mut narrowed);
            }
            self.start_at_zero(&mut narrowed);
            // Nobody knows where in a bucket without an end the observations lie: cut, it goes as a whole.
            let is_cut = narrowed.lower < at && at < narrowed.upper;
            let endless = !narrowed.lower.is_finite() || !narrowed.upper.is_finite();
            let share = match below(narrowed, evenly, at) {
                _ if is_cut && endless => 0.0,
                below if keep_above => 1.0 - below,
                below => below,
            };
            changed |= share < 1.0;
            let (from, to) = if share >= 1.0 {
                (narrowed.lower, narrowed.upper)
            } else if keep_above {
                (at.max(narrowed.lower), narrowed.upper)
            } else {
                (narrowed.lower, at.min(narrowed.upper))
            };
            let count = bucket.count * share;
            if count != 0.0 {
                sum += count * middle(from, to, evenly);
            }
            count
        };
        let custom = self.is_custom();
        trimmed.negative.iter_mut().for_each(|b| b.1 = keep(self.negative_bucket(*b), false, false));
        if self.zero_count != 0.0 {
            trimmed.zero_count = keep(self.zero_bucket(), true, true);
        }
        trimmed.positive.iter_mut().for_each(|b| b.1 = keep(self.positive_bucket(*b), custom, false));
        if !changed {
            return self.clone();
        }
        trimmed.negative.retain(|bucket| bucket.1 != 0.0);
        trimmed.positive.retain(|bucket| bucket.1 != 0.0);
        let of = |side: &[(i32, f64)]| side.iter().map(|bucket| bucket.1).sum::<f64>();
        trimmed.count = trimmed.zero_count + of(&trimmed.negative) + of(&trimmed.positive);
        trimmed.sum = sum;
        trimmed
    }

    fn narrow_zero_for_trim(&self, bucket: &mut Bucket) {
        match (self.negative.is_empty(), self.positive.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }

    /// A listed bucket without a lower bound, as quantiles see it: it begins at zero when it reaches above it.
    fn start_at_zero(&self, bucket: &mut Bucket) {
        if self.is_custom() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            bucket.lower = 0.0;
        }
    }
}

/// The share of a bucket's observations that is not above the number.
fn below(bucket: Bucket, evenly: bool, at: f64) -> f64 {
    if at >= bucket.upper {
        1.0
    } else if at <= bucket.lower {
        0.0
    } else if evenly {
        (at - bucket.lower) / (bucket.upper - bucket.lower)
    } else {
        let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
        (at.abs().log2() - low) / (high - low)
    }
}

fn middle(from: f64, to: f64, evenly: bool) -> f64 {
    if !from.is_finite() {
        to
    } else if !to.is_finite() {
        from
    } else if evenly {
        (from + to) / 2.0
    } else {
        (from * to).sqrt().copysign(to)
    }
}
