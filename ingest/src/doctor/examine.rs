//! Goes through everything: catalog, splits, blocks, journal.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use taffrail_collector::file_system::RealFileSystem;
use taffrail_collector::frame;
use taffrail_collector::journal::{JournalError, JournalReader};

use super::{DoctorError, Mode, ProblemKind, Report, disk, rebuild, repair};
use crate::catalog::Catalog;
use crate::log_store::SplitMeta;
use crate::log_store::split_writer::TEMPORARY_PREFIX;
use crate::log_store::verify::verify_split;
use crate::series_store::verify::verify_block;
use crate::series_store::{BLOCK_SUFFIX, BlockInfo};
use crate::set_aside::{BLOCKS, SPLITS};

/// The catalog's file below the data directory.
pub const CATALOG: &str = "catalog.sqlite";
/// The journal's directory below the data directory.
pub const JOURNAL: &str = "journal";

/// What the catalog lists.
pub struct Listed {
    /// Splits.
    pub splits: Vec<SplitMeta>,
    /// Blocks.
    pub blocks: Vec<BlockInfo>,
    /// Rows below lie in them.
    pub sealed_through: u64,
}

/// See [`super::examine`].
pub fn run(data_dir: &Path, mode: Mode, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, DoctorError> {
    if !data_dir.join(CATALOG).exists() && !data_dir.join(JOURNAL).exists() && !data_dir.join(SPLITS).exists() {
        return Err(DoctorError::NoStore(data_dir.to_owned()));
    }
    let lock = lock(data_dir)?;
    if lock.is_none() && mode != Mode::ReadOnly {
        return Err(DoctorError::InUse(data_dir.to_owned()));
    }
    let mut report = Report::default();
    let listed = match list(data_dir, &mut report)? {
        Some(listed) => listed,
        None if mode == Mode::Repair => rebuild::run(data_dir, &mut report)?,
        // What no catalog lists cannot be judged.
        None => return Ok(report),
    };
    let in_use = lock.is_none();
    contradictions(&listed, &mut report);
    let journal_bytes = directory_bytes(&data_dir.join(JOURNAL));
    let parts = listed.splits.iter().map(|split| split.bytes).chain(listed.blocks.iter().map(|block| block.bytes));
    let total = parts.sum::<u64>() + journal_bytes;
    progress(0, total);
    let mut counting = |bytes: u64, report: &mut Report| {
        report.bytes += bytes;
        progress(report.bytes.min(total), total);
    };
    for split in &listed.splits {
        let path = data_dir.join(SPLITS).join(&split.name);
        let verified = verify_split(&path, split);
        if let Err(error) = &verified
            && !(in_use && no_longer_listed(data_dir, |now| now.splits.iter().any(|other| other.name == split.name)))
        {
            let missing = !path.exists();
            let kind = if missing { ProblemKind::SplitMissing } else { ProblemKind::SplitDamaged };
            let what = format!("{} records from {} to {}", split.rows, split.oldest.time, split.newest.time);
            let reason = if missing { "it is missing".to_owned() } else { own_words(&error.to_string()) };
            report.add(kind, format!("{SPLITS}/{}", split.name), format!("{reason}; it held {what}"));
        }
        if let Ok(verified) = verified {
            report.splits += 1;
            report.split_rows += verified.rows;
        }
        counting(split.bytes, &mut report);
    }
    let blocks = data_dir.join(BLOCKS);
    for block in &listed.blocks {
        match verify_block(&blocks, block) {
            Ok(()) => {
                report.blocks += 1;
                report.samples += block.samples;
            }
            Err(_) if in_use && no_longer_listed(data_dir, |now| now.blocks.contains(block)) => {}
            Err(error) => {
                let missing = !blocks.join(&block.name).exists();
                let kind = if missing { ProblemKind::BlockMissing } else { ProblemKind::BlockDamaged };
                let what = format!("{} windows from {} to {}", block.samples, block.first_end, block.last_end);
                let reason = own_words(&error.to_string());
                report.add(kind, format!("{BLOCKS}/{}", block.name), format!("{reason}; it held {what}"));
            }
        }
        counting(block.bytes, &mut report);
    }
    if !in_use {
        leftovers(data_dir, &listed, &mut report)?;
    }
    journal(data_dir, listed.sealed_through, in_use, &mut report)?;
    counting(journal_bytes, &mut report);
    progress(total, total);
    if mode == Mode::Repair {
        repair::run(data_dir, listed.sealed_through, &mut report)?;
    }
    Ok(report)
}

/// What the catalog lists; none (and a problem) when it is lost or damaged.
fn list(data_dir: &Path, report: &mut Report) -> Result<Option<Listed>, DoctorError> {
    let path = data_dir.join(CATALOG);
    if fs::metadata(&path).map_or(true, |file| file.len() == 0) {
        report.add(
            ProblemKind::CatalogLost,
            CATALOG,
            "it is missing or empty: nothing says which splits and blocks count",
        );
        return Ok(None);
    }
    let damaged = |message: String, report: &mut Report| {
        report.add(ProblemKind::CatalogDamaged, CATALOG, message);
        Ok(None)
    };
    let catalog = match Catalog::open_read_only(&path) {
        Ok(catalog) => catalog,
        Err(error) => return damaged(error.to_string(), report),
    };
    match catalog.complaints() {
        Ok(complaints) if complaints.is_empty() => {}
        Ok(complaints) => return damaged(complaints.join("; "), report),
        Err(error) => return damaged(error.to_string(), report),
    }
    match catalog.version() {
        Ok((version, newest)) if version > newest => {
            return Err(DoctorError::Version(format!(
                "{} has version {version}, this release knows up to {newest}: check it with the newer release",
                path.display()
            )));
        }
        Ok((version, newest)) if version < newest => {
            return Err(DoctorError::Version(format!(
                "{} has version {version}, this release writes {newest}: start `taffrail serve` once, then check",
                path.display()
            )));
        }
        Ok(_) => {}
        Err(error) => return damaged(error.to_string(), report),
    }
    match read_lists(&catalog) {
        Ok((listed, marks_at_zero)) => {
            if marks_at_zero > 0 {
                let message = format!("{marks_at_zero} streams are noted as stored up to before their first record");
                report.add(ProblemKind::CatalogContradiction, CATALOG, message);
            }
            Ok(Some(listed))
        }
        Err(error) => damaged(error.to_string(), report),
    }
}

fn read_lists(catalog: &Catalog) -> Result<(Listed, usize), crate::catalog::CatalogError> {
    let listed =
        Listed { splits: catalog.splits()?, blocks: catalog.blocks()?, sealed_through: catalog.sealed_through()? };
    catalog.checkpoints()?;
    let marks_at_zero = catalog.stream_marks()?.iter().filter(|(_, next)| *next == 0).count();
    Ok((listed, marks_at_zero))
}

/// Whether a server has replaced the part since the lists were read.
fn no_longer_listed(data_dir: &Path, is_listed: impl Fn(&Listed) -> bool) -> bool {
    let now = Catalog::open_read_only(&data_dir.join(CATALOG)).and_then(|catalog| read_lists(&catalog));
    now.is_ok_and(|(now, _)| !is_listed(&now))
}

/// What cannot be true, whatever the parts hold.
fn contradictions(listed: &Listed, report: &mut Report) {
    for split in &listed.splits {
        let SplitMeta { name, oldest, newest, seq_first, seq_last, rows, .. } = split;
        let wrong = if oldest > newest || seq_first > seq_last {
            "its first record comes after its last"
        } else if *rows > (seq_last - seq_first).saturating_add(1) {
            "it lists more records than sequence numbers"
        } else if *seq_last >= listed.sealed_through {
            "its records are not counted as sealed: the next start would take them from the journal as well"
        } else {
            continue;
        };
        report.add(ProblemKind::CatalogContradiction, format!("{SPLITS}/{name}"), wrong);
    }
    // Splits that were merged may interleave; what heads became may not.
    let mut sealed: Vec<&SplitMeta> = listed.splits.iter().filter(|split| split.generation == 0).collect();
    sealed.sort_unstable_by_key(|split| split.seq_first);
    for pair in sealed.windows(2) {
        if pair[0].seq_last >= pair[1].seq_first {
            let message = format!("its sequence numbers overlap those of {}", pair[1].name);
            report.add(ProblemKind::CatalogContradiction, format!("{SPLITS}/{}", pair[0].name), message);
        }
    }
    for block in listed.blocks.iter().filter(|block| block.first_end > block.last_end) {
        let message = "its first window comes after its last";
        report.add(ProblemKind::CatalogContradiction, format!("{BLOCKS}/{}", block.name), message);
    }
}

/// Files in the parts' directories that nobody lists.
fn leftovers(data_dir: &Path, listed: &Listed, report: &mut Report) -> Result<(), DoctorError> {
    let splits: HashSet<&str> = listed.splits.iter().map(|split| split.name.as_str()).collect();
    let blocks: HashSet<&str> = listed.blocks.iter().map(|block| block.name.as_str()).collect();
    for name in names_in(&data_dir.join(SPLITS))? {
        if name.starts_with(TEMPORARY_PREFIX) {
            report.add(ProblemKind::Unfinished, format!("{SPLITS}/{name}"), "a split that was not written to its end");
        } else if !splits.contains(name.as_str()) {
            report.add(ProblemKind::Unlisted, format!("{SPLITS}/{name}"), "the catalog does not list it");
        }
    }
    for name in names_in(&data_dir.join(BLOCKS))? {
        if name.ends_with(BLOCK_SUFFIX) && !blocks.contains(name.as_str()) {
            report.add(ProblemKind::Unlisted, format!("{BLOCKS}/{name}"), "the catalog does not list it");
        } else if !name.ends_with(BLOCK_SUFFIX) {
            report.add(ProblemKind::Unfinished, format!("{BLOCKS}/{name}"), "a block that was not written to its end");
        }
    }
    Ok(())
}

/// Names in a directory, sorted; none when it does not exist.
pub fn names_in(directory: &Path) -> Result<Vec<String>, DoctorError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk("read", directory, &error)),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(|error| disk("read", directory, &error))?;
    names.sort_unstable();
    Ok(names)
}

fn journal(data_dir: &Path, sealed_through: u64, in_use: bool, report: &mut Report) -> Result<(), DoctorError> {
    let directory = data_dir.join(JOURNAL);
    let failed = |error: JournalError| match error {
        JournalError::NewerVersion { .. } => DoctorError::Version(error.to_string()),
        other => disk("read", &directory, &other),
    };
    if names_in(&directory)?.is_empty() && sealed_through > 0 {
        let message = "it is gone: what was acknowledged after the last seal is lost";
        report.add(ProblemKind::JournalGap, JOURNAL, message);
        return Ok(());
    }
    let mut reader = JournalReader::open(RealFileSystem, &directory, 0).map_err(failed)?;
    let (mut unreadable, mut first) = (0u64, None);
    while let Some(record) = reader.next_record().map_err(failed)? {
        first.get_or_insert(record.seq);
        report.journal_records += 1;
        report.journal_rows += u64::from(record.rows);
        unreadable += u64::from(frame::decode(&record.payload).is_err());
    }
    let read = reader.report();
    if let Some(first) = first.filter(|first| *first > sealed_through) {
        let message =
            format!("rows {sealed_through} to {} are neither sealed nor in the journal: they are lost", first - 1);
        report.add(ProblemKind::JournalGap, JOURNAL, message);
    }
    if read.damaged > 0 {
        let message = format!(
            "{} stretches ({} bytes) in its middle cannot be read; every start passes them over, and they go when the rows around \
             them have been sealed",
            read.damaged, read.damaged_bytes
        );
        report.add(ProblemKind::JournalDamaged, JOURNAL, message);
    }
    if unreadable > 0 {
        let message = format!("{unreadable} records are whole, but hold no batch; every start passes them over");
        report.add(ProblemKind::JournalDamaged, JOURNAL, message);
    }
    // A record that a server is just writing has no end yet.
    if read.torn_bytes > 0 && !in_use {
        let message = format!("its last {} bytes are no whole record: a write that was not finished", read.torn_bytes);
        report.add(ProblemKind::JournalTorn, JOURNAL, message);
    }
    Ok(())
}

/// The lock that a server holds; none when one does.
fn lock(data_dir: &Path) -> Result<Option<File>, DoctorError> {
    let path = data_dir.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        // Never served from, or a copy without it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => match File::create(&path) {
            Ok(file) => file,
            Err(_) => return File::open(data_dir).map(Some).map_err(|error| disk("open", data_dir, &error)),
        },
        Err(error) => return Err(disk("open", &path, &error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(disk("lock", &path, &error)),
    }
}

fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

/// The message without the part's name, which stands before it.
fn own_words(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, words)| words).to_owned()
}
