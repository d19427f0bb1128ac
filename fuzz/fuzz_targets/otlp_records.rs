//! Fuzzes the entry point `otlp_records` of `taffrail_fuzz` with any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_fuzz::collector_entry_points::otlp_records(bytes));
