//! Keeping a part of the records, by their trace where they have one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::model::TraceId;

/// Keeps a fixed part of what it is asked about.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Hashes below are kept.
    threshold: u64,
    keeps_all: bool,
    /// Records without a trace so far.
    asked: AtomicU64,
}

impl Sampler {
    /// Keeps `part` of 1.
    pub(super) fn new(part: f64) -> Result<Sampler, String> {
        if !(0.0..=1.0).contains(&part) {
            return Err(format!("sample = {part} is no part: write a number from 0 to 1"));
        }
        // A float that is too large for the type becomes its largest value.
        Ok(Sampler { threshold: (part * 2f64.powi(64)) as u64, keeps_all: part >= 1.0, asked: AtomicU64::new(0) })
    }

    /// Whether to keep a record. Everyone who samples by this part decides alike for a trace: the low 64 bits of its id are
    /// hashed, which short and long forms of one id share. Records without a trace are taken by chance, the same chance
    /// whenever the process starts anew.
    pub(super) fn keeps(&self, trace: Option<TraceId>) -> bool {
        let number = match trace {
            Some(trace) => trace.bits() as u64,
            None => self.asked.fetch_add(1, Relaxed),
        };
        self.keeps_all || mixed(number) < self.threshold
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): every bit of the number changes half of the bits.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_kept_is_the_part_that_was_asked_for() {
        for part in [0.0, 0.001, 0.1, 0.5, 0.9, 1.0] {
            for with_trace in [false, true] {
                let sampler = Sampler::new(part).unwrap();
                let trace = |n: u64| TraceId::new(u128::from(n) + 1).filter(|_| with_trace);
                let kept = (0..100_000).filter(|n| sampler.keeps(trace(*n))).count() as f64;
                assert!((kept - part * 1e5).abs() <= 500.0, "{part}: {kept}");
            }
        }
        assert!(Sampler::new(1.5).is_err() && Sampler::new(f64::NAN).is_err());
    }

    #[test]
    fn a_trace_stays_or_goes_whole_on_every_host_and_in_its_short_form() {
        let (one, other) = (Sampler::new(0.5).unwrap(), Sampler::new(0.5).unwrap());
        for n in 1..1000u128 {
            let low = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) & u128::from(u64::MAX);
            let (short, long) = (TraceId::new(low), TraceId::new(low | (n << 64)));
            let kept = one.keeps(long);
            one.keeps(None);
            assert_eq!([one.keeps(long), one.keeps(short), other.keeps(long)], [kept; 3]);
        }
    }

    #[test]
    fn a_larger_part_keeps_every_trace_of_a_smaller_one() {
        let (small, large) = (Sampler::new(0.1).unwrap(), Sampler::new(0.3).unwrap());
        assert!((1..5000).map(TraceId::new).all(|trace| !small.keeps(trace) || large.keeps(trace)));
    }
}
