//! The windows of a distribution as native histograms.
//!
//! A sketch's bin is narrower than any bucket but those of the finest schemas: γ is 1.0202, a bucket of schema 8 grows by
//! 2^(1/256) = 1.0027. So each bin goes, at the value that stands for it, into a bucket of that schema: what a quantile was
//! off by the bin (1 %) it may be off by half a bucket more, 1.14 % in all; counts and sums are exact. Other schemas are
//! reached by joining buckets when such a histogram is added to a coarser one.

use std::sync::Arc;

use taffrail_collector::model::Distribution;

use super::{Histogram, ResetHint};

/// The schema that sketches are read at.
const SKETCH_SCHEMA: i32 = 8;

/// How much a bin grows, and what is nearer to zero than can be told: as the sketch has them.
const GAMMA: f64 = 1.01 / 0.99;
const SMALLEST: f64 = 1e-9;

/// Growing sums of windows, one for the start before them and one for each, as a scrape would find them.
pub(crate) fn cumulative_histograms(windows: &[Distribution]) -> Vec<Arc<Histogram>> {
    let mut sum = Histogram { schema: SKETCH_SCHEMA, zero_threshold: SMALLEST, ..Histogram::default() };
    let mut found = Vec::with_capacity(windows.len() + 1);
    found.push(Arc::new(sum.clone()));
    for window in windows {
        sum.hint = ResetHint::NotReset;
        sum.count += window.count;
        sum.sum += window.sum;
        sum.zero_count += window.sketch.zero();
        add_bins(&mut sum.positive, window.sketch.positive());
        add_bins(&mut sum.negative, window.sketch.negative());
        found.push(Arc::new(sum.clone()));
    }
    found
}

fn add_bins(buckets: &mut Vec<(i32, f64)>, bins: &[(i32, f64)]) {
    for &(bin, weight) in bins {
        let value = 2.0 * GAMMA.powi(bin) / (GAMMA + 1.0);
        let index = (value.log2() * f64::from(1 << SKETCH_SCHEMA)).ceil() as i32;
        match buckets.binary_search_by_key(&index, |bucket| bucket.0) {
            Ok(place) => buckets[place].1 += weight,
            Err(place) => buckets.insert(place, (index, weight)),
        }
    }
}
