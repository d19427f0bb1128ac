//! How far a function of [`stats`](super::stats) has come with the rows of a group: counts, sums, different values, quantiles, in parts that can be
//! joined in any order.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use taffrail_collector::model::{DistinctSet, Sketch, Value};

use super::super::row::{Cell, Number, SortKey};

/// Numbers of a group of which quantiles are exact.
pub(super) const EXACT_MAX: usize = 1_000;
/// Different values of a group that are counted exactly.
pub(super) const DISTINCT_EXACT_MAX: usize = 10_000;

/// How far a function has come.
#[derive(Debug)]
pub(super) enum Accumulator {
    Count(u64),
    Distinct(Distinct),
    Sum(Sum),
    Extreme(Option<(SortKey, Cell)>),
    Quantile(Numbers),
    Values(BTreeMap<SortKey, Cell>),
    Picked(Option<(Place, Cell)>),
}

/// Where a row stands: of a record its time and its number, of a row of a table its number.
pub(super) type Place = (i64, u64);

#[derive(Debug)]
pub(super) enum Distinct {
    Exact(HashSet<u64>),
    Estimated(DistinctSet),
}

#[derive(Debug, Default)]
pub(super) struct Sum {
    whole: i128,
    /// The rest, and what its additions lost (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
    /// Summen", 1974).
    rest: f64,
    lost: f64,
    pub(super) numbers: u64,
}

#[derive(Debug)]
pub(super) enum Numbers {
    Few(Vec<f64>),
    Many(Sketch),
}

impl Sum {
    pub(super) fn add(&mut self, number: Number) {
        self.numbers += 1;
        match number {
            Number::Int(number) => self.whole += i128::from(number),
            Number::Float(number) => self.add_rest(number),
        }
    }

    fn add_rest(&mut self, number: f64) {
        let sum = self.rest + number;
        self.lost += match self.rest.abs() >= number.abs() {
            true => self.rest - sum + number,
            false => number - sum + self.rest,
        };
        self.rest = sum;
    }

    pub(super) fn merge(&mut self, other: &Sum) {
        self.whole += other.whole;
        self.numbers += other.numbers;
        self.add_rest(other.rest);
        self.lost += other.lost;
    }

    pub(super) fn total(&self) -> f64 {
        self.whole as f64 + (self.rest + self.lost)
    }

    pub(super) fn cell(&self) -> Cell {
        match i64::try_from(self.whole) {
            Ok(whole) if self.rest == 0.0 && self.lost == 0.0 => Cell::Value(Value::Int(whole)),
            _ => Cell::number(self.total()),
        }
    }
}

impl Distinct {
    pub(super) fn add(&mut self, text: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.insert(hasher.finish())
    }

    fn insert(&mut self, hash: u64) -> usize {
        match self {
            Distinct::Exact(hashes) => {
                let new = hashes.insert(hash);
                if hashes.len() > DISTINCT_EXACT_MAX {
                    let mut set = DistinctSet::new();
                    hashes.iter().for_each(|hash| set.insert(*hash));
                    *self = Distinct::Estimated(set);
                }
                if new { 2 * size_of::<u64>() } else { 0 }
            }
            Distinct::Estimated(set) => {
                set.insert(hash);
                0
            }
        }
    }

    pub(super) fn merge(&mut self, other: Distinct) {
        match (&mut *self, other) {
            (Distinct::Estimated(set), Distinct::Estimated(other)) => set.merge(&other),
            (_, Distinct::Exact(hashes)) => {
                for hash in hashes {
                    self.insert(hash);
                }
            }
            (Distinct::Exact(_), mut estimated @ Distinct::Estimated(_)) => {
                std::mem::swap(self, &mut estimated);
                self.merge(estimated);
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Distinct::Exact(hashes) => hashes.len() as u64,
            Distinct::Estimated(set) => set.count().round() as u64,
        }
    }
}

impl Numbers {
    pub(super) fn add(&mut self, number: f64) -> usize {
        match self {
            Numbers::Few(numbers) if numbers.len() < EXACT_MAX => {
                numbers.push(number);
                size_of::<f64>()
            }
            Numbers::Few(numbers) => {
                let mut sketch = Sketch::new();
                numbers.iter().for_each(|number| sketch.add(*number, 1.0));
                sketch.add(number, 1.0);
                *self = Numbers::Many(sketch);
                0
            }
            Numbers::Many(sketch) => {
                sketch.add(number, 1.0);
                0
            }
        }
    }

    pub(super) fn merge(&mut self, other: Numbers) {
        match (&mut *self, other) {
            (Numbers::Many(sketch), Numbers::Many(other)) => sketch.merge(&other),
            (_, Numbers::Few(numbers)) => {
                for number in numbers {
                    self.add(number);
                }
            }
            (Numbers::Few(_), mut many @ Numbers::Many(_)) => {
                std::mem::swap(self, &mut many);
                self.merge(many);
            }
        }
    }

    pub(super) fn quantile(self, q: f64) -> Option<f64> {
        match self {
            Numbers::Few(mut numbers) => {
                numbers.sort_unstable_by(f64::total_cmp);
                let rank = q * numbers.len().saturating_sub(1) as f64;
                numbers.get(rank as usize).copied()
            }
            Numbers::Many(sketch) => sketch.quantile(q),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_while_few_and_within_one_percent_beyond() {
        let check = |count: u32, q: f64| {
            let (mut one, mut other) = (Numbers::Few(Vec::new()), Numbers::Few(Vec::new()));
            for n in 0..count {
                let half = if n % 3 == 0 { &mut one } else { &mut other };
                half.add(f64::from(n) + 1.0);
            }
            one.merge(other);
            let exact = (q * f64::from(count - 1)).floor() + 1.0;
            let found = one.quantile(q).unwrap();
            let error = if count as usize > EXACT_MAX { 0.0101 * exact } else { 0.0 };
            assert!((found - exact).abs() <= error, "{count} {q}: {found} {exact}");
        };
        for q in [0.0, 0.29, 0.5, 0.95, 1.0] {
            [1, 2, 10, 1_000, 1_001, 50_000].into_iter().for_each(|count| check(count, q));
        }
    }

    #[test]
    fn different_values_are_counted_exactly_while_few_and_nearly_beyond() {
        let check = |count: usize| {
            let (mut one, mut other) = (Distinct::Exact(HashSet::new()), Distinct::Exact(HashSet::new()));
            for n in 0..count {
                one.add(&format!("v{n}"));
                other.add(&format!("v{}", n / 2));
            }
            one.merge(other);
            let error = if count > DISTINCT_EXACT_MAX { count as f64 * 0.08 } else { 0.0 };
            assert!((one.count() as f64 - count as f64).abs() <= error, "{count}: {}", one.count());
        };
        [0, 1, 100, 10_000, 10_001, 60_000].into_iter().for_each(check);
    }

    #[test]
    fn sums_of_whole_numbers_are_exact_and_others_nearly() {
        let mut sum = Sum::default();
        for _ in 0..3 {
            sum.add(Number::Int(i64::MAX / 4));
        }
        assert_eq!(sum.cell(), Cell::Value(Value::Int(i64::MAX / 4 * 3)));
        let mut sum = Sum::default();
        [1e100, 1.0, -1e100].into_iter().for_each(|number| sum.add(Number::Float(number)));
        assert_eq!(sum.cell(), Cell::Value(Value::Int(1)));
    }
}
