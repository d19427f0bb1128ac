//! Fuzzes the entry point `prometheus_scrape` of `taffrail_fuzz` with any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_fuzz::collector_entry_points::prometheus_scrape(bytes));
