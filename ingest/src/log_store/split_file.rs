//! The file of a split: regions, each checked when it is read, and a directory of them at the end.
//!
//! ```text
//! magic "TAFSPLIT"
//! region │ region │ …                     bytes of any kind, back to back
//! directory                               what the writer says of the regions (split_writer draws it)
//! directory length u32 │ version u32 │ directory CRC32C u32 │ CRC32C u32 of the twelve bytes before │ magic "TAFSPLIT"
//! ```
//!
//! Numbers are little-endian. A region is the unit of reading and of checking: whoever refers to one keeps its place, its
//! length and its CRC32C ([`Region`]), and no byte of it is looked at before the sum was found right. Files are read, not
//! mapped: a file that is cut or fails under a reader is an error here, where a mapping would end the process.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use zstd::bulk::Decompressor;

use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

const MAGIC: &[u8; 8] = b"TAFSPLIT";
const TRAILER: usize = 16 + MAGIC.len();

/// The version of everything in the file.
pub const VERSION: u32 = 1;

/// A compressed region may unpack to so much; writers stay far below.
const UNPACKED_BYTES_MAX: usize = 1 << 30;

/// zstd's level for what is compressed whole.
const ZSTD_LEVEL: i32 = 3;

/// Where some bytes of the file are, and their checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Where it starts.
    pub offset: u64,
    /// How long it is.
    pub length: u32,
    /// Its CRC32C.
    pub crc: u32,
    /// How long it is unpacked; 0 when it is kept as it is.
    pub unpacked: u32,
}

impl Region {
    /// Appends the region.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, u64::from(self.length));
        put_varint(out, u64::from(self.unpacked));
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    /// Reads a region.
    pub fn read(cursor: &mut ByteCursor<'_>) -> Result<Region, Malformed> {
        let number = |cursor: &mut ByteCursor<'_>| {
            u32::try_from(cursor.varint()?).map_err(|_| Malformed("a region is too long"))
        };
        let offset = cursor.varint()?;
        Ok(Region { offset, length: number(cursor)?, unpacked: number(cursor)?, crc: cursor.u32()? })
    }
}

/// Writes a split's file.
pub struct SplitFileWriter {
    file: BufWriter<File>,
    at: u64,
}

impl SplitFileWriter {
    /// Creates the file, which must not be there.
    pub fn create(path: &Path) -> io::Result<SplitFileWriter> {
        let mut file = BufWriter::with_capacity(1 << 18, File::create_new(path)?);
        file.write_all(MAGIC)?;
        Ok(SplitFileWriter { file, at: MAGIC.len() as u64 })
    }

    /// Writes a region as it is.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<Region> {
        self.put_region(bytes, 0)
    }

    /// Writes a region compressed.
    pub fn put_compressed(&mut self, bytes: &[u8]) -> io::Result<Region> {
        if bytes.len() > UNPACKED_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a part of a split is too large"));
        }
        if bytes.is_empty() {
            return self.put(bytes);
        }
        self.put_region(&zstd::bulk::compress(bytes, ZSTD_LEVEL)?, bytes.len() as u32)
    }

    fn put_region(&mut self, bytes: &[u8], unpacked: u32) -> io::Result<Region> {
        let length = u32::try_from(bytes.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a part of a split is too large"))?;
        let region = Region { offset: self.at, length, crc: crc32c::crc32c(bytes), unpacked };
        self.file.write_all(bytes)?;
        self.at += u64::from(length);
        Ok(region)
    }

    /// Writes the directory, makes the file durable and returns its length.
    pub fn finish(mut self, directory: &[u8]) -> io::Result<u64> {
        let region = self.put(directory)?;
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend_from_slice(&region.length.to_le_bytes());
        trailer.extend_from_slice(&VERSION.to_le_bytes());
        trailer.extend_from_slice(&region.crc.to_le_bytes());
        trailer.extend_from_slice(&crc32c::crc32c(&trailer).to_le_bytes());
        trailer.extend_from_slice(MAGIC);
        self.file.write_all(&trailer)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(self.at + trailer.len() as u64)
    }
}

thread_local! {
    /// zstd's memory, kept by each thread: taking it anew costs more than many a page.
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A split's file, open.
#[derive(Debug)]
pub struct SplitFile {
    file: File,
    length: u64,
}

impl SplitFile {
    /// Opens the file and returns its directory, checked.
    pub fn open(path: &Path) -> io::Result<(SplitFile, Vec<u8>)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let trailer_at = length
            .checked_sub(TRAILER as u64)
            .filter(|&at| at >= MAGIC.len() as u64)
            .ok_or_else(|| damaged("the file is too short"))?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, trailer_at)?;
        let number = |at: usize| u32::from_le_bytes(trailer[at..at + 4].try_into().expect("four bytes"));
        if !trailer.ends_with(MAGIC) {
            return Err(damaged("the file's end is not that of a split"));
        }
        if crc32c::crc32c(&trailer[..12]) != number(12) {
            return Err(damaged("the checksum of the file's end is wrong"));
        }
        if number(4) != VERSION {
            return Err(damaged(&format!("its format is version {}, this program reads version {VERSION}", number(4))));
        }
        let mut magic = [0; MAGIC.len()];
        file.read_exact_at(&mut magic, 0)?;
        if &magic != MAGIC {
            return Err(damaged("the file's beginning is not that of a split"));
        }
        let offset = trailer_at
            .checked_sub(u64::from(number(0)))
            .ok_or_else(|| damaged("its directory is longer than the file"))?;
        let file = SplitFile { file, length: trailer_at };
        let directory = file.read(&Region { offset, length: number(0), crc: number(8), unpacked: 0 })?;
        Ok((file, directory))
    }

    /// Reads a region, checks it, unpacks it.
    pub fn read(&self, region: &Region) -> io::Result<Vec<u8>> {
        let end = region.offset.checked_add(u64::from(region.length));
        if end.is_none_or(|end| end > self.length) {
            return Err(damaged("a region lies outside the file"));
        }
        let mut bytes = vec![0; region.length as usize];
        self.file.read_exact_at(&mut bytes, region.offset)?;
        if crc32c::crc32c(&bytes) != region.crc {
            return Err(damaged(&format!("the checksum of the {} bytes at {} is wrong", region.length, region.offset)));
        }
        if region.unpacked == 0 {
            return Ok(bytes);
        }
        let unpacked = region.unpacked as usize;
        if unpacked > UNPACKED_BYTES_MAX {
            return Err(damaged("a region unpacks to too much"));
        }
        let bytes = UNPACKER.with_borrow_mut(|unpacker| match unpacker {
            Some(unpacker) => unpacker.decompress(&bytes, unpacked),
            None => unpacker.insert(Decompressor::new()?).decompress(&bytes, unpacked),
        })?;
        if bytes.len() != unpacked { Err(damaged("a region unpacks to another length")) } else { Ok(bytes) }
    }
}

/// An error of the file's content.
pub fn damaged(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_back_and_every_flipped_byte_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let mut writer = SplitFileWriter::create(&path).expect("created");
        let plain = writer.put(b"plain bytes").expect("written");
        let packed = writer.put_compressed(&b"again and ".repeat(100)).expect("written");
        let empty = writer.put_compressed(b"").expect("written");
        let length = writer.finish(b"directory").expect("finished");
        let whole = std::fs::read(&path).expect("reads");
        assert_eq!(length, whole.len() as u64);
        let read_all = || -> io::Result<()> {
            let (file, found) = SplitFile::open(&path)?;
            assert_eq!(found, b"directory");
            assert_eq!(file.read(&plain)?, b"plain bytes");
            assert_eq!(file.read(&packed)?, b"again and ".repeat(100));
            assert_eq!(file.read(&empty)?, b"");
            Ok(())
        };
        read_all().expect("whole");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).expect("writes");
            assert!(read_all().is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).expect("writes");
            assert!(read_all().is_err(), "cut to {at}");
        }
        std::fs::write(&path, &whole).expect("writes");
        let (file, _) = SplitFile::open(&path).expect("opens");
        assert!(file.read(&Region { offset: u64::MAX, ..plain }).is_err());
    }
}
