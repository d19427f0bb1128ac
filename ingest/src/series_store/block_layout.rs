//! The bytes of a block file: an immutable stretch of series, all of whose windows end in one partition of time.
//!
//! ```text
//! 0            magic "TFSERIES"
//! 8            version:u16 = 2, reserved:u16 = 0, CRC32C of the 12 bytes before:u32
//! 16           chunk …                                   ; see chunk.rs; each with its CRC32C in the footer
//!              metrics section, zstd                     ; (kind:u8 name:prefixed unit:prefixed series:varint)…
//!              series table, zstd                        ; see series_table.rs
//!              exemplars, zstd                           ; (row:varint time:i64 value:f64 trace:u128 span:u64|0)…
//!              footer                                    ; below
//! length − 16  footer length:u32, footer CRC32C:u32, magic "TFSERIES"
//!
//! footer  := partition:i64 hours:varint resolution_ms:varint days_held:varint order:u64 deletions_through:varint
//!            first_end:i64 last_end:i64 windows:varint series:varint
//!            exemplar_first:i64 exemplar_last:i64
//!            chunks:varint (length:varint crc:u32)…  section section section
//! section := length:varint raw_length:varint crc:u32
//! ```
//!
//! Little-endian; times in nanoseconds since the epoch; chunks and sections follow each other without a gap, so every
//! byte of the file is covered by a checksum or is a constant. The footer's first six fields are the block's
//! [`Place`](super::place::Place).

use taffrail_collector::model::Timestamp;

use super::place::Place;
use super::points::End;
use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

pub(super) const MAGIC: &[u8; 8] = b"TFSERIES";
pub(super) const VERSION: u16 = 2;
pub(super) const HEADER_BYTES: u64 = 16;
pub(super) const TRAILER_BYTES: u64 = 16;

/// Bytes of a section before compression, at most (some 10 million series).
pub(super) const SECTION_BYTES_MAX: usize = 1 << 30;

/// Which part of the file, and the checksum of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) crc: u32,
}

/// A compressed section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) extent: Extent,
    pub(super) raw_length: u32,
}

/// The footer's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) place: Place,
    pub(super) first_end: End,
    pub(super) last_end: End,
    pub(super) windows: u64,
    pub(super) series: u64,
    /// The earliest and the latest exemplar; `first > last` when there is none.
    pub(super) exemplar_first: i64,
    pub(super) exemplar_last: i64,
    pub(super) chunks: Vec<Extent>,
    pub(super) metrics: Section,
    pub(super) table: Section,
    pub(super) exemplars: Section,
}

pub(super) fn header() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

pub(super) fn check_header(bytes: &[u8]) -> Result<(), Malformed> {
    let mut cursor = ByteCursor(bytes);
    if cursor.bytes(8)? != MAGIC {
        return Err(Malformed("it is not a series block"));
    }
    let (version, _, crc) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
    if crc != crc32c::crc32c(&bytes[..12]) {
        return Err(Malformed("its header is damaged"));
    }
    if version != VERSION {
        return Err(Malformed("it was written by another version of Taffrail"));
    }
    Ok(())
}

/// The footer and the trailer.
pub(super) fn encode_footer(footer: &Footer) -> Vec<u8> {
    let mut out = Vec::new();
    let Place { partition, hours, resolution_ms, days_held, order, deletions_through } = footer.place;
    out.extend(partition.unix_nanos().to_le_bytes());
    put_varint(&mut out, u64::from(hours));
    put_varint(&mut out, u64::from(resolution_ms));
    put_varint(&mut out, u64::from(days_held));
    out.extend(order.to_le_bytes());
    put_varint(&mut out, deletions_through);
    out.extend(footer.first_end.to_le_bytes());
    out.extend(footer.last_end.to_le_bytes());
    put_varint(&mut out, footer.windows);
    put_varint(&mut out, footer.series);
    out.extend(footer.exemplar_first.to_le_bytes());
    out.extend(footer.exemplar_last.to_le_bytes());
    put_varint(&mut out, footer.chunks.len() as u64);
    for chunk in &footer.chunks {
        put_varint(&mut out, u64::from(chunk.length));
        out.extend(chunk.crc.to_le_bytes());
    }
    for section in [&footer.metrics, &footer.table, &footer.exemplars] {
        put_varint(&mut out, u64::from(section.extent.length));
        put_varint(&mut out, u64::from(section.raw_length));
        out.extend(section.extent.crc.to_le_bytes());
    }
    let length = u32::try_from(out.len()).expect("a footer is far below 4 GiB: SERIES_MAX bounds its chunks");
    let crc = crc32c::crc32c(&out);
    out.extend(length.to_le_bytes());
    out.extend(crc.to_le_bytes());
    out.extend(MAGIC);
    out
}

/// The footer's length and checksum, from the last bytes of the file.
pub(super) fn decode_trailer(bytes: &[u8]) -> Result<(u32, u32), Malformed> {
    let mut cursor = ByteCursor(bytes);
    let (length, crc) = (cursor.u32()?, cursor.u32()?);
    if cursor.bytes(8)? == MAGIC { Ok((length, crc)) } else { Err(Malformed("its end is missing")) }
}

/// The footer, from bytes whose checksum fits; `footer_offset` is where they start in the file.
pub(super) fn decode_footer(bytes: &[u8], footer_offset: u64) -> Result<Footer, Malformed> {
    let mut cursor = ByteCursor(bytes);
    let place = Place {
        partition: Timestamp::from_unix_nanos(cursor.u64()? as i64),
        hours: length(&mut cursor)?,
        resolution_ms: length(&mut cursor)?,
        days_held: length(&mut cursor)?,
        order: cursor.u64()?,
        deletions_through: cursor.varint()?,
    };
    let [first_end, last_end] = [cursor.u64()?, cursor.u64()?];
    let [windows, series] = [cursor.varint()?, cursor.varint()?];
    let [exemplar_first, exemplar_last] = [cursor.u64()? as i64, cursor.u64()? as i64];
    let count = cursor.count(5, usize::MAX)?;
    let mut offset = HEADER_BYTES;
    let mut chunks = Vec::with_capacity(count);
    for _ in 0..count {
        let length = length(&mut cursor)?;
        chunks.push(extent(&mut cursor, &mut offset, length)?);
    }
    let mut section = || {
        let (length, raw_length) = (length(&mut cursor)?, length(&mut cursor)?);
        Ok::<_, Malformed>(Section { extent: extent(&mut cursor, &mut offset, length)?, raw_length })
    };
    let (metrics, table, exemplars) = (section()?, section()?, section()?);
    cursor.finish()?;
    if offset != footer_offset {
        return Err(Malformed("its parts do not fill it"));
    }
    Ok(Footer {
        place,
        first_end: first_end as i64,
        last_end: last_end as i64,
        windows,
        series,
        exemplar_first,
        exemplar_last,
        chunks,
        metrics,
        table,
        exemplars,
    })
}

fn length(cursor: &mut ByteCursor<'_>) -> Result<u32, Malformed> {
    u32::try_from(cursor.varint()?).map_err(|_| Malformed("a number is too large"))
}

fn extent(cursor: &mut ByteCursor<'_>, offset: &mut u64, length: u32) -> Result<Extent, Malformed> {
    let extent = Extent { offset: *offset, length, crc: cursor.u32()? };
    *offset += u64::from(length);
    Ok(extent)
}
