//! Sums and differences of histograms, multiples, and whether a counter started again.

use std::borrow::Cow;

use super::layout::{common_bounds, joined};
use super::{Histogram, ResetHint};

/// One histogram has listed bounds and the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MixedLayouts;

/// What joining two histograms came across.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combined {
    /// One counter is known to have started again and the other not to.
    pub(crate) reset_collision: bool,
    /// Listed bounds differed, and those that both had were kept.
    pub(crate) bounds_reconciled: bool,
}

impl Histogram {
    /// Adds another.
    pub(crate) fn add(&mut self, other: &Histogram) -> Result<Combined, MixedLayouts> {
        self.combine(other, |a, b| a + b)
    }

    /// Takes another away. That the outcome is no counter any more is for the caller to say.
    pub(crate) fn subtract(&mut self, other: &Histogram) -> Result<Combined, MixedLayouts> {
        self.combine(other, |a, b| a - b)
    }

    fn combine(&mut self, other: &Histogram, join: impl Fn(f64, f64) -> f64) -> Result<Combined, MixedLayouts> {
        let (other, bounds_reconciled) = self.align(other)?;
        let reset_collision = self.join_hints(other.hint);
        self.count = join(self.count, other.count);
        self.sum = join(self.sum, other.sum);
        self.zero_count = join(self.zero_count, other.zero_count);
        self.positive = joined(&self.positive, &other.positive, &join);
        self.negative = joined(&self.negative, &other.negative, &join);
        Ok(Combined { reset_collision, bounds_reconciled })
    }

    /// Gives both the same layout; whether listed bounds had to be dropped.
    fn align<'o>(&mut self, other: &'o Histogram) -> Result<(Cow<'o, Histogram>, bool), MixedLayouts> {
        if self.is_custom() != other.is_custom() {
            return Err(MixedLayouts);
        }
        let mut other = Cow::Borrowed(other);
        if self.is_custom() {
            if self.custom == other.custom {
                return Ok((other, false));
            }
            let bounds = common_bounds(&self.custom, &other.custom);
            self.keep_bounds(&bounds);
            other.to_mut().keep_bounds(&bounds);
            return Ok((other, true));
        }
        if self.zero_threshold != other.zero_threshold {
            self.align_zero(other.to_mut());
        }
        if self.schema > other.schema {
            self.coarser(other.schema);
        } else if other.schema > self.schema {
            other.to_mut().coarser(self.schema);
        }
        Ok((other, false))
    }

    /// What is known of the sum's restarts; whether the two contradict each other.
    fn join_hints(&mut self, other: ResetHint) -> bool {
        let (hint, collision) = match (self.hint, other) {
            (a, b) if a == b => (a, false),
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
            (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
            _ => (ResetHint::Unknown, true),
        };
        self.hint = hint;
        collision
    }

    /// All counts and the sum so many times; less than none of a counter is no counter.
    pub(crate) fn multiply(&mut self, factor: f64) {
        self.scale(factor, |value| value * factor);
    }

    /// All counts and the sum divided. By zero, only the zero bucket is left.
    pub(crate) fn divide(&mut self, divisor: f64) {
        self.scale(divisor, |value| value / divisor);
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
    }

    fn scale(&mut self, by: f64, scaled: impl Fn(f64) -> f64) {
        self.count = scaled(self.count);
        self.sum = scaled(self.sum);
        self.zero_count = scaled(self.zero_count);
        for side in [&mut self.positive, &mut self.negative] {
            side.iter_mut().for_each(|bucket| bucket.1 = scaled(bucket.1));
            side.retain(|bucket| bucket.1 != 0.0);
        }
        if by < 0.0 {
            self.hint = ResetHint::Gauge;
        }
    }

    /// Whether the counter started again since `before`: by the hint, or because anything fell, a bucket's observations went
    /// away, the zero bucket became narrower or the buckets finer.
    pub(crate) fn is_reset_after(&self, before: &Histogram) -> bool {
        match self.hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        self.fell_since(before)
    }

    /// The same by the values alone.
    pub(crate) fn fell_since(&self, before: &Histogram) -> bool {
        if self.count < before.count || self.is_custom() != before.is_custom() {
            return true;
        }
        let mut before = Cow::Borrowed(before);
        let mut now = Cow::Borrowed(self);
        if self.is_custom() {
            if self.custom != before.custom {
                let bounds = common_bounds(&self.custom, &before.custom);
                now.to_mut().keep_bounds(&bounds);
                before.to_mut().keep_bounds(&bounds);
            }
        } else {
            if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
                return true;
            }
            if self.zero_threshold > before.zero_threshold {
                let (count, threshold) = before.zero_count_to(self.zero_threshold);
                if threshold != self.zero_threshold {
                    return true;
                }
                before.to_mut().widen_zero(count, threshold);
            }
            if before.schema > self.schema {
                before.to_mut().coarser(self.schema);
            }
            if now.zero_count < before.zero_count {
                return true;
            }
        }
        let fell = |now: &[(i32, f64)], before: &[(i32, f64)]| {
            before.iter().any(|&(index, count)| {
                let found = now.binary_search_by_key(&index, |bucket| bucket.0);
                found.map_or(0.0, |place| now[place].1) < count
            })
        };
        fell(&now.positive, &before.positive) || fell(&now.negative, &before.negative)
    }
}
