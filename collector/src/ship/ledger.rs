//! Which record of the spool goes to which server: the books that keep every record from being forgotten and from being sent
//! to two servers. No disk, no network, no clock: decisions only.
//!
//! A record of the spool holds up to one frame a lane. In each lane every record is in one of these states:
//!
//! ```text
//!            ┌──────────── waiting (backlog, oldest first) ◄──────────────┐
//!  spooled ──┤                     │ lease                                │ given back, unless uncertain
//!            └─► live ──── lease ──┴──► leased to a stream of one server ─┴─► done
//! ```
//!
//! A **stream** is a row of sequence numbers at one server. A **lease** gives a stream a range of records, which may reach beyond
//! the spool's end. Leases are written down before the first frame goes out under them, so that after a crash it is known who
//! may have what. What may have reached a server is **uncertain** until that server has acknowledged or refused it; only that
//! server gets it again, and recognises it. Everything else can be given back and go elsewhere at once.

use std::ops::Range;

use super::range_set::RangeSet;
use crate::model::Lane;

/// Lanes there are.
pub(super) const LANES: usize = 4;

/// Records that are leased ahead of their arrival to a stream that keeps up: the books are written once for so many.
const LIVE_LEASE: u64 = 256;

/// Records of the backlog that are leased at once: few enough that several streams share the work.
const BACKLOG_LEASE: u64 = 32;

/// A row of sequence numbers at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    /// Its number at the server.
    pub(super) id: u32,
    /// Which server.
    pub(super) server: usize,
    /// Whose frames it takes.
    pub(super) lane: Lane,
    /// Whether it takes what comes, or what waited.
    pub(super) is_live: bool,
    /// The number of the next row.
    pub(super) next_seq: u64,
    /// What it is to send.
    pub(super) lease: Option<Lease>,
}

/// A range of records that only one stream may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// The record to go on with.
    pub(super) next: u64,
    /// Rows of that record's frame that are dealt with.
    pub(super) row: u32,
    /// Rows of the lane that were spooled before that record, once it was read: what the disk damages behind it leaves no doubt
    /// about how many rows are gone.
    pub(super) rows_before: Option<u64>,
    /// Behind its last record.
    pub(super) end: u64,
    /// Records below this may be with the server already.
    pub(super) uncertain_until: u64,
}

/// One lane's records that no stream has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneBook {
    /// The backlog.
    pub(super) waiting: RangeSet,
    /// Records from here on are to be sent as they come.
    pub(super) live_from: u64,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) lanes: [LaneBook; LANES],
    pub(super) streams: Vec<Stream>,
    /// The number of the next new stream.
    pub(super) next_stream: u32,
}

impl Lease {
    fn new(records: Range<u64>) -> Lease {
        let Range { start, end } = records;
        Lease { next: start, row: 0, rows_before: None, end, uncertain_until: start }
    }

    /// Whether it is unknown whether the server has some of it.
    pub(super) fn is_uncertain(&self) -> bool {
        self.uncertain_until > self.next
    }
}

impl Ledger {
    /// The books as a crash left them, of a spool that holds `spooled`: what is leased may have been sent, what is older than the
    /// spool was dealt with, and everything else that is there has waited.
    pub(super) fn recover(&mut self, first: u64, end: u64) {
        for stream in &mut self.streams {
            let Some(lease) = &mut stream.lease else { continue };
            if lease.next < first {
                (lease.next, lease.row, lease.rows_before) = (first, 0, None);
            }
            let leased_end = lease.end;
            lease.end = leased_end.min(end).max(lease.next);
            lease.uncertain_until = lease.end;
            let book = &mut self.lanes[stream.lane as usize];
            if book.live_from == leased_end {
                book.live_from = lease.end;
            }
            if lease.next >= lease.end {
                stream.lease = None;
            }
        }
        for book in &mut self.lanes {
            book.waiting.remove_below(first);
            book.waiting.remove_from(end);
            let live_from = book.live_from.max(first).min(end);
            book.waiting.insert(live_from..end);
            book.live_from = end.max(live_from);
        }
    }

    /// Counts servers anew: what was `from` is `to(from)`.
    pub(super) fn renumber_servers(&mut self, to: impl Fn(usize) -> usize) {
        self.streams.iter_mut().for_each(|stream| stream.server = to(stream.server));
    }

    /// The lowest record that some lane has not dealt with; everything below may be forgotten.
    pub(super) fn first_undone(&self) -> u64 {
        Lane::ALL.iter().map(|&lane| self.first_undone_of(lane)).min().unwrap_or(0)
    }

    /// The lowest record that this lane has not dealt with.
    pub(super) fn first_undone_of(&self, lane: Lane) -> u64 {
        let book = &self.lanes[lane as usize];
        let leased = self.streams.iter().filter(|stream| stream.lane == lane).filter_map(|stream| stream.lease);
        leased.map(|lease| lease.next).chain(book.waiting.first()).fold(book.live_from, u64::min)
    }

    /// Records below `end` that this lane has not dealt with.
    pub(super) fn undone(&self, lane: Lane, end: u64) -> u64 {
        let book = &self.lanes[lane as usize];
        let leases = self.streams.iter().filter(|stream| stream.lane == lane).filter_map(|stream| stream.lease);
        let leased: u64 = leases.map(|lease| lease.end.min(end).saturating_sub(lease.next)).sum();
        book.waiting.len() + leased + end.saturating_sub(book.live_from)
    }

    /// The stream of this server that takes what comes in this lane, with at least one record ahead of the spool's `end`; and
    /// whether the books changed.
    pub(super) fn lease_live(&mut self, server: usize, lane: Lane, end: u64) -> (usize, bool) {
        let live_from = self.lanes[lane as usize].live_from;
        let leads = |lease: Option<Lease>| lease.is_none_or(|lease| lease.end == live_from);
        let of_lane = |s: &Stream| s.is_live && s.server == server && s.lane == lane;
        let all = || (0..self.streams.len()).filter(|&at| of_lane(&self.streams[at]));
        let leading =
            all().filter(|&at| leads(self.streams[at].lease)).max_by_key(|&at| self.streams[at].lease.is_some());
        let at = leading.or_else(|| all().next()).unwrap_or_else(|| self.new_stream(server, lane, true));
        let reach = end.max(live_from) + LIVE_LEASE;
        match &mut self.streams[at].lease {
            Some(lease) if lease.end != live_from || lease.end > end => return (at, false),
            Some(lease) => lease.end = reach,
            none => *none = Some(Lease::new(live_from..reach)),
        }
        self.lanes[lane as usize].live_from = reach;
        (at, true)
    }

    /// What comes behind the frame that this live stream has under way goes to another one of the same server, unless `most` of the lane
    /// are at work: while an answer is on its way, the line is not to lie idle. Whether the books changed.
    pub(super) fn hand_on(&mut self, at: usize, most: usize) -> bool {
        let Stream { server, lane, is_live, lease, .. } = self.streams[at];
        let Some(lease) = lease.filter(|lease| is_live && lease.is_uncertain() && lease.uncertain_until < lease.end)
        else {
            return false;
        };
        let of_lane = |s: &Stream| s.is_live && s.server == server && s.lane == lane;
        if self.streams.iter().filter(|stream| of_lane(stream) && stream.lease.is_some()).count() >= most {
            return false;
        }
        let idle = self.streams.iter().position(|stream| of_lane(stream) && stream.lease.is_none());
        let other = idle.unwrap_or_else(|| self.new_stream(server, lane, true));
        self.streams[other].lease = Some(Lease::new(lease.uncertain_until..lease.end));
        self.streams[at].lease = Some(Lease { end: lease.uncertain_until, ..lease });
        true
    }

    /// Leases the oldest records that wait in this lane to an idle stream of this server.
    pub(super) fn lease_backlog(&mut self, server: usize, lane: Lane) -> Option<usize> {
        let range = self.lanes[lane as usize].waiting.take_first(BACKLOG_LEASE)?;
        let is_idle = |s: &Stream| !s.is_live && s.server == server && s.lane == lane && s.lease.is_none();
        let found = self.streams.iter().position(is_idle);
        let at = found.unwrap_or_else(|| self.new_stream(server, lane, false));
        self.streams[at].lease = Some(Lease::new(range));
        Some(at)
    }

    /// Records up to `end` that nobody has sent are no longer what comes, but what waits.
    pub(super) fn age(&mut self, lane: Lane, end: u64) {
        let book = &mut self.lanes[lane as usize];
        if book.live_from < end {
            book.waiting.insert(book.live_from..end);
            book.live_from = end;
        }
    }

    /// Records up to `end` hold nothing of this lane.
    pub(super) fn pass_over(&mut self, lane: Lane, end: u64) {
        let book = &mut self.lanes[lane as usize];
        book.live_from = book.live_from.max(end);
    }

    /// Takes back what the stream has not tried to send; what is spooled and below `end` has waited. Whether the books changed.
    pub(super) fn give_back(&mut self, at: usize, end: u64) -> bool {
        let stream = &mut self.streams[at];
        let Some(lease) = &mut stream.lease else { return false };
        let from = lease.uncertain_until.max(lease.next + u64::from(lease.row > 0));
        if from >= lease.end {
            return false;
        }
        let taken = from..lease.end;
        lease.end = from;
        if lease.next >= lease.end {
            stream.lease = None;
        }
        let book = &mut self.lanes[stream.lane as usize];
        if book.live_from == taken.end {
            book.waiting.insert(taken.start..end.max(taken.start));
            book.live_from = end.max(taken.start);
        } else {
            book.waiting.insert(taken);
        }
        true
    }

    /// Takes everything back, what is uncertain too. The stream's numbers are not used again. Returns how many records may be stored
    /// twice from now on.
    #[must_use]
    pub(super) fn abandon(&mut self, at: usize, end: u64) -> u64 {
        let mut doubtful = 0;
        if let Some(lease) = &mut self.streams[at].lease {
            doubtful = lease.uncertain_until.min(end).saturating_sub(lease.next);
            (lease.uncertain_until, lease.row) = (lease.next, 0);
        }
        self.give_back(at, end);
        self.streams[at].lease = None;
        self.streams[at].id = self.next_stream;
        self.streams[at].next_seq = 0;
        self.next_stream += 1;
        doubtful
    }

    /// What the stream is to send next, up to the record `last`, is on its way.
    pub(super) fn attempt(&mut self, at: usize, last: u64) {
        if let Some(lease) = &mut self.streams[at].lease {
            lease.uncertain_until = lease.uncertain_until.max(last + 1);
        }
    }

    /// The server has said that it does not have the frame that was on its way, which was the first attempt.
    pub(super) fn attempt_failed(&mut self, at: usize) {
        if let Some(lease) = &mut self.streams[at].lease {
            lease.uncertain_until = lease.next;
        }
    }

    /// So many rows of the frame at hand are with the server; the frame goes on with what is behind them.
    pub(super) fn stored(&mut self, at: usize, rows: u32) {
        let stream = &mut self.streams[at];
        stream.next_seq += u64::from(rows);
        if let Some(lease) = &mut stream.lease {
            lease.row += rows;
        }
    }

    /// A row of the frame at hand is left out. What follows goes under another stream's numbers: should the row arrive after all, late,
    /// it must not take the number of the next.
    pub(super) fn leave_out(&mut self, at: usize, rows: u32) {
        let stream = &mut self.streams[at];
        (stream.id, stream.next_seq) = (self.next_stream, 0);
        self.next_stream += 1;
        if let Some(lease) = &mut stream.lease {
            lease.row += rows;
        }
    }

    /// The record at hand is dealt with, or cannot be read: the stream goes on with the record `next`, as far as its lease goes.
    /// `rows_before` that one were spooled in the lane, if it is known.
    pub(super) fn go_on(&mut self, at: usize, next: u64, rows_before: Option<u64>) {
        let stream = &mut self.streams[at];
        let Some(lease) = &mut stream.lease else { return };
        (lease.next, lease.row, lease.rows_before) = (next.min(lease.end), 0, rows_before);
        lease.uncertain_until = lease.uncertain_until.max(lease.next);
        if lease.next == lease.end {
            stream.lease = None;
        }
    }

    /// There are no frames of the lane before the record `next`: the stream goes on there.
    pub(super) fn go_over(&mut self, at: usize, next: u64) {
        let rows_before = self.streams[at].lease.and_then(|lease| lease.rows_before);
        self.go_on(at, next, rows_before);
    }

    fn new_stream(&mut self, server: usize, lane: Lane, is_live: bool) -> usize {
        self.streams.push(Stream { id: self.next_stream, server, lane, is_live, next_seq: 0, lease: None });
        self.next_stream += 1;
        self.streams.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Spool(u64),
        LeaseLive(usize, Lane),
        LeaseBacklog(usize, Lane),
        HandOn(usize),
        Age(Lane),
        PassOver(Lane),
        Send(usize),
        Fail(usize),
        GiveBack(usize),
        Crash,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let lane = || prop::sample::select(&[Lane::Urgent, Lane::Normal][..]);
        let step = prop_oneof![
            (1u64..40).prop_map(Step::Spool),
            (0usize..2, lane()).prop_map(|(server, lane)| Step::LeaseLive(server, lane)),
            (0usize..2, lane()).prop_map(|(server, lane)| Step::LeaseBacklog(server, lane)),
            (0usize..8).prop_map(Step::HandOn),
            lane().prop_map(Step::Age),
            lane().prop_map(Step::PassOver),
            (0usize..8).prop_map(Step::Send),
            (0usize..8).prop_map(Step::Send),
            (0usize..8).prop_map(Step::Fail),
            (0usize..8).prop_map(Step::GiveBack),
            Just(Step::Crash),
        ];
        proptest::collection::vec(step, 0..80)
    }

    /// In which states of a lane a record stands.
    fn owners(ledger: &Ledger, lane: Lane, record: u64) -> usize {
        let book = &ledger.lanes[lane as usize];
        let waits = book.waiting.ranges().iter().any(|range| range.contains(&record));
        let is_live = record >= book.live_from;
        let leases = ledger.streams.iter().filter(|stream| stream.lane == lane).filter_map(|stream| stream.lease);
        let leased = leases.filter(|lease| (lease.next..lease.end).contains(&record)).count();
        usize::from(waits) + usize::from(is_live) + leased
    }

    proptest! {
        /// Every record has one owner until it is done and none afterwards; what was sent goes to no other server.
        #[test]
        fn every_record_is_done_once_and_tried_at_one_server_only(steps in steps()) {
            let mut ledger = Ledger::default();
            let mut written = ledger.clone();
            let mut end = 0u64;
            let mut done = [const { Vec::new() }; LANES];
            let mut tried = std::collections::HashMap::new();
            for step in steps {
                let streams = ledger.streams.len().max(1);
                match step {
                    Step::Spool(count) => end += count,
                    Step::LeaseLive(server, lane) => drop(ledger.lease_live(server, lane, end)),
                    Step::LeaseBacklog(server, lane) => drop(ledger.lease_backlog(server, lane)),
                    Step::HandOn(at) => {
                        if at < ledger.streams.len() {
                            ledger.hand_on(at, 3);
                        }
                    }
                    Step::Age(lane) => ledger.age(lane, end),
                    Step::PassOver(lane) => {
                        let from = ledger.lanes[lane as usize].live_from;
                        done[lane as usize].extend(from..end);
                        ledger.pass_over(lane, end);
                    }
                    Step::Send(at) | Step::Fail(at) => {
                        let at = at % streams;
                        let Some(stream) = ledger.streams.get(at).cloned() else { continue };
                        let Some(lease) = stream.lease.filter(|lease| lease.next < end) else { continue };
                        let record = lease.next;
                        let first = !lease.is_uncertain();
                        let at_server = *tried.entry((stream.lane as usize, record)).or_insert(stream.server);
                        prop_assert_eq!(at_server, stream.server, "record {} in two places", record);
                        ledger.attempt(at, record);
                        if matches!(step, Step::Send(_)) {
                            ledger.stored(at, 1);
                            ledger.go_on(at, record + 1, Some(record + 1));
                            done[stream.lane as usize].push(record);
                        } else if first {
                            // The server has said no.
                            tried.remove(&(stream.lane as usize, record));
                            ledger.attempt_failed(at);
                        }
                    }
                    Step::GiveBack(at) => {
                        if at < ledger.streams.len() {
                            ledger.give_back(at, end);
                        }
                    }
                    Step::Crash => {
                        ledger = written.clone();
                        ledger.recover(0, end);
                        // What was done since the books were written is sent again, to the same server.
                        for lane in [Lane::Urgent, Lane::Normal] {
                            done[lane as usize].retain(|&record| owners(&ledger, lane, record) == 0);
                        }
                    }
                }
                if !matches!(step, Step::Send(_) | Step::Fail(_) | Step::Spool(_)) {
                    written = ledger.clone();
                }
                for lane in [Lane::Urgent, Lane::Normal] {
                    for record in 0..end + 3 {
                        let is_done = done[lane as usize].contains(&record);
                        prop_assert_eq!(owners(&ledger, lane, record), usize::from(!is_done), "{:?} {}", lane, record);
                    }
                    let first = (0..).find(|record| !done[lane as usize].contains(record));
                    prop_assert_eq!(Some(ledger.first_undone_of(lane)), first);
                }
            }
        }
    }

    #[test]
    fn what_is_uncertain_stays_and_the_rest_goes_elsewhere() {
        let mut ledger = Ledger::default();
        let (at, changed) = ledger.lease_live(0, Lane::Normal, 10);
        assert!(changed);
        ledger.attempt(at, 0);
        assert!(ledger.give_back(at, 10));
        let lease = ledger.streams[at].lease.expect("the frame on its way stays");
        assert_eq!((lease.next, lease.end, lease.is_uncertain()), (0, 1, true));
        assert_eq!(ledger.lanes[Lane::Normal as usize].waiting.ranges(), std::slice::from_ref(&(1..10)));
        let (other, _) = ledger.lease_live(1, Lane::Normal, 10);
        assert_eq!(ledger.streams[other].lease.map(|lease| lease.next), Some(10));
        let backlog = ledger.lease_backlog(1, Lane::Normal).expect("nine records wait");
        assert_eq!(ledger.streams[backlog].lease.map(|lease| (lease.next, lease.end)), Some((1, 10)));
        assert_eq!(ledger.abandon(at, 10), 1, "records that may be stored twice");
        assert_eq!(ledger.lanes[Lane::Normal as usize].waiting.ranges(), std::slice::from_ref(&(0..1)));
    }
}
