//! How many different values were seen: exactly while they are few, within about 1.6 % beyond that; mergeable.
//!
//! Up to [`EXACT_MAX`] values their 64-bit hashes are kept. Beyond, a HyperLogLog of 2^12 registers (P. Flajolet et al.,
//! AofA 2007; standard error 1.04 ÷ √4096 = 1.6 %), with linear counting for small counts.

/// Different values that are counted exactly.
pub const EXACT_MAX: usize = 64;

/// Registers of the HyperLogLog.
pub const REGISTERS: usize = 1 << REGISTER_BITS;

const REGISTER_BITS: u32 = 12;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistinctSet {
    /// The hashes of all values, sorted, each once.
    Exact(Vec<u64>),
    /// For each register the longest run of leading zeros seen, plus one.
    Estimated(Box<[u8; REGISTERS]>),
}

impl DistinctSet {
    /// Nothing seen yet.
    pub fn new() -> DistinctSet {
        DistinctSet::Exact(Vec::new())
    }

    /// Counts a value, given by a hash that must be the same on every host and in every version.
    pub fn insert(&mut self, hash: u64) {
        match self {
            DistinctSet::Exact(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return };
                hashes.insert(at, hash);
                if hashes.len() > EXACT_MAX {
                    *self = DistinctSet::Estimated(registers_of(hashes));
                }
            }
            DistinctSet::Estimated(registers) => note(registers, hash),
        }
    }

    /// Takes in another set: the result is what inserting all values of both would give.
    pub fn merge(&mut self, other: &DistinctSet) {
        match other {
            DistinctSet::Exact(hashes) => hashes.iter().for_each(|&hash| self.insert(hash)),
            DistinctSet::Estimated(theirs) => {
                if let DistinctSet::Exact(hashes) = self {
                    *self = DistinctSet::Estimated(registers_of(hashes));
                }
                if let DistinctSet::Estimated(ours) = self {
                    ours.iter_mut().zip(theirs.iter()).for_each(|(our, &their)| *our = (*our).max(their));
                }
            }
        }
    }

    /// How many different values were seen.
    pub fn count(&self) -> f64 {
        match self {
            DistinctSet::Exact(hashes) => hashes.len() as f64,
            DistinctSet::Estimated(registers) => estimate(registers),
        }
    }
}

impl Default for DistinctSet {
    fn default() -> DistinctSet {
        DistinctSet::new()
    }
}

fn registers_of(hashes: &[u64]) -> Box<[u8; REGISTERS]> {
    let mut registers = Box::new([0; REGISTERS]);
    hashes.iter().for_each(|&hash| note(&mut registers, hash));
    registers
}

fn note(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = (hash >> (64 - REGISTER_BITS)) as usize;
    // The bit below the register's bits that is always set ends the run, so that it stays ≤ 53.
    let rest = (hash << REGISTER_BITS) | (1 << (REGISTER_BITS - 1));
    let run = rest.leading_zeros() as u8 + 1;
    registers[register] = registers[register].max(run);
}

fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    let m = REGISTERS as f64;
    let alpha = 0.7213 / (1.0 + 1.079 / m); // Flajolet et al., figure 3, for m ≥ 128
    let sum: f64 = registers.iter().map(|&run| (-f64::from(run)).exp2()).sum();
    let raw = alpha * m * m / sum;
    let empty = registers.iter().filter(|&&run| run == 0).count();
    if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// splitmix64, so that neighbours hash apart.
    fn hash(n: u64) -> u64 {
        let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn set_of(values: std::ops::Range<u64>) -> DistinctSet {
        let mut set = DistinctSet::new();
        values.for_each(|n| set.insert(hash(n)));
        set
    }

    #[test]
    fn few_values_are_counted_exactly_and_many_within_five_percent() {
        assert_eq!(set_of(0..64).count(), 64.0);
        for n in [65, 1_000, 10_000, 200_000] {
            let found = set_of(0..n).count();
            assert!((found / n as f64 - 1.0).abs() < 0.05, "{found} for {n}");
        }
    }

    #[test]
    fn merging_equals_inserting_whatever_the_forms() {
        for (a, b) in [(0..10, 5..20), (0..60, 50..100), (0..10, 0..5_000), (0..5_000, 0..10), (0..900, 400..1_500)] {
            let mut merged = set_of(a.clone());
            merged.merge(&set_of(b.clone()));
            let mut inserted = set_of(a);
            b.for_each(|n| inserted.insert(hash(n)));
            assert_eq!(merged, inserted);
        }
    }
}
