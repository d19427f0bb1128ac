//! What each stream is to send next: looked for in memory, then on disk; and what becomes of what the disk does not give back.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::line::Step;
use super::sender::{Event, Sender, blocking};
use super::unit::{Found, Search, Unit, find_on_disk, find_recent};
use crate::file_system::FileSystem;
use crate::journal::JournalError;

/// How long to leave the spool alone after it could not be read.
pub(super) const UNREADABLE_PAUSE: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 5 });
/// A segment is put aside after so many tries.
const UNREADABLE_TRIES: u32 = 5;

impl<F: FileSystem> Sender<F> {
    /// Finds the next frame of every stream that has none at hand.
    pub(super) fn fetch(&mut self, now: Instant, end: u64) {
        // One at a time reads from disk: it is quick beside the network, and each thread that does keeps memory.
        let mut is_reading = self.lines.iter().any(|line| matches!(line.step, Step::Fetching));
        let lines = self.lines.len();
        // Who read last is asked last: in a large backlog every stream wants the disk all the time.
        for at in (self.read_last + 1..lines).chain(0..lines.min(self.read_last + 1)) {
            let (stream, line) = (&self.ledger.streams[at], &mut self.lines[at]);
            line.drop_what_was_given_back(stream.lease);
            let Some(lease) = stream.lease.filter(|lease| lease.next < end) else { continue };
            if !line.is_idle(now) || !self.servers.get(stream.server).is_some_and(|server| server.is_usable(now)) {
                continue;
            }
            let (lane, from, to) = (stream.lane, lease.next, lease.end.min(end));
            let possible = self.shared.spool.lock().first_possible(lane, from).min(to);
            if possible == to {
                self.ledger.go_over(at, to);
                // No answer wakes the loop for what is next.
                self.shared.changed.notify_one();
                continue;
            }
            let is_single = line.is_single || line.piece_rows.is_some() || lease.row > 0;
            let bytes_max = if is_single { 0 } else { self.servers[stream.server].pace.body_bytes() };
            match find_recent(&self.shared, lane, possible, to, bytes_max) {
                Some(Found::Unit(unit)) => self.found(at, unit),
                Some(Found::Nothing(next)) => self.ledger.go_over(at, next),
                None if is_reading => {}
                None => {
                    (is_reading, self.read_last) = (true, at);
                    line.step = Step::Fetching;
                    let (shared, reader, id) = (Arc::clone(&self.shared), line.reader.take(), stream.id);
                    self.spawn(async move {
                        let find = move || find_on_disk(&shared, lane, possible, to, bytes_max, reader);
                        Event::Found { at, id, records: from..to, found: blocking(find).await }
                    });
                }
            }
        }
    }

    fn found(&mut self, at: usize, unit: Unit) {
        let Some(lease) = &mut self.ledger.streams[at].lease else { return };
        let rows_before = Some(unit.first_row);
        // The books must say it before the first of the lease goes out.
        self.is_unwritten |= lease.rows_before != rows_before;
        lease.rows_before = rows_before;
        if lease.next < unit.record {
            self.ledger.go_on(at, unit.record, rows_before);
        }
        self.lines[at].step = Step::Ready(unit);
    }

    pub(super) async fn read(&mut self, at: usize, found: Result<Search<F>, JournalError>) {
        let line = &mut self.lines[at];
        line.step = Step::Idle { not_before: None };
        let Search { found, missing, reader } = match found {
            Ok(search) => search,
            Err(error) => {
                line.step = Step::Idle { not_before: Some(Instant::now() + UNREADABLE_PAUSE) };
                return self.could_not_read(&error).await;
            }
        };
        line.reader = reader;
        match found {
            Found::Unit(unit) => self.found(at, unit),
            Found::Nothing(next) => {
                match missing.is_empty() {
                    true => self.ledger.go_over(at, next),
                    false => self.ledger.go_on(at, next, None),
                }
                self.changed();
            }
        }
        // After a crash, what is missing must be known to have been passed over, and not sent.
        if self.note_missing(missing) {
            self.save().await;
        }
    }

    /// Counts records that cannot be read, each once; whether there were any.
    pub(super) fn note_missing(&mut self, missing: Vec<Range<u64>>) -> bool {
        let before = self.missing.len();
        missing.into_iter().for_each(|range| self.missing.insert(range));
        let news = self.missing.len() - before;
        if news > 0 {
            tracing::error!(records = news, "the disk has damaged batches in the spool; they are passed over");
            self.shared.status.update(|status| status.damaged_records += news);
        }
        news > 0
    }

    /// The disk does not give a segment back. After some tries it is put aside, or everything behind it would wait for ever.
    pub(super) async fn could_not_read(&mut self, error: &JournalError) {
        tracing::error!(%error, "the spool cannot be read");
        let Some(segment) = error.unreadable_segment().map(Path::to_owned) else { return };
        let tries = self.unreadable.take().filter(|(known, _)| *known == segment).map_or(1, |(_, tries)| tries + 1);
        if tries < UNREADABLE_TRIES {
            self.unreadable = Some((segment, tries));
            return;
        }
        let shared = Arc::clone(&self.shared);
        match blocking(move || shared.spool.lock().set_aside(&segment)).await {
            Ok(file) => {
                tracing::error!(file = %file.display(), "a part of the spool that cannot be read is put aside, its batches are missing");
            }
            Err(error) => tracing::error!(%error, "a part of the spool that cannot be read cannot be put aside either"),
        }
    }
}
