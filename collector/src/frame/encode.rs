//! Batch to frame.
use crate::model::Batch;

/// Appends the batch's frame to `out`.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) {
    let _ = (batch, out);
    unimplemented!()
}
