//! Fuzzes the entry point `prometheus_write` of `taffrail_fuzz` with any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_fuzz::collector_entry_points::prometheus_write(bytes));
