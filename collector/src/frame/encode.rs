//! Batch to frame.

use thiserror::Error;

use super::header::FrameHeader;
use super::log_columns::LogWriter;
use super::primitive::{Allowance, put_bytes};
use super::sample_columns::SampleWriter;
use super::spares::Spares;
use super::{FrameError, RAW_BYTES_MAX, ROWS_MAX};
use crate::model::Batch;

/// The quickest level that is still a good ratio; every line passes here twice, on the agent and before the server's fsync.
const ZSTD_LEVEL: i32 = 1;

/// What an encoder keeps allocated between frames at most: four times the usual batch.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// A batch is larger than a frame may be, or nests deeper: it must be split or cut before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the batch has {found} {what}, more than the {limit} a frame may have; send it in smaller batches")]
pub struct EncodeError {
    /// Of what.
    pub what: &'static str,
    /// How much it has.
    pub found: u64,
    /// How much it may have.
    pub limit: u64,
}

/// Appends the batch's frame to `out`; after an error `out` is as before.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode_body(batch, true, out)
}

/// The same without compression, for a frame that goes no further than this machine's disk: columns of samples are small as
/// they are, and compressing them would cost more than all the rest of making the frame.
pub fn encode_plain(batch: &Batch, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode_body(batch, false, out)
}

fn encode_body(batch: &Batch, compress: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    static ENCODERS: Spares<Encoder> = Spares::new();
    ENCODERS.lend(Encoder::new, |encoder| {
        let result = encoder.encode(batch, compress, out);
        if encoder.raw.capacity() > KEPT_BYTES_MAX {
            *encoder = Encoder::new();
        }
        result
    })
}

struct Encoder {
    logs: LogWriter,
    samples: SampleWriter,
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    body: Vec<u8>,
}

impl Encoder {
    fn new() -> Encoder {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("zstd knows its first level");
        Encoder { logs: LogWriter::new(), samples: SampleWriter::new(), compressor, raw: Vec::new(), body: Vec::new() }
    }

    fn encode(&mut self, batch: &Batch, compress: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        at_most("rows", batch.len(), ROWS_MAX)?;
        self.raw.clear();
        self.write_body(batch).map_err(|error| match error {
            FrameError::TooLarge { what, found, limit } => EncodeError { what, found, limit },
            other => unreachable!("writing meets no error but a limit: {other}"),
        })?;
        at_most("bytes before compression", self.raw.len(), RAW_BYTES_MAX)?;
        if compress {
            self.compress();
        }
        let body = if compress { &self.body } else { &self.raw };
        let number = |count: usize| u32::try_from(count).expect("the limits above are below 2^32");
        let header = FrameHeader {
            agent: batch.agent,
            place: batch.place,
            is_ahead: false,
            is_plain: !compress,
            logs: number(batch.logs.len()),
            samples: number(batch.samples.len()),
            checkpoints: number(batch.checkpoints.len()),
            raw_bytes: number(self.raw.len()),
            body_bytes: number(body.len()),
            body_crc: crc32c::crc32c(body),
        };
        out.extend_from_slice(&header.write());
        out.extend_from_slice(body);
        Ok(())
    }

    fn compress(&mut self) {
        self.body.clear();
        self.body.reserve(zstd::zstd_safe::compress_bound(self.raw.len()));
        self.compressor
            .compress_to_buffer(&self.raw, &mut self.body)
            .expect("the buffer is as long as zstd says it must be");
    }

    fn write_body(&mut self, batch: &Batch) -> Result<(), FrameError> {
        let mut allowance = Allowance::new();
        allowance.take(batch.checkpoints.len())?;
        for checkpoint in &batch.checkpoints {
            put_bytes(&mut self.raw, checkpoint.key.as_bytes());
            put_bytes(&mut self.raw, &checkpoint.value);
        }
        if !batch.logs.is_empty() {
            self.logs.put(&mut self.raw, &batch.logs, &mut allowance)?;
        }
        if !batch.samples.is_empty() {
            self.samples.put(&mut self.raw, &batch.samples, &mut allowance)?;
        }
        Ok(())
    }
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), EncodeError> {
    if found > limit { Err(EncodeError { what, found: found as u64, limit: limit as u64 }) } else { Ok(()) }
}
