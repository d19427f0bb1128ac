//! What one question may keep in memory: groups, rows that wait to be sorted, values seen before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A meter of bytes with an end. What is taken stays taken until the question is answered.
#[derive(Debug)]
pub struct Memory {
    bytes_max: u64,
    used: AtomicU64,
    full: AtomicBool,
}

impl Memory {
    /// So many bytes at most.
    pub fn new(bytes_max: u64) -> Memory {
        Memory { bytes_max, used: AtomicU64::new(0), full: AtomicBool::new(false) }
    }

    /// Takes bytes; false when they do not fit, so that the answer has to do without what they were for.
    pub fn take(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = self.used.fetch_add(bytes, Relaxed).saturating_add(bytes) <= self.bytes_max;
        if !fits {
            self.used.fetch_sub(bytes, Relaxed);
            self.full.store(true, Relaxed);
        }
        fits
    }

    /// Gives bytes back.
    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes as u64, Relaxed);
    }

    /// Whether something did not fit.
    pub fn was_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// The most there may be.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}
