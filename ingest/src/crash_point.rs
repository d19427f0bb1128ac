//! Named places at which a test can let the process die, as a power cut would: `TAFFRAIL_CRASH_AT=seal:after_split` aborts there.
//! Without the variable a crash point is one load of a pointer; each stands between two steps whose order matters.

use std::sync::OnceLock;

static CRASH_AT: OnceLock<Option<String>> = OnceLock::new();

/// Every crash point, for the test that dies at each.
pub const CRASH_POINTS: &[&str] = &[
    "seal:before_split",
    "split:before_rename",
    "split:after_rename",
    "seal:before_catalog",
    "seal:after_catalog",
    "seal:before_journal",
    "seal:after_journal",
    "compaction:before_write",
    "compaction:after_write",
    "compaction:after_catalog",
    "compaction:after_swap",
    "retention:before_catalog",
    "retention:after_catalog",
    "retention:after_swap",
    "delete:before_catalog",
    "delete:after_catalog",
    "delete:before_seal",
    "delete:after_seal",
    "delete:after_write",
    "delete:after_rewrite",
    "delete:after_swap",
    "delete:before_finish",
    "delete:after_finish",
];

/// Dies here when this is the place that the environment names.
pub fn crash_point(name: &'static str) {
    debug_assert!(CRASH_POINTS.contains(&name), "{name} is not in the list");
    let crash_at = CRASH_AT.get_or_init(|| std::env::var("TAFFRAIL_CRASH_AT").ok());
    if crash_at.as_deref() == Some(name) {
        std::process::abort();
    }
}
