//! Fuzzes the entry point `log_stages` of `taffrail_fuzz` with any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_fuzz::query_entry_points::log_stages(bytes));
