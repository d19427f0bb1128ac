//! Backups: consistent, incremental, while the store is in use; and back from them.
//!
//! ```text
//! <backup>/lock                              held while a backup is made
//!          files/<place>.<CRC32C>            a file of one or more generations, never changed
//!          generations/<name>.json           a generation's manifest, written last
//! ```
//!
//! `<place>` is where the file stands below the data directory (`splits/…`, `blocks/…`, `journal/…`, `catalog.sqlite`). A
//! generation is whole once its manifest stands there; what an unfinished backup leaves is no generation, and what it copied is
//! used by the next one. A file is not copied again when an earlier generation has one of the same place, length and time of
//! change; where these deceive (a data directory that was restored, or replaced), it is copied and gets a name of its own by
//! its checksum.
//!
//! A manifest is the JSON of [`Manifest`]: its own CRC32C is that of the JSON of [`Generation`], which it wraps.
//!
//! Reading order: `pin` (holds still what a store consists of), `copy` (bytes with their checksum), `make`, `prune`, `restore`.

mod copy;
mod make;
mod pin;
mod prune;
mod restore;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use pin::remove_stale as remove_stale_pins;

const GENERATIONS: &str = "generations";
const FILES: &str = "files";
/// The format of manifests and of the names of files.
const FORMAT: u32 = 1;

/// A generation with its checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    crc32c: String,
    generation: Generation,
}

/// What one backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The manifest's version, 1.
    pub format: u32,
    /// The release that made it.
    pub taffrail: String,
    /// When it was made, RFC 3339.
    pub time: String,
    /// Every file of the store.
    pub files: Vec<BackupFile>,
    /// Parts that the catalog listed and that were not there.
    pub missing: Vec<String>,
}

/// A file of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Where it stands below the data directory.
    pub place: String,
    /// Where it stands below `files/`.
    pub stored: String,
    /// Its length.
    pub bytes: u64,
    /// Its CRC32C in hexadecimal.
    pub crc32c: String,
    /// When the original was changed last, in nanoseconds since the epoch.
    pub modified: i128,
}

/// A generation's name, and what it holds if its manifest is sound.
pub type NamedGeneration = (String, Result<Generation, BackupError>);

/// What a backup did.
#[derive(Clone, Debug, Serialize)]
pub struct BackupReport {
    /// The generation's name.
    pub generation: String,
    /// Files of the store.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that no earlier generation had.
    pub copied_files: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Parts that the catalog lists and that are not there.
    pub missing: Vec<String>,
    /// Generations that were removed, because enough newer ones are kept.
    pub removed: Vec<String>,
}

/// Why there is no backup, or nothing was restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The disk said no.
    #[error("cannot {action} {path}: {source}")]
    Disk {
        /// Verb phrase.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The catalog could not be copied.
    #[error("cannot copy the catalog of {path}: {message}")]
    Catalog {
        /// Which file.
        path: PathBuf,
        /// SQLite's words.
        message: String,
    },
    /// What was asked for cannot be done so; the message names what to change.
    #[error("{0}")]
    Refused(String),
    /// A file of a backup is not what was written.
    #[error("{path} is damaged: {message}; another generation may be whole: `taffrail restore --list` shows them")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// It was stopped.
    #[error("stopped; the generations made before are as they were")]
    Stopped,
}

/// Makes a new generation of the store in `data_dir`, whether a server uses it or not, and then removes the oldest ones beyond
/// `keep`. `progress` is told (done, total) bytes; `stop` ends it at the next chunk.
pub fn make(
    data_dir: &Path,
    backup: &Path,
    keep: Option<NonZeroUsize>,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport, BackupError> {
    let _lock = make::lock(data_dir, backup)?;
    let mut report = make::run(data_dir, backup, stop, progress)?;
    if let Some(keep) = keep {
        report.removed = prune::run(backup, keep).map_err(|error| {
            let made = &report.generation;
            BackupError::Refused(format!("generation {made} was made, but no older one could be removed: {error}"))
        })?;
    }
    Ok(report)
}

/// Makes the new data directory `data_dir` from a generation (the newest when none is named), checking every byte; returns the
/// generation's name.
pub fn restore(
    backup: &Path,
    generation: Option<&str>,
    data_dir: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(String, Generation), BackupError> {
    restore::run(backup, generation, data_dir, stop, progress)
}

/// The generations of a backup with their names, oldest first. One whose manifest is damaged is an error in its place.
pub fn generations(backup: &Path) -> Result<Vec<NamedGeneration>, BackupError> {
    let directory = backup.join(GENERATIONS);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk("read", &directory, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| disk("read", &directory, error))?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| (name.clone(), read_manifest(backup, &name))).collect())
}

fn read_manifest(backup: &Path, name: &str) -> Result<Generation, BackupError> {
    let path = backup.join(GENERATIONS).join(format!("{name}.json"));
    let bytes = fs::read(&path).map_err(|error| disk("read", &path, error))?;
    let damaged = |message: String| BackupError::Damaged { path: path.clone(), message };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if manifest.generation.format != FORMAT {
        return Err(BackupError::Refused(format!(
            "{} has format {}, this release knows {FORMAT}: use the release that made it ({})",
            path.display(),
            manifest.generation.format,
            manifest.generation.taffrail
        )));
    }
    if Manifest::of(manifest.generation.clone()) != manifest {
        return Err(damaged("its checksum is wrong".to_owned()));
    }
    Ok(manifest.generation)
}

impl Manifest {
    fn of(generation: Generation) -> Manifest {
        let bytes = serde_json::to_vec(&generation).expect("a generation has text keys");
        Manifest { crc32c: crc_text(crc32c::crc32c(&bytes)), generation }
    }
}

fn crc_text(crc: u32) -> String {
    format!("{crc:08x}")
}

fn disk(action: &'static str, path: &Path, source: io::Error) -> BackupError {
    BackupError::Disk { action, path: path.to_owned(), source }
}
