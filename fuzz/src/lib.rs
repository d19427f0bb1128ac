//! What the fuzz targets call. The same files are compiled into `collector/tests/mangled_bytes.rs` and
//! `query/tests/mangled_bytes.rs`, which feed them mangled seeds in every test run, without a nightly compiler.

pub mod collector_entry_points;
#[cfg(feature = "query")]
pub mod query_entry_points;
