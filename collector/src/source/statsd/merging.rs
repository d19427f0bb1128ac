//! The thread that merges: takes handovers of the reading threads and questions, and sends on what becomes ready.
//!
//! Reading threads send over one bounded channel. When the merging thread falls several windows behind they wait, and then the
//! kernel's buffers fill and what it drops is counted; that takes a window shorter than the merging of all its series.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use tokio::sync::mpsc::{self, error::TrySendError};

use super::ask::{Ask, Asked, Statistics};
use super::cell::Cell;
use super::deliver::{batches_of, count_lost};
use super::intake::HandOver;
use super::merger::{Merger, Uncommon};
use super::window::Handover;
use crate::model::{Batch, Sample, Timestamp};
use crate::source::Tally;

/// Handovers that wait, for each reading thread.
const HANDOVERS_WAITING: usize = 4;

/// The channel from reading threads to the merging thread, and back.
#[derive(Debug)]
pub struct Merging {
    handovers: mpsc::Receiver<Handover>,
    sender: mpsc::Sender<Handover>,
    back: Vec<std::sync::mpsc::Sender<Vec<Cell>>>,
    /// Counts the questions that need what the threads have so far.
    pub question: Arc<AtomicU64>,
}

impl Merging {
    /// For so many reading threads.
    pub fn new(threads: usize) -> Merging {
        let (sender, handovers) = mpsc::channel(HANDOVERS_WAITING * threads.max(1));
        Merging { handovers, sender, back: Vec::new(), question: Arc::default() }
    }

    /// Where the next thread hands over; the first is thread 0.
    pub fn add_thread(&mut self) -> HandOver {
        let (back, emptied) = std::sync::mpsc::channel::<Vec<Cell>>();
        self.back.push(back);
        let sender = self.sender.clone();
        Box::new(move |handover| {
            if sender.blocking_send(handover).is_err() {
                tracing::error!("a window of StatsD metrics is lost: the merging thread has ended");
            }
            emptied.try_iter().max_by_key(Vec::capacity)
        })
    }

    /// Merges until all threads have ended. Blocks its thread all the while.
    pub fn run(self, mut merger: Merger, mut asked: Asked, batches: &mpsc::Sender<Batch>, tally: &Tally) {
        let Merging { mut handovers, sender, back, question } = self;
        drop(sender);
        let runtime = tokio::runtime::Handle::current();
        let mut statistics = Statistics::default();
        let mut open: Vec<(u64, Ask)> = Vec::new();
        let mapping_rules = Arc::from("collector.statsd.mapping_file");
        while !merger.is_done() {
            let came = runtime.block_on(async {
                tokio::select! {
                    handover = handovers.recv() => handover.map(Came::Handover),
                    Some(ask) = asked.recv() => Some(Came::Ask(ask)),
                }
            });
            match came {
                None => break,
                Some(Came::Handover(handover)) => {
                    let started = Instant::now();
                    merger.take(handover, |thread, emptied| {
                        let _ = back[thread].send(emptied); // a thread that has ended needs none
                    });
                    let samples = merger.take_ended();
                    if !samples.is_empty() {
                        statistics.note(&samples, started);
                        send(samples, batches, tally);
                    }
                    count(merger.take_uncommon(), tally, &mapping_rules);
                }
                Some(Came::Ask(Ask::Statistics(reply))) => {
                    statistics.series = merger.live();
                    let _ = reply.send(statistics); // whoever asked may have gone
                }
                Some(Came::Ask(ask)) => open.push((question.fetch_add(1, Relaxed) + 1, ask)),
            }
            let (answered, still_open) = open.into_iter().partition(|&(number, _)| merger.have_answered(number));
            open = still_open;
            for (_, ask) in answered {
                answer(&mut merger, ask);
            }
            send(merger.take_ended(), batches, tally);
        }
    }
}

enum Came {
    Handover(Handover),
    Ask(Ask),
}

fn count(uncommon: Uncommon, tally: &Tally, mapping_rules: &Arc<str>) {
    let Uncommon { beyond_limit, dropped, too_many_for_etsy } = uncommon;
    if beyond_limit > 0 {
        // Their lines were counted as taken when they came.
        tally.rule_did(&Arc::from("collector.statsd.series_max"), "limited", beyond_limit);
    }
    if dropped > 0 {
        tally.rule_did(mapping_rules, "dropped", dropped);
    }
    if too_many_for_etsy > 0 {
        tally.problem(
            "etsy_values_limit",
            too_many_for_etsy,
            b"a timer had more values than its etsy figures can hold",
        );
    }
}

fn answer(merger: &mut Merger, ask: Ask) {
    // Whoever asked may have gone.
    match ask {
        Ask::List(kind, reply) => drop(reply.send(merger.list(kind))),
        Ask::Delete(kind, matching, reply) => drop(reply.send(merger.delete(kind, &*matching))),
        Ask::Statistics(_) => {}
    }
}

fn send(samples: Vec<Sample>, batches: &mpsc::Sender<Batch>, tally: &Tally) {
    for batch in batches_of(samples) {
        match batches.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(batch) | TrySendError::Closed(batch)) => {
                count_lost(tally, "delivery_queue_full", &batch);
            }
        }
    }
}

impl Statistics {
    fn note(&mut self, samples: &[Sample], started: Instant) {
        self.last_flush = Some(Timestamp::now());
        self.flush_took = started.elapsed();
        self.flush_samples = samples.len();
        self.samples += samples.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::TryRecvError;
    use std::time::Duration;

    use super::super::aggregate::Settings;
    use super::super::intake::Intake;
    use super::super::line::Dialects;
    use super::super::window::Window;
    use super::super::{ask, deliver};
    use super::*;
    use crate::model::{SampleKind, SampleValue};
    use crate::source::Tallies;

    #[tokio::test]
    async fn an_administrator_sees_what_came_before_the_question_and_deletes_it() {
        let settings = Settings {
            interval: Duration::from_secs(86_400),
            signed_is_delta: true,
            dialects: Dialects::default(),
            series_max: 10,
            gauge_ttl: Duration::from_secs(60),
            host: "h".into(),
            mapper: Arc::default(),
            etsy: None,
        };
        let now = Timestamp::now();
        let mut merging = Merging::new(1);
        let question = Arc::clone(&merging.question);
        let window = Window::new(0, settings.of_window(), now);
        let hand_over = merging.add_thread();
        let mut intake = Intake::new(window, settings.dialects, Arc::default(), Arc::default(), hand_over);
        let merger = Merger::new(settings.of_merger(), 1, now.floor_to(settings.interval));
        let (asker, asked) = ask::channel();
        let (batches, mut waiting) = deliver::queue(10);
        let tally = Tallies::default().of("statsd", "test");
        let of_merging = Arc::clone(&tally);
        let merged = tokio::task::spawn_blocking(move || merging.run(merger, asked, &batches, &of_merging));
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let reader = tokio::task::spawn_blocking(move || {
            intake.take([&b"a:1|c\nb:2|c\na:5|g"[..]], now, &tally);
            while ended.try_recv() == Err(TryRecvError::Empty) {
                intake.tick(now, question.load(Relaxed));
                std::thread::sleep(Duration::from_millis(1));
            }
        });

        let mut listed = asker.list(SampleKind::Counter).await.unwrap();
        listed.sort_by(|a, b| a.labels.name().cmp(b.labels.name()));
        let values: Vec<_> = listed.into_iter().map(|listed| listed.value.unwrap()).collect();
        assert_eq!(values, [1.0, 2.0].map(|sum| SampleValue::Counter { sum }));
        let is_a: ask::Matching = Box::new(|labels| labels.name() == "a");
        assert_eq!(asker.delete(SampleKind::Counter, is_a).await.unwrap().len(), 1);
        assert_eq!(asker.statistics().await.unwrap().series, 2);
        drop(end);
        reader.await.unwrap();
        merged.await.unwrap();
        let names: Vec<_> =
            waiting.recv().await.unwrap().samples.iter().map(|sample| sample.labels.name().to_owned()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(asker.statistics().await.is_none());
    }
}
