//! Durable records as they come, for live tail: a bounded ring that many readers follow at their own pace. A reader that
//! falls behind is told which sequence numbers it missed; the writer never waits for one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use taffrail_collector::model::LogRecord;
use tokio::sync::watch;

use crate::log_store::head::Chunk;
use crate::log_store::mask::{DeletionMask, Masks};
use crate::log_store::{FilterError, RecordId};

/// Records that the ring holds, besides the newest chunk: at 100,000 lines a second a reader may pause for half a second.
const RECORDS_MAX: usize = 50_000;

/// The ring's writing and subscribing end.
#[derive(Clone, Debug)]
pub struct LiveFeed {
    ring: Arc<Mutex<Ring>>,
    /// The sequence number after the newest record; closed with the feed.
    newest: watch::Sender<u64>,
    /// What was deleted since the ring's oldest record came.
    hidden: Arc<ArcSwap<Masks>>,
}

#[derive(Debug)]
struct Ring {
    chunks: VecDeque<Numbered>,
    records: usize,
    /// Records below this number are not in the ring.
    from_seq: u64,
    /// Records that were ever pushed.
    pushed: u64,
    closed: bool,
}

/// A chunk, and how many records were pushed before it.
#[derive(Clone, Debug)]
struct Numbered {
    chunk: Arc<Chunk>,
    before: u64,
}

impl Numbered {
    fn end(&self) -> u64 {
        self.chunk.first_seq() + self.chunk.records().len() as u64
    }
}

/// One reader.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Receiver<u64>,
    hidden: Arc<ArcSwap<Masks>>,
    /// The least sequence number not seen yet.
    next_seq: u64,
    /// How many records were pushed before that number; none while that is not known.
    before: Option<u64>,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Event {
    /// Durable records.
    Passage(Passage),
    /// Records left the ring before this reader came to them (they are in the store).
    Gap(Gap),
}

/// Records that a reader did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first number missed.
    pub from_seq: u64,
    /// The last number missed.
    pub to_seq: u64,
    /// How many records have these numbers; none when that is not known: metric windows take numbers too.
    pub rows: Option<u64>,
}

/// Records that became durable together, from some number on.
#[derive(Clone, Debug)]
pub struct Passage {
    chunk: Arc<Chunk>,
    from: usize,
    hidden: Arc<Masks>,
}

impl Passage {
    /// The numbers of its records, those of deleted ones among them.
    pub fn seqs(&self) -> Range<u64> {
        let first = self.chunk.first_seq();
        first + self.from as u64..first + self.chunk.records().len() as u64
    }

    /// The same with the records before it that became durable with it.
    #[must_use]
    pub fn whole(&self) -> Passage {
        Passage { from: 0, ..self.clone() }
    }

    /// Whether both have the same records; they may begin in different places.
    pub fn is_of_the_same(&self, other: &Passage) -> bool {
        Arc::ptr_eq(&self.chunk, &other.chunk) && Arc::ptr_eq(&self.hidden, &other.hidden)
    }

    /// Its records without those that were deleted since.
    pub fn records(&self) -> impl Iterator<Item = (RecordId, &LogRecord)> {
        let records = self.chunk.records().iter().enumerate().skip(self.from);
        records
            .map(|(at, record)| (self.chunk.id(at), record))
            .filter(|(id, record)| self.hidden.deletes(*id, record).is_none())
    }
}

impl LiveFeed {
    /// An empty ring; the first record to come has this sequence number or a later one.
    pub(crate) fn new(next_seq: u64) -> LiveFeed {
        let ring = Ring { chunks: VecDeque::new(), records: 0, from_seq: next_seq, pushed: 0, closed: false };
        LiveFeed { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(next_seq), hidden: Arc::default() }
    }

    /// Adds durable records and wakes the readers.
    pub(crate) fn push(&self, chunk: Arc<Chunk>) {
        let end = {
            let mut ring = self.ring.lock();
            let newest = Numbered { before: ring.pushed, chunk };
            let (end, rows) = (newest.end(), newest.chunk.records().len());
            ring.records += rows;
            ring.pushed += rows as u64;
            ring.chunks.push_back(newest);
            while ring.records > RECORDS_MAX && ring.chunks.len() > 1 {
                let gone = ring.chunks.pop_front().expect("more than one");
                ring.records -= gone.chunk.records().len();
                ring.from_seq = gone.end();
            }
            end
        };
        // What the journal's replay pushes may end before the number that the store goes on with.
        self.newest.send_modify(|newest| *newest = end.max(*newest));
    }

    /// From now on no reader gets what was deleted.
    pub(crate) fn hide(&self, deletion: &DeletionMask) -> Result<(), FilterError> {
        let from_seq = self.ring.lock().from_seq;
        let hidden = self.hidden.load().without_deletions(|earlier| earlier.seq_below > from_seq);
        self.hidden.store(Arc::new(hidden.with_deletion(deletion.clone())?));
        Ok(())
    }

    /// No record will come any more: readers end after the last.
    pub(crate) fn close(&self) {
        self.ring.lock().closed = true;
        self.newest.send_modify(|_| {});
    }

    /// The numbers that the ring can still give. Every record with a number below the end is in the store already, so that an answer of
    /// the store up to there and a subscription from there on are together without gap and repeat.
    pub fn seqs(&self) -> Range<u64> {
        let end = *self.newest.borrow();
        self.ring.lock().from_seq.min(end)..end
    }

    /// Follows from `from_seq` on (from now when none). Metric windows take sequence numbers too, so numbers may skip.
    pub fn subscribe(&self, from_seq: Option<u64>) -> Subscription {
        let newest = self.newest.subscribe();
        let next_seq = from_seq.unwrap_or_else(|| *newest.borrow());
        let ring = self.ring.lock();
        let before = (next_seq >= ring.from_seq).then(|| ring.pushed_before(next_seq));
        drop(ring);
        Subscription { ring: self.ring.clone(), newest, next_seq, before, hidden: self.hidden.clone() }
    }
}

impl Ring {
    /// How many records were pushed before the one with this number, which has not left the ring.
    fn pushed_before(&self, seq: u64) -> u64 {
        let at = self.chunks.partition_point(|one| one.end() <= seq);
        self.chunks.get(at).map_or(self.pushed, |one| one.before + seq.saturating_sub(one.chunk.first_seq()))
    }
}

impl Subscription {
    /// The next event; none once the store shuts down. Cancel-safe: nothing is consumed before it is returned.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            // Seen before the ring is looked at, so that a record that comes in between still wakes.
            self.newest.borrow_and_update();
            if let Some(event) = self.next_ready() {
                return Some(event);
            }
            let closed = self.ring.lock().closed;
            if closed || self.newest.changed().await.is_err() {
                return self.next_ready();
            }
        }
    }

    /// The next event if it is there already.
    pub fn next_ready(&mut self) -> Option<Event> {
        let ring = self.ring.lock();
        if self.next_seq < ring.from_seq {
            let before = ring.chunks.front().map_or(ring.pushed, |one| one.before);
            let rows = self.before.map(|missed_from| before - missed_from);
            let gap = Gap { from_seq: self.next_seq, to_seq: ring.from_seq - 1, rows };
            (self.next_seq, self.before) = (ring.from_seq, Some(before));
            return Some(Event::Gap(gap));
        }
        let at = ring.chunks.partition_point(|one| one.end() <= self.next_seq);
        let next = ring.chunks.get(at)?.clone();
        drop(ring);
        let from = self.next_seq.saturating_sub(next.chunk.first_seq()) as usize;
        (self.next_seq, self.before) = (next.end(), Some(next.before + next.chunk.records().len() as u64));
        Some(Event::Passage(Passage { chunk: next.chunk, from, hidden: self.hidden.load_full() }))
    }

    /// The least sequence number that was not given yet.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_store::test_records::record_at;

    fn push(feed: &LiveFeed, first_seq: u64, rows: u64) {
        let records = (0..rows).map(|row| record_at((first_seq + row) as i64)).collect();
        feed.push(Arc::new(Chunk::new(first_seq, records).unwrap()));
    }

    /// The numbers of the records of the next `passages`.
    async fn take(reader: &mut Subscription, passages: usize) -> Vec<u64> {
        let mut seqs = Vec::new();
        for _ in 0..passages {
            match reader.next().await.unwrap() {
                Event::Passage(passage) => {
                    for (id, record) in passage.records() {
                        assert_eq!(record.timestamp, record_at(id.seq as i64).timestamp);
                        seqs.push(id.seq);
                    }
                    assert_eq!(seqs.last(), Some(&(passage.seqs().end - 1)));
                }
                gap => panic!("{gap:?}"),
            }
        }
        seqs
    }

    #[tokio::test]
    async fn readers_follow_at_their_own_pace_and_resume_by_number() {
        let feed = LiveFeed::new(10);
        push(&feed, 10, 3);
        let mut late = feed.subscribe(None);
        let mut all = feed.subscribe(Some(10));
        let mut middle = feed.subscribe(Some(12));
        push(&feed, 20, 2);
        assert_eq!(take(&mut all, 2).await, [10, 11, 12, 20, 21]);
        assert_eq!(take(&mut late, 1).await, [20, 21]);
        assert_eq!(take(&mut middle, 2).await, [12, 20, 21]);
        let waiting = tokio::spawn(async move { take(&mut late, 1).await });
        tokio::task::yield_now().await;
        push(&feed, 22, 1);
        assert_eq!(waiting.await.unwrap(), [22]);
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_told_what_it_missed() {
        let feed = LiveFeed::new(5);
        let mut before_start = feed.subscribe(Some(2));
        let mut slow = feed.subscribe(None);
        let rows = RECORDS_MAX as u64 / 2;
        for part in 0..3 {
            push(&feed, 5 + part * rows, rows);
        }
        let Some(Event::Gap(gap)) = slow.next().await else { panic!("rows went by") };
        assert_eq!(gap, Gap { from_seq: 5, to_seq: 4 + rows, rows: Some(rows) });
        assert_eq!(take(&mut slow, 1).await, (5 + rows..5 + 2 * rows).collect::<Vec<_>>());
        let Some(Event::Gap(gap)) = before_start.next().await else { panic!("rows went by") };
        assert_eq!(gap, Gap { from_seq: 2, to_seq: 4 + rows, rows: None });
        assert_eq!(feed.seqs(), 5 + rows..5 + 3 * rows);
    }

    #[tokio::test]
    async fn a_reader_from_now_is_told_of_no_gap_after_a_replay() {
        let feed = LiveFeed::new(10);
        push(&feed, 5, 3);
        let mut reader = feed.subscribe(None);
        push(&feed, 10, 1);
        assert_eq!(take(&mut reader, 1).await, [10]);
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing_and_a_closed_feed_ends() {
        let feed = LiveFeed::new(0);
        let mut reader = feed.subscribe(None);
        {
            let wait = reader.next();
            tokio::pin!(wait);
            tokio::select! {
                biased;
                _ = &mut wait => panic!("nothing was pushed"),
                () = tokio::task::yield_now() => {}
            }
        }
        push(&feed, 0, 2);
        feed.close();
        assert_eq!(take(&mut reader, 1).await, [0, 1]);
        assert!(reader.next().await.is_none());
    }
}
