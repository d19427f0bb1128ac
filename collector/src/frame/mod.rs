//! The frame: one batch as bytes, on the wire, in an agent's spool and in the server's write-ahead journal.
//!
//! Limits, checked before anything is believed or allocated, and never exceeded by what we write:
//!
//! | What | At most |
//! |---|---|
//! | body, decompressed | [`RAW_BYTES_MAX`], 64 MiB |
//! | log records and samples | [`ROWS_MAX`], 2^20 |
//! | everything else that is counted (attributes, array items, labels, bins, hashes, exemplars, dictionary entries) | [`ITEMS_MAX`], 2^22 |
//! | arrays inside arrays | [`DEPTH_MAX`], 32 |
//!
//! All integers are little-endian.
//!
//! ```text
//!  0  magic "TFRM"            4
//!  4  version, 2              1
//!  5  flags                   1    bit 0: has a place; bit 1: batches made before it are still to come, and its checkpoints
//!                                  say nothing yet; bit 2: the body is not compressed; the others are 0
//!  6  lane                    1    the place: all 0 when the batch has none
//!  7  0                       1
//!  8  agent                  16
//! 24  epoch                   8
//! 32  first_seq               8
//! 40  stream                  4
//! 44  log records             4
//! 48  samples                 4
//! 52  checkpoints             4
//! 56  raw length              4    of the body, decompressed
//! 60  body length             4
//! 64  CRC32C of the body      4
//! 68  CRC32C of bytes 0–68    4
//! 72  body: zstd (unless bit 2) of
//!       checkpoints           each: key (text), value (bytes)
//!       log columns           unless there are no records: see log_columns.rs
//!       sample columns        unless there are no samples: see sample_columns.rs
//! ```
//!
//! Inside the body a *varint* is LEB128 of at most 64 bits, a *signed* is the varint of a zigzag number, *text* and *bytes*
//! are a varint length and that many bytes (text is UTF-8), a *float* is a varint: `2 × zigzag(n)` for a whole number n
//! below 2^53 that gives back the same bits, `4 × zigzag(n) + 3` when n ÷ 1000 does (prices, seconds, percentages), else `1`
//! and then the 8 bytes of the float. A *column* is its length in bytes (4) and its cells, so that all columns can be read
//! side by side.
//!
//! Reading order: `header.rs`, `encode.rs` and `decode.rs` (the body's order), `log_columns.rs`, `sample_columns.rs`, `value.rs`
//! (an attribute's value), then what they are built of: `primitive.rs` (varint … column), `spares.rs`, `runs.rs`, `dictionary.rs`,
//! `series_dictionary.rs`, `unit.rs`.

mod decode;
mod dictionary;
mod encode;
mod header;
mod log_columns;
mod primitive;
mod runs;
mod sample_columns;
mod series_dictionary;
mod spares;
#[cfg(test)]
mod tests;
mod unit;
mod value;

pub use decode::decode;
pub use encode::{EncodeError, encode, encode_plain};
pub use header::{FrameError, FrameHeader, HEADER_BYTES, address, peek, set_place};
pub(crate) use unit::unit;

/// A body's bytes at most, decompressed.
pub const RAW_BYTES_MAX: usize = 64 << 20;

/// Log records and samples of a frame at most.
pub const ROWS_MAX: usize = 1 << 20;

/// Counted things of a frame that are not rows, at most.
pub const ITEMS_MAX: usize = 1 << 22;

/// Arrays inside arrays at most.
pub const DEPTH_MAX: usize = 32;

/// A frame's bytes at most: zstd makes what it cannot compress longer by at most 1/256 and a little.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + RAW_BYTES_MAX + RAW_BYTES_MAX / 256 + 64;
