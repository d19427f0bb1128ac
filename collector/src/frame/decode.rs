//! Frame to batch, bounded: nothing the bytes say is believed before it was checked.

use super::header::{FrameError, HEADER_BYTES, peek};
use super::log_columns::read_logs;
use super::primitive::{Allowance, Reader};
use super::sample_columns::read_samples;
use super::spares::Spares;
use crate::model::{Batch, Checkpoint};
use crate::stored_range::StoredRange;

/// What a decoder keeps allocated between frames at most.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Decodes the frame at the start of `bytes`; returns the batch and the frame's length. Bytes behind the frame are left.
pub fn decode(bytes: &[u8]) -> Result<(Batch, usize), FrameError> {
    let header = peek(bytes)?;
    let body = bytes
        .get(HEADER_BYTES..header.frame_bytes())
        .ok_or(FrameError::Incomplete { needed: header.frame_bytes(), found: bytes.len() })?;
    if crc32c::crc32c(body) != header.body_crc {
        return Err(FrameError::BodyDamaged);
    }
    let read = |raw: &[u8]| {
        let mut reader = Reader::new(raw);
        let mut allowance = Allowance::new();
        let (checkpoints, logs, samples) = (header.checkpoints as usize, header.logs as usize, header.samples as usize);
        allowance.take(checkpoints)?;
        let mut checkpoints = (0..checkpoints)
            .map(|_| Ok(Checkpoint { key: reader.text()?.to_owned(), value: reader.bytes()?.to_vec() }))
            .collect::<Result<Vec<_>, FrameError>>()?;
        if header.is_ahead {
            // Before them something is missing; how far this batch itself reaches is true all the same.
            checkpoints.retain(|checkpoint| StoredRange::read_traveling(checkpoint).is_some());
        }
        let logs = if logs > 0 { read_logs(&mut reader, logs, &mut allowance)? } else { Vec::new() };
        let samples = if samples > 0 { read_samples(&mut reader, samples, &mut allowance)? } else { Vec::new() };
        reader.finish()?;
        Ok((Batch { agent: header.agent, place: header.place, checkpoints, logs, samples }, header.frame_bytes()))
    };
    if header.is_plain { read(body) } else { with_decompressed(body, header.raw_bytes as usize, read) }
}

/// Decompresses into a buffer that is used again. zstd writes no further than the buffer is long, whatever the body claims, and
/// `raw_bytes` is bounded by the header's limits.
fn with_decompressed<T>(
    body: &[u8],
    raw_bytes: usize,
    read: impl FnOnce(&[u8]) -> Result<T, FrameError>,
) -> Result<T, FrameError> {
    static DECODERS: Spares<(zstd::bulk::Decompressor<'static>, Vec<u8>)> = Spares::new();
    let new = || (zstd::bulk::Decompressor::new().expect("zstd makes a context without a dictionary"), Vec::new());
    DECODERS.lend(new, |(decompressor, raw)| {
        raw.clear();
        raw.reserve_exact(raw_bytes);
        let result = decompressor
            .decompress_to_buffer(body, raw)
            .map_err(|_| FrameError::Malformed("a body that does not decompress to the length it says"))
            .and_then(|length| {
                if length == raw_bytes {
                    read(raw)
                } else {
                    Err(FrameError::Malformed("a body that does not decompress to the length it says"))
                }
            });
        if raw.capacity() > KEPT_BYTES_MAX {
            *raw = Vec::new();
        }
        result
    })
}
