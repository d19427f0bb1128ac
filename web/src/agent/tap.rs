//! Shows records as they pass the agent: read, shaped and redacted, once they are in the spool.
//!
//! Nobody taps an agent most of the time, and then a batch costs one look at a counter. A tap that reads slower than records
//! pass sees some of them: as long as its queue is full, records are not even compared with its question, and it is told
//! how many went by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use taffrail_collector::delivery::{Onlooker, Seen};
use taffrail_collector::model::{Batch, LogRecord};
use taffrail_ingest::log_store::CompiledFilter;
use thiserror::Error;
use tokio::sync::mpsc;

/// Taps at a time.
const TAPS_MAX: usize = 8;
/// Records that wait for a tap to read them.
const QUEUE_RECORDS: usize = 512;

/// Where taps are laid.
#[derive(Debug, Default)]
pub struct TapPoint {
    /// How many there are, for a look without a lock.
    open: AtomicUsize,
    taps: Mutex<Arc<Vec<Arc<Tap>>>>,
}

/// There are [`TAPS_MAX`] taps already.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{TAPS_MAX} taps are laid already; end one of them")]
pub struct TooManyTaps;

/// A record and the kind of the source that took it.
pub type Passing = (&'static str, LogRecord);

/// What one tap sees. Dropping it takes the tap away.
#[derive(Debug)]
pub struct Tapping {
    point: Arc<TapPoint>,
    tap: Arc<Tap>,
    records: mpsc::Receiver<Passing>,
    reported: u64,
}

#[derive(Debug)]
struct Tap {
    filter: CompiledFilter,
    source: Option<String>,
    queue: mpsc::Sender<Passing>,
    passed_over: AtomicU64,
}

impl TapPoint {
    /// Lays a tap for records that match, of one kind of source or of all.
    pub fn tap(self: &Arc<Self>, filter: CompiledFilter, source: Option<String>) -> Result<Tapping, TooManyTaps> {
        let (queue, records) = mpsc::channel(QUEUE_RECORDS);
        let tap = Arc::new(Tap { filter, source, queue, passed_over: AtomicU64::new(0) });
        let mut taps = self.taps.lock();
        if taps.len() >= TAPS_MAX {
            return Err(TooManyTaps);
        }
        Arc::make_mut(&mut taps).push(Arc::clone(&tap));
        self.open.store(taps.len(), Relaxed);
        drop(taps);
        Ok(Tapping { point: Arc::clone(self), tap, records, reported: 0 })
    }
}

impl Onlooker for TapPoint {
    fn look(&self, source: &'static str, batch: &Batch) -> Option<Seen> {
        if self.open.load(Relaxed) == 0 || batch.logs.is_empty() {
            return None;
        }
        let taps = Arc::clone(&self.taps.lock());
        let mut seen = Vec::new();
        for tap in taps.iter().filter(|tap| tap.source.as_deref().is_none_or(|wanted| wanted == source)) {
            let records = tap.pick(&batch.logs);
            if !records.is_empty() {
                seen.push((Arc::clone(tap), records));
            }
        }
        let show = move || seen.into_iter().for_each(|(tap, records)| tap.show(source, records));
        Some(Box::new(show))
    }
}

impl Tap {
    /// The matching records, as many as there is room for.
    fn pick(&self, records: &[LogRecord]) -> Vec<LogRecord> {
        let room = self.queue.capacity();
        let mut picked = Vec::new();
        for (at, record) in records.iter().enumerate() {
            if picked.len() == room {
                self.passed_over.fetch_add((records.len() - at) as u64, Relaxed);
                break;
            }
            if self.filter.matches(record) {
                picked.push(record.clone());
            }
        }
        picked
    }

    fn show(&self, source: &'static str, records: Vec<LogRecord>) {
        for record in records {
            if self.queue.try_send((source, record)).is_err() {
                self.passed_over.fetch_add(1, Relaxed);
            }
        }
    }
}

impl Tapping {
    /// The next record. Cancel-safe.
    pub async fn next(&mut self) -> Option<Passing> {
        self.records.recv().await
    }

    /// How many records went by unseen since the last call: nobody knows whether they match.
    pub fn passed_over(&mut self) -> u64 {
        let now = self.tap.passed_over.load(Relaxed);
        now - std::mem::replace(&mut self.reported, now)
    }
}

impl Drop for Tapping {
    fn drop(&mut self) {
        let mut taps = self.point.taps.lock();
        Arc::make_mut(&mut taps).retain(|tap| !Arc::ptr_eq(tap, &self.tap));
        self.point.open.store(taps.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use taffrail_collector::delivery::{self, Outcome, Outlet, Refusal};
    use taffrail_query::log_search;

    use super::*;
    use crate::api::world::record;

    /// A taker that answers everything so, and an outlet to it that is watched.
    fn outlet(point: &Arc<TapPoint>, outcome: Outcome) -> Outlet {
        let (outlet, mut deliveries) = delivery::channel(4);
        tokio::spawn(async move {
            while let Some(delivery) = deliveries.recv().await {
                delivery.receipt.answer(outcome.clone());
            }
        });
        outlet.of_source("files").with_onlooker(point.clone())
    }

    fn filter(question: &str) -> CompiledFilter {
        log_search::parse(question).unwrap().compile().unwrap()
    }

    fn batch(count: i64) -> Batch {
        Batch { logs: (0..count).map(record).collect(), ..Batch::local() }
    }

    const STORED: Outcome = Outcome::Stored { acked_through: None };

    #[tokio::test]
    async fn a_tap_sees_what_matches_and_was_stored_of_its_source() {
        let point = Arc::new(TapPoint::default());
        assert!(point.look("files", &batch(3)).is_none(), "nobody watches");
        let mut errors = point.tap(filter("level:error"), None).unwrap();
        let mut of_files = point.tap(filter(""), Some("files".to_owned())).unwrap();
        let mut of_others = point.tap(filter(""), Some("stdin".to_owned())).unwrap();
        outlet(&point, Outcome::Refused(Refusal::shutting_down())).deliver(batch(5)).await;
        outlet(&point, STORED).deliver(batch(5)).await;
        let bodies = |tapping: &mut Tapping| -> Vec<String> {
            std::iter::from_fn(|| tapping.records.try_recv().ok()).map(|(_, record)| record.body).collect()
        };
        assert_eq!(bodies(&mut errors), ["line 0 of the shop", "line 3 of the shop"]);
        assert_eq!(bodies(&mut of_files).len(), 5);
        assert_eq!(bodies(&mut of_others).len(), 0);
        assert_eq!((errors.passed_over(), of_files.passed_over()), (0, 0));
    }

    #[tokio::test]
    async fn a_slow_tap_is_told_how_many_went_by() {
        let point = Arc::new(TapPoint::default());
        let mut tapping = point.tap(filter(""), None).unwrap();
        let outlet = outlet(&point, STORED);
        for _ in 0..3 {
            outlet.deliver(batch(300)).await;
        }
        assert_eq!(tapping.passed_over(), 900 - QUEUE_RECORDS as u64);
        assert_eq!(tapping.passed_over(), 0);
        assert_eq!(std::iter::from_fn(|| tapping.records.try_recv().ok()).count(), QUEUE_RECORDS);
        outlet.deliver(batch(300)).await;
        assert_eq!((tapping.passed_over(), tapping.records.len()), (0, 300));
    }

    #[test]
    fn taps_are_few_and_leave_nothing_behind() {
        let point = Arc::new(TapPoint::default());
        let taps: Vec<_> = (0..TAPS_MAX).map(|_| point.tap(filter(""), None).unwrap()).collect();
        assert_eq!(point.tap(filter(""), None).unwrap_err(), TooManyTaps);
        drop(taps);
        assert!(point.look("files", &batch(1)).is_none());
        point.tap(filter(""), None).unwrap();
    }
}
