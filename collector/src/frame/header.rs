//! The frame's first 72 bytes, which say whose batch it is, where it stands and how much it holds, without decompressing.

use thiserror::Error;

use super::{FRAME_BYTES_MAX, RAW_BYTES_MAX, ROWS_MAX};
use crate::model::{AgentId, Lane, StreamPlace};

/// The header's length.
pub const HEADER_BYTES: usize = 72;

const MAGIC: [u8; 4] = *b"TFRM";
const VERSION: u8 = 2;
const HAS_PLACE: u8 = 1;
const IS_AHEAD: u8 = 2;
const IS_PLAIN: u8 = 4;

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Who sends it.
    pub agent: AgentId,
    /// Its place in the agent's stream.
    pub place: Option<StreamPlace>,
    /// Whether batches that were made before it are still to come: then its checkpoints say nothing yet, only its ranges do.
    pub is_ahead: bool,
    /// Whether the body is not compressed.
    pub is_plain: bool,
    /// Log records in it.
    pub logs: u32,
    /// Samples in it.
    pub samples: u32,
    /// Checkpoints in it.
    pub checkpoints: u32,
    /// Bytes of the body once decompressed.
    pub raw_bytes: u32,
    /// Bytes of the body as it stands.
    pub body_bytes: u32,
    /// Checksum of the body as it stands.
    pub(super) body_crc: u32,
}

/// Why bytes are no frame that we can read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the frame is cut short: {needed} bytes are needed, {found} are there")]
    Incomplete {
        /// Bytes of the frame as far as they are known.
        needed: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// It does not start as a frame does.
    #[error("not a frame: it does not start with \"TFRM\"")]
    NotAFrame,
    /// Written by a newer release.
    #[error("frame version {0} is not known here (this release reads version {VERSION}): update this side first")]
    Version(u8),
    /// The header's checksum does not fit.
    #[error("the frame's header is damaged: its checksum does not fit")]
    HeaderDamaged,
    /// The body's checksum does not fit.
    #[error("the frame's body is damaged: its checksum does not fit")]
    BodyDamaged,
    /// A limit of the format is exceeded.
    #[error("the frame has {found} {what}, more than the {limit} a frame may have")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How much it claims.
        found: u64,
        /// How much it may have.
        limit: u64,
    },
    /// The checksums fit but the content breaks the format: whoever wrote it did it wrong.
    #[error("the frame's content is malformed: {0}")]
    Malformed(&'static str),
}

/// Reads the header at the start of `bytes`; the body need not be there.
pub fn peek(bytes: &[u8]) -> Result<FrameHeader, FrameError> {
    FrameHeader::read(bytes)
}

/// Gives a frame another place, without touching its body.
pub fn set_place(frame: &mut [u8], place: StreamPlace) -> Result<(), FrameError> {
    address(frame, place, false)
}

/// The same, saying whether batches that were made before it are still to come: whoever reads such a frame passes over its
/// checkpoints, and keeps its [ranges](crate::stored_range).
pub fn address(frame: &mut [u8], place: StreamPlace, is_ahead: bool) -> Result<(), FrameError> {
    let header = FrameHeader { place: Some(place), is_ahead, ..peek(frame)? };
    frame[..HEADER_BYTES].copy_from_slice(&header.write());
    Ok(())
}

impl FrameHeader {
    /// Log records and samples: how many sequence numbers the frame takes.
    pub fn rows(&self) -> u32 {
        self.logs + self.samples // `read` bounds the sum by ROWS_MAX
    }

    /// The whole frame's length.
    pub fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.body_bytes as usize
    }

    pub(super) fn write(&self) -> [u8; HEADER_BYTES] {
        let place = self.place.unwrap_or(StreamPlace { epoch: 0, stream: 0, lane: Lane::Control, first_seq: 0 });
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[4] = VERSION;
        let flags = [(self.place.is_some(), HAS_PLACE), (self.is_ahead, IS_AHEAD), (self.is_plain, IS_PLAIN)];
        out[5] = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum();
        out[6] = place.lane as u8;
        out[8..24].copy_from_slice(&self.agent.0.to_le_bytes());
        out[24..32].copy_from_slice(&place.epoch.to_le_bytes());
        out[32..40].copy_from_slice(&place.first_seq.to_le_bytes());
        let words =
            [place.stream, self.logs, self.samples, self.checkpoints, self.raw_bytes, self.body_bytes, self.body_crc];
        for (at, word) in words.into_iter().enumerate() {
            out[40 + 4 * at..44 + 4 * at].copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..68]);
        out[68..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn read(bytes: &[u8]) -> Result<FrameHeader, FrameError> {
        let known = bytes.len().min(4);
        if bytes[..known] != MAGIC[..known] {
            return Err(FrameError::NotAFrame);
        }
        if let Some(&version) = bytes.get(4)
            && version != VERSION
        {
            return Err(FrameError::Version(version));
        }
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(FrameError::Incomplete { needed: HEADER_BYTES, found: bytes.len() });
        };
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if crc32c::crc32c(&header[..68]) != word(68) {
            return Err(FrameError::HeaderDamaged);
        }
        let (flags, lane) = (header[5], header[6]);
        if flags & !(HAS_PLACE | IS_AHEAD | IS_PLAIN) != 0 || header[7] != 0 {
            return Err(FrameError::Malformed("unknown flags"));
        }
        let lane = Lane::from_number(lane).ok_or(FrameError::Malformed("unknown lane"))?;
        let place = StreamPlace { epoch: long(24), stream: word(40), lane, first_seq: long(32) };
        let place = if flags & HAS_PLACE != 0 {
            Some(place)
        } else if header[24..44].iter().chain([&header[6]]).all(|&byte| byte == 0) {
            None
        } else {
            return Err(FrameError::Malformed("a place where there is none"));
        };
        let found = FrameHeader {
            agent: AgentId(u128::from(long(8)) | u128::from(long(16)) << 64),
            place,
            is_ahead: flags & IS_AHEAD != 0,
            is_plain: flags & IS_PLAIN != 0,
            logs: word(44),
            samples: word(48),
            checkpoints: word(52),
            raw_bytes: word(56),
            body_bytes: word(60),
            body_crc: word(64),
        };
        at_most("rows", u64::from(found.logs) + u64::from(found.samples), ROWS_MAX)?;
        at_most("bytes when decompressed", u64::from(found.raw_bytes), RAW_BYTES_MAX)?;
        at_most("bytes", u64::from(found.body_bytes), FRAME_BYTES_MAX - HEADER_BYTES)?;
        if found.is_plain && found.raw_bytes != found.body_bytes {
            return Err(FrameError::Malformed("a body that is not compressed and has two lengths"));
        }
        let past = found.place.is_some_and(|place| place.first_seq.checked_add(u64::from(found.rows())).is_none());
        if past { Err(FrameError::Malformed("sequence numbers past 2^64")) } else { Ok(found) }
    }
}

fn at_most(what: &'static str, found: u64, limit: usize) -> Result<(), FrameError> {
    let limit = limit as u64;
    if found > limit { Err(FrameError::TooLarge { what, found, limit }) } else { Ok(()) }
}
