//! Appending, syncing, dropping old segments.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::reader::{JournalReader, segments_of};
use super::segment::{
    NewerVersion, Next, PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentCursor, numbers_taken, path_of, put_record,
    segment_header,
};
use crate::file_system::{Append, FileSystem};
use crate::random::random_bits;

/// What [`JournalError::Io`] says of a segment that could not be read.
pub(super) const READ: &str = "read";

/// Where the journal lies and how long its segments get.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The journal's own directory.
    pub directory: PathBuf,
    /// A segment is closed once it is longer than this.
    pub segment_bytes_max: u64,
}

/// What the journal could not do.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk said no. The record at hand was taken back; records appended before are as they were.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// Verb phrase.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Records that were appended and not yet synced are lost, and must be answered for as not stored. Their sequence
    /// numbers are given again: [`JournalWriter::next_seq`] is `lost_from` now. When it was an append that failed so, nothing
    /// more is appended before [`JournalWriter::sync`] was called and told it again. (Should the process die before anything took
    /// their place, the next start may find some of them all the same.)
    #[error("records from {lost_from} on are not durable: cannot {action} {path}: {source}")]
    Lost {
        /// The first row that is lost; everything below is durable.
        lost_from: u64,
        /// Verb phrase.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The record is larger than a record may be.
    #[error("a record of {bytes} bytes is more than the {PAYLOAD_BYTES_MAX} that one may have")]
    RecordTooLarge {
        /// The payload's length.
        bytes: usize,
    },
    /// A newer release wrote the segment.
    #[error(
        "{path} has version {version}, which this release does not know: start the newer release again, or move it away"
    )]
    NewerVersion {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
}

impl JournalError {
    /// Whether the disk is full: nothing is broken, and once there is room the journal goes on.
    pub fn is_disk_full(&self) -> bool {
        match self {
            JournalError::Io { source, .. } | JournalError::Lost { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// The segment that the disk does not give back.
    pub fn unreadable_segment(&self) -> Option<&Path> {
        match self {
            JournalError::Io { action: READ, path, .. } => Some(path),
            _ => None,
        }
    }
}

/// The journal's writing end.
pub struct JournalWriter<F: FileSystem> {
    file_system: F,
    config: JournalConfig,
    /// All segments on disk, in order; the last is the one that `active` appends to, if it does.
    segments: Vec<Segment>,
    active: Option<F::Appender>,
    next_seq: u64,
    /// Everything below is durable.
    synced_seq: u64,
    /// A loss that the caller of `append` was told and that `sync` must tell as well.
    lost: Option<(PathBuf, String)>,
    record: Vec<u8>,
}

struct Segment {
    first_seq: u64,
    path: PathBuf,
    salt: u32,
    bytes: u64,
    synced_bytes: u64,
}

impl<F: FileSystem> JournalWriter<F> {
    /// Opens the journal after recovery: cuts a torn tail, syncs what is left, goes on after the last good record.
    /// `next_seq` is where an empty journal starts, and the least number with which any goes on. Only the last segment is read.
    pub fn open(file_system: F, config: JournalConfig, next_seq: u64) -> Result<Self, JournalError> {
        let directory = &config.directory;
        file_system.create_directories(directory).map_err(|source| failed("create", directory, source))?;
        let mut segments = Vec::new();
        for (first_seq, path) in segments_of(&file_system, directory)? {
            let bytes = file_system.length(&path).map_err(|source| failed("measure", &path, source))?;
            segments.push(Segment { first_seq, path, salt: random_salt(), bytes, synced_bytes: bytes });
        }
        let mut writer = JournalWriter {
            file_system,
            config,
            segments,
            active: None,
            next_seq,
            synced_seq: next_seq,
            lost: None,
            record: Vec::new(),
        };
        writer.recover()?;
        Ok(writer)
    }

    /// Where the oldest segment starts: no row below is in the journal. [`Self::next_seq`] when there is none.
    pub fn first_seq(&self) -> u64 {
        self.segments.first().map_or(self.next_seq, |segment| segment.first_seq)
    }

    /// The sequence number of the next record's first row.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Everything below is durable.
    pub fn synced_seq(&self) -> u64 {
        self.synced_seq
    }

    /// Appends a record of `rows` rows (sequence numbers `next_seq .. next_seq + rows`, one if there are none); not durable
    /// before [`Self::sync`]. Returns its first.
    pub fn append(&mut self, rows: u32, payload: &[u8]) -> Result<u64, JournalError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(JournalError::RecordTooLarge { bytes: payload.len() });
        }
        if let Some((path, reason)) = &self.lost {
            return Err(self.lost_error("append to", path.clone(), io::Error::other(reason.clone())));
        }
        let full = self.segments.last().is_some_and(|segment| segment.bytes > self.config.segment_bytes_max);
        if full && self.active.is_some() {
            if let Err(error) = self.sync() {
                if let JournalError::Lost { path, source, .. } = &error {
                    self.lost = Some((path.clone(), source.to_string()));
                }
                return Err(error);
            }
            self.active = None;
        }
        if self.active.is_none() {
            self.open_segment()?;
        }
        let (Some(segment), Some(file)) = (self.segments.last_mut(), self.active.as_mut()) else {
            unreachable!("a segment was opened just now");
        };
        self.record.clear();
        put_record(&mut self.record, segment.salt, self.next_seq, rows, payload);
        let written = file.append(&self.record);
        if self.record.capacity() > 16 << 20 {
            self.record = Vec::new(); // an unusually large record leaves nothing behind
        }
        if let Err(source) = written {
            return Err(self.cut_back(source));
        }
        segment.bytes += (super::segment::RECORD_HEADER_BYTES + payload.len()) as u64;
        let seq = self.next_seq;
        self.next_seq += numbers_taken(rows);
        Ok(seq)
    }

    /// Makes everything appended durable. When it fails, everything since the last success is lost, and the journal goes on
    /// in a new segment.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if let Some((path, reason)) = self.lost.take() {
            return Err(self.lost_error("append to", path, io::Error::other(reason)));
        }
        let (Some(file), true) = (self.active.as_mut(), self.synced_seq < self.next_seq) else { return Ok(()) };
        if let Err(source) = file.sync() {
            let path = self.abandon();
            return Err(self.lost_error("sync", path, source));
        }
        self.synced_seq = self.next_seq;
        if let Some(segment) = self.segments.last_mut() {
            segment.synced_bytes = segment.bytes;
        }
        Ok(())
    }

    /// Starts a new segment, so that [`Self::remove_below`] can remove everything appended so far.
    pub fn rotate(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        if self.segments.last().is_some_and(|last| last.first_seq < self.next_seq) {
            self.active = None;
            self.open_segment()?;
        }
        Ok(())
    }

    /// Whether [`Self::remove_below`] has something to remove.
    pub fn can_remove_below(&self, seq: u64) -> bool {
        self.segments.get(1).is_some_and(|next| next.first_seq <= seq)
    }

    /// Removes the segments all of whose rows are below `seq`, but never the last, which says where the journal goes on.
    pub fn remove_below(&mut self, seq: u64) -> Result<(), JournalError> {
        let mut removed = false;
        while self.can_remove_below(seq) {
            let path = &self.segments[0].path;
            match self.file_system.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", path, error)),
                _ => removed = true,
            }
            self.segments.remove(0);
        }
        if removed { self.sync_directory() } else { Ok(()) }
    }

    /// Moves a segment that cannot be read into another directory, as it is; what it held is missing from now on. Returns where it is.
    pub fn set_aside(&mut self, segment: &Path, directory: &Path) -> Result<PathBuf, JournalError> {
        let is_last = |segments: &[Segment]| segments.last().is_some_and(|last| last.path == segment);
        if is_last(&self.segments) {
            self.rotate()?;
        }
        let name = segment.file_name().unwrap_or_default();
        let target = directory.join(name);
        self.file_system.create_directories(directory).map_err(|source| failed("create", directory, source))?;
        if is_last(&self.segments) {
            // It holds no record, and says where the journal goes on.
            return Err(failed("move away", segment, io::ErrorKind::InvalidInput.into()));
        }
        self.file_system.rename(segment, &target).map_err(|source| failed("move away", segment, source))?;
        self.segments.retain(|known| known.path != segment);
        self.file_system.sync_directory(directory).map_err(|source| failed("sync", directory, source))?;
        self.sync_directory()?;
        Ok(target)
    }

    /// Reads the records with sequence numbers from `from` to below `end`, and may read on. What was appended and not yet synced is read
    /// too; what is appended later may be missing.
    pub fn reader(&self, from: u64, end: u64) -> JournalReader<F> {
        let first = self.segments.partition_point(|segment| segment.first_seq <= from).saturating_sub(1);
        let beyond = self.segments.partition_point(|segment| segment.first_seq < end);
        // The one beyond says where those before it end.
        let segments = self.segments.get(first..(beyond + 1).min(self.segments.len())).unwrap_or_default();
        let segments = segments.iter().map(|segment| (segment.first_seq, segment.path.clone())).collect();
        JournalReader::over(self.file_system.clone(), segments, from)
    }

    /// Bytes of all segments on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn recover(&mut self) -> Result<(), JournalError> {
        let Some(last) = self.segments.last_mut() else { return Ok(()) };
        let path = &last.path;
        let bytes = self.file_system.read(path).map_err(|source| failed(READ, path, source))?;
        let mut cursor = SegmentCursor::new(&bytes, last.first_seq)
            .map_err(|NewerVersion(version)| JournalError::NewerVersion { path: path.clone(), version })?;
        let mut sound = cursor.at();
        loop {
            match cursor.next(&bytes) {
                Next::Record { .. } => sound = cursor.at(),
                Next::Damage(_) => {}
                Next::Tail(_) | Next::End => break,
            }
        }
        let mut file = self.file_system.open_at(path, sound as u64).map_err(|source| failed("cut", path, source))?;
        last.salt = cursor.salt().unwrap_or(last.salt);
        if sound == 0 {
            let header = segment_header(last.first_seq, last.salt);
            file.append(&header).map_err(|source| failed("write", path, source))?;
        }
        // What was read may still be on its way to the disk: it is the past of everything that comes, so it goes first.
        file.sync().map_err(|source| failed("sync", path, source))?;
        last.bytes = sound.max(SEGMENT_HEADER_BYTES) as u64;
        last.synced_bytes = last.bytes;
        self.sync_directory()?;
        self.next_seq = self.next_seq.max(cursor.expected());
        self.synced_seq = self.next_seq;
        self.active = Some(file);
        Ok(())
    }

    /// Starts a segment at `next_seq`.
    fn open_segment(&mut self) -> Result<(), JournalError> {
        let path = path_of(&self.config.directory, self.next_seq);
        // Where a segment stands of which nothing became durable, the new one takes its name in one step: it may be the only
        // file that tells where the journal goes on.
        let replaces = self.segments.last().is_some_and(|last| last.first_seq == self.next_seq);
        let created = if replaces { path.with_extension("new") } else { path.clone() };
        if replaces {
            match self.file_system.remove(&created) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &created, error)),
                _ => {}
            }
        }
        let mut file = self.file_system.create(&created).map_err(|source| failed("create", &created, source))?;
        let (first_seq, salt) = (self.next_seq, random_salt());
        let header = segment_header(first_seq, salt);
        if !replaces {
            let bytes = header.len() as u64;
            self.segments.push(Segment { first_seq, path: path.clone(), salt, bytes, synced_bytes: 0 });
        }
        file.append(&header).map_err(|source| failed("write", &created, source))?;
        if replaces {
            self.file_system.rename(&created, &path).map_err(|source| failed("rename", &created, source))?;
        }
        self.sync_directory()?;
        let segment = self.segments.last_mut().expect("it was pushed now, or stood there to be replaced");
        (segment.salt, segment.bytes, segment.synced_bytes) = (salt, header.len() as u64, 0);
        self.active = Some(file);
        Ok(())
    }

    /// Takes back what a failed append may have written.
    fn cut_back(&mut self, source: io::Error) -> JournalError {
        let segment = self.segments.last().expect("an append was tried on the last segment");
        match self.file_system.open_at(&segment.path, segment.bytes) {
            Ok(file) => {
                self.active = Some(file);
                failed("append to", &segment.path, source)
            }
            Err(_) if self.synced_seq == self.next_seq => {
                let path = self.abandon();
                failed("append to", &path, source)
            }
            Err(_) => {
                let path = self.abandon();
                self.lost = Some((path.clone(), source.to_string()));
                self.lost_error("append to", path, source)
            }
        }
    }

    /// Leaves the active segment with its synced records, and gives the numbers of the others again.
    fn abandon(&mut self) -> PathBuf {
        self.active = None;
        self.next_seq = self.synced_seq;
        let segment = self.segments.last_mut().expect("only an open segment is abandoned");
        // The others may still be readable, from memory, though they are not on the disk: a restart must not believe them.
        // When they cannot be cut off, the next segment hides them.
        if self.file_system.open_at(&segment.path, segment.synced_bytes).is_ok() {
            segment.bytes = segment.synced_bytes;
        }
        segment.path.clone()
    }

    fn sync_directory(&self) -> Result<(), JournalError> {
        let directory = &self.config.directory;
        self.file_system.sync_directory(directory).map_err(|source| failed("sync", directory, source))
    }

    fn lost_error(&self, action: &'static str, path: PathBuf, source: io::Error) -> JournalError {
        JournalError::Lost { lost_from: self.synced_seq, action, path, source }
    }
}

fn random_salt() -> u32 {
    random_bits() as u32
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { action, path: path.to_owned(), source }
}
