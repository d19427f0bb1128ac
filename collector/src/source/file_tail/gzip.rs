//! Rotated files that were compressed (`app.log.2.gz`) are read once, on a thread of their own and in the lane of what is not
//! urgent.
//!
//! What a compressed file holds may have been read before it was compressed. It is told by its first block: when that of a
//! file which is or was tailed is the same, the tailer reads it; when such a file is gone that had been read in part, reading goes
//! on behind that part. Shorter files than a block cannot be told so while this process runs.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::assembly::{Assembly, WRAPPING_BYTES_MAX};
use super::checkpoint::{ChangeMark, FileId, PREFIX_BYTES_MAX, Place, Prefix};
use super::discovery::open_regular;
use super::encoding::TextEncoding;
use super::group::{Group, owner};
use super::resources::Resources;
use super::rotation::{Listings, Whereabouts};
use super::stored_ranges::{StoredRanges, stored_ranges};
use crate::model::Checkpoint;
use crate::source::feeder::{Ended, Portion};
use crate::source::line_splitter::LineSplitter;

/// How often new files are looked for: nothing in them is new.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes that are unpacked before they are handed on; a multiple of every unit of text.
const TURN_BYTES: usize = 128 << 10;
/// A file that breaks off is being written if it was written so recently.
const WRITING: Duration = Duration::from_secs(60);
/// The place of a file that was read to its end.
const ALL: [u64; 2] = [u64::MAX; 2];
/// Beginnings remembered of files that are tailed.
const TAILED_MAX: usize = 100_000;
const KEY_PREFIX: &str = "gzip:";

/// The first blocks of files that the tailer reads to their end.
#[derive(Clone, Debug, Default)]
pub(super) struct Tailed(Arc<Mutex<HashSet<Prefix>>>);

impl Tailed {
    /// The tailer reads a file that begins so. Says something only of whole blocks.
    pub(super) fn add(&self, prefix: Prefix) {
        if usize::from(prefix.length) == PREFIX_BYTES_MAX {
            let mut known = self.0.lock();
            if known.len() >= TAILED_MAX {
                known.clear();
            }
            known.insert(prefix);
        }
    }

    fn has(&self, prefix: Prefix) -> bool {
        self.0.lock().contains(&prefix)
    }
}

/// The thread's state.
pub(super) struct Backfill {
    groups: Vec<Group>,
    /// Compressed files that were met, and how far they were read.
    known: HashMap<FileId, Place>,
    /// What servers had of them when this agent's state was lost.
    stored: HashMap<FileId, StoredRanges>,
    /// Files that were tailed in earlier runs.
    former: Vec<(FileId, Place)>,
    tailed: Tailed,
    /// Files that need not be looked at again until they change.
    settled: HashMap<FileId, ChangeMark>,
    stop: CancellationToken,
}

/// What became of one file.
enum Outcome {
    /// It was read to its end, or as far as it can be.
    Read,
    /// It is being written, or we are stopping.
    Later,
}

impl Backfill {
    /// Of these groups, whose patterns match compressed files.
    pub(super) fn new(
        groups: Vec<Group>,
        checkpoints: &HashMap<String, Vec<u8>>,
        tailed: Tailed,
        stop: CancellationToken,
    ) -> Backfill {
        let of = |prefix: &'static str| {
            checkpoints.iter().filter_map(move |(key, value)| {
                let id = FileId::from_key(&format!("file:{}", key.strip_prefix(prefix)?))?;
                Some((id, Place::from_value(value)?))
            })
        };
        let (known, former) = (of(KEY_PREFIX).collect(), of("file:").collect());
        let stored = stored_ranges(checkpoints, KEY_PREFIX).into_iter().map(|(id, _, ranges)| (id, ranges)).collect();
        Backfill { groups, known, stored, former, tailed, settled: HashMap::new(), stop }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Reads what there is, and then looks for more until the stop.
    pub(super) fn run(mut self) -> Result<(), Ended> {
        while !self.stop.is_cancelled() {
            for index in 0..self.groups.len() {
                self.read_group(index)?;
            }
            let next = Instant::now() + LOOK_INTERVAL;
            while !self.stop.is_cancelled() && Instant::now() < next {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    fn read_group(&mut self, index: usize) -> Result<(), Ended> {
        let mut found: Vec<(PathBuf, Metadata)> = Vec::new();
        // What cannot be looked at now is asked for again when its files are to be forgotten.
        let _ = self.groups[index].patterns.walk(&mut |_| {}, &mut |path, metadata| found.push((path, metadata)));
        // Older ones hold what happened earlier.
        found.sort_by_key(|(_, metadata)| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        for (path, metadata) in &found {
            let (id, mark) = (FileId::of(metadata), ChangeMark::of(metadata));
            let is_another_groups = || owner(&self.groups, path) != Some(index);
            if self.stop.is_cancelled() || self.settled.get(&id) == Some(&mark) || is_another_groups() {
                continue;
            }
            match self.read_file(index, path) {
                Ok(Outcome::Read) => {
                    self.settled.insert(id, mark);
                }
                Ok(Outcome::Later) => {}
                Err(Failure::Ended) => return Err(Ended),
                Err(Failure::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(Failure::Io(error)) => self.groups[index].complain(path, "unreadable_file", &error.to_string()),
            }
        }
        self.forget_gone(index, &found)
    }

    fn read_file(&mut self, index: usize, path: &Path) -> Result<Outcome, Failure> {
        let Some((file, metadata)) = open_regular(path)? else { return Ok(Outcome::Read) };
        let id = FileId::of(&metadata);
        let prefix = Prefix::read(&file, metadata.len())?;
        let offsets = match self.known.get(&id) {
            Some(place) if place.offsets == ALL && place.prefix.is_of(&file)? => return Ok(Outcome::Read),
            Some(place) if place.prefix.is_of(&file)? => place.offsets,
            _ => {
                // What cannot be unpacked is found out below.
                let head = head_of(&file)?;
                self.start_of(&head)
            }
        };
        if let Some(ranges) = self.stored.get_mut(&id) {
            // What was unpacked may be longer than the file.
            ranges.take_unfit(&file, u64::MAX);
        }
        let mut place = Place { prefix, offsets, path: path.to_owned() };
        self.send(index, id, &place, Portion::default())?;
        if offsets == ALL {
            return Ok(Outcome::Read);
        }
        let is_young = metadata.modified().is_ok_and(|at| at.elapsed().unwrap_or_default() < WRITING);
        match self.unpack(index, id, file, &mut place, is_young) {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Io(error)) => {
                if error.kind() == io::ErrorKind::UnexpectedEof && is_young {
                    return Ok(Outcome::Later);
                }
                self.groups[index].complain(path, "corrupt_gzip", &error.to_string());
                place.offsets = ALL;
                self.send(index, id, &place, Portion::default())?;
                Ok(Outcome::Read)
            }
            Err(ended) => Err(ended),
        }
    }

    /// Where to start with a file that is new to us and begins so.
    fn start_of(&self, head: &[u8]) -> [u64; 2] {
        if self.tailed.has(Prefix::of(head)) {
            return ALL;
        }
        let begins = |place: &Place| {
            let length = usize::from(place.prefix.length);
            length > 0 && length <= head.len() && Prefix::of(&head[..length]) == place.prefix
        };
        match self.former.iter().find(|(_, place)| begins(place)) {
            Some((id, place)) => {
                // Its inode may be another file's by now.
                let is_it = |path: &Path| {
                    open_regular(path)
                        .ok()
                        .flatten()
                        .is_some_and(|(file, metadata)| FileId::of(&metadata) == *id && place.fits(&file, &metadata))
                };
                let is_there = is_it(&place.path)
                    || matches!(Listings::default().find_renamed(place, *id), Whereabouts::Renamed(path, _) if is_it(&path));
                if is_there { ALL } else { place.offsets }
            }
            None => [0; 2],
        }
    }

    /// Reads on from the place. What an error leaves is given, unless `is_young`: then more may come.
    fn unpack(
        &mut self,
        index: usize,
        id: FileId,
        file: File,
        place: &mut Place,
        is_young: bool,
    ) -> Result<Outcome, Failure> {
        let mut text = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, file));
        let mut head = vec![0; place.offset().min(PREFIX_BYTES_MAX as u64) as usize];
        text.read_exact(&mut head)?;
        io::copy(&mut text.by_ref().take(place.offset() - head.len() as u64), &mut io::sink())?;
        let group = &self.groups[index];
        let resources = Resources::new(&group.host, &group.config.service, &place.path);
        let mut buffer = vec![0; TURN_BYTES];
        let (mut filled, mut error) = fill(&mut text, &mut buffer);
        let beginning = if head.is_empty() { &buffer[..filled] } else { &head };
        let encoding = group.encoding.unwrap_or_else(|| TextEncoding::of_bytes(beginning));
        let unit = encoding.unit();
        let line_bytes_max = group.config.line_bytes_max.saturating_mul(unit.bytes()) + WRAPPING_BYTES_MAX;
        let mut splitter = LineSplitter::new(line_bytes_max).from(place.offset()).of(unit).with_empty_lines();
        let mut assembly = Assembly::new(group.reading.clone(), encoding, place.offsets);
        loop {
            if self.stop.is_cancelled() {
                return Ok(Outcome::Later);
            }
            let mut logs = Vec::new();
            let stored = self.stored.get(&id).cloned().unwrap_or_default();
            let mut maker = self.groups[index].maker(&resources, &stored);
            let now = Instant::now();
            let mut take = |whole: super::assembly::Whole<'_>| logs.extend(maker.record(whole));
            splitter.push(&buffer[..filled / unit.bytes() * unit.bytes()], |line| assembly.push(line, now, &mut take));
            let is_end = filled < buffer.len() && error.is_none();
            if is_end || (error.is_some() && !is_young) {
                splitter.finish(|line| assembly.push(line, now, &mut take));
                assembly.finish(now, &mut take);
            }
            place.offsets = if is_end { ALL } else { assembly.places(splitter.position()) };
            self.send(index, id, place, Portion { logs, bytes: filled as u64, ..Portion::default() })?;
            if let Some(error) = error {
                return Err(error.into());
            }
            if is_end {
                return Ok(Outcome::Read);
            }
            (filled, error) = fill(&mut text, &mut buffer);
        }
    }

    /// Hands a portion on with the place behind it.
    fn send(&mut self, index: usize, id: FileId, place: &Place, portion: Portion) -> Result<(), Failure> {
        self.known.insert(id, place.clone());
        let checkpoint = Checkpoint { key: key_of(id), ..place.checkpoint(id) };
        let passed = self.stored.get_mut(&id).map(|ranges| ranges.take_passed(place.offsets));
        let checkpoints = [checkpoint].into_iter().chain(passed.into_iter().flatten()).collect();
        self.groups[index].send(Portion { checkpoints, ..portion }).map_err(|Ended| Failure::Ended)
    }

    /// Forgets files that their directories no longer hold.
    fn forget_gone(&mut self, index: usize, found: &[(PathBuf, Metadata)]) -> Result<(), Ended> {
        let there: HashSet<FileId> = found.iter().map(|(_, metadata)| FileId::of(metadata)).collect();
        let group = &mut self.groups[index];
        let is_gone = |(id, place): &(&FileId, &Place)| {
            !there.contains(id)
                && group.patterns.matches(&place.path)
                && place.path.parent().is_some_and(|directory| fs::read_dir(directory).is_ok())
        };
        let gone: Vec<FileId> = self.known.iter().filter(is_gone).map(|(id, _)| *id).collect();
        for id in gone {
            self.known.remove(&id);
            self.settled.remove(&id);
            let forgotten = Checkpoint { key: key_of(id), value: Vec::new() };
            group.send(Portion { checkpoints: vec![forgotten], ..Portion::default() })?;
        }
        Ok(())
    }
}

/// Why a file was not read.
enum Failure {
    Io(io::Error),
    /// The feeder takes no more.
    Ended,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

fn key_of(id: FileId) -> String {
    format!("{KEY_PREFIX}{}:{}", id.device, id.inode)
}

/// The first block of what a compressed file holds, as far as it can be unpacked. The file is left at its start.
fn head_of(mut file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; PREFIX_BYTES_MAX];
    let (filled, _) = fill(&mut MultiGzDecoder::new(file), &mut head);
    file.rewind()?;
    head.truncate(filled);
    Ok(head)
}

/// Reads until the buffer is full, there is no more, or reading fails.
fn fill(text: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match text.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}
