//! Switches that break a promise, so that tests can show that they would notice: `TAFFRAIL_BREAK=asking,recognition`. They exist
//! in builds with debug assertions only; in a release the question is the constant `false`.
//!
//! What a kill cannot show (a missing fsync: the page cache survives the process) is broken on the simulated disk instead.

use std::sync::OnceLock;

/// An agent does not heed what a server says to have, and sends everything again that was not acknowledged.
pub const ASKING: &str = "asking";

/// A server takes every resent batch for a new one.
pub const RECOGNITION: &str = "recognition";

/// Whether the environment asks for this promise to be broken.
pub fn is_broken(promise: &'static str) -> bool {
    static BROKEN: OnceLock<String> = OnceLock::new();
    cfg!(debug_assertions)
        && BROKEN.get_or_init(|| std::env::var("TAFFRAIL_BREAK").unwrap_or_default()).split(',').any(|it| it == promise)
}
