//! The frame: one batch as bytes, on the wire, in an agent's spool and in the server's write-ahead journal.

mod decode;
mod encode;

pub use decode::{FrameError, decode};
pub use encode::encode;
