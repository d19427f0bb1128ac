//! The records of a split, whole: blocks of [`BLOCK_ROWS`] records each, newest record first.
//!
//! ```text
//! block 0 │ block 1 │ … │ block n−1      each one frame, a batch without a place (collector::frame: own CRCs, own limits),
//!                                        or several back to back where its records are too large for one
//! offset 0 │ … │ offset n−1              u64 LE each: where the block starts
//! rows u64 │ blocks u64 │ CRC32C u32     LE; the CRC covers the offsets and the two counts
//! magic "TAFREC1\n"
//! ```
//!
//! A block is read whole to get one record; a scan reads each block once.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use taffrail_collector::frame::{self, EncodeError};
use taffrail_collector::model::{Batch, LogRecord};

/// Records in a block. More compress better, fewer are quicker to read one by one; at 512 a block decodes in well under a
/// millisecond.
pub const BLOCK_ROWS: u32 = 512;

const MAGIC: &[u8; 8] = b"TAFREC1\n";
const TRAILER: usize = 8 + 8 + 4 + MAGIC.len();

/// Writes the file and makes it durable. Returns its length in bytes.
pub fn write(path: &Path, mut rows: impl Iterator<Item = LogRecord>) -> io::Result<u64> {
    let mut file = BufWriter::new(File::create_new(path)?);
    let (mut offsets, mut at, mut count, mut bytes) = (Vec::new(), 0u64, 0u64, Vec::new());
    loop {
        let records: Vec<LogRecord> = rows.by_ref().take(BLOCK_ROWS as usize).collect();
        if records.is_empty() {
            break;
        }
        count += records.len() as u64;
        bytes.clear();
        encode_block(records, &mut bytes).map_err(io::Error::other)?;
        file.write_all(&bytes)?;
        offsets.push(at);
        at += bytes.len() as u64;
    }
    let mut index: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    index.extend(count.to_le_bytes());
    index.extend((offsets.len() as u64).to_le_bytes());
    index.extend(crc32c::crc32c(&index).to_le_bytes());
    index.extend(MAGIC);
    file.write_all(&index)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(at + index.len() as u64)
}

/// Appends the records as one frame, or in halves where a frame's limits are too narrow for them. A record alone fits: it
/// came here through a frame of the journal.
fn encode_block(records: Vec<LogRecord>, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = bytes.len();
    let mut batch = Batch { logs: records, ..Batch::local() };
    match frame::encode(&batch, bytes) {
        Err(_) if batch.logs.len() > 1 => {
            bytes.truncate(start);
            let older = batch.logs.split_off(batch.logs.len() / 2);
            encode_block(batch.logs, bytes)?;
            encode_block(older, bytes)
        }
        result => result,
    }
}

/// The open file.
#[derive(Debug)]
pub struct RecordFile {
    file: File,
    /// Where each block starts, and where the last one ends.
    offsets: Vec<u64>,
    rows: u64,
}

impl RecordFile {
    /// Opens the file and checks its index.
    pub fn open(path: &Path) -> io::Result<RecordFile> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let trailer_at = length.checked_sub(TRAILER as u64).ok_or_else(|| damaged("it is too short"))?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, trailer_at)?;
        if !trailer.ends_with(MAGIC) {
            return Err(damaged("its end is not that of a record file"));
        }
        let number = |at: usize| u64::from_le_bytes(trailer[at..at + 8].try_into().expect("eight bytes"));
        let (rows, blocks) = (number(0), number(8));
        let index_bytes = blocks.checked_mul(8).filter(|&bytes| bytes <= trailer_at);
        let index_at = trailer_at - index_bytes.ok_or_else(|| damaged("it counts more blocks than it can hold"))?;
        let mut index = vec![0; (trailer_at - index_at) as usize];
        file.read_exact_at(&mut index, index_at)?;
        let expected = u32::from_le_bytes(trailer[16..20].try_into().expect("four bytes"));
        if crc32c::crc32c_append(crc32c::crc32c(&index), &trailer[..16]) != expected {
            return Err(damaged("the checksum of its index is wrong"));
        }
        let (offsets, _) = index.as_chunks::<8>();
        let mut offsets: Vec<u64> = offsets.iter().map(|offset| u64::from_le_bytes(*offset)).collect();
        offsets.push(index_at);
        if !offsets.is_sorted() || rows.div_ceil(u64::from(BLOCK_ROWS)) != blocks {
            return Err(damaged("its index contradicts itself"));
        }
        Ok(RecordFile { file, offsets, rows })
    }

    /// How many records the file holds.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The records of one block, and the bytes they took on disk.
    pub fn block(&self, block: u32) -> io::Result<(Vec<LogRecord>, u64)> {
        let at = block as usize;
        let (start, end) = (self.offsets[at], self.offsets[at + 1]);
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, start)?;
        let (mut records, mut rest) = (Vec::new(), bytes.as_slice());
        while !rest.is_empty() {
            let (batch, length) = frame::decode(rest).map_err(|error| damaged(&format!("block {block}: {error}")))?;
            records.extend(batch.logs);
            rest = &rest[length..];
        }
        let expected = (self.rows - u64::from(block) * u64::from(BLOCK_ROWS)).min(u64::from(BLOCK_ROWS));
        if records.len() as u64 != expected {
            return Err(damaged(&format!("block {block} holds {} records, not {expected}", records.len())));
        }
        Ok((records, end - start))
    }
}

fn damaged(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_store::test_records::record_at;

    #[test]
    fn records_too_large_for_one_frame_share_a_block() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("records");
        let large = |second| LogRecord { body: format!("{second} {}", "x".repeat(1 << 20)), ..record_at(second) };
        let records: Vec<LogRecord> = (0..100).map(large).collect();
        write(&path, records.iter().cloned()).expect("written");
        let (read, _) = RecordFile::open(&path).expect("opens").block(0).expect("reads");
        assert!(read == records, "{} records came back", read.len());
    }

    #[test]
    fn records_come_back_and_damage_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        for rows in [0, 1, 511, 512, 513, 2000] {
            let path = directory.path().join(format!("records-{rows}"));
            let records: Vec<LogRecord> = (0..rows).map(record_at).collect();
            let length = write(&path, records.iter().cloned()).expect("written");
            assert_eq!(length, std::fs::metadata(&path).expect("there").len());
            let file = RecordFile::open(&path).expect("opens");
            assert_eq!(file.rows(), rows as u64);
            let read: Vec<LogRecord> = (0..file.rows().div_ceil(u64::from(BLOCK_ROWS)))
                .flat_map(|block| file.block(block as u32).expect("reads").0)
                .collect();
            assert_eq!(read, records);
        }
        let path = directory.path().join("records-2000");
        let whole = std::fs::read(&path).expect("reads");
        for at in (0..whole.len()).step_by(211).chain(whole.len() - TRAILER..whole.len()) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).expect("writes");
            let noticed = match RecordFile::open(&path) {
                Err(_) => true,
                Ok(file) => (0..4).any(|block| file.block(block).is_err()),
            };
            assert!(noticed, "byte {at}");
        }
        for length in [0, 7, TRAILER - 1, TRAILER, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).expect("writes");
            assert!(RecordFile::open(&path).is_err(), "{length} bytes");
        }
    }
}
