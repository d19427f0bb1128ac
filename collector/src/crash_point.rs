//! Named places at which a test can let the process die, as a kill would: `TAFFRAIL_CRASH_AT=seal:after_split` aborts there,
//! `TAFFRAIL_CRASH_AT=file:after_sync#7` when it comes there for the seventh time.
//! Without the variable a crash point is one load of a pointer; each stands between two steps whose order matters.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static CRASH_AT: OnceLock<Option<Wanted>> = OnceLock::new();

struct Wanted {
    name: String,
    /// Visits left until the one to die at.
    left: AtomicU64,
}

/// Every crash point, for the test that dies at each.
pub const CRASH_POINTS: &[&str] = &[
    "file:inside_append",
    "file:after_append",
    "file:after_sync",
    "file:before_rename",
    "file:after_rename",
    "file:after_directory_sync",
    "ship:after_spooling",
    "ship:before_request",
    "ship:after_acknowledgement",
    "store:before_sync",
    "store:after_sync",
    "store:before_receipt",
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
    "blocks:after_write",
    "blocks:after_catalog",
    "blocks:after_swap",
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
    "series_delete:before_catalog",
    "series_delete:after_catalog",
    "series_delete:before_finish",
];

/// Whether a crash point is the one that the environment names, so that a step can be taken in pieces for it.
pub fn is_wanted(name: &'static str) -> bool {
    wanted().is_some_and(|wanted| wanted.name == name)
}

fn wanted() -> Option<&'static Wanted> {
    let read = || std::env::var("TAFFRAIL_CRASH_AT").ok().map(|text| Wanted::read(&text));
    CRASH_AT.get_or_init(read).as_ref()
}

/// Dies here when this is the place, and the visit, that the environment names.
pub fn crash_point(name: &'static str) {
    debug_assert!(CRASH_POINTS.contains(&name), "{name} is not in the list");
    if let Some(wanted) = wanted()
        && wanted.name == name
        && wanted.left.fetch_sub(1, Relaxed) == 1
    {
        std::process::abort();
    }
}

impl Wanted {
    fn read(text: &str) -> Wanted {
        let (name, visit) = text.split_once('#').unwrap_or((text, "1"));
        Wanted { name: name.to_owned(), left: AtomicU64::new(visit.parse().unwrap_or(1)) }
    }
}
