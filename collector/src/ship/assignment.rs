//! Which server gets what: leases of the spool's records to the streams of the first server that is well.

use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Stream;
use super::line::Line;
use super::sender::Sender;
use super::spool::SpooledRecord;
use crate::file_system::FileSystem;
use crate::model::Lane;

/// Once something was spooled so long ago and not sent, what is older than [`LIVE_AGE_KEPT`] is backlog: what comes now goes first.
const LIVE_AGE: Duration = Duration::from_secs(5);
const LIVE_AGE_KEPT: Duration = Duration::from_secs(1);

/// Streams that take turns at what comes in one lane, where answers take long.
const LIVE_STREAMS: usize = 2;

/// Streams that work off one lane's backlog at once.
const BACKLOG_STREAMS: usize = 3;

/// What is uncertain at one server and keeps a full spool from being emptied waits for that server's word no longer than this.
const IN_THE_WAY_WAIT: Duration = Duration::from_secs(60);

impl<F: FileSystem> Sender<F> {
    /// Decides which server gets what; whether the books changed in a way that must be written down before anything is sent.
    pub(super) fn lease(&mut self, now: Instant, end: u64) -> bool {
        let usable = |at: &usize| self.servers[*at].is_usable(now);
        let Some(first) = (0..self.servers.len()).find(usable) else { return false };
        let others = (first + 1..self.servers.len()).filter(usable);
        let preferred =
            others.fold(first, |best, at| if self.servers[best].is_slower_than(&self.servers[at]) { at } else { best });
        if self.preferred.replace(preferred) != Some(preferred) && self.servers.len() > 1 {
            tracing::info!(server = self.servers[preferred].endpoint.url(), "batches go to this server now");
        }
        let mut changed = false;
        for at in 0..self.ledger.streams.len() {
            if self.ledger.streams[at].server != preferred {
                // At once, what is to come above all: else it would wait behind what is on its way. That stays with its stream.
                changed |= self.ledger.give_back(at, end);
                changed |= !self.lines[at].is_sending() && self.give_up_waiting(at, now, end);
            }
        }
        for lane in Lane::ALL {
            changed |= self.lease_lane(preferred, lane, now, end);
        }
        self.lines.resize_with(self.ledger.streams.len(), Line::default);
        changed
    }

    fn lease_lane(&mut self, server: usize, lane: Lane, now: Instant, end: u64) -> bool {
        let mut changed = false;
        let is_live = |s: &Stream| s.is_live && s.server == server && s.lane == lane && s.lease.is_some();
        let live: Vec<usize> = (0..self.ledger.streams.len()).filter(|&at| is_live(&self.ledger.streams[at])).collect();
        let untried = live.iter().filter_map(|&at| self.ledger.streams[at].lease).filter_map(|lease| {
            let from = lease.next.max(lease.uncertain_until);
            (from < lease.end).then_some(from)
        });
        let live_from = self.ledger.lanes[lane as usize].live_from;
        let oldest = untried.fold(live_from, u64::min);
        if oldest < end && self.has_waited_long(oldest, now) && self.holds(lane, oldest) {
            let young = self.first_spooled_within(LIVE_AGE_KEPT, now, end);
            // What is on its way stays with its stream.
            for &at in &live {
                changed |= self.ledger.give_back(at, young);
            }
            if self.ledger.lanes[lane as usize].live_from < young {
                self.ledger.age(lane, young);
                changed = true;
            }
        }
        let live_from = self.ledger.lanes[lane as usize].live_from;
        if live.is_empty() && !self.holds(lane, live_from) {
            self.ledger.pass_over(lane, end);
        } else {
            changed |= self.ledger.lease_live(server, lane, end).1;
        }
        if self.servers[server].pace.body_bytes() > 0 && self.servers[server].free_slots(now) > 0 {
            for at in live {
                changed |= self.has_more(at) && self.ledger.hand_on(at, LIVE_STREAMS);
            }
        }
        let works = |s: &&Stream| !s.is_live && s.server == server && s.lane == lane && s.lease.is_some();
        let mut working = self.ledger.streams.iter().filter(works).count();
        while working < BACKLOG_STREAMS && self.ledger.lease_backlog(server, lane).is_some() {
            working += 1;
            changed = true;
        }
        changed
    }

    /// Whether a frame of this lane was spooled at this record or after it.
    pub(super) fn holds(&self, lane: Lane, record: u64) -> bool {
        self.shared.spool.lock().last_in(lane).is_some_and(|last| last >= record)
    }

    fn has_waited_long(&self, record: u64, now: Instant) -> bool {
        let spool = self.shared.spool.lock();
        spool.recent(record).is_none_or(|record| now.saturating_duration_since(record.spooled) > LIVE_AGE)
    }

    /// The first record that was spooled so lately.
    fn first_spooled_within(&self, age: Duration, now: Instant, end: u64) -> u64 {
        let spool = self.shared.spool.lock();
        let is_young = |record: &SpooledRecord| now.saturating_duration_since(record.spooled) <= age;
        let mut first = end;
        while first.checked_sub(1).and_then(|before| spool.recent(before)).is_some_and(is_young) {
            first -= 1;
        }
        first
    }

    /// Lets another server have what one has not settled for too long; whether it does.
    fn give_up_waiting(&mut self, at: usize, now: Instant, end: u64) -> bool {
        let stream = &self.ledger.streams[at];
        let Some(lease) = stream.lease else {
            self.lines[at].uncertain_since = None;
            return false;
        };
        let known =
            self.lines[at].uncertain_since.filter(|(record, row, _)| (*record, *row) == (lease.next, lease.row));
        let (.., since) = *self.lines[at].uncertain_since.insert(known.unwrap_or((lease.next, lease.row, now)));
        let waited = now.saturating_duration_since(since);
        let has_waited = waited >= self.shared.uncertain_wait;
        // Late is worse than double once the spool can take nothing more because of it.
        let is_first = waited >= IN_THE_WAY_WAIT && lease.next == self.ledger.first_undone();
        let is_in_the_way = is_first && self.shared.spool.lock().is_nearly_full();
        if !has_waited && !is_in_the_way && self.identities.gone(stream.server).is_none() {
            return false;
        }
        let records = lease.end.min(end) - lease.next;
        let server = self.identities.known()[stream.server].url.clone();
        tracing::error!(
            server,
            batches = records,
            "a server is no longer named by collector.to, or has not said for collector.uncertain_wait whether it has these; \
             or the spool is full because of them: another gets them, and they may be stored twice"
        );
        self.abandon(at, end);
        self.lines[at] = Line::default();
        true
    }
}
