//! What the next number of a run is expected to be, so that only the difference need be kept.
//!
//! Measurements are a level that moves slowly and noise around it, in all proportions: a walk is best predicted by its last
//! value, noise by the mean of many. Simple exponential smoothing (R. G. Brown, 1956) covers both with one number, the
//! share `2^-k` of each surprise that is taken to be a change of level:
//!
//! ```text
//! prediction(i) = sum(i) >> k          sum(1) = first << k
//! surprise(i)   = value(i) − prediction(i)
//! sum(i + 1)    = sum(i) + surprise(i)
//! ```
//!
//! With k = 0 the surprises are plain differences. Differencing white noise costs half a bit a number; smoothing it with
//! k = 4 costs 0.02. Reading back is one addition after the other, as fast as plain differences, where a fitted
//! convolution (pco's `Conv1`) takes three times as long and predicts no better.
//!
//! A running total is differenced first, and its increments are predicted.

/// The greatest `k` that is tried; beyond it the mean of the run is as good.
const SHIFT_MAX: u8 = 6;

/// Numbers that a choice looks at, in two stretches.
const LOOKED_AT: usize = 4_096;

/// A predictor takes the place of a simpler one when it leaves less than this share of what that leaves: what was looked at
/// is not all.
const WORTH_IT: f64 = 0.99;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predictor {
    /// Every number for itself.
    None,
    /// Smoothing of the numbers.
    Level {
        /// The share of a surprise that stays is `2^-shift`.
        shift: u8,
    },
    /// Smoothing of their increments.
    Increment {
        /// The same for increments.
        shift: u8,
    },
}

impl Predictor {
    /// What is likely to leave the least of this run. The same numbers give the same choice.
    pub(super) fn choose(run: &[i64]) -> Predictor {
        if run.len() < 3 {
            return Predictor::Level { shift: 0 };
        }
        let half = LOOKED_AT / 2;
        let stretches: &[&[i64]] = if run.len() <= LOOKED_AT {
            &[run]
        } else {
            let middle = run.len() / 2;
            &[&run[..half], &run[middle..middle + half]]
        };
        let mut best = (f64::INFINITY, Predictor::None);
        for predictor in Predictor::all() {
            let mut left = Left { of_length: [0; 65] };
            for stretch in stretches {
                let centre = if predictor == Predictor::None { mean(stretch) } else { 0 };
                predictor.surprises(stretch, |surprise| left.count(surprise.wrapping_sub(centre)));
            }
            let bits = left.bits();
            if bits < WORTH_IT * best.0 {
                best = (bits, predictor);
            }
        }
        best.1
    }

    fn all() -> impl Iterator<Item = Predictor> {
        let levels = (0..=SHIFT_MAX).map(|shift| Predictor::Level { shift });
        let increments = (0..=SHIFT_MAX).map(|shift| Predictor::Increment { shift });
        [Predictor::None].into_iter().chain(levels).chain(increments)
    }

    /// The number that stands for it on disk.
    pub(super) fn number(self) -> i64 {
        match self {
            Predictor::None => 0,
            Predictor::Level { shift } => 1 + i64::from(shift),
            Predictor::Increment { shift } => 16 + i64::from(shift),
        }
    }

    /// The predictor of this number.
    pub(super) fn from_number(number: i64) -> Option<Predictor> {
        let shift = |number: i64| u8::try_from(number).ok().filter(|&shift| shift <= SHIFT_MAX);
        match number {
            0 => Some(Predictor::None),
            1..16 => shift(number - 1).map(|shift| Predictor::Level { shift }),
            _ => shift(number - 16).map(|shift| Predictor::Increment { shift }),
        }
    }

    /// How many numbers of a run of this length are kept as they are, before the surprises.
    pub(super) fn first_count(self, length: usize) -> usize {
        match self {
            Predictor::None => 0,
            Predictor::Level { .. } => length.min(1),
            Predictor::Increment { .. } => length.min(2),
        }
    }

    /// The surprises behind the first numbers.
    pub(super) fn surprises(self, run: &[i64], mut visit: impl FnMut(i64)) {
        match self {
            Predictor::None => run.iter().copied().for_each(visit),
            Predictor::Level { shift } => {
                let Some((&first, rest)) = run.split_first() else { return };
                let mut sum = first.wrapping_shl(u32::from(shift));
                for &value in rest {
                    let surprise = value.wrapping_sub(sum >> shift);
                    sum = sum.wrapping_add(surprise);
                    visit(surprise);
                }
            }
            Predictor::Increment { shift } => {
                let [first, second, rest @ ..] = run else { return };
                let mut sum = second.wrapping_sub(*first).wrapping_shl(u32::from(shift));
                let mut before = *second;
                for &value in rest {
                    let surprise = value.wrapping_sub(before).wrapping_sub(sum >> shift);
                    sum = sum.wrapping_add(surprise);
                    before = value;
                    visit(surprise);
                }
            }
        }
    }

    /// Calls `visit` with the numbers that these first numbers and surprises stand for.
    pub(super) fn restore<T: Copy + Into<i64>>(self, firsts: &[i64], surprises: &[T], mut visit: impl FnMut(i64)) {
        match (self, firsts) {
            (Predictor::None, _) => surprises.iter().for_each(|&surprise| visit(surprise.into())),
            (Predictor::Level { shift }, &[first]) => {
                visit(first);
                let mut sum = first.wrapping_shl(u32::from(shift));
                for &surprise in surprises {
                    let surprise = surprise.into();
                    visit(surprise.wrapping_add(sum >> shift));
                    sum = sum.wrapping_add(surprise);
                }
            }
            (Predictor::Increment { shift }, &[first, second]) => {
                visit(first);
                visit(second);
                let mut sum = second.wrapping_sub(first).wrapping_shl(u32::from(shift));
                let mut value = second;
                for &surprise in surprises {
                    let surprise = surprise.into();
                    value = value.wrapping_add(surprise).wrapping_add(sum >> shift);
                    sum = sum.wrapping_add(surprise);
                    visit(value);
                }
            }
            // A run shorter than its first numbers.
            _ => firsts.iter().copied().for_each(visit),
        }
    }
}

/// How long surprises would be: their magnitudes as an entropy coder sees them, and the bits below.
struct Left {
    of_length: [u32; 65],
}

impl Left {
    fn count(&mut self, surprise: i64) {
        self.of_length[64 - surprise.unsigned_abs().leading_zeros() as usize] += 1;
    }

    /// Bits for each of them.
    fn bits(&self) -> f64 {
        let total: u32 = self.of_length.iter().sum();
        let in_use = self.of_length.iter().enumerate().filter(|&(_, &count)| count > 0);
        let bits = in_use.map(|(length, &count)| {
            let share = f64::from(count) / f64::from(total);
            // The highest bit of a number goes with its length; its sign takes as much.
            share * (length as f64 - share.log2())
        });
        bits.sum()
    }
}

fn mean(run: &[i64]) -> i64 {
    let sum: i128 = run.iter().map(|&value| i128::from(value)).sum();
    (sum / run.len() as i128) as i64 // between the least and the greatest of them
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_run_is_restored_by_every_predictor(run in prop::collection::vec(prop_oneof![any::<i64>(), -9i64..9], 0..40)) {
            for predictor in Predictor::all() {
                let mut surprises = Vec::new();
                predictor.surprises(&run, |surprise| surprises.push(surprise));
                let firsts = &run[..predictor.first_count(run.len())];
                let mut restored = Vec::new();
                predictor.restore(firsts, &surprises, |value| restored.push(value));
                prop_assert_eq!(&restored, &run);
                prop_assert_eq!(firsts.len() + surprises.len(), run.len());
                prop_assert_eq!(Predictor::from_number(predictor.number()), Some(predictor));
            }
            Predictor::choose(&run);
        }
    }

    #[test]
    fn a_walk_a_ramp_and_noise_are_told_apart() {
        let noise = |i: i64| {
            // splitmix64's last step
            let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            ((mixed ^ (mixed >> 27)) >> 58) as i64
        };
        let check = |run: Vec<i64>, expected: fn(Predictor) -> bool| {
            let chosen = Predictor::choose(&run);
            assert!(expected(chosen), "{chosen:?}");
        };
        check((0..4_000).map(|i| i * 1_000).collect(), |p| matches!(p, Predictor::Increment { .. }));
        let mut level = 0;
        let walk = (0..4_000).map(|i| {
            level += noise(i) - 32;
            level
        });
        check(walk.collect(), |p| p == Predictor::Level { shift: 0 });
        let mut total = 0;
        let ramp = (0..4_000).map(|i| {
            total += 500 + noise(i);
            total
        });
        check(ramp.collect(), |p| matches!(p, Predictor::Increment { shift: 2.. }));
        check((0..4_000).map(|i| i / 40 + noise(i)).collect(), |p| matches!(p, Predictor::Level { shift: 2.. }));
    }
}
