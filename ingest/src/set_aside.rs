//! Finished parts that the catalog does not list. Mostly they are what a crash left of a seal, and the journal still holds
//! their rows: they may go. Where the catalog was lost or is an older copy they are the only place of their rows, so they are
//! kept: with no catalog the store refuses to open, otherwise they move to `<data_dir>/set-aside/`. Removing what may go is
//! left to those who own the directories.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::log_store::split_writer::{SPLIT_SUFFIX, TEMPORARY_PREFIX, sync_directory};
use crate::series_store::BLOCK_SUFFIX;

/// Where splits lie below `data_dir`.
pub const SPLITS: &str = "splits";
/// Where series blocks lie below `data_dir`.
pub const BLOCKS: &str = "blocks";

const SET_ASIDE: &str = "set-aside";

/// Whether `catalog` is missing or empty though there are finished parts that only a catalog can bring back.
pub fn catalog_is_lost(data_dir: &Path, catalog: &Path) -> io::Result<bool> {
    let known = match fs::metadata(catalog) {
        Ok(file) => file.len() > 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let parts = finished(data_dir, SPLITS)?.len() + finished(data_dir, BLOCKS)?.len();
    Ok(!known && parts > 0)
}

/// Moves the parts in `directory` (one of [`SPLITS`], [`BLOCKS`]) that are not `listed` out of the way, unless they are
/// surely superfluous: `journal_continues` says that the journal holds every row that the catalog does not count as sealed,
/// and all that is listed is there (a part that is missing was replaced by one that an older catalog does not know). All
/// that is listed being there, a split with rows below `sealed_through` only is superfluous as well: a merge that was not
/// finished, or what a finished one or a deletion has replaced.
pub fn set_aside(
    data_dir: &Path,
    directory: &str,
    listed: &HashSet<&str>,
    journal_continues: bool,
    sealed_through: u64,
) -> io::Result<()> {
    let found = finished(data_dir, directory)?;
    let complete = listed.iter().all(|name| found.contains(*name));
    if complete && journal_continues {
        return Ok(());
    }
    let superfluous = |name: &str| complete && last_seq_of_split(name).is_some_and(|last| last < sealed_through);
    let aside = data_dir.join(SET_ASIDE).join(directory);
    for name in found.iter().filter(|name| !listed.contains(name.as_str()) && !superfluous(name)) {
        fs::create_dir_all(&aside)?;
        let mut target = aside.join(name);
        for copy in 2.. {
            if !target.exists() {
                break;
            }
            target = aside.join(format!("{name}.{copy}"));
        }
        fs::rename(data_dir.join(directory).join(name), &target)?;
        tracing::warn!(
            part = name,
            moved_to = %target.display(),
            "the catalog does not list this part, and the journal does not hold its rows for certain: is catalog.sqlite an older \
             copy? The part was set aside; remove it if it is not missed"
        );
    }
    if aside.exists() {
        for path in [&aside, &data_dir.join(SET_ASIDE), data_dir] {
            sync_directory(path)?;
        }
    }
    Ok(())
}

/// The greatest sequence number in a split, by its name; none of a block.
fn last_seq_of_split(name: &str) -> Option<u64> {
    name.strip_suffix(SPLIT_SUFFIX)?.split('-').nth(1)?.parse().ok()
}

/// Names of the parts that have been written to their end.
fn finished(data_dir: &Path, directory: &str) -> io::Result<HashSet<String>> {
    let entries = match fs::read_dir(data_dir.join(directory)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let mut names = HashSet::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_part = if directory == SPLITS {
            name.ends_with(SPLIT_SUFFIX) && !name.starts_with(TEMPORARY_PREFIX)
        } else {
            name.ends_with(BLOCK_SUFFIX)
        };
        if is_part {
            names.insert(name);
        }
    }
    Ok(names)
}
