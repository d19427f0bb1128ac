//! Makes a data directory from a generation. The catalog comes last, so that a directory that was not restored to its end is
//! none that a server would start from.

use std::fs;
use std::io;
use std::path::{Component, Path};
use std::sync::atomic::AtomicBool;

use super::copy::{copy, create_above, sync_below};
use super::{BackupError, BackupFile, FILES, Generation, crc_text, disk, generations, read_manifest};

/// See [`super::restore`].
pub fn run(
    backup: &Path,
    generation: Option<&str>,
    data_dir: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(String, Generation), BackupError> {
    let (name, generation) = choose(backup, generation)?;
    let made = create_empty(data_dir)?;
    let result = copy_all(backup, &generation, data_dir, stop, progress);
    if result.is_err() {
        // What was copied helps nobody; it came from the backup, where it still is.
        clear(data_dir, made);
    }
    result.map(|()| (name, generation))
}

fn choose(backup: &Path, name: Option<&str>) -> Result<(String, Generation), BackupError> {
    let known = generations(backup)?;
    let names = || known.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let none = || BackupError::Refused(format!("{} holds no generation of a backup", backup.display()));
    match name {
        None => {
            let name = known.last().map(|(name, _)| name.clone()).ok_or_else(none)?;
            Ok((name.clone(), read_manifest(backup, &name)?))
        }
        Some(wanted) if known.iter().any(|(name, _)| name == wanted) => {
            Ok((wanted.to_owned(), read_manifest(backup, wanted)?))
        }
        Some(_) if known.is_empty() => Err(none()),
        Some(wanted) => {
            Err(BackupError::Refused(format!("--generation {wanted}: there is none of this name, only {}", names())))
        }
    }
}

fn copy_all(
    backup: &Path,
    generation: &Generation,
    data_dir: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    let total = generation.files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    progress(0, total);
    for file in &generation.files {
        let mut copied = |bytes| {
            done += bytes;
            progress(done.min(total), total);
        };
        bring_back(backup, file, data_dir, stop, &mut copied)?;
    }
    sync_below(data_dir)?;
    progress(total, total);
    Ok(())
}

fn bring_back(
    backup: &Path,
    file: &BackupFile,
    data_dir: &Path,
    stop: &AtomicBool,
    copied: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    let from = backup.join(FILES).join(&file.stored);
    let damaged = |message: &str| BackupError::Damaged { path: from.clone(), message: message.to_owned() };
    // A manifest is data: it must not lead out of the two directories.
    let plain = |path: &str| Path::new(path).components().all(|component| matches!(component, Component::Normal(_)));
    if !plain(&file.place) || !plain(&file.stored) {
        return Err(damaged("the manifest gives it no plain name"));
    }
    let to = data_dir.join(&file.place);
    create_above(&to)?;
    match copy(&from, &to, stop, copied) {
        Ok((bytes, _)) if bytes != file.bytes => Err(damaged(&format!("it has {bytes} bytes, not {}", file.bytes))),
        Ok((_, crc)) if crc_text(crc) != file.crc32c => Err(damaged("its checksum is wrong")),
        Ok(_) => Ok(()),
        Err(BackupError::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(damaged("it is missing"))
        }
        Err(error) => Err(error),
    }
}

/// Makes sure that `data_dir` is there and empty; says whether it had to be made.
fn create_empty(data_dir: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(data_dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(false),
            Some(_) => Err(BackupError::Refused(format!(
                "--data-dir {} is not empty: restore into a new directory, and give that one to `taffrail serve`",
                data_dir.display()
            ))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(data_dir).map_err(|error| disk("create", data_dir, error))?;
            Ok(true)
        }
        Err(error) => Err(disk("open", data_dir, error)),
    }
}

fn clear(data_dir: &Path, made: bool) {
    let removed = if made {
        fs::remove_dir_all(data_dir)
    } else {
        fs::read_dir(data_dir).and_then(|entries| {
            entries.into_iter().try_for_each(|entry| {
                let path = entry?.path();
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            })
        })
    };
    if let Err(error) = removed {
        tracing::warn!(path = %data_dir.display(), %error, "what was restored in part stays there");
    }
}
