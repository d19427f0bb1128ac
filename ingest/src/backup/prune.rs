//! Removes the oldest generations, and then the files that none of the others has.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::{BackupError, FILES, GENERATIONS, disk, generations};
use crate::log_store::split_writer::sync_directory;

/// Keeps the `keep` newest generations; returns the names of those that were removed.
pub fn run(backup: &Path, keep: NonZeroUsize) -> Result<Vec<String>, BackupError> {
    let all = generations(backup)?;
    let (mut kept, mut removed) = (HashSet::new(), Vec::new());
    let first_kept = all.len().saturating_sub(keep.get());
    for (at, (name, generation)) in all.into_iter().enumerate() {
        if at < first_kept {
            removed.push(name);
        } else {
            // What a damaged manifest names is not known: then every file stays, and the user is told.
            kept.extend(generation?.files.into_iter().map(|file| backup.join(FILES).join(file.stored)));
        }
    }
    if removed.is_empty() {
        return Ok(removed);
    }
    let directory = backup.join(GENERATIONS);
    for name in &removed {
        let path = directory.join(format!("{name}.json"));
        fs::remove_file(&path).map_err(|error| disk("remove", &path, error))?;
    }
    // No manifest may come back that names files which are gone.
    sync_directory(&directory).map_err(|error| disk("sync", &directory, error))?;
    remove_others(&backup.join(FILES), &kept)?;
    Ok(removed)
}

fn remove_others(directory: &Path, kept: &HashSet<PathBuf>) -> Result<(), BackupError> {
    for entry in fs::read_dir(directory).map_err(|error| disk("read", directory, error))? {
        let path = entry.map_err(|error| disk("read", directory, error))?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
            // Not empty: something in it is kept.
            let _ = fs::remove_dir(&path);
        } else if !kept.contains(&path) {
            fs::remove_file(&path).map_err(|error| disk("remove", &path, error))?;
        }
    }
    Ok(())
}
