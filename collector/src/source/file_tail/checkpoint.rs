//! Who a file is and how far it was read, as it is remembered across restarts.
//!
//! A file is told by its device and inode together with a hash of its beginning, because inodes are used again and files are
//! emptied and filled anew. The hashed beginning grows with what was read, up to [`PREFIX_BYTES_MAX`], so that even a file
//! of one short line has an identity.
//!
//! ```text
//! key    file:<device>:<inode>                 decimal
//! value  version      u8   2
//!        prefix bytes u16  little-endian, ≤ 1024
//!        prefix hash  u64  rapidhash v3 of these bytes
//!        offset       u64  where the next line starts; in a container's file the next of standard output …
//!        offset       u64  … and the next of standard error: reading goes on at the lesser
//!        path         the rest, as bytes: where the file was last seen
//! ```
//!
//! Version 1 had one offset. A compressed file's key starts with `gzip:`, and its offsets count what it holds: all bits set once it
//! was read to its end.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rapidhash::v3::rapidhash_v3;

use crate::model::Checkpoint;

/// Bytes of a file's beginning that are hashed.
pub(super) const PREFIX_BYTES_MAX: usize = 1024;
const VERSION: u8 = 2;
const VERSION_WITH_ONE_OFFSET: u8 = 1;
const HEAD_BYTES: usize = 1 + 2 + 8;
const KEY_PREFIX: &str = "file:";

/// A file on disk, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// What changes when a file does, or when its inode is another file's: change time and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChangeMark {
    seconds: i64,
    nanoseconds: i64,
    length: u64,
}

/// The hash of a file's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prefix {
    pub(super) length: u16,
    hash: u64,
}

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) prefix: Prefix,
    /// Where the first line starts that was not given, in each of the two streams that a container's file holds.
    pub(super) offsets: [u64; 2],
    pub(super) path: PathBuf,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }

    pub(super) fn key(self) -> String {
        format!("{KEY_PREFIX}{}:{}", self.device, self.inode)
    }

    /// The file that a checkpoint's key means; none for the keys of other sources.
    pub(super) fn from_key(key: &str) -> Option<FileId> {
        let (device, inode) = key.strip_prefix(KEY_PREFIX)?.split_once(':')?;
        Some(FileId { device: device.parse().ok()?, inode: inode.parse().ok()? })
    }
}

impl ChangeMark {
    pub(super) fn of(metadata: &Metadata) -> ChangeMark {
        ChangeMark { seconds: metadata.ctime(), nanoseconds: metadata.ctime_nsec(), length: metadata.len() }
    }
}

impl Prefix {
    /// Of a file of which nothing is known: every file has it.
    pub(super) const EMPTY: Prefix = Prefix { length: 0, hash: 0 };

    /// Of the file's first bytes, at most `length` and [`PREFIX_BYTES_MAX`].
    pub(super) fn read(file: &File, length: u64) -> io::Result<Prefix> {
        let mut bytes = [0; PREFIX_BYTES_MAX];
        let wanted = length.min(PREFIX_BYTES_MAX as u64) as usize;
        let mut filled = 0;
        while filled < wanted {
            match file.read_at(&mut bytes[filled..wanted], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Prefix::of(&bytes[..filled]))
    }

    /// Of what begins with these bytes; of more than [`PREFIX_BYTES_MAX`] the first count.
    pub(super) fn of(bytes: &[u8]) -> Prefix {
        let bytes = &bytes[..bytes.len().min(PREFIX_BYTES_MAX)];
        if bytes.is_empty() { Prefix::EMPTY } else { Prefix { length: bytes.len() as u16, hash: rapidhash_v3(bytes) } }
    }

    /// Whether the file still begins so.
    pub(super) fn is_of(self, file: &File) -> io::Result<bool> {
        Ok(Prefix::read(file, u64::from(self.length))? == self)
    }
}

impl Place {
    /// Where reading goes on.
    pub(super) fn offset(&self) -> u64 {
        self.offsets[0].min(self.offsets[1])
    }

    /// Whether the file can be the one whose place this is.
    pub(super) fn fits(&self, file: &File, metadata: &Metadata) -> bool {
        self.offset() <= metadata.len() && self.prefix.is_of(file).unwrap_or(false)
    }

    /// Whether the file still begins as it did and has lost its end: what was read of it may not have been on disk yet when the power
    /// went. A file that was emptied and filled anew has fewer bytes or begins otherwise.
    pub(super) fn was_cut(&self, file: &File, metadata: &Metadata) -> bool {
        let was_read_to = self.offsets[0].max(self.offsets[1]);
        metadata.len() < was_read_to && self.prefix.length > 0 && self.prefix.is_of(file).unwrap_or(false)
    }

    /// Whether the file is the one that was known as `known`, though its device bears another number now: the kernel may
    /// number devices anew at every boot. A rotated log often begins like its successor, so the inode must be the same.
    pub(super) fn fits_renumbered(&self, known: FileId, file: &File, metadata: &Metadata) -> bool {
        let may_be = known.inode == metadata.ino() && self.prefix.length > 0;
        may_be && (self.fits(file, metadata) || self.was_cut(file, metadata))
    }

    pub(super) fn checkpoint(&self, id: FileId) -> Checkpoint {
        let path = self.path.as_os_str().as_bytes();
        let mut value = Vec::with_capacity(HEAD_BYTES + 16 + path.len());
        value.push(VERSION);
        value.extend_from_slice(&self.prefix.length.to_le_bytes());
        value.extend_from_slice(&self.prefix.hash.to_le_bytes());
        self.offsets.iter().for_each(|offset| value.extend_from_slice(&offset.to_le_bytes()));
        value.extend_from_slice(path);
        Checkpoint { key: id.key(), value }
    }

    /// Reads a checkpoint's value; none when it is empty (the file is gone) or not one of ours.
    pub(super) fn from_value(value: &[u8]) -> Option<Place> {
        let (head, rest) = value.split_at_checked(HEAD_BYTES)?;
        let length = u16::from_le_bytes(head[1..3].try_into().ok()?);
        if usize::from(length) > PREFIX_BYTES_MAX {
            return None;
        }
        let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
        let (first, rest) = rest.split_at_checked(8)?;
        let (second, path) = match head[0] {
            VERSION => rest.split_at_checked(8)?,
            VERSION_WITH_ONE_OFFSET => (first, rest),
            _ => return None,
        };
        Some(Place {
            prefix: Prefix { length, hash: number(&head[3..11])? },
            offsets: [number(first)?, number(second)?],
            path: Path::new(OsStr::from_bytes(path)).to_owned(),
        })
    }
}

/// The checkpoint that takes a file's place away.
pub(super) fn forgotten(id: FileId) -> Checkpoint {
    Checkpoint { key: id.key(), value: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_comes_back_and_foreign_bytes_are_none(length in 0u16..=1024, hash: u64, offset: u64, path in "/[a-zé/]{0,30}", bytes: Vec<u8>) {
            let mut place = Place { prefix: Prefix { length, hash }, offsets: [offset, hash], path: path.into() };
            let id = FileId { device: offset, inode: hash };
            let checkpoint = place.checkpoint(id);
            prop_assert_eq!(Place::from_value(&checkpoint.value), Some(place.clone()));
            let mut former = checkpoint.value.clone();
            former[0] = 1;
            former.drain(19..27);
            place.offsets = [offset; 2];
            prop_assert_eq!(Place::from_value(&former), Some(place));
            prop_assert_eq!(FileId::from_key(&checkpoint.key), Some(id));
            Place::from_value(&bytes);
        }
    }

    #[test]
    fn a_prefix_knows_its_file_while_it_grows_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "one line\n").unwrap();
        let file = File::open(&path).unwrap();
        let prefix = Prefix::read(&file, 9).unwrap();
        assert!(prefix.is_of(&file).unwrap());
        File::options().append(true).open(&path).unwrap().write_all(&[b'x'; 5000]).unwrap();
        assert!(prefix.is_of(&file).unwrap());
        assert_eq!(usize::from(Prefix::read(&file, 5000).unwrap().length), PREFIX_BYTES_MAX);
        std::fs::write(&path, "one time\n and more").unwrap();
        assert!(!prefix.is_of(&file).unwrap());
        std::fs::write(&path, "one").unwrap();
        assert!(!prefix.is_of(&file).unwrap());
        assert!(Prefix::EMPTY.is_of(&file).unwrap());
        assert_eq!(FileId::from_key("journald"), None);
    }
}
