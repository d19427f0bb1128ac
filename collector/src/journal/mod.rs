//! The journal: an append-only sequence of checked records in segment files; the server's write-ahead log and an agent's spool.

mod reader;
mod writer;

pub use reader::{JournalReader, JournalRecord, ReadReport};
pub use writer::{JournalConfig, JournalError, JournalWriter};
