//! The fuzz targets' entry points of this room, fed with mangled seeds: what `fuzz/` does for hours, for a moment in every
//! test run.

#[path = "../../fuzz/src/query_entry_points.rs"]
mod entry_points;
#[path = "../../fuzz/src/mangle.rs"]
mod mangle;

use entry_points::*;
use mangle::mangled;

#[test]
fn mangled_log_query_input_is_no_panic() {
    mangled(&seeds("log_query"), 400, log_query);
}

#[test]
fn mangled_log_stages_input_is_no_panic() {
    mangled(&seeds("log_stages"), 400, log_stages);
}

#[test]
fn mangled_promql_input_is_no_panic() {
    mangled(&seeds("promql"), 400, promql);
}

#[test]
fn mangled_rules_input_is_no_panic() {
    mangled(&seeds("rules"), 400, rules);
}
