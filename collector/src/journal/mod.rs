//! The journal: an append-only sequence of checked records in segment files; the server's write-ahead log and an agent's spool.
//!
//! A record takes the sequence numbers of its rows (`seq .. seq + rows`); one without rows takes one number all the same, so
//! that it has a place of its own. Limits: a record's payload has at most [`PAYLOAD_BYTES_MAX`] bytes; a segment is closed by
//! the first record that would start beyond its configured length, so that it is read as a whole in bounded memory.
//!
//! A segment is the file `<first seq, 20 digits>.tfj`; all integers are little-endian:
//!
//! ```text
//!  0  magic "TFJL"                  4
//!  4  version, 1                    1
//!  5  0                             3
//!  8  first seq                     8
//! 16  salt                          4    random
//! 20  CRC32C of bytes 0–20          4
//! 24  records
//!
//! record:
//!  0  magic "TFJR"                  4
//!  4  payload length                4
//!  8  seq                           8
//! 16  rows                          4
//! 20  salt                          4    the segment's
//! 24  CRC32C of the payload         4
//! 28  CRC32C of bytes 0–28          4
//! 32  payload
//! ```
//!
//! **A segment ends where the next one begins**: records whose seq is the next segment's first or beyond are not read. That is
//! how records that could not be synced are left behind: their numbers are given again in a new segment.
//!
//! Damage: what cannot be read at the end of the last segment is a torn write, cut off when the journal is opened. What
//! cannot be read before that is skipped up to the next sound record, and counted. A record is believed only when both of its
//! checksums fit, its salt is the segment's and its seq does not fall back: bytes inside of a payload that look like a record are
//! none, even when the record around them is damaged.
//!
//! Durability: [`JournalWriter::sync`] is the only promise. A segment whose sync failed is never synced again
//! (<https://lwn.net/Articles/752063/>). Files are synced before the directory that names them is, and segments are removed
//! only by [`JournalWriter::remove_below`], whose caller has made durable that it needs them no more.
//!
//! Reading order: `segment.rs` (the bytes), `reader.rs`, `writer.rs`.

mod reader;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{JournalReader, JournalRecord, ReadReport};
pub use segment::PAYLOAD_BYTES_MAX;
pub use writer::{JournalConfig, JournalError, JournalWriter};
