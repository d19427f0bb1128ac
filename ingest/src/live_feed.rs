//! Durable records as they come, for live tail: a bounded ring that many readers follow at their own pace. A reader that
//! falls behind is told which sequence numbers it missed; the writer never waits for one.

use std::collections::VecDeque;
use std::ops::Deref;
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
    chunks: VecDeque<Arc<Chunk>>,
    records: usize,
    /// Records below this number are not in the ring.
    from_seq: u64,
    closed: bool,
}

/// One reader.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Receiver<u64>,
    hidden: Arc<ArcSwap<Masks>>,
    /// The least sequence number not seen yet.
    next_seq: u64,
    /// The chunk that was read last.
    chunk: Option<Arc<Chunk>>,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Event {
    /// A durable record and its sequence number.
    Record {
        /// Its sequence number.
        seq: u64,
        /// The record.
        record: SharedRecord,
    },
    /// Records `from_seq ..= to_seq` left the ring before this reader came to them (they are in the store).
    Gap {
        /// First missed.
        from_seq: u64,
        /// Last missed.
        to_seq: u64,
    },
}

/// A record that the head, the ring and its readers share.
#[derive(Clone, Debug)]
pub struct SharedRecord {
    chunk: Arc<Chunk>,
    at: usize,
}

impl Deref for SharedRecord {
    type Target = LogRecord;

    fn deref(&self) -> &LogRecord {
        &self.chunk.records()[self.at]
    }
}

impl LiveFeed {
    /// An empty ring; the first record to come has this sequence number or a later one.
    pub(crate) fn new(next_seq: u64) -> LiveFeed {
        let ring = Ring { chunks: VecDeque::new(), records: 0, from_seq: next_seq, closed: false };
        LiveFeed { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(next_seq), hidden: Arc::default() }
    }

    /// Adds durable records and wakes the readers.
    pub(crate) fn push(&self, chunk: Arc<Chunk>) {
        let end = chunk.first_seq() + chunk.records().len() as u64;
        {
            let mut ring = self.ring.lock();
            ring.records += chunk.records().len();
            ring.chunks.push_back(chunk);
            while ring.records > RECORDS_MAX && ring.chunks.len() > 1 {
                let gone = ring.chunks.pop_front().expect("more than one");
                ring.records -= gone.records().len();
                ring.from_seq = gone.first_seq() + gone.records().len() as u64;
            }
        }
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

    /// Follows from `from_seq` on (from now when none). Metric windows take sequence numbers too, so numbers may skip.
    pub fn subscribe(&self, from_seq: Option<u64>) -> Subscription {
        let newest = self.newest.subscribe();
        let now = *newest.borrow();
        Subscription {
            ring: self.ring.clone(),
            newest,
            next_seq: from_seq.unwrap_or(now),
            hidden: self.hidden.clone(),
            chunk: None,
        }
    }
}

impl Subscription {
    /// The next event; none once the store shuts down. Cancel-safe: nothing is consumed before it is returned.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            // Seen before the ring is looked at, so that a record that comes in between still wakes.
            self.newest.borrow_and_update();
            if let Some(event) = self.shown() {
                return Some(event);
            }
            let closed = self.ring.lock().closed;
            if closed || self.newest.changed().await.is_err() {
                return self.shown();
            }
        }
    }

    fn shown(&mut self) -> Option<Event> {
        loop {
            match self.ready()? {
                Event::Record { seq, record }
                    if self.hidden.load().deletes(RecordId { time: record.timestamp, seq }, &record).is_some() => {}
                event => return Some(event),
            }
        }
    }

    fn ready(&mut self) -> Option<Event> {
        if self.chunk.as_ref().is_none_or(|chunk| chunk.first_seq() + chunk.records().len() as u64 <= self.next_seq) {
            let ring = self.ring.lock();
            if self.next_seq < ring.from_seq {
                let gap = Event::Gap { from_seq: self.next_seq, to_seq: ring.from_seq - 1 };
                self.next_seq = ring.from_seq;
                return Some(gap);
            }
            let end = |chunk: &Arc<Chunk>| chunk.first_seq() + chunk.records().len() as u64;
            let at = ring.chunks.partition_point(|chunk| end(chunk) <= self.next_seq);
            self.chunk = Some(ring.chunks.get(at)?.clone());
        }
        let chunk = self.chunk.as_ref()?;
        let seq = self.next_seq.max(chunk.first_seq());
        let record = SharedRecord { chunk: chunk.clone(), at: (seq - chunk.first_seq()) as usize };
        self.next_seq = seq + 1;
        Some(Event::Record { seq, record })
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

    async fn take(reader: &mut Subscription, count: usize) -> Vec<u64> {
        let mut seqs = Vec::new();
        for _ in 0..count {
            match reader.next().await.unwrap() {
                Event::Record { seq, record } => {
                    assert_eq!(record.timestamp, record_at(seq as i64).timestamp);
                    seqs.push(seq);
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
        assert_eq!(take(&mut all, 5).await, [10, 11, 12, 20, 21]);
        assert_eq!(take(&mut late, 2).await, [20, 21]);
        assert_eq!(take(&mut middle, 3).await, [12, 20, 21]);
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
        assert!(matches!(slow.next().await, Some(Event::Gap { from_seq: 5, to_seq }) if to_seq == 4 + rows));
        assert_eq!(take(&mut slow, 2).await, [5 + rows, 6 + rows]);
        assert!(matches!(before_start.next().await, Some(Event::Gap { from_seq: 2, .. })));
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
        assert_eq!(take(&mut reader, 2).await, [0, 1]);
        assert!(reader.next().await.is_none());
    }
}
