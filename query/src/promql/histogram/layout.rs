//! Making the layouts of two histograms one: a coarser schema, a wider zero bucket, the bounds that both list.

use std::sync::Arc;

use super::Histogram;

impl Histogram {
    /// The same observations at a coarser schema (or the same).
    pub(super) fn coarser(&mut self, schema: i32) {
        let Some(steps) = self.schema.checked_sub(schema).filter(|&steps| steps > 0 && steps < 31) else { return };
        let merge = |buckets: &mut Vec<(i32, f64)>| {
            let mut merged: Vec<(i32, f64)> = Vec::with_capacity(buckets.len());
            for &(index, count) in buckets.iter() {
                let index = ((index - 1) >> steps) + 1;
                match merged.last_mut() {
                    Some(last) if last.0 == index => last.1 += count,
                    _ => merged.push((index, count)),
                }
            }
            *buckets = merged;
        };
        merge(&mut self.positive);
        merge(&mut self.negative);
        self.schema = schema;
    }

    /// What the zero bucket would hold if it reached to this threshold, or as far beyond as the buckets it cuts reach.
    pub(super) fn zero_count_to(&self, threshold: f64) -> (f64, f64) {
        let mut threshold = threshold;
        loop {
            let inside = |buckets: &[(i32, f64)]| -> (f64, f64) {
                let (mut count, mut reach) = (0.0, threshold);
                for &(index, of_bucket) in buckets {
                    if self.lower_bound(index) >= threshold {
                        break;
                    }
                    count += of_bucket;
                    reach = reach.max(self.upper_bound(index));
                }
                (count, reach)
            };
            let (positive, to_right) = inside(&self.positive);
            let (negative, to_left) = inside(&self.negative);
            let reach = to_right.max(to_left);
            if reach <= threshold {
                return (self.zero_count + positive + negative, threshold);
            }
            threshold = reach;
        }
    }

    /// Widens the zero bucket to a threshold that [`Histogram::zero_count_to`] gave.
    pub(super) fn widen_zero(&mut self, count: f64, threshold: f64) {
        let schema = self.schema;
        let outside = |bucket: &(i32, f64)| super::exponential_bound(bucket.0.saturating_sub(1), schema) >= threshold;
        self.positive.retain(outside);
        self.negative.retain(outside);
        (self.zero_count, self.zero_threshold) = (count, threshold);
    }

    /// Gives both the same zero bucket.
    pub(super) fn align_zero(&mut self, other: &mut Histogram) {
        while self.zero_threshold != other.zero_threshold {
            let (narrow, wide) = if self.zero_threshold < other.zero_threshold {
                (&mut *self, &mut *other)
            } else {
                (&mut *other, &mut *self)
            };
            let (count, threshold) = narrow.zero_count_to(wide.zero_threshold);
            if threshold.is_nan() || wide.zero_threshold.is_nan() {
                return;
            }
            narrow.widen_zero(count, threshold);
        }
    }

    /// Keeps of the listed bounds only these, which are among them.
    pub(super) fn keep_bounds(&mut self, bounds: &Arc<[f64]>) {
        let mut kept: Vec<(i32, f64)> = Vec::with_capacity(self.positive.len());
        for &(index, count) in &self.positive {
            let upper = self.upper_bound(index);
            let index = bounds.partition_point(|&bound| bound < upper) as i32;
            match kept.last_mut() {
                Some(last) if last.0 == index => last.1 += count,
                _ => kept.push((index, count)),
            }
        }
        self.positive = kept;
        self.custom = bounds.clone();
    }
}

/// The bounds that both list.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Arc<[f64]> {
    a.iter().copied().filter(|bound| b.contains(bound)).collect()
}

/// Buckets of both, counts joined by `join`; those that come to nothing are left out.
pub(super) fn joined(a: &[(i32, f64)], b: &[(i32, f64)], join: impl Fn(f64, f64) -> f64) -> Vec<(i32, f64)> {
    let mut joined = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let index = match (a.peek(), b.peek()) {
            (None, None) => return joined,
            (Some(a), None) => a.0,
            (None, Some(b)) => b.0,
            (Some(a), Some(b)) => a.0.min(b.0),
        };
        let left = a.next_if(|bucket| bucket.0 == index).map_or(0.0, |bucket| bucket.1);
        let right = b.next_if(|bucket| bucket.0 == index).map_or(0.0, |bucket| bucket.1);
        let count = join(left, right);
        if count != 0.0 {
            joined.push((index, count));
        }
    }
}
