//! Units by their name: a sample's unit is a `&'static str`, so what a frame says must be found or kept for good.
//!
//! Kept for good are at most [`KEPT_MAX`] units of at most [`UNIT_BYTES_MAX`] bytes, so that a hostile sender cannot fill the
//! memory; any further one reads as no unit.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Units met in frames that are kept, beyond the well-known ones.
const KEPT_MAX: usize = 1024;

/// A unit's length at most.
const UNIT_BYTES_MAX: usize = 64;

/// What our own sources say, and UCUM's most usual ones (<https://ucum.org/ucum>).
const WELL_KNOWN: [&str; 14] =
    ["", "ms", "s", "us", "ns", "bytes", "By", "By/s", "packets", "percent", "%", "ratio", "1", "celsius"];

static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The unit of this name; empty when it is too long or too many others are known already.
pub(crate) fn unit(name: &str) -> &'static str {
    if let Some(known) = WELL_KNOWN.iter().find(|known| **known == name) {
        return known;
    }
    let mut kept = KEPT.lock();
    if let Some(known) = kept.get(name) {
        return known;
    }
    if name.len() > UNIT_BYTES_MAX || kept.len() >= KEPT_MAX {
        return "";
    }
    let name: &'static str = Box::leak(name.into());
    kept.insert(name);
    name
}
