//! One open file: reads on from where it stood, notices when it was emptied, gives its lines.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::checkpoint::{FileId, PREFIX_BYTES_MAX, Place, Prefix};
use crate::model::Resource;
use crate::source::line_splitter::{Line, LineSplitter};

/// A file that is being read.
#[derive(Debug)]
pub(super) struct TrackedFile {
    file: File,
    pub(super) id: FileId,
    /// Where it was last seen.
    pub(super) path: PathBuf,
    /// Which group of patterns it belongs to.
    pub(super) group: usize,
    pub(super) resource: Arc<Resource>,
    /// Since when no pattern finds it any more: it was renamed or deleted.
    pub(super) gone_since: Option<Instant>,
    prefix: Prefix,
    read_offset: u64,
    /// The time of the last write that was looked at.
    modified: Option<SystemTime>,
    splitter: LineSplitter,
    last_read: Instant,
}

/// What a turn of reading found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) bytes: u64,
    /// The file had been emptied or replaced in place and was begun again.
    pub(super) restarted: bool,
}

/// A new file's first block holds a NUL: it is no text.
#[derive(Debug)]
pub(super) struct BinaryFile;

impl TrackedFile {
    /// Starts to read a file at a place, or at its start when it no longer begins as the place says.
    pub(super) fn new(
        file: File,
        id: FileId,
        place: Place,
        group: usize,
        resource: Arc<Resource>,
        line_bytes_max: usize,
    ) -> TrackedFile {
        TrackedFile {
            file,
            id,
            path: place.path,
            group,
            resource,
            gone_since: None,
            prefix: place.prefix,
            read_offset: place.offset,
            modified: None,
            splitter: LineSplitter::new(line_bytes_max),
            last_read: Instant::now(),
        }
    }

    /// Reads on by at most the buffer's length. Lines are given in order; what has no line end yet is held.
    pub(super) fn read(&mut self, buffer: &mut [u8], mut take: impl FnMut(Line<'_>)) -> io::Result<Turn> {
        let mut turn = Turn::default();
        let metadata = self.file.metadata()?;
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        // The same length at another time may be another content.
        if length == self.read_offset && modified == self.modified {
            return Ok(turn);
        }
        self.modified = modified;
        if length < self.read_offset || !self.prefix.is_of(&self.file)? {
            turn.restarted = true;
            self.splitter.finish(&mut take);
            self.prefix = Prefix::EMPTY;
            self.read_offset = 0;
        }
        let read = match self.file.read_at(buffer, self.read_offset) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(turn),
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok(turn);
        }
        self.splitter.push(&buffer[..read], take);
        self.read_offset += read as u64;
        turn.bytes = read as u64;
        self.last_read = Instant::now();
        if usize::from(self.prefix.length) < PREFIX_BYTES_MAX {
            self.prefix = Prefix::read(&self.file, self.read_offset)?;
        }
        Ok(turn)
    }

    /// Whether a line without an end has waited for more for so long.
    pub(super) fn holds_old_line(&self, timeout: Duration) -> bool {
        self.splitter.held_bytes() > 0 && self.last_read.elapsed() >= timeout
    }

    /// Takes the held line for complete.
    pub(super) fn give_held_line(&mut self, take: impl FnMut(Line<'_>)) {
        self.splitter.finish(take);
    }

    /// How long nothing came.
    pub(super) fn silent_for(&self) -> Duration {
        self.last_read.elapsed()
    }

    /// Whether everything there is was read and given.
    pub(super) fn is_read_to_end(&self) -> bool {
        self.splitter.held_bytes() == 0 && self.file.metadata().is_ok_and(|metadata| metadata.len() == self.read_offset)
    }

    /// Whether no name leads to it any more.
    pub(super) fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// The file's own times and length.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Whether `other` begins with the same full block: a copy of this file, as `copytruncate` makes them.
    pub(super) fn is_copied_to(&self, other: &File) -> bool {
        usize::from(self.prefix.length) == PREFIX_BYTES_MAX && self.prefix.is_of(other).unwrap_or(false)
    }

    /// Where the first line starts that was not given yet.
    pub(super) fn place(&self) -> Place {
        Place { prefix: self.prefix, offset: self.read_offset - self.splitter.held_bytes(), path: self.path.clone() }
    }
}

/// Refuses what is no text. An empty file passes: it is text until it says otherwise.
pub(super) fn check_text(file: &File) -> Result<(), BinaryFile> {
    let mut block = [0; 4096];
    match file.read_at(&mut block, 0) {
        Ok(read) if memchr::memchr(0, &block[..read]).is_some() => Err(BinaryFile),
        _ => Ok(()),
    }
}
