//! Rules of the specification, worked out by hand.

use super::*;

fn exponential(schema: i32, positive: &[(i32, f64)]) -> Histogram {
    let count = positive.iter().map(|bucket| bucket.1).sum();
    Histogram { schema, positive: positive.to_vec(), count, ..Histogram::default() }
}

fn custom(bounds: &[f64], counts: &[(i32, f64)]) -> Histogram {
    Histogram { custom: bounds.into(), ..exponential(CUSTOM_SCHEMA, counts) }
}

#[test]
fn bounds_follow_from_the_schema() {
    let upper = |schema, index| exponential(schema, &[]).upper_bound(index);
    assert_eq!((upper(0, 0), upper(0, 1), upper(0, -2)), (1.0, 2.0, 0.25));
    assert_eq!((upper(-2, 1), upper(-4, 1), upper(1, 2)), (16.0, 65536.0, 2.0));
    assert!((upper(2, 1) - 2f64.powf(0.25)).abs() < 1e-15);
    assert_eq!((upper(0, 1024), upper(0, 1025)), (f64::MAX, f64::INFINITY));
}

#[test]
fn sums_meet_at_the_coarser_schema_and_the_wider_zero_bucket() {
    let mut sum = exponential(1, &[(1, 1.0), (2, 2.0), (3, 4.0)]);
    sum.add(&exponential(0, &[(1, 10.0)])).unwrap();
    // (1,√2] and (√2,2] are (1,2] together; (2,2√2] lies in (2,4].
    assert_eq!((sum.schema, &sum.positive[..]), (0, &[(1, 13.0), (2, 4.0)][..]));

    let mut narrow = Histogram { zero_threshold: 0.1, zero_count: 1.0, ..exponential(0, &[(0, 2.0), (1, 4.0)]) };
    let wide = Histogram { zero_threshold: 0.75, zero_count: 8.0, ..exponential(0, &[]) };
    narrow.add(&wide).unwrap();
    // 0.75 cuts (0.5,1], which goes into the zero bucket as a whole.
    assert_eq!((narrow.zero_threshold, narrow.zero_count), (1.0, 11.0));
    assert_eq!(narrow.positive, [(1, 4.0)]);
}

#[test]
fn listed_bounds_that_differ_are_reconciled_and_never_mixed_with_schemas() {
    let mut sum = custom(&[1.0, 2.0, 3.0], &[(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0)]);
    let combined = sum.add(&custom(&[1.0, 3.0], &[(0, 10.0), (1, 20.0), (2, 40.0)])).unwrap();
    assert!(combined.bounds_reconciled);
    assert_eq!((&sum.custom[..], &sum.positive[..]), (&[1.0, 3.0][..], &[(0, 11.0), (1, 26.0), (2, 48.0)][..]));
    assert_eq!(sum.add(&exponential(0, &[])), Err(MixedLayouts));
}

#[test]
fn restarts_are_seen_by_any_fall() {
    let before = exponential(1, &[(1, 1.0), (4, 2.0)]);
    let check = |now: Histogram, reset| assert_eq!(now.is_reset_after(&before), reset, "{now}");
    check(before.clone(), false);
    check(exponential(1, &[(1, 5.0), (2, 1.0), (4, 2.0)]), false);
    check(exponential(1, &[(1, 5.0)]), true);
    check(exponential(0, &[(1, 1.0), (2, 2.0)]), false);
    check(exponential(2, &[(2, 9.0), (8, 9.0)]), true);
    check(Histogram { zero_threshold: 0.5, ..before.clone() }, false);
    check(Histogram { hint: ResetHint::Reset, ..before.clone() }, true);
    check(Histogram { hint: ResetHint::NotReset, ..exponential(1, &[]) }, false);
    check(custom(&[1.0], &[(0, 9.0)]), true);
}

#[test]
fn hints_of_sums() {
    use ResetHint::*;
    let check = |a, b, expected, collision| {
        let mut sum = Histogram { hint: a, ..exponential(0, &[]) };
        let combined = sum.add(&Histogram { hint: b, ..exponential(0, &[]) }).unwrap();
        assert_eq!((sum.hint, combined.reset_collision), (expected, collision), "{a:?} {b:?}");
    };
    check(NotReset, NotReset, NotReset, false);
    check(NotReset, Reset, Unknown, true);
    check(Gauge, Reset, Gauge, false);
    check(NotReset, Gauge, Gauge, false);
    check(Unknown, NotReset, Unknown, false);
    check(Reset, Unknown, Unknown, false);
}

#[test]
fn quantiles_and_shares_interpolate_within_a_bucket() {
    let plain = |histogram: &Histogram, q| match histogram.quantile(q) {
        Estimate::Plain(value) => value,
        other => panic!("{other:?}"),
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 || a == b, "{a} {b}");
    // Exponential: the middle of (1,4] by count is its geometric mean.
    let one = exponential(-1, &[(1, 4.0)]);
    near(plain(&one, 0.5), 2.0);
    near(plain(&one, 0.25), 2f64.sqrt());
    near(plain(&one, 0.0), 1.0);
    near(plain(&one, 1.0), 4.0);
    near(one.fraction(1.0, 2.0), 0.5);
    near(one.fraction(f64::NEG_INFINITY, f64::INFINITY), 1.0);
    let mirrored = Histogram { negative: one.positive.clone(), positive: Vec::new(), ..one.clone() };
    near(plain(&mirrored, 0.5), -2.0);
    near(plain(&mirrored, 0.25), -(2.0 * 2f64.sqrt()));
    near(mirrored.fraction(-2.0, 0.0), 0.5);
    // Linear in the zero bucket, which lies on the side where others are.
    let zero = Histogram { zero_threshold: 0.5, zero_count: 4.0, count: 8.0, ..exponential(0, &[(1, 4.0)]) };
    near(plain(&zero, 0.25), 0.25);
    // Linear in listed bounds; the outer ones have no width.
    let listed = custom(&[5.0, 10.0], &[(0, 2.0), (1, 2.0), (2, 4.0)]);
    near(plain(&listed, 0.125), 2.5);
    near(plain(&listed, 0.375), 7.5);
    near(plain(&listed, 0.9), 10.0);
    assert!(plain(&exponential(0, &[]), 0.5).is_nan());
    near(plain(&one, -1.0), f64::NEG_INFINITY);
}

#[test]
fn what_is_no_number_is_above_all_buckets() {
    let histogram = Histogram { count: 8.0, sum: f64::NAN, ..exponential(0, &[(1, 4.0)]) };
    assert_eq!(histogram.quantile(0.9), Estimate::NotANumber);
    assert!(matches!(histogram.quantile(0.25), Estimate::Skewed(value) if (value - 2f64.sqrt()).abs() < 1e-12));
    assert_eq!(histogram.fraction(f64::NEG_INFINITY, f64::INFINITY), 0.5);
}

#[test]
fn classic_quantiles_are_linear_within_a_bucket() {
    let check = |q, buckets: &[(f64, f64)], expected: f64, forced| {
        let found = bucket_quantile(q, buckets.to_vec());
        let same = found.0 == expected || (found.0.is_nan() && expected.is_nan());
        assert!(same && found.1 == forced, "{found:?} for {expected}");
    };
    let buckets = [(0.1, 10.0), (0.2, 30.0), (f64::INFINITY, 40.0)];
    check(0.25, &buckets, 0.1, false);
    check(0.5, &buckets, 0.15000000000000002, false);
    check(0.125, &buckets, 0.05, false);
    check(0.99, &buckets, 0.2, false);
    check(-1.0, &buckets, f64::NEG_INFINITY, false);
    check(0.5, &buckets[..2], f64::NAN, false);
    check(0.5, &[(0.1, 0.0), (f64::INFINITY, 0.0)], f64::NAN, false);
    check(0.5, &[(-1.0, 5.0), (f64::INFINITY, 6.0)], -1.0, false);
    // A count that was read too early is lifted to the one before; a rounding is none.
    check(0.5, &[(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 10.0)], 0.5, true);
    check(0.5, &[(1.0, 10.0), (2.0, 10.0 - 1e-13), (f64::INFINITY, 10.0)], 0.5, false);
    assert_eq!(bucket_fraction(0.05, 0.2, buckets.to_vec()), 0.625);
}

#[test]
fn what_is_trimmed_is_shared_out() {
    let listed = custom(&[5.0, 10.0], &[(0, 2.0), (1, 2.0), (2, 4.0)]);
    let below = listed.trimmed(7.5, false);
    assert_eq!((below.count, &below.positive[..]), (3.0, &[(0, 2.0), (1, 1.0)][..]));
    let above = exponential(-1, &[(1, 4.0), (2, 1.0)]).trimmed(2.0, true);
    assert_eq!((above.count, &above.positive[..]), (3.0, &[(1, 2.0), (2, 1.0)][..]));
    assert_eq!(listed.trimmed(f64::INFINITY, false), listed);
}

#[test]
fn histograms_are_written_as_prometheus_does() {
    let histogram = Histogram {
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 8.0,
        sum: 10.5,
        negative: vec![(0, 1.0)],
        ..exponential(0, &[(0, 1.0), (3, 4.0)])
    };
    let text = "{count:8, sum:10.5, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (4,8]:4}";
    assert_eq!(histogram.to_string(), text);
    assert_eq!(display::go_text(1e-5), "1e-05");
    assert_eq!(display::go_text(1.5e300), "1.5e+300");
}

#[test]
fn a_sketch_keeps_its_quantiles() {
    use taffrail_collector::model::{Distribution, Sketch};
    let mut sketch = Sketch::new();
    let values: Vec<f64> = (1..=10_000).map(|n| 0.37 * f64::from(n)).collect();
    values.iter().for_each(|&value| sketch.add(value, 1.0));
    sketch.add(-5.0, 1.0);
    sketch.add(0.0, 1.0);
    let window =
        Distribution { count: 10_002.0, sum: values.iter().sum::<f64>() - 5.0, min: -5.0, max: 3_700.0, sketch };
    let read = cumulative_histograms(&[window.clone(), window]);
    assert_eq!(read.len(), 3);
    assert_eq!((read[0].count, read[1].count, read[2].count), (0.0, 10_002.0, 20_004.0));
    for q in [0.01, 0.5, 0.9, 0.99, 0.999] {
        let Estimate::Plain(estimate) = read[2].quantile(q) else { panic!("a plain number") };
        let exact = values[(q * 10_002.0) as usize - 2];
        assert!((estimate / exact - 1.0).abs() < 0.0125, "{q}: {estimate} for {exact}");
    }
    assert_eq!(read[2].buckets().map(|bucket| bucket.count).sum::<f64>(), 20_004.0);
}
