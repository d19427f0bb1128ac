//! The thread that looks for files, reads them in turn and lets them go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Resource as Limit, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{ChangeMark, FileId, Place, Prefix, forgotten};
use super::config::Config;
use super::group::Group;
use super::gzip::{Backfill, Tailed};
use super::patterns::{Patterns, names_compressed};
use super::stored_ranges::{StoredRanges, stored_ranges};
use super::tracked_file::{Emptied, TrackedFile};
use super::watch::Watcher;
use crate::model::Lane;
use crate::source::feeder::{self, Ended, Portion};
use crate::source::{Backlog, Running, SourceContext, StartError};

pub(super) const KIND: &str = "files";
/// A file is read by so much before the next one has its turn.
const TURN_BYTES: usize = 256 << 10;
/// Files that are written all the time are read this often: many lines cost little more than one.
const PACE: Duration = Duration::from_millis(40);
/// The longest until a stop is noticed.
const STOP_WAIT: Duration = Duration::from_millis(100);
/// Descriptors that are left for sockets and the spool.
const OTHER_DESCRIPTORS: u64 = 256;
/// Looking for files takes at most this part of the time, unless it would then be done too seldom.
const LOOK_SHARE: u32 = 20;
const LOOK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOOK_WAIT_MIN: Duration = Duration::from_millis(10);

/// Starts to tail the files of all groups.
pub fn start(groups: Vec<Config>, context: SourceContext) -> Result<Running, StartError> {
    let mut known: HashMap<FileId, Place> = context
        .checkpoints
        .iter()
        .filter_map(|(key, value)| Some((FileId::from_key(key)?, Place::from_value(value)?)))
        .collect();
    let mut stored = HashMap::new();
    for (id, beginning, ranges) in stored_ranges(&context.checkpoints, "file:") {
        known.entry(id).or_insert(beginning);
        stored.insert(id, ranges);
    }
    let tailed = Tailed::default();
    let (mut feeders, mut prepared, mut compressed) = (Vec::new(), Vec::new(), Vec::new());
    for config in groups.into_iter().filter(|config| !config.include.is_empty()) {
        let name = config.include.join(" ");
        let include: Vec<_> = config.include.iter().filter(|pattern| !names_compressed(pattern)).cloned().collect();
        if !include.is_empty() {
            let patterns = Patterns::new(&include, &config.exclude)?;
            let is_new = !known.values().any(|place| patterns.matches(&place.path));
            let tally = context.tallies.of(KIND, &name);
            let (feed, feeder) = feeder::start(&context, Arc::clone(&tally));
            feeders.push(feeder);
            prepared.push(Group::new(&config, patterns, is_new, tally, feed, &context)?);
        }
        if let Some(patterns) = Patterns::of_compressed(&config.include, &config.exclude, config.backfill_gzip)? {
            let tally = context.tallies.of(KIND, &format!("{name} (gzip)"));
            let bulk = SourceContext { outlet: context.outlet.clone().with_lane(Lane::Bulk), ..context.clone() };
            let (feed, feeder) = feeder::start(&bulk, Arc::clone(&tally));
            feeders.push(feeder);
            compressed.push(Group::new(&config, patterns, false, tally, feed, &bulk)?);
        }
    }
    let watcher = prepared.iter().any(|group| group.config.inotify).then(Watcher::new).flatten();
    let tailer = Tailer {
        earliest_look: Instant::now(),
        unread: HashSet::new(),
        watcher,
        interval: prepared.iter().map(|group| group.config.poll_interval).min().unwrap_or(Duration::from_secs(1)),
        groups: prepared,
        files: HashMap::new(),
        known,
        stored,
        binary: HashMap::new(),
        last_look: None,
        files_max: usize::MAX,
        known_looked_for: None,
        buffer: vec![0; TURN_BYTES],
        tailed: tailed.clone(),
        stop: context.stop.clone(),
    };
    let backfill = Backfill::new(compressed, &context.checkpoints, tailed, context.stop.clone());
    let has_files = !tailer.groups.is_empty();
    let tailing = has_files.then(|| run_on_thread("file-tail", || tailer.run())).transpose()?;
    let has_compressed = !backfill.is_empty();
    let filling = has_compressed.then(|| run_on_thread("gzip-backfill", || backfill.run())).transpose()?;
    let task = tokio::spawn(async move {
        for has_ended in tailing.into_iter().chain(filling) {
            let _ = has_ended.await;
        }
        for feeder in feeders {
            let _ = feeder.await;
        }
    });
    Ok(Running { kind: KIND, address: None, task })
}

/// Runs on a thread of its own; the receiver hears of its end.
fn run_on_thread(
    name: &str,
    run: impl FnOnce() -> Result<(), Ended> + Send + 'static,
) -> Result<tokio::sync::oneshot::Receiver<()>, StartError> {
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // An end before the stop is the feeders', who have said why.
        let _ = run();
        drop(ended);
    });
    let refused = |error| StartError { setting: "collector.files", message: format!("cannot start a thread: {error}") };
    thread.map(|_| has_ended).map_err(refused)
}

/// The thread's state.
pub(super) struct Tailer {
    pub(super) groups: Vec<Group>,
    pub(super) files: HashMap<FileId, TrackedFile>,
    /// Places of files that are not open: of earlier runs and not met yet, or closed since.
    pub(super) known: HashMap<FileId, Place>,
    /// What servers had of them, as far as they were not met yet.
    pub(super) stored: HashMap<FileId, StoredRanges>,
    /// Files found to be no text, as they were then: once changed they are looked at again, for inodes are used again.
    pub(super) binary: HashMap<FileId, ChangeMark>,
    pub(super) last_look: Option<SystemTime>,
    /// When it was last found out what became of the files that are known and not open.
    pub(super) known_looked_for: Option<Instant>,
    /// When, at the earliest, a sign that files came or went makes us look.
    earliest_look: Instant,
    /// Files that may have something to read.
    pub(super) unread: HashSet<FileId>,
    pub(super) watcher: Option<Watcher>,
    /// So many may be open.
    pub(super) files_max: usize,
    interval: Duration,
    buffer: Vec<u8>,
    /// For whoever reads what these files become when they are compressed.
    tailed: Tailed,
    stop: CancellationToken,
}

impl Tailer {
    fn run(mut self) -> Result<(), Ended> {
        self.files_max = files_max(raised_file_limit());
        let mut next_look = Instant::now();
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            if started >= next_look {
                self.tell_backlog();
                self.look()?;
                let took = started.elapsed();
                next_look = started + self.interval.max((took * LOOK_SHARE).min(LOOK_WAIT_MAX));
                self.earliest_look =
                    started + (took * LOOK_SHARE).clamp(LOOK_WAIT_MIN.min(self.interval), LOOK_WAIT_MAX);
                self.unread.extend(self.files.keys());
                self.let_go()?;
            }
            let mut any = false;
            while self.read_some()? && Instant::now() < next_look {
                any = true;
            }
            self.give_old_lines()?;
            if self.unread.is_empty() {
                // What is written meanwhile is read together.
                let pace = if any { PACE.min(self.interval) } else { Duration::ZERO };
                next_look = self.rest(started + pace, next_look);
            }
        }
        Ok(())
    }

    /// Waits until there is something to do; when to look next. Nothing is noticed before `earliest`.
    fn rest(&mut self, earliest: Instant, mut next_look: Instant) -> Instant {
        let until = |moment: Instant| moment.saturating_duration_since(Instant::now()).min(STOP_WAIT);
        while !self.stop.is_cancelled() && !until(earliest).is_zero() {
            std::thread::sleep(until(earliest));
        }
        while !self.stop.is_cancelled() {
            let rest = until(next_look.min(self.next_due()));
            match &mut self.watcher {
                Some(watcher) => {
                    watcher.wait(rest);
                    let changes = watcher.changes();
                    self.unread.extend(changes.written.into_iter().filter(|id| self.files.contains_key(id)));
                    if changes.places {
                        next_look = next_look.min(self.earliest_look);
                    }
                }
                None => std::thread::sleep(rest),
            }
            if !self.unread.is_empty() || until(next_look.min(self.next_due())).is_zero() {
                break;
            }
        }
        next_look
    }

    /// When something that is held is to be given at the latest.
    fn next_due(&self) -> Instant {
        let far = Instant::now() + LOOK_WAIT_MAX;
        self.files.values().filter_map(TrackedFile::due).min().unwrap_or(far)
    }

    /// Gives every file a turn that may have something to read; whether any had.
    fn read_some(&mut self) -> Result<bool, Ended> {
        let mut any = false;
        let mut failed = Vec::new();
        let mut emptied = Vec::new();
        for id in std::mem::take(&mut self.unread) {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            let Some(file) = self.files.get_mut(&id) else { continue };
            let group = &mut self.groups[file.group];
            let mut logs = Vec::new();
            let (resources, stored) = (Arc::clone(&file.resources), Arc::clone(&file.stored));
            let mut maker = group.maker(&resources, &stored);
            let turn = file.read(&mut self.buffer, |whole| logs.extend(maker.record(whole)));
            match turn {
                Ok(turn) => {
                    any |= turn.bytes > 0;
                    if turn.first_block {
                        self.tailed.add(file.place().prefix);
                    }
                    if turn.shrank {
                        group.tally.problem("file_shrank", 1, file.path.as_os_str().as_encoded_bytes());
                    }
                    if turn.bytes > 0 || turn.shrank {
                        self.unread.insert(id);
                    }
                    emptied.extend(turn.emptied.map(|emptied| (id, emptied)));
                    let is_behind_ranges = file.has_passed_ranges();
                    if !logs.is_empty() || !group.enricher.notes().is_empty() || turn.shrank || is_behind_ranges {
                        let checkpoints = file.checkpoints();
                        group.send(Portion { logs, bytes: turn.bytes, checkpoints })?;
                    }
                }
                Err(error) => {
                    group.complain(&file.path, "unreadable_file", &error.to_string());
                    failed.push(file.id);
                }
            }
        }
        for (id, Emptied { unread }) in emptied {
            any = true;
            self.begin_anew(id, unread)?;
        }
        for id in failed {
            // It is opened anew at the next look, from where it was read to.
            if let Some(file) = self.remove(id) {
                self.known.insert(id, file.place());
                self.stored.insert(id, StoredRanges::clone(&file.stored));
            }
        }
        Ok(any)
    }

    /// Tells what is not read yet.
    fn tell_backlog(&self) {
        let mut backlogs = vec![Backlog::default(); self.groups.len()];
        for file in self.files.values() {
            let backlog = &mut backlogs[file.group];
            backlog.files += 1;
            if let Some((bytes, since)) = file.unread() {
                backlog.bytes += bytes;
                backlog.since = Some(backlog.since.map_or(since, |earlier| earlier.min(since)));
            }
        }
        for (group, backlog) in self.groups.iter().zip(backlogs) {
            group.tally.has_before_it(backlog);
        }
    }

    /// A file was emptied in place, as `copytruncate` does: what was not read of it is in its copy, if there is one.
    pub(super) fn begin_anew(&mut self, id: FileId, unread: u64) -> Result<(), Ended> {
        let Some(file) = self.files.get(&id) else { return Ok(()) };
        let (former, index) = (file.place(), file.group);
        let now = Place { prefix: Prefix::EMPTY, offsets: [0; 2], path: former.path.clone() };
        let ranges = StoredRanges::clone(&file.stored);
        let has_copy = self.go_on_in_copy(&former, ranges, index, now.checkpoint(id))?;
        let (Some(file), group) = (self.files.get_mut(&id), &mut self.groups[index]) else { return Ok(()) };
        group.tally.problem("truncated_file", 1, file.path.as_os_str().as_encoded_bytes());
        let mut logs = Vec::new();
        if !has_copy {
            if unread > 0 {
                group.tally.problem("truncated_bytes_lost", unread, file.path.as_os_str().as_encoded_bytes());
            }
            let (resources, stored) = (Arc::clone(&file.resources), Arc::clone(&file.stored));
            let mut maker = group.maker(&resources, &stored);
            file.finish(|whole| logs.extend(maker.record(whole)));
        }
        let mut ranges = Arc::unwrap_or_clone(std::mem::take(&mut file.stored));
        let ended = if has_copy { Vec::new() } else { ranges.take_all() };
        file.begin_anew();
        self.unread.insert(id);
        let checkpoints = [now.checkpoint(id)].into_iter().chain(ended).collect();
        group.send(Portion { logs, bytes: 0, checkpoints })
    }

    /// Takes last lines for complete that have waited long enough.
    fn give_old_lines(&mut self) -> Result<(), Ended> {
        for file in self.files.values_mut() {
            let group = &mut self.groups[file.group];
            if file.holds_anything() {
                let (resources, stored) = (Arc::clone(&file.resources), Arc::clone(&file.stored));
                let mut logs = Vec::new();
                let mut maker = group.maker(&resources, &stored);
                file.give_old(|whole| logs.extend(maker.record(whole)));
                if !logs.is_empty() || !group.enricher.notes().is_empty() {
                    let checkpoints = file.checkpoints();
                    group.send(Portion { logs, bytes: 0, checkpoints })?;
                }
            }
        }
        Ok(())
    }

    /// Closes files that are gone and silent. The place is forgotten only of those that nobody can find again.
    fn let_go(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let is_done = |file: &TrackedFile| file.was_held_long_enough(now) && file.is_read_to_end();
        let done: Vec<_> = self.files.values().filter(|file| is_done(file)).map(|file| file.id).collect();
        for id in done {
            let Some(file) = self.remove(id) else { continue };
            if file.is_deleted() {
                let checkpoints = vec![forgotten(id)];
                self.send(file.group, Portion { checkpoints, ..Portion::default() })?;
            } else {
                self.known.insert(id, file.place());
                self.stored.insert(id, StoredRanges::clone(&file.stored));
            }
        }
        Ok(())
    }

    fn remove(&mut self, id: FileId) -> Option<TrackedFile> {
        if let Some(watcher) = &mut self.watcher {
            watcher.forget_file(id);
        }
        self.files.remove(&id)
    }

    pub(super) fn send(&mut self, group: usize, portion: Portion) -> Result<(), Ended> {
        self.groups[group].send(portion)
    }
}

/// Every followed file is open, so that it can be read on whatever becomes of its name: the usual limit of 1024 is too low. Returns
/// what it is now; none when there is none.
fn raised_file_limit() -> Option<u64> {
    let limit = getrlimit(Limit::Nofile);
    if limit.current < limit.maximum || limit.current.is_some() && limit.maximum.is_none() {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        match setrlimit(Limit::Nofile, raised) {
            Ok(()) => return limit.maximum,
            Err(error) => tracing::debug!(%error, "the limit of open files stays as it is"),
        }
    }
    limit.current
}

/// How many files may be held open under this limit, so that sockets and the spool's segments can still be opened.
fn files_max(limit: Option<u64>) -> usize {
    let left = |limit: u64| limit.saturating_sub(OTHER_DESCRIPTORS).max(limit / 2);
    limit.map_or(usize::MAX, |limit| usize::try_from(left(limit)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_for_what_is_no_log_file() {
        let check = |limit, expected| assert_eq!(files_max(limit), expected, "{limit:?}");
        check(Some(1024), 768);
        check(Some(300), 150);
        check(Some(0), 0);
        check(None, usize::MAX);
    }
}
