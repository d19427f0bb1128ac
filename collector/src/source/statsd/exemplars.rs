//! Traces that show what the values of a series in one window looked like: the greatest, and one chosen evenly.

use crate::model::Exemplar;

/// The greatest value that named a trace, and one chosen evenly among all that did.
#[derive(Clone, Debug, Default)]
pub struct Exemplars {
    seen: u64,
    greatest: Option<Exemplar>,
    chosen: Option<Exemplar>,
}

impl Exemplars {
    /// Takes in a value with its trace; `random` is new for each.
    pub fn note(&mut self, exemplar: Exemplar, random: u64) {
        self.merge(Exemplars { seen: 1, greatest: Some(exemplar.clone()), chosen: Some(exemplar) }, random);
    }

    /// Takes in those of another thread. The n-th comer takes the place with probability 1 ÷ n (Knuth, TAOCP 2, §3.4.2,
    /// algorithm R), and what was chosen from m comers with m ÷ n.
    pub fn merge(&mut self, other: Exemplars, random: u64) {
        self.seen += other.seen;
        if random % self.seen.max(1) < other.seen {
            self.chosen = other.chosen;
        }
        let is_greater = match (&self.greatest, &other.greatest) {
            (Some(ours), Some(theirs)) => theirs.value > ours.value,
            (ours, _) => ours.is_none(),
        };
        if is_greater {
            self.greatest = other.greatest;
        }
    }

    /// The greatest and the chosen one, which may be the same.
    pub fn into_list(self) -> Vec<Exemplar> {
        let mut list: Vec<Exemplar> = self.greatest.into_iter().chain(self.chosen).collect();
        list.dedup();
        list
    }
}

/// xorshift64 (G. Marsaglia, 2003): which of many values becomes an exemplar needs no better dice.
#[derive(Debug)]
pub struct Dice(u64);

impl Default for Dice {
    fn default() -> Dice {
        Dice(0x9E37_79B9_7F4A_7C15)
    }
}

impl Dice {
    /// A number that differs from the last ones.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Timestamp, TraceId};

    #[test]
    fn the_greatest_stands_and_every_one_is_chosen_about_as_often() {
        let mut dice = Dice::default();
        let mut chosen = [0u32; 10];
        for _ in 0..10_000 {
            let mut threads = [Exemplars::default(), Exemplars::default()];
            for value in 0..10u64 {
                let exemplar = Exemplar {
                    timestamp: Timestamp::from_unix_nanos(0),
                    value: value as f64,
                    trace_id: TraceId::new(u128::from(value) + 1).unwrap(),
                    span_id: None,
                };
                threads[usize::from(value > 2)].note(exemplar, dice.roll());
            }
            let [mut all, other] = threads;
            all.merge(other, dice.roll());
            assert_eq!(all.greatest.as_ref().unwrap().value, 9.0);
            chosen[all.chosen.unwrap().value as usize] += 1;
        }
        assert!(chosen.iter().all(|count| (800..1_200).contains(count)), "{chosen:?}");
    }
}
