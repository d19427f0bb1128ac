//! Random bits for names that must not meet (agent ids, epochs, salts) and for waiting times. Not for secrets.

use std::hash::{BuildHasher, RandomState};

/// 64 random bits: the standard library keys its hash maps with randomness of the operating system, and the hash under such
/// a key is as random as the key.
pub fn random_bits() -> u64 {
    RandomState::new().hash_one(0u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let bits: std::collections::BTreeSet<u64> = (0..10_000).map(|_| random_bits()).collect();
        assert_eq!(bits.len(), 10_000);
    }
}
