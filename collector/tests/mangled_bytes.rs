//! The fuzz targets' entry points of this room, fed with mangled seeds: what `fuzz/` does for hours, for a moment in every
//! test run.

#[path = "../../fuzz/src/collector_entry_points.rs"]
mod entry_points;
#[path = "../../fuzz/src/mangle.rs"]
mod mangle;

use entry_points::*;
use mangle::mangled;

#[test]
fn mangled_frame_input_is_no_panic() {
    mangled(&seeds("frame"), 400, frame);
}

#[test]
fn mangled_journal_input_is_no_panic() {
    mangled(&seeds("journal"), 400, journal);
}

#[test]
fn mangled_statsd_input_is_no_panic() {
    mangled(&seeds("statsd"), 400, statsd);
}

#[test]
fn mangled_statsd_mapping_input_is_no_panic() {
    mangled(&seeds("statsd_mapping"), 100, statsd_mapping);
}

#[test]
fn mangled_syslog_input_is_no_panic() {
    mangled(&seeds("syslog"), 400, syslog);
}

#[test]
fn mangled_json_lines_input_is_no_panic() {
    mangled(&seeds("json_lines"), 400, json_lines);
}

#[test]
fn mangled_prometheus_write_input_is_no_panic() {
    mangled(&seeds("prometheus_write"), 2_000, prometheus_write);
}

#[test]
fn mangled_otlp_input_is_no_panic() {
    mangled(&seeds("otlp"), 1_000, otlp);
}

#[test]
fn mangled_otlp_records_input_is_no_panic() {
    mangled(&seeds("otlp_records"), 1_000, otlp_records);
}

#[test]
fn mangled_graphite_input_is_no_panic() {
    mangled(&seeds("graphite"), 1_000, graphite);
}

#[test]
fn mangled_prometheus_scrape_input_is_no_panic() {
    mangled(&seeds("prometheus_scrape"), 1_000, prometheus_scrape);
}

#[test]
fn mangled_enrich_input_is_no_panic() {
    mangled(&seeds("enrich"), 400, enrich);
}

#[test]
fn mangled_shape_input_is_no_panic() {
    mangled(&seeds("shape"), 200, shape);
}

#[test]
fn mangled_grok_input_is_no_panic() {
    mangled(&seeds("grok"), 100, grok);
}
