//! A catalog made anew, from what splits and blocks say of themselves.
//!
//! Lost with the old one, as far as it cannot be read any more: stream marks and checkpoints older than the journal (an agent
//! that sends again what was sealed long ago would not be recognised, a file whose place is not known is read from its
//! start), documents (states of alerts), and what else it kept. What can still be read of a damaged catalog is taken over.
//!
//! A merge leaves the parts that it replaced behind when a crash comes between. They must not count again:
//! - a split that shares a record with one of a higher generation was replaced by it;
//! - a block whose file number is above its order is a merge, and replaced every older block of its time and resolution.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use taffrail_collector::file_system::RealFileSystem;
use taffrail_collector::frame;
use taffrail_collector::journal::JournalReader;

use super::examine::{CATALOG, JOURNAL, Listed, names_in};
use super::quarantine::move_away;
use super::{DoctorError, Problem, ProblemKind, Report, disk};
use crate::catalog::{Catalog, CatalogError, Seal};
use crate::log_store::SplitMeta;
use crate::log_store::split_writer::{TEMPORARY_PREFIX, sync_directory};
use crate::log_store::verify::{describe_split, sequence_numbers};
use crate::series_store::verify::describe_block;
use crate::series_store::{BLOCK_SUFFIX, BlockInfo};
use crate::set_aside::{BLOCKS, SPLITS};
use crate::stream_marks::{Changes, StreamMarks};

/// The new catalog is written under this name and takes its place in one step.
const REBUILT: &str = "catalog.sqlite.rebuilt";
/// The tables of stream marks and of checkpoints.
const MARKS: &str = "stream_marks";
const CHECKPOINTS: &str = "checkpoints";
/// SQLite's files beside a catalog.
const COMPANIONS: [&str; 2] = ["catalog.sqlite-wal", "catalog.sqlite-shm"];

/// Makes the catalog anew and puts it in its place; the old one goes to the quarantine. Returns what it lists.
pub fn run(data_dir: &Path, report: &mut Report) -> Result<Listed, DoctorError> {
    let (old, new) = (data_dir.join(CATALOG), data_dir.join(REBUILT));
    let splits = splits(data_dir, report)?;
    let blocks = blocks(data_dir, report)?;
    for leftover in [REBUILT.to_owned(), format!("{REBUILT}-wal"), format!("{REBUILT}-shm")] {
        let _ = fs::remove_file(data_dir.join(leftover));
    }
    let writing = |error: CatalogError| disk("write", &new, &error);
    let catalog = Catalog::open(&new).map_err(writing)?;
    let lost = catalog.salvage(&old).map_err(writing)?;
    let sealed_before = Catalog::open_read_only(&old).and_then(|old| old.sealed_through()).unwrap_or(0);
    let (sealed_through, changes) = journal(data_dir, &splits, sealed_before)?;
    let without = |table: &str| lost.iter().any(|lost| lost == table);
    let seal = Seal {
        splits: &splits,
        blocks_added: &blocks,
        marks: if without(MARKS) { &changes.marks } else { &[] },
        checkpoints: if without(CHECKPOINTS) { &changes.checkpoints } else { &[] },
        sealed_through: Some(sealed_through),
        ..Seal::default()
    };
    catalog.record_seal(&seal).map_err(writing)?;
    // Closing it leaves one file.
    drop(catalog);
    for name in [CATALOG].into_iter().chain(COMPANIONS) {
        let path = data_dir.join(name);
        if path.exists() {
            move_away(data_dir, &path, "catalog")?;
        }
    }
    fs::rename(&new, &old).map_err(|error| disk("rename", &new, &error))?;
    sync_directory(data_dir).map_err(|error| disk("sync", data_dir, &error))?;
    let done = told(&splits, &blocks, &lost);
    for problem in &mut report.problems {
        if matches!(problem.kind, ProblemKind::CatalogLost | ProblemKind::CatalogDamaged) {
            problem.repaired = Some(done.clone());
        }
    }
    Ok(Listed { splits, blocks, sealed_through })
}

fn told(splits: &[SplitMeta], blocks: &[BlockInfo], lost: &[String]) -> String {
    let mut told = format!("made anew from {} splits and {} blocks", splits.len(), blocks.len());
    if lost.iter().any(|table| table == MARKS || table == CHECKPOINTS) {
        told += "; stream marks and checkpoints cannot be rebuilt beyond what the journal holds: what agents or files send again \
                 of older records would be stored twice";
    }
    let others = lost.iter().map(String::as_str).filter(|table| ![MARKS, CHECKPOINTS].contains(table));
    let others: Vec<&str> = others
        .map(|table| match table {
            "documents" => "states of alerts",
            "deletions" => "the list of deletions (what they had not removed from the disk yet is found again)",
            other => other,
        })
        .collect();
    if !others.is_empty() {
        told += &format!("; lost with the old one: {}", others.join(", "));
    }
    told
}

/// The splits that count; damaged and replaced ones go to the quarantine.
fn splits(data_dir: &Path, report: &mut Report) -> Result<Vec<SplitMeta>, DoctorError> {
    let directory = data_dir.join(SPLITS);
    let mut found = Vec::new();
    for name in names_in(&directory)?.into_iter().filter(|name| !name.starts_with(TEMPORARY_PREFIX)) {
        match describe_split(&directory.join(&name)) {
            Ok(meta) => found.push(meta),
            Err(error) => set_aside(data_dir, SPLITS, &name, ProblemKind::SplitDamaged, error.to_string(), report)?,
        }
    }
    found.sort_unstable_by_key(|split| std::cmp::Reverse((split.generation, split.rows)));
    let mut kept: Vec<SplitMeta> = Vec::new();
    for split in found {
        match replacement(&directory, &split, &kept) {
            None => kept.push(split),
            Some(by) => {
                let message = format!("it was replaced by {by}");
                set_aside(data_dir, SPLITS, &split.name, ProblemKind::Unlisted, message, report)?;
            }
        }
    }
    Ok(kept)
}

/// Which of the splits holds a record of this one, too.
fn replacement<'a>(directory: &Path, split: &SplitMeta, kept: &'a [SplitMeta]) -> Option<&'a str> {
    let numbers = |split: &SplitMeta| sequence_numbers(&directory.join(&split.name), split).unwrap_or_default();
    let close = |other: &&SplitMeta| other.seq_first <= split.seq_last && split.seq_first <= other.seq_last;
    let mut own: Option<HashSet<u64>> = None;
    let replaces = |other: &&SplitMeta| {
        let own = own.get_or_insert_with(|| numbers(split).into_iter().collect());
        numbers(other).iter().any(|number| own.contains(number))
    };
    kept.iter().filter(close).find(replaces).map(|other| other.name.as_str())
}

/// The blocks that count; damaged and replaced ones go to the quarantine.
fn blocks(data_dir: &Path, report: &mut Report) -> Result<Vec<BlockInfo>, DoctorError> {
    let directory = data_dir.join(BLOCKS);
    let mut found = Vec::new();
    for name in names_in(&directory)?.into_iter().filter(|name| name.ends_with(BLOCK_SUFFIX)) {
        match describe_block(&directory, &name) {
            Ok(info) => found.push(info),
            Err(error) => set_aside(data_dir, BLOCKS, &name, ProblemKind::BlockDamaged, error.to_string(), report)?,
        }
    }
    let merges: Vec<(BlockInfo, u64)> =
        found.iter().filter_map(|block| Some((block.clone(), number_of(block)?))).collect();
    let merges: Vec<_> = merges.into_iter().filter(|(block, number)| *number > block.place.order).collect();
    let mut kept = Vec::new();
    for block in found {
        let number = number_of(&block).unwrap_or(0);
        let by = merges.iter().find(|(merge, merged)| {
            let (old, new) = (&block.place, &merge.place);
            old.resolution_ms == new.resolution_ms && old.lies_in(new) && number < *merged && old.order <= new.order
        });
        match by {
            None => kept.push(block),
            Some((by, _)) => {
                let message = format!("it was replaced by {}", by.name);
                set_aside(data_dir, BLOCKS, &block.name, ProblemKind::Unlisted, message, report)?;
            }
        }
    }
    Ok(kept)
}

fn number_of(block: &BlockInfo) -> Option<u64> {
    let stem = block.name.strip_suffix(BLOCK_SUFFIX)?;
    u64::from_str_radix(stem.rsplit('-').next()?, 16).ok()
}

fn set_aside(
    data_dir: &Path,
    folder: &str,
    name: &str,
    kind: ProblemKind,
    message: String,
    report: &mut Report,
) -> Result<(), DoctorError> {
    let target = move_away(data_dir, &data_dir.join(folder).join(name), folder)?;
    let repaired = Some(format!("moved to {}", target.strip_prefix(data_dir).unwrap_or(&target).display()));
    report.problems.push(Problem { kind, place: format!("{folder}/{name}"), message, repaired });
    Ok(())
}

/// From which row on the journal counts, and the marks and checkpoints that it holds of rows before.
///
/// All rows up to the last one in a split are sealed, and so is what the journal has forgotten. Rows after that may be: those of
/// a batch are sealed together.
fn journal(data_dir: &Path, splits: &[SplitMeta], sealed_before: u64) -> Result<(u64, Changes), DoctorError> {
    let directory = data_dir.join(JOURNAL);
    let failed = |error: taffrail_collector::journal::JournalError| disk("read", &directory, &error);
    let mut sealed_through = splits.iter().map(|split| split.seq_last + 1).max().unwrap_or(0).max(sealed_before);
    let mut marks = StreamMarks::default();
    let mut reader = JournalReader::open(RealFileSystem, &directory, 0).map_err(failed)?;
    let mut first = true;
    while let Some(record) = reader.next_record().map_err(failed)? {
        if std::mem::take(&mut first) {
            sealed_through = sealed_through.max(record.seq);
        }
        if record.seq >= sealed_through {
            break;
        }
        sealed_through = sealed_through.max(record.seq + u64::from(record.rows.max(1)));
        let Ok((mut batch, _)) = frame::decode(&record.payload) else { continue };
        marks.advance(&batch);
        marks.note_checkpoints(batch.agent, std::mem::take(&mut batch.checkpoints));
    }
    Ok((sealed_through, marks.take_changes()))
}
