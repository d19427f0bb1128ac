//! Makes a generation: pins, copies what no earlier generation has, writes the manifest.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rustix::fs::{FlockOperation, flock};
use taffrail_collector::model::Timestamp;

use super::copy::{copy, create_above, sync_below};
use super::pin::Pin;
use super::{
    BackupError, BackupFile, BackupReport, FILES, FORMAT, GENERATIONS, Generation, Manifest, crc_text, disk,
    generations,
};

/// A file that is being copied ends so.
const UNFINISHED: &str = ".unfinished";

/// See [`super::make`].
pub fn run(
    data_dir: &Path,
    backup: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport, BackupError> {
    remove_unfinished(backup)?;
    let known = known_files(backup)?;
    let pin = Pin::new(data_dir)?;
    let mut planned = Vec::new();
    for (place, path) in pin.files()? {
        let file = fs::metadata(&path).map_err(|error| disk("read", &path, error))?;
        let modified = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
        let before = known
            .get(place.as_str())
            .into_iter()
            .flatten()
            .find(|before| before.bytes == file.len() && before.modified == modified && is_there(backup, before));
        planned.push((place, path, file.len(), modified, before));
    }
    let total = planned.iter().filter(|(.., before)| before.is_none()).map(|(_, _, bytes, ..)| bytes).sum::<u64>();
    let mut done = 0;
    progress(0, total);
    let mut report = BackupReport {
        generation: String::new(),
        files: planned.len() as u64,
        bytes: 0,
        copied_files: 0,
        copied_bytes: 0,
        missing: pin.missing.clone(),
        removed: Vec::new(),
    };
    let mut files = Vec::with_capacity(planned.len());
    for (place, path, _, modified, before) in planned {
        let file = match before {
            Some(before) => before.clone(),
            None => {
                let mut copied = |bytes| {
                    done += bytes;
                    progress(done.min(total), total);
                };
                let file = take_in(backup, &place, &path, modified, stop, &mut copied)?;
                report.copied_files += 1;
                report.copied_bytes += file.bytes;
                file
            }
        };
        report.bytes += file.bytes;
        files.push(file);
    }
    progress(total, total);
    let now = Timestamp::now();
    let missing = pin.missing.clone();
    drop(pin);
    let generation = Generation {
        format: FORMAT,
        taffrail: env!("CARGO_PKG_VERSION").to_owned(),
        time: now.to_string(),
        files,
        missing,
    };
    report.generation = write_manifest(backup, generation)?;
    Ok(report)
}

/// Creates the backup's directory if need be, and keeps other backups out of it.
pub fn lock(data_dir: &Path, backup: &Path) -> Result<File, BackupError> {
    fs::create_dir_all(backup).map_err(|error| disk("create", backup, error))?;
    refuse_inside(data_dir, backup)?;
    let path = backup.join("lock");
    let file = File::create(&path).map_err(|error| disk("create", &path, error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(BackupError::Refused(format!("another backup into {} is under way", backup.display())))
        }
        Err(error) => Err(disk("lock", &path, error.into())),
    }
}

/// Copies a file into the backup, under a name that tells its checksum.
fn take_in(
    backup: &Path,
    place: &str,
    path: &Path,
    modified: i128,
    stop: &AtomicBool,
    copied: &mut dyn FnMut(u64),
) -> Result<BackupFile, BackupError> {
    let files = backup.join(FILES);
    let temporary = files.join(format!("{place}{UNFINISHED}"));
    create_above(&temporary)?;
    let (bytes, crc) = copy(path, &temporary, stop, copied)?;
    let crc32c = crc_text(crc);
    let stored = format!("{place}.{crc32c}");
    let target = files.join(&stored);
    fs::rename(&temporary, &target).map_err(|error| disk("rename", &temporary, error))?;
    Ok(BackupFile { place: place.to_owned(), stored, bytes, crc32c, modified })
}

fn write_manifest(backup: &Path, generation: Generation) -> Result<String, BackupError> {
    let directory = backup.join(GENERATIONS);
    fs::create_dir_all(&directory).map_err(|error| disk("create", &directory, error))?;
    // Everything that the manifest names is durable before it is.
    sync_below(backup)?;
    // `:` is no character for file names everywhere; these sort by time.
    let stem = generation.time.replace([':', '-'], "");
    let mut name = stem.clone();
    for copy in 2.. {
        if !directory.join(format!("{name}.json")).exists() {
            break;
        }
        name = format!("{stem}-{copy}");
    }
    let mut bytes = serde_json::to_vec_pretty(&Manifest::of(generation)).expect("a manifest has text keys");
    bytes.push(b'\n');
    let (temporary, path) = (directory.join(format!("{name}{UNFINISHED}")), directory.join(format!("{name}.json")));
    let written = File::create(&temporary).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &bytes)?;
        file.sync_all()
    });
    written.map_err(|error| disk("write", &temporary, error))?;
    fs::rename(&temporary, &path).map_err(|error| disk("rename", &temporary, error))?;
    sync_below(backup)?;
    Ok(name)
}

/// The files of all whole generations, by place.
fn known_files(backup: &Path) -> Result<HashMap<String, Vec<BackupFile>>, BackupError> {
    let mut known: HashMap<String, Vec<BackupFile>> = HashMap::new();
    for generation in generations(backup)?.into_iter().filter_map(|(_, generation)| generation.ok()) {
        for file in generation.files {
            let files = known.entry(file.place.clone()).or_default();
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(known)
}

/// Removes what a backup that was cut short was just writing.
fn remove_unfinished(directory: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(directory).map_err(|error| disk("read", directory, error))? {
        let path = entry.map_err(|error| disk("read", directory, error))?.path();
        if path.is_dir() {
            remove_unfinished(&path)?;
        } else if path.to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(&path).map_err(|error| disk("remove", &path, error))?;
        }
    }
    Ok(())
}

fn is_there(backup: &Path, file: &BackupFile) -> bool {
    fs::metadata(backup.join(FILES).join(&file.stored)).is_ok_and(|there| there.len() == file.bytes)
}

fn refuse_inside(data_dir: &Path, backup: &Path) -> Result<(), BackupError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|error| disk("open", path, error));
    if real(backup)?.starts_with(real(data_dir)?) {
        return Err(BackupError::Refused(format!(
            "{} lies in the data directory {}: a backup must lie elsewhere, best on another disk",
            backup.display(),
            data_dir.display()
        )));
    }
    Ok(())
}
