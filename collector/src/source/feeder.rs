//! Turns the records of a line source into batches and delivers them in order.
//!
//! A batch goes out with [`BATCH_RECORDS`] records, [`BATCH_BYTES`] bytes or [`BATCH_AGE`] after its first record; what waits by
//! then is taken along, so that batches grow under load while one is on its way. There is one at a time: a later batch
//! carries checkpoints that vouch for the earlier one. The channel in front is bounded, which slows the source down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{SourceContext, Tally, deliver_patiently};
use crate::delivery::{Outcome, Outlet, Refusal, RefusalReason};
use crate::model::{Batch, Checkpoint, LogRecord};

/// A batch waits for this many records …
pub const BATCH_RECORDS: usize = 1000;
/// … or this many bytes …
pub const BATCH_BYTES: u64 = 1 << 20;
/// … or this long.
pub const BATCH_AGE: Duration = Duration::from_millis(100);
/// A batch takes along no more than this of what waits already.
const BATCH_RECORDS_MAX: usize = 20_000;
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Portions that wait in front of the feeder: enough that reading goes on while a batch is written to disk, and no more, for
/// records take several times the memory of their lines.
const PORTIONS_MAX: usize = 4;

/// Records that are delivered together with how far their source was read to get them.
#[derive(Debug, Default)]
pub struct Portion {
    /// The records, in order.
    pub logs: Vec<LogRecord>,
    /// Their bytes as they arrived.
    pub bytes: u64,
    /// How far the source was read once they are stored.
    pub checkpoints: Vec<Checkpoint>,
}

/// The sending end of a feeder; it ends when all of its senders are gone and everything is delivered.
#[derive(Clone, Debug)]
pub struct Feed(mpsc::Sender<Portion>);

/// The feeder has given up: the process is stopping and the store takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl Feed {
    /// Hands a portion over; waits while the feeder is busy.
    ///
    /// Cancel-safe in that a portion is handed over entirely or not at all.
    pub async fn send(&self, portion: Portion) -> Result<(), Ended> {
        self.0.send(portion).await.map_err(|_| Ended)
    }

    /// The same from a thread that may block.
    pub fn blocking_send(&self, portion: Portion) -> Result<(), Ended> {
        self.0.blocking_send(portion).map_err(|_| Ended)
    }
}

/// Starts a feeder that counts in `tally` what was stored and what was lost.
pub fn start(context: &SourceContext, tally: Arc<Tally>) -> (Feed, JoinHandle<()>) {
    let (sender, portions) = mpsc::channel(PORTIONS_MAX);
    let feeder = Feeder { outlet: context.outlet.clone(), stop: context.stop.clone(), tally };
    (Feed(sender), tokio::spawn(feeder.run(portions)))
}

struct Feeder {
    outlet: Outlet,
    stop: CancellationToken,
    tally: Arc<Tally>,
}

impl Feeder {
    async fn run(self, mut portions: mpsc::Receiver<Portion>) {
        while let Some(first) = portions.recv().await {
            let mut held = Held::default();
            held.take(first);
            let due = tokio::time::Instant::now() + BATCH_AGE;
            while held.portion.logs.len() < BATCH_RECORDS && held.portion.bytes < BATCH_BYTES {
                // `recv` loses nothing when the deadline wins.
                match tokio::time::timeout_at(due, portions.recv()).await {
                    Ok(Some(portion)) => held.take(portion),
                    Ok(None) | Err(_) => break,
                }
            }
            while held.portion.logs.len() < BATCH_RECORDS_MAX && held.portion.bytes < BATCH_BYTES_MAX {
                let Ok(portion) = portions.try_recv() else { break };
                held.take(portion);
            }
            if self.deliver(held.portion).await.is_err() {
                // What comes later must not be stored either: its checkpoints would vouch for what was not.
                portions.close();
                while let Some(portion) = portions.recv().await {
                    self.count_undelivered(portion.logs.len(), "queued behind a batch that was not stored");
                }
                return;
            }
        }
    }

    /// Delivers until stored or refused for good; ends only when the process stops before either.
    async fn deliver(&self, portion: Portion) -> Result<(), Ended> {
        let Portion { logs, bytes, checkpoints } = portion;
        let records = logs.len() as u64;
        let mut pieces = vec![Batch { logs, checkpoints, ..Batch::local() }];
        let mut lost = 0;
        while let Some(batch) = pieces.pop() {
            let size = batch.logs.len();
            match deliver_patiently(&self.outlet, &batch, &self.stop).await {
                Outcome::Stored { .. } | Outcome::Duplicate { .. } => {}
                Outcome::Refused(Refusal { reason: RefusalReason::BatchTooLarge, .. }) if size > 1 => {
                    pieces.extend(in_halves(batch));
                }
                Outcome::Refused(refusal) if refusal.retry_after.is_some() => {
                    let waiting: usize = pieces.iter().map(|piece| piece.logs.len()).sum();
                    self.count_undelivered(size + waiting, &refusal.message);
                    return Err(Ended);
                }
                Outcome::Refused(refusal) => {
                    lost += size as u64;
                    self.tally.shed(refusal.reason.name(), size as u64, refusal.message.as_bytes());
                }
                Outcome::Gap { .. } => {
                    lost += size as u64;
                    self.tally.shed("unexpected_gap", size as u64, b"");
                }
            }
        }
        self.tally.took(records - lost, bytes);
        Ok(())
    }

    fn count_undelivered(&self, records: usize, why: &str) {
        if records > 0 {
            self.tally.shed("undelivered_at_stop", records as u64, why.as_bytes());
        }
    }
}

/// The two halves of a batch, the second first; the checkpoints go with the second.
fn in_halves(mut batch: Batch) -> [Batch; 2] {
    let second = batch.logs.split_off(batch.logs.len() / 2);
    let checkpoints = std::mem::take(&mut batch.checkpoints);
    [Batch { logs: second, checkpoints, ..Batch::local() }, batch]
}

/// The batch in the making.
#[derive(Debug, Default)]
struct Held {
    portion: Portion,
    /// Where each checkpoint stands, by its key.
    checkpoints: HashMap<String, usize>,
}

impl Held {
    fn take(&mut self, mut portion: Portion) {
        self.portion.bytes += portion.bytes;
        if self.portion.logs.is_empty() {
            self.portion.logs = portion.logs;
        } else {
            self.portion.logs.append(&mut portion.logs);
        }
        for checkpoint in portion.checkpoints {
            match self.checkpoints.get(&checkpoint.key) {
                Some(&at) => self.portion.checkpoints[at] = checkpoint,
                None => {
                    self.checkpoints.insert(checkpoint.key.clone(), self.portion.checkpoints.len());
                    self.portion.checkpoints.push(checkpoint);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::Receiver;

    use super::*;
    use crate::delivery::{self, Delivery};
    use crate::enrich::{Enricher, ReceivedLine};
    use crate::model::Timestamp;
    use crate::source::{STOP_GRACE, Tallies};

    fn context() -> (SourceContext, Receiver<Delivery>) {
        let (outlet, receiver) = delivery::channel(1);
        let context = SourceContext::bare(outlet);
        (context, receiver)
    }

    fn portion(numbers: std::ops::Range<usize>) -> Portion {
        let resource = Arc::default();
        let record = |number: usize| {
            let text = number.to_string();
            Enricher::default().enrich(ReceivedLine::plain(text.as_bytes(), Timestamp::EPOCH, &resource)).unwrap()
        };
        let checkpoint = Checkpoint { key: "file".to_owned(), value: numbers.end.to_string().into_bytes() };
        Portion { bytes: numbers.len() as u64, logs: numbers.map(record).collect(), checkpoints: vec![checkpoint] }
    }

    fn numbers(batch: &Batch) -> Vec<usize> {
        batch.logs.iter().map(|record| record.body.parse().unwrap()).collect()
    }

    fn refusal(reason: RefusalReason, retry_after: Option<Duration>) -> Outcome {
        Outcome::Refused(Refusal { reason, message: "no".to_owned(), retry_after })
    }

    const STORED: Outcome = Outcome::Stored { acked_through: None };

    fn problems(tallies: &Tallies) -> Vec<(&'static str, u64)> {
        tallies.snapshot()[0].problems.iter().map(|problem| (problem.reason, problem.count)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_close_together_is_one_batch_with_the_last_checkpoint() {
        let (context, mut receiver) = context();
        let tally = context.tallies.of("test", "");
        let (feed, task) = start(&context, Arc::clone(&tally));
        for from in 0..5 {
            feed.send(portion(from * 10..from * 10 + 10)).await.unwrap();
        }
        drop(feed);
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(numbers(&delivery.batch), (0..50).collect::<Vec<_>>());
        assert_eq!(delivery.batch.checkpoints, [Checkpoint { key: "file".to_owned(), value: b"50".to_vec() }]);
        delivery.receipt.answer(STORED);
        task.await.unwrap();
        assert_eq!((tally.snapshot().records, tally.snapshot().bytes), (50, 50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_batch_is_sent_again_before_any_later_one() {
        let (context, mut receiver) = context();
        let (feed, task) = start(&context, context.tallies.of("test", ""));
        feed.send(portion(0..1000)).await.unwrap();
        feed.send(portion(1000..2000)).await.unwrap();
        drop(feed);
        let mut stored = Vec::new();
        for attempt in 0.. {
            let Some(delivery) = receiver.recv().await else { break };
            if attempt % 2 == 0 {
                delivery.receipt.answer(refusal(RefusalReason::Overloaded, Some(Duration::from_secs(1))));
            } else {
                stored.extend(numbers(&delivery.batch));
                delivery.receipt.answer(STORED);
            }
            if stored.len() == 2000 {
                break;
            }
        }
        task.await.unwrap();
        assert_eq!(stored, (0..2000).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_too_large_is_halved_until_one_record_is_to_blame() {
        let (context, mut receiver) = context();
        let (feed, task) = start(&context, context.tallies.of("test", ""));
        feed.send(portion(0..10)).await.unwrap();
        drop(feed);
        let (mut stored, mut checkpoints) = (Vec::new(), Vec::new());
        while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_secs(9), receiver.recv()).await {
            let numbers = numbers(&delivery.batch);
            if numbers.contains(&3) {
                delivery.receipt.answer(refusal(RefusalReason::BatchTooLarge, None));
                continue;
            }
            stored.extend(numbers);
            checkpoints.extend(delivery.batch.checkpoints);
            delivery.receipt.answer(STORED);
            if stored.len() == 9 {
                break;
            }
        }
        task.await.unwrap();
        assert_eq!(stored, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
        assert_eq!(checkpoints.len(), 1);
        assert_eq!(problems(&context.tallies), [("batch_too_large", 1)]);
        assert_eq!(context.tallies.snapshot()[0].shed.iter().map(|shed| shed.count).sum::<u64>(), 1);
        assert_eq!(context.tallies.snapshot()[0].records, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn after_giving_up_at_stop_nothing_later_is_delivered_and_all_that_waits_is_counted() {
        for reason in [RefusalReason::Overloaded, RefusalReason::ShuttingDown] {
            let (context, mut receiver) = context();
            let (feed, task) = start(&context, context.tallies.of("test", ""));
            feed.send(portion(0..1000)).await.unwrap();
            let mut delivery = receiver.recv().await.unwrap();
            feed.send(portion(1000..2000)).await.unwrap();
            feed.send(portion(2000..2500)).await.unwrap();
            let stopped = tokio::time::Instant::now();
            context.stop.cancel();
            let mut tries = 0;
            loop {
                tries += 1;
                assert_eq!(numbers(&delivery.batch), (0..1000).collect::<Vec<_>>());
                delivery.receipt.answer(refusal(reason, Some(Duration::from_secs(1))));
                let Ok(Some(next)) = tokio::time::timeout(Duration::from_secs(1), receiver.recv()).await else { break };
                delivery = next;
            }
            task.await.unwrap();
            // The clock is the test's own.
            let at_once = reason == RefusalReason::ShuttingDown;
            assert_eq!(tries == 1, at_once, "{tries}");
            assert!(stopped.elapsed() <= STOP_GRACE + Duration::from_secs(2));
            assert_eq!(feed.send(portion(2500..2600)).await, Err(Ended));
            assert_eq!(problems(&context.tallies), [("undelivered_at_stop", 2500)]);
            let shed = context.tallies.snapshot().remove(0).shed;
            assert_eq!((shed.len(), shed[0].reason, shed[0].count), (1, "undelivered_at_stop", 2500));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_passes_costs_nothing_at_the_stop() {
        let (context, mut receiver) = context();
        let (feed, task) = start(&context, context.tallies.of("test", ""));
        feed.send(portion(0..10)).await.unwrap();
        drop(feed);
        context.stop.cancel();
        let delivery = receiver.recv().await.unwrap();
        delivery.receipt.answer(refusal(RefusalReason::Overloaded, Some(Duration::from_secs(30))));
        let delivery = receiver.recv().await.unwrap();
        assert_eq!(numbers(&delivery.batch), (0..10).collect::<Vec<_>>());
        delivery.receipt.answer(STORED);
        task.await.unwrap();
        assert_eq!(problems(&context.tallies), []);
    }
}
