//! Frame to batch, bounded.
use crate::model::Batch;
use thiserror::Error;

/// Why bytes are no frame.
#[derive(Debug, Error)]
pub enum FrameError {}

/// Decodes the frame at the start of `bytes`; returns the batch and the frame's length.
pub fn decode(bytes: &[u8]) -> Result<(Batch, usize), FrameError> {
    let _ = bytes;
    unimplemented!()
}
