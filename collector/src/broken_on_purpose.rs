//! Switches that break a promise, so that tests can show that they would notice: `TAFFRAIL_BREAK=dedup`. They exist in builds
//! with debug assertions only; in a release the question is the constant `false`.
//!
//! What a kill cannot show (a missing fsync: the page cache survives the process) is broken on the simulated disk instead.

use std::sync::OnceLock;

/// Servers take every resent batch for a new one.
pub const DEDUP: &str = "dedup";

/// Whether the environment asks for this promise to be broken.
pub fn is_broken(promise: &'static str) -> bool {
    static BROKEN: OnceLock<Option<String>> = OnceLock::new();
    cfg!(debug_assertions)
        && BROKEN.get_or_init(|| std::env::var("TAFFRAIL_BREAK").ok()).as_ref().is_some_and(|broken| broken == promise)
}
