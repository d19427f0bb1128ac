//! Where damaged files go: `<data_dir>/quarantine/`, each below a folder that says where it was.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DoctorError, disk};
use crate::log_store::split_writer::sync_directory;

const QUARANTINE: &str = "quarantine";

/// Moves the file or directory `from` to `quarantine/<folder>/`, next to what was moved there before; durable when this returns.
pub fn move_away(data_dir: &Path, from: &Path, folder: &str) -> Result<PathBuf, DoctorError> {
    let directory = data_dir.join(QUARANTINE).join(folder);
    fs::create_dir_all(&directory).map_err(|error| disk("create", &directory, &error))?;
    let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut target = directory.join(&name);
    for copy in 2.. {
        if !target.exists() {
            break;
        }
        target = directory.join(format!("{name}.{copy}"));
    }
    fs::rename(from, &target).map_err(|error| disk("move away", from, &error))?;
    let above = from.parent().unwrap_or(data_dir);
    for changed in [&directory, &data_dir.join(QUARANTINE), data_dir, above] {
        sync_directory(changed).map_err(|error| disk("sync", changed, &error))?;
    }
    Ok(target)
}
