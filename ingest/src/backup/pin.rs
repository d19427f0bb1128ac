//! Holds still what a store consists of at one moment, while it goes on: hard links to its files, below
//! `<data_dir>/pins/held/`, and a copy of its catalog. No server is asked, and none has to run.
//!
//! **Why the set is consistent.** The journal is linked first, then the catalog is copied, then the parts that the copy lists
//! are linked. What the catalog counts as sealed lies in the parts; what it does not yet count as sealed, of all that was
//! acknowledged before, the journal had when it was linked, because it lets go only of what the catalog counts. A segment that
//! grows meanwhile adds rows that follow. A part that is merged or expires between copy and link is simply not found: then
//! all is begun again.
//!
//! Whoever pins holds a lock on `<data_dir>/pins/lock`; what stands there while nobody does was left by a crash, and goes at
//! the next occasion.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{BackupError, disk};
use crate::catalog::Catalog;
use crate::set_aside::{BLOCKS, SPLITS};

const PINS: &str = "pins";
const LOCK: &str = "lock";
const HELD: &str = "held";
const CATALOG: &str = "catalog.sqlite";
const JOURNAL: &str = "journal";
const SEGMENT_SUFFIX: &str = ".tfj";
/// Each attempt meets at most the changes of a few milliseconds, so the second one mostly succeeds.
const ATTEMPTS: u32 = 10;

/// A pinned set; dropping it lets it go.
#[derive(Debug)]
pub struct Pin {
    directory: PathBuf,
    /// Parts that the catalog lists and that are not there.
    pub missing: Vec<String>,
    _lock: File,
}

impl Pin {
    /// Pins what the store in `data_dir` consists of now.
    pub fn new(data_dir: &Path) -> Result<Pin, BackupError> {
        let catalog = data_dir.join(CATALOG);
        if !catalog.exists() {
            return Err(BackupError::Refused(format!(
                "{} is no data directory of taffrail's: it has no {CATALOG}; name it with --data-dir",
                data_dir.display()
            )));
        }
        let pins = data_dir.join(PINS);
        fs::create_dir_all(&pins).map_err(|error| disk("create", &pins, error))?;
        let Some(lock) = lock(&pins).map_err(|error| disk("lock", &pins, error))? else {
            return Err(BackupError::Refused(format!("another backup of {} is under way", data_dir.display())));
        };
        let directory = pins.join(HELD);
        remove_all(&directory).map_err(|error| disk("remove", &directory, error))?;
        fs::create_dir(&directory).map_err(|error| disk("create", &directory, error))?;
        let mut pin = Pin { directory, missing: Vec::new(), _lock: lock };
        for attempt in 1.. {
            pin.missing = pin.attempt(data_dir)?;
            // What is missing in every attempt is not there at all.
            if pin.missing.is_empty() || attempt == ATTEMPTS {
                break;
            }
        }
        Ok(pin)
    }

    /// The pinned files: place below the data directory, and where it can be read.
    pub fn files(&self) -> Result<Vec<(String, PathBuf)>, BackupError> {
        let mut files = Vec::new();
        for folder in [JOURNAL, SPLITS, BLOCKS] {
            collect(&self.directory.join(folder), folder, &mut files)?;
        }
        // The catalog last: it is the smallest, and what restoring ends with.
        files.push((CATALOG.to_owned(), self.directory.join(CATALOG)));
        Ok(files)
    }

    /// Links everything; returns the parts that were not there.
    fn attempt(&self, data_dir: &Path) -> Result<Vec<String>, BackupError> {
        for folder in [JOURNAL, SPLITS, BLOCKS, CATALOG] {
            remove_all(&self.directory.join(folder)).map_err(|error| disk("remove", &self.directory, error))?;
        }
        let journal = data_dir.join(JOURNAL);
        for name in names(&journal)?.into_iter().filter(|name| name.ends_with(SEGMENT_SUFFIX)) {
            // A segment that goes meanwhile holds only what is sealed.
            self.link(data_dir, &format!("{JOURNAL}/{name}"))?;
        }
        let (source, copy) = (data_dir.join(CATALOG), self.directory.join(CATALOG));
        let failed =
            |error: crate::catalog::CatalogError| BackupError::Catalog { path: source.clone(), message: error.0 };
        Catalog::open_read_only(&source).and_then(|catalog| catalog.copy_to(&copy)).map_err(failed)?;
        let (splits, blocks) = Catalog::open_read_only(&copy).and_then(|copy| copy.part_names()).map_err(failed)?;
        let splits = splits.iter().map(|split| format!("{SPLITS}/{split}"));
        let blocks = blocks.iter().map(|block| format!("{BLOCKS}/{block}"));
        let mut missing = Vec::new();
        for place in splits.chain(blocks) {
            if !self.link(data_dir, &place)? {
                missing.push(place);
            }
        }
        Ok(missing)
    }

    /// Links a file, or the files in a directory; says whether it was there.
    fn link(&self, data_dir: &Path, place: &str) -> Result<bool, BackupError> {
        let (from, to) = (data_dir.join(place), self.directory.join(place));
        if from.is_dir() {
            for name in names(&from)? {
                if !self.link(data_dir, &format!("{place}/{name}"))? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if let Some(above) = to.parent() {
            fs::create_dir_all(above).map_err(|error| disk("create", above, error))?;
        }
        let linked = fs::hard_link(&from, &to).or_else(|error| match Errno::from_io_error(&error) {
            // Another file system, or one that has no links.
            Some(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => fs::copy(&from, &to).map(drop),
            _ => Err(error),
        });
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(disk("link", &from, error)),
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(path = %self.directory.display(), %error, "what a backup held stays on disk until the next one");
        }
    }
}

/// Removes what a backup that was cut short held.
pub fn remove_stale(data_dir: &Path) {
    let pins = data_dir.join(PINS);
    let removed = match pins.join(HELD).exists().then(|| lock(&pins)) {
        Some(Ok(Some(_lock))) => remove_all(&pins.join(HELD)),
        Some(Err(error)) => Err(error),
        // Nothing is there, or a backup is under way.
        None | Some(Ok(None)) => Ok(()),
    };
    if let Err(error) = removed {
        tracing::warn!(path = %pins.display(), %error, "what a backup that was cut short held cannot be removed");
    }
}

/// The lock of all pins; none while another process holds it.
fn lock(pins: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(pins.join(LOCK))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn names(directory: &Path) -> Result<Vec<String>, BackupError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk("read", directory, error)),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(|error| disk("read", directory, error))?;
    names.sort_unstable();
    Ok(names)
}

fn collect(directory: &Path, place: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), BackupError> {
    for name in names(directory)? {
        let (path, place) = (directory.join(&name), format!("{place}/{name}"));
        if path.is_dir() {
            collect(&path, &place, files)?;
        } else {
            files.push((place, path));
        }
    }
    Ok(())
}

fn remove_all(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
