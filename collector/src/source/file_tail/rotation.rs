//! Where a renamed file went, and which others were renamed unseen between two looks.
//!
//! Rotation renames `app.log` to a name that patterns seldom match. A file that is open is read on whatever it is called; this
//! file finds those that are not open: after a restart the one that a checkpoint speaks of, and files that came and were
//! rotated away between two polls.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::checkpoint::{FileId, Place};
use super::discovery::open_seen;

/// Kernels stamp files by a clock that ticks every few milliseconds.
const CLOCK_TICK: Duration = Duration::from_millis(50);

/// Links that lead to links: kubelet makes two.
const LINKS_MAX: usize = 8;

/// Where a file is that is not where it was.
pub(super) enum Whereabouts {
    /// In the same directory, under this name.
    Renamed(PathBuf, FileId),
    /// No longer in its directory.
    Gone,
    /// Its directory cannot be read, or lies on another device: its own may not be mounted just now.
    Unknown,
}

/// What directories hold, each listed once.
#[derive(Default)]
pub(super) struct Listings(HashMap<PathBuf, Option<Listing>>);

/// What one directory holds.
struct Listing {
    device: u64,
    /// Regular files by inode.
    files: HashMap<u64, Vec<(PathBuf, Metadata)>>,
}

impl Listings {
    /// Looks for the file that was known as `id` in the directory of its `place`, under whatever name.
    pub(super) fn find_renamed(&mut self, place: &Place, id: FileId) -> Whereabouts {
        let path = resolved(&place.path);
        let Some(directory) = path.parent() else { return Whereabouts::Unknown };
        let listing = self.0.entry(directory.to_owned()).or_insert_with(|| Listing::of(directory).ok());
        let Some(listing) = listing else { return Whereabouts::Unknown };
        let is_it = |(candidate, metadata): &&(PathBuf, Metadata)| {
            let found = FileId::of(metadata);
            // It may have been emptied before it was renamed; but inodes are used again, and then by any file.
            if found == id && is_rotated_of(&path, candidate) {
                return true;
            }
            matches!(open_seen(candidate, found), Ok(Some((file, _))) if match found == id {
                true => place.fits(&file, metadata) || place.was_cut(&file, metadata),
                false => place.fits_renumbered(id, &file, metadata),
            })
        };
        match listing.files.get(&id.inode).and_then(|files| files.iter().find(is_it)) {
            Some((path, metadata)) => Whereabouts::Renamed(path.clone(), FileId::of(metadata)),
            None if listing.device == id.device => Whereabouts::Gone,
            None => Whereabouts::Unknown,
        }
    }
}

impl Listing {
    fn of(directory: &Path) -> io::Result<Listing> {
        let device = fs::metadata(directory)?.dev();
        let mut files: HashMap<u64, Vec<_>> = HashMap::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() => files.entry(metadata.ino()).or_default().push((path, metadata)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Listing { device, files })
    }
}

/// Where a path's links lead, whether or not there is a file just now: there it is rotated.
fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().map_or_else(|| target.clone(), |directory| directory.join(&target));
    }
    path
}

/// Whether files were made, renamed or removed beside `path` since then.
pub(super) fn has_changed_since(path: &Path, since: SystemTime) -> bool {
    let modified = resolved(path).parent().and_then(|directory| fs::metadata(directory).ok()?.modified().ok());
    modified.is_none_or(|modified| modified + CLOCK_TICK >= since)
}

/// Files beside `path` that bear a rotated name of it and were made after `since`, oldest first.
pub(super) fn rotated_since(path: &Path, since: SystemTime) -> Vec<(PathBuf, Metadata)> {
    let path = resolved(path);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|candidate| is_rotated_name(name, candidate)))
        .filter_map(|entry| Some((entry.path(), fs::symlink_metadata(entry.path()).ok()?)))
        .filter(|(_, metadata)| metadata.is_file() && born(metadata) + CLOCK_TICK >= since)
        .collect();
    found.sort_by_key(|(_, metadata)| born(metadata));
    found
}

/// Files beside `path` that bear a rotated name of it and begin as `place` says it began, with at least what was read of
/// it: copies that `copytruncate` made before it emptied the file.
pub(super) fn copies_of(place: &Place) -> Vec<(PathBuf, FileId)> {
    if place.prefix.length == 0 {
        return Vec::new();
    }
    rotated_since(&place.path, SystemTime::UNIX_EPOCH)
        .into_iter()
        .filter_map(|(path, metadata)| {
            let id = FileId::of(&metadata);
            let (copy, metadata) = open_seen(&path, id).ok().flatten()?;
            place.fits(&copy, &metadata).then_some((path, id))
        })
        .collect()
}

/// When a file was made, or where the file system does not say, when it was last written.
fn born(metadata: &Metadata) -> SystemTime {
    metadata.created().or_else(|_| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Whether the second path bears a rotated name of the first.
pub(super) fn is_rotated_of(path: &Path, candidate: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    name(path).zip(name(candidate)).is_some_and(|(name, candidate)| is_rotated_name(&name, &candidate))
}

/// Whether `candidate` is `name` with a number or date put behind it or before its extension (`app.log.1`, `app-20261121.log`,
/// `app.log-2026-11-21T07_33`).
fn is_rotated_name(name: &str, candidate: &str) -> bool {
    let (stem, extension) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((name, ""));
    let Some(rest) = candidate.strip_prefix(stem) else { return false };
    let mark = match rest.strip_prefix('.').and_then(|rest| rest.strip_prefix(extension)) {
        Some(behind) if !extension.is_empty() => behind,
        _ => match rest.strip_suffix(extension).and_then(|rest| rest.strip_suffix('.')) {
            Some(before) if !extension.is_empty() => before,
            _ if extension.is_empty() => rest,
            _ => return false,
        },
    };
    let is_mark = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | 'T' | 'Z');
    mark.chars().all(is_mark) && mark.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_are_told_from_other_names() {
        let check = |name, candidate, expected| assert_eq!(is_rotated_name(name, candidate), expected, "{candidate}");
        check("app.log", "app.log.1", true);
        check("app.log", "app.log-20261121", true);
        check("app.log", "app.log.2026-11-21T07_33Z", true);
        check("app.log", "app-20261121.log", true);
        check("app.log", "app.1.log", true);
        check("syslog", "syslog.1", true);
        check("app.log", "app.log", false);
        check("app.log", "app.log.gz", false);
        check("app.log", "app.log.1.gz", false);
        check("app.log", "application.log", false);
        check("app.log", "app.txt.1", false);
        check("app.log", "other.log.1", false);
        check("syslog", "syslog-ng.1", false);
    }
}
