//! Random windows for the property tests of this folder. Numbers are multiples of a quarter, so that sums are exact in
//! whatever order they are made.

use proptest::prelude::*;
use taffrail_collector::model::{DistinctSet, Distribution, SampleKind, SampleValue};

use super::points::Points;

fn quarter() -> impl Strategy<Value = f64> + Clone {
    (-4_000i32..4_000).prop_map(|n| f64::from(n) / 4.0)
}

/// Random content of a window of this kind.
pub(super) fn value_of_kind(kind: u8) -> BoxedStrategy<SampleValue> {
    match SampleKind::from_number(kind).unwrap() {
        SampleKind::Cumulative => quarter().prop_map(|total| SampleValue::Cumulative { total }).boxed(),
        SampleKind::Counter => quarter().prop_map(|sum| SampleValue::Counter { sum }).boxed(),
        SampleKind::Gauge => (quarter(), 0..40u8, 0..40u8)
            .prop_map(|(last, below, above)| SampleValue::Gauge {
                last,
                min: last - f64::from(below),
                max: last + f64::from(above),
            })
            .boxed(),
        SampleKind::Distribution => prop::collection::vec((quarter(), 1..5u8), 1..12)
            .prop_map(|observations| {
                let mut window = Distribution::new();
                observations.into_iter().for_each(|(value, weight)| window.observe(value, f64::from(weight)));
                SampleValue::Distribution(Box::new(window))
            })
            .boxed(),
        SampleKind::Set => (prop::collection::vec(any::<u64>(), 1..6), prop::bool::weighted(0.05))
            .prop_map(|(hashes, many)| {
                let mut set = DistinctSet::new();
                let multiply = if many { 40 } else { 1 };
                for hash in hashes {
                    (0..multiply).for_each(|i: u64| set.insert(hash.wrapping_mul(2 * i + 1)));
                }
                SampleValue::Set(Box::new(set))
            })
            .boxed(),
    }
}

/// Random windows of one series of this kind, on a grid with gaps or at any time.
pub(super) fn points_of_kind(kind: u8) -> BoxedStrategy<Points> {
    let grid = prop::collection::vec((0i64..40).prop_map(|i| i * 10_000_000_000), 1..30);
    let anywhen = prop::collection::vec(any::<i64>().prop_map(|end| end / 2), 1..10);
    (prop_oneof![3 => grid, 1 => anywhen], prop::collection::vec(value_of_kind(kind), 30))
        .prop_map(move |(ends, values)| {
            let mut points = Points::new(SampleKind::from_number(kind).unwrap());
            ends.into_iter().zip(values).for_each(|(end, value)| points.insert(end, value));
            points
        })
        .boxed()
}

/// Random windows of one series of any kind.
pub(super) fn points() -> impl Strategy<Value = Points> {
    (1u8..6).prop_flat_map(points_of_kind)
}
