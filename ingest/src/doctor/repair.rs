//! Repairs one problem at a time; each step leaves a store that starts and answers, so that a repair that is cut short is
//! simply begun again.

use std::fs;
use std::path::Path;

use taffrail_collector::file_system::RealFileSystem;
use taffrail_collector::journal::{JournalConfig, JournalWriter};

use super::examine::{CATALOG, JOURNAL};
use super::quarantine::move_away;
use super::{DoctorError, Problem, ProblemKind, Report, disk};
use crate::catalog::{Catalog, Removal};
use crate::log_store::split_writer::sync_directory;
use crate::set_aside::BLOCKS;

/// Repairs what can be, and notes in the report what was done.
pub fn run(data_dir: &Path, sealed_through: u64, report: &mut Report) -> Result<(), DoctorError> {
    if report.problems.iter().all(|problem| problem.repaired.is_some()) {
        return Ok(());
    }
    let path = data_dir.join(CATALOG);
    let catalog = Catalog::open(&path).map_err(|error| disk("open", &path, &error))?;
    for problem in report.problems.iter_mut().filter(|problem| problem.repaired.is_none()) {
        problem.repaired = repair(data_dir, &catalog, sealed_through, problem)?;
    }
    Ok(())
}

fn repair(
    data_dir: &Path,
    catalog: &Catalog,
    sealed_through: u64,
    problem: &Problem,
) -> Result<Option<String>, DoctorError> {
    let Some((folder, name)) = problem.place.split_once('/') else {
        return match problem.kind {
            ProblemKind::JournalTorn => cut_journal(data_dir, sealed_through).map(Some),
            _ => Ok(None),
        };
    };
    let unlist = || {
        let name = vec![name.to_owned()];
        let removal = match folder {
            BLOCKS => Removal { blocks: name, ..Removal::default() },
            _ => Removal { splits: name, ..Removal::default() },
        };
        catalog.record_removal(&removal).map_err(|error| disk("write", &data_dir.join(CATALOG), &error))
    };
    let path = data_dir.join(folder).join(name);
    let moved = |target: &Path| {
        let below = target.strip_prefix(data_dir).unwrap_or(target);
        format!("moved to {}", below.display())
    };
    match problem.kind {
        // Moved first: a file that is not listed and still in its place would be taken for a leftover by the next start.
        ProblemKind::SplitDamaged | ProblemKind::BlockDamaged => {
            let target = move_away(data_dir, &path, folder)?;
            unlist()?;
            Ok(Some(format!("{} and off the catalog's list", moved(&target))))
        }
        ProblemKind::SplitMissing | ProblemKind::BlockMissing => {
            unlist()?;
            Ok(Some("taken off the catalog's list; only a backup can bring its data back".to_owned()))
        }
        ProblemKind::Unlisted => Ok(Some(moved(&move_away(data_dir, &path, folder)?))),
        ProblemKind::Unfinished => {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| disk("remove", &path, &error))?;
            let above = data_dir.join(folder);
            sync_directory(&above).map_err(|error| disk("sync", &above, &error))?;
            Ok(Some("removed".to_owned()))
        }
        _ => Ok(None),
    }
}

/// Opening the journal's writing end cuts what was not written to its end.
fn cut_journal(data_dir: &Path, sealed_through: u64) -> Result<String, DoctorError> {
    let directory = data_dir.join(JOURNAL);
    let config = JournalConfig { directory: directory.clone(), segment_bytes_max: u64::MAX };
    JournalWriter::open(RealFileSystem, config, sealed_through).map_err(|error| disk("cut", &directory, &error))?;
    Ok("cut off".to_owned())
}
