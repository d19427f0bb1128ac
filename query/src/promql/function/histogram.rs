//! `histogram_quantile` on classic buckets (`le` labels). Functions of native histograms find nothing, since there are none.

use std::collections::HashMap;
use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;

use super::super::PromqlError;
use super::super::labels::{value_text, without};
use super::{ABSENT, Arguments, StepSeries, Value, is_absent};

/// The label that holds a bucket's upper bound.
const BOUND_LABEL: &str = "le";

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    Some(match name {
        "histogram_quantile" => histogram_quantile(arguments),
        "histogram_count" | "histogram_sum" | "histogram_avg" | "histogram_stddev" | "histogram_stdvar" => {
            arguments.vector(0).map(|_| Value::Vector(Vec::new()))
        }
        _ => return None,
    })
}

fn histogram_quantile(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let q = arguments.numbers(0)?;
    for &q in q.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        let message = format!("quantile value should be between 0 and 1, got {}", value_text(q));
        arguments.evaluator.warn(&message, "histogram_quantile");
    }
    let series = arguments.vector(1)?;
    let mut places: HashMap<LabelSet, usize> = HashMap::new();
    let mut histograms: Vec<(LabelSet, Vec<(f64, usize)>)> = Vec::new();
    for (member, one) in series.iter().enumerate() {
        let Some(bound) = bound(one.labels.get(BOUND_LABEL)) else {
            arguments.evaluator.warn(
                &format!(
                    "bucket label \"le\" is missing or has a malformed value of {:?}",
                    one.labels.get(BOUND_LABEL)
                ),
                "histogram_quantile",
            );
            continue;
        };
        let place = *places.entry(without(&one.labels, &[NAME_LABEL, BOUND_LABEL])).or_insert_with_key(|labels| {
            histograms.push((labels.clone(), Vec::new()));
            histograms.len() - 1
        });
        histograms[place].1.push((bound, member));
    }
    arguments.evaluator.hold(histograms.len().saturating_mul(arguments.steps.count))?;
    let of_histogram = |(labels, buckets): (LabelSet, Vec<(f64, usize)>)| {
        let of_step = |step: usize| {
            let counts = buckets.iter().map(|&(bound, member)| (bound, series[member].values[step]));
            let present: Vec<(f64, f64)> = counts.filter(|(_, count)| !is_absent(*count)).collect();
            if present.is_empty() { ABSENT } else { bucket_quantile(q[step], present) }
        };
        StepSeries { labels: Arc::new(labels), values: (0..arguments.steps.count).map(of_step).collect() }
    };
    Ok(Value::Vector(histograms.into_iter().map(of_histogram).collect()))
}

/// A bound as Prometheus clients write it: a decimal number, `+Inf` for the last.
fn bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// The `q`-quantile of cumulative counts (upper bound, count), linear within a bucket; the lowest bucket starts at 0 when its
/// bound is positive. NaN without an infinite bucket or observations (`promql/quantile.go`, `BucketQuantile`).
fn bucket_quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets.last().is_none_or(|last| last.0 != f64::INFINITY) {
        return f64::NAN;
    }
    buckets.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 += later.1;
        }
        same
    });
    // Counts of one moment can have been read at slightly different times: they are made to rise.
    let mut highest = 0.0f64;
    for bucket in &mut buckets {
        highest = highest.max(bucket.1);
        bucket.1 = highest;
    }
    let observations = highest;
    if buckets.len() < 2 || observations == 0.0 || observations.is_nan() {
        return f64::NAN;
    }
    let mut rank = q * observations;
    let last = buckets.len() - 1;
    let place = buckets[..last].partition_point(|bucket| bucket.1 < rank);
    if place == last {
        return buckets[last - 1].0;
    }
    if place == 0 && buckets[0].0 <= 0.0 {
        return buckets[0].0;
    }
    let (end, mut count) = buckets[place];
    let mut start = 0.0;
    if place > 0 {
        start = buckets[place - 1].0;
        count -= buckets[place - 1].1;
        rank -= buckets[place - 1].1;
    }
    start + (end - start) * (rank / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_within_a_bucket() {
        let check = |q, buckets: &[(f64, f64)], expected: f64| {
            let found = bucket_quantile(q, buckets.to_vec());
            assert!(found == expected || (found.is_nan() && expected.is_nan()), "{found} for {expected}");
        };
        let buckets = [(0.1, 10.0), (0.2, 30.0), (f64::INFINITY, 40.0)];
        check(0.25, &buckets, 0.1);
        check(0.5, &buckets, 0.15000000000000002);
        check(0.125, &buckets, 0.05);
        check(0.99, &buckets, 0.2);
        check(-1.0, &buckets, f64::NEG_INFINITY);
        check(0.5, &buckets[..2], f64::NAN);
        check(0.5, &[(0.1, 0.0), (f64::INFINITY, 0.0)], f64::NAN);
        check(0.5, &[(-1.0, 5.0), (f64::INFINITY, 6.0)], -1.0);
        // A count that was read too early is lifted to the one before.
        check(0.5, &[(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 10.0)], 0.5);
    }
}
