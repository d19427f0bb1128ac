//! The child process: started, read, and started again when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::config::{Config, Enabled};
use super::entry::{self, Entry};
use super::stored_entries::StoredEntries;
use crate::enrich::Enricher;
use crate::model::{Checkpoint, Lane, LogRecord, Timestamp};
use crate::source::feeder::{self, Ended, Feed, Portion};
use crate::source::line_splitter::LineSplitter;
use crate::source::multiline::{Group, Limits, Rules, SENDER_TIMEOUT, Senders, wait_until};
use crate::source::{Running, SourceContext, StartError, Tally};

const KIND: &str = "journald";
const CHECKPOINT_KEY: &str = "journald";
/// Entries hold binary fields as arrays of numbers, four times their size.
const ENTRY_BYTES_MAX: usize = 16 << 20;
const RESTART_WAIT: Duration = Duration::from_secs(1);
const RESTART_WAIT_MAX: Duration = Duration::from_secs(30);
/// After so many runs in a row that brought nothing, the cursor is taken to be one that the journal no longer knows.
const FRUITLESS_RUNS_MAX: u32 = 3;
const MESSAGE_BYTES_MAX: u64 = 4096;

/// Starts to follow the journal. Where there is none and none is demanded, the task ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    let journal = match config.enabled {
        Enabled::Off => None,
        Enabled::On => {
            Some(find_journal().map_err(|message| StartError { setting: "collector.journald.enabled", message })?)
        }
        Enabled::Auto => find_journal().inspect_err(|reason| tracing::info!("the journal is not read: {reason}")).ok(),
    };
    let enricher = context.enricher.clone().of_source(KIND).with_parse(&config.parse, "collector.journald.parse")?;
    let rules = config.multiline.rules("collector.journald.multiline")?;
    let context = SourceContext { enricher, ..context };
    Ok(match journal {
        Some(program) => start_following(program, config, rules, context),
        None => Running { kind: KIND, address: None, task: tokio::spawn(async {}) },
    })
}

/// The program, when there is a journal that we may read; else why not.
fn find_journal() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&path)
        .map(|directory| directory.join("journalctl"))
        .find(|program| program.is_file())
        .ok_or("there is no journalctl in PATH")?;
    let directories = [Path::new("/var/log/journal"), Path::new("/run/log/journal")];
    let files: Vec<_> = directories.into_iter().flat_map(journal_files).collect();
    if files.is_empty() {
        return Err("neither /var/log/journal nor /run/log/journal holds a journal".to_owned());
    }
    if !files.iter().any(|file| fs::File::open(file).is_ok()) {
        return Err("its files may not be read: add this user to the group systemd-journal".to_owned());
    }
    Ok(program)
}

/// `<directory>/<machine id>/*.journal`.
fn journal_files(directory: &Path) -> Vec<PathBuf> {
    let entries = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(directory)
        .flat_map(|machine| entries(&machine).collect::<Vec<_>>())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect()
}

fn start_following(program: PathBuf, config: Config, rules: Rules, context: SourceContext) -> Running {
    let tally = context.tallies.of(KIND, "journal");
    let (feed, feeder) = feeder::start(&context, Arc::clone(&tally));
    let cursor = context.checkpoints.get(CHECKPOINT_KEY).and_then(|value| String::from_utf8(value.clone()).ok());
    let enricher = context.enricher.clone();
    let cursor = cursor.filter(|text| !text.is_empty());
    let stored = StoredEntries::new(&context.checkpoints, CHECKPOINT_KEY);
    // What others write ends a group: entries are given in their order, and those that are not yet are behind the cursor.
    let held = Senders::new(rules, Limits::new(config.line_bytes_max, SENDER_TIMEOUT), 1);
    let follower = Follower { program, config, context, tally, enricher, stored, held, given: cursor.clone(), cursor };
    let task = tokio::spawn(async move {
        follower.run(feed).await;
        let _ = feeder.await;
    });
    Running { kind: KIND, address: None, task }
}

/// Entries that are held, with the cursor before each, by their writers.
type Held = Senders<String, (Entry, Option<String>)>;

struct Follower {
    program: PathBuf,
    config: Config,
    context: SourceContext,
    tally: Arc<Tally>,
    enricher: Enricher,
    stored: StoredEntries,
    held: Held,
    /// The last entry that was read.
    cursor: Option<String>,
    /// The last one that was handed over with all before it.
    given: Option<String>,
}

impl Follower {
    async fn run(mut self, feed: Feed) {
        let stop = self.context.stop.clone();
        let (mut wait, mut fruitless) = (RESTART_WAIT, 0);
        loop {
            match self.follow_once(&feed).await {
                Ok(0) => fruitless += 1,
                Ok(_) => (wait, fruitless) = (RESTART_WAIT, 0),
                Err(Ended) => return,
            }
            if stop.is_cancelled() {
                return;
            }
            if fruitless >= FRUITLESS_RUNS_MAX && self.cursor.take().is_some() {
                self.tally.problem("cursor_lost", 1, b"the journal no longer knows the entry it was read to");
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
            wait = (wait * 2).min(RESTART_WAIT_MAX);
        }
    }

    /// Runs the program until it ends or we stop; how many entries it gave.
    async fn follow_once(&mut self, feed: &Feed) -> Result<u64, Ended> {
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => {
                self.tally.problem("journalctl_failed", 1, error.to_string().as_bytes());
                return Ok(0);
            }
        };
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else { return Ok(0) };
        // Read along with the entries, so that a talkative child is never blocked.
        let errors = tokio::spawn(first_words(errors));
        let entries = self.read(output, feed).await;
        let _ = child.kill().await;
        let errors = errors.await.unwrap_or_default();
        if !self.context.stop.is_cancelled() {
            self.tally.problem("journalctl_ended", 1, &errors);
        }
        entries
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(["--follow", "--output=json", "--all", "--quiet"]);
        match &self.cursor {
            Some(cursor) => command.args(["--lines=all".to_owned(), format!("--after-cursor={cursor}")]),
            None => command.arg(format!("--lines={}", self.config.past_entries)),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()
    }

    async fn read(&mut self, mut output: impl AsyncRead + Unpin, feed: &Feed) -> Result<u64, Ended> {
        let stop = self.context.stop.clone();
        let mut splitter = LineSplitter::new(ENTRY_BYTES_MAX);
        let mut buffer = vec![0; 64 << 10];
        let mut entries = 0;
        loop {
            let due = self.held.due();
            // `read` loses nothing when another wins.
            let length = tokio::select! {
                length = output.read(&mut buffer) => Some(length.unwrap_or(0)),
                () = wait_until(due) => None,
                // What is held is read again.
                () = stop.cancelled() => return Ok(entries),
            };
            let mut portion = Portion { bytes: length.unwrap_or(0) as u64, ..Portion::default() };
            match length {
                None => self.give(&mut portion, |held, take| held.give_old(Instant::now(), take)),
                Some(0) => self.give(&mut portion, Senders::finish),
                Some(length) => {
                    splitter.push(&buffer[..length], |line| match entry::read(line.bytes, self.config.line_bytes_max) {
                        Some(entry) => {
                            self.take(entry, &mut portion);
                            entries += 1;
                        }
                        None => self.tally.problem("malformed_entry", 1, line.bytes),
                    })
                }
            }
            self.enricher.notes().report(&self.tally);
            self.hand_over(portion, feed).await?;
            if length == Some(0) {
                return Ok(entries);
            }
        }
    }

    fn take(&mut self, entry: Entry, portion: &mut Portion) {
        let before = self.cursor.replace(entry.cursor.clone());
        let is_edge = self.stored.have_edge(&entry.cursor);
        if entry.message.trim_ascii().is_empty() {
            self.give(portion, Senders::finish);
            let arrival = Timestamp::now();
            let record = entry.record(b"", false, &mut self.enricher, &self.context.resource, arrival);
            portion
                .logs
                .extend(record.filter(|record| !self.stored.have(&entry.cursor, Lane::of_severity(record.severity))));
        } else {
            let (writer, message, truncated) = (entry.writer(), entry.message.clone(), entry.truncated);
            self.give(portion, |held, take| {
                held.push(writer, (entry, before), &message, truncated, Instant::now(), take);
            });
        }
        if is_edge {
            self.give(portion, Senders::finish);
        }
    }

    /// Makes records of what is given.
    fn give(
        &mut self,
        portion: &mut Portion,
        from: impl FnOnce(&mut Held, &mut dyn FnMut((Entry, Option<String>), Group<'_>)),
    ) {
        let (enricher, here, stored) = (&mut self.enricher, &self.context.resource, &self.stored);
        from(&mut self.held, &mut |(entry, _), group| {
            let record = entry.record(group.bytes, group.truncated, enricher, here, Timestamp::now());
            let is_new = |record: &LogRecord| !stored.have(&entry.cursor, Lane::of_severity(record.severity));
            portion.logs.extend(record.filter(is_new));
        });
    }

    /// Hands over what there is, with the cursor before what is held.
    async fn hand_over(&mut self, mut portion: Portion, feed: &Feed) -> Result<(), Ended> {
        let given = match self.held.held().next() {
            Some((_, before)) => before.clone(),
            None => self.cursor.clone(),
        };
        if given == self.given && portion.logs.is_empty() {
            return Ok(());
        }
        self.given.clone_from(&given);
        if let Some(cursor) = given {
            portion.checkpoints.extend(self.stored.take_passed(&cursor));
            portion.checkpoints.push(Checkpoint { key: CHECKPOINT_KEY.to_owned(), value: cursor.into_bytes() });
        }
        feed.send(portion).await
    }
}

/// The start of what the child complains about; the rest is read and dropped.
async fn first_words(mut errors: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut words = Vec::new();
    let _ = (&mut errors).take(MESSAGE_BYTES_MAX).read_to_end(&mut words).await;
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
    words
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::delivery::{self, Outcome};

    /// A program that writes down how it was called and prints entries numbered from the one behind its cursor.
    const JOURNALCTL: &str = r#"#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
first=1
for argument in "$@"; do case "$argument" in --after-cursor=*) first=$(( ${argument#--after-cursor=} + 1 ));; esac; done
for number in $first $((first + 1)); do echo "{\"__CURSOR\":\"$number\",\"MESSAGE\":\"entry $number\"}"; done
echo "not an entry"
echo "gone" >&2
"#;

    #[tokio::test]
    async fn entries_are_followed_across_the_ends_of_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("journalctl");
        fs::write(&program, JOURNALCTL).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let (outlet, mut deliveries) = delivery::channel(1);
        let context = SourceContext::bare(outlet);
        let rules = Config::default().multiline.rules("test").unwrap();
        let running = start_following(program, Config::default(), rules, context.clone());
        let (mut bodies, mut cursor) = (Vec::new(), Vec::new());
        while bodies.len() < 4 {
            let delivery = deliveries.recv().await.unwrap();
            bodies.extend(delivery.batch.logs.iter().map(|record| record.body.clone()));
            cursor.clone_from(&delivery.batch.checkpoints[0].value);
            delivery.receipt.answer(Outcome::Stored { acked_through: None });
        }
        context.stop.cancel();
        drop(deliveries);
        running.task.await.unwrap();
        assert_eq!(bodies[..4], ["entry 1", "entry 2", "entry 3", "entry 4"]);
        assert_eq!(cursor, b"4");
        let calls = fs::read_to_string(directory.path().join("calls")).unwrap();
        let calls: Vec<_> = calls.lines().collect();
        assert_eq!(calls[0], "--follow --output=json --all --quiet --lines=1000");
        assert_eq!(calls[1], "--follow --output=json --all --quiet --lines=all --after-cursor=2");
        let problems = context.tallies.snapshot()[0].problems.clone();
        let reasons: Vec<_> = problems.iter().map(|problem| (problem.reason, &*problem.example)).collect();
        assert_eq!(reasons, [("journalctl_ended", "gone·"), ("malformed_entry", "not an entry")]);
    }
}
