//! Looks at every log record once it is durable, in the order in which they came, and notes what follows from it: annotations
//! (deploys that StatsD events or lines tell of), error groups that are new or back, how service checks stand, which hosts are silent.
//!
//! How far it has come is kept in the catalog in the same transaction as what it noted, so that a crash makes it neither
//! repeat nor pass over a record. Records that it did not get live (it was slower than they came) it reads from the store.
//!
//! Reading order: [`annotation_rule`] (which records are annotations), [`deploys`], [`error_notice`], [`check_status`], [`hosts`] (what else
//! is noted, and told as series), [`watcher`] (what is noted of a record), here the task.

pub mod annotation_rule;
pub mod check_status;
pub mod deploys;
pub mod error_notice;
pub mod hosts;
mod watcher;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{Batch, Timestamp};
use taffrail_ingest::catalog::CatalogError;
use taffrail_ingest::live_feed::Event;
use taffrail_ingest::log_store::arrival::Wanted;
use taffrail_ingest::log_store::{Filter, StoredRecord};
use taffrail_ingest::{Ingest, Scan, TimeRange};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use annotation_rule::AnnotationRule;
use watcher::Watcher;

/// What was noted is written down so often.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);
/// A page of records that are read from the store.
const PAGE_ROWS: usize = 10_000;
/// So many bytes they have at most.
const PAGE_BYTES: usize = 32 << 20;
/// How long each host has been silent is told so often.
const HOSTS_INTERVAL: Duration = Duration::from_secs(30);
/// How long the store may take to take what was noted.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Checked settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Annotations that are kept at most.
    pub annotations_max: u64,
    /// Which log records are annotations, besides StatsD's events.
    pub annotation_rules: Vec<AnnotationRule>,
    /// Error groups that are kept at most.
    pub error_groups_max: usize,
}

/// What was noted so far. Cheap to clone.
#[derive(Clone)]
pub struct Watch {
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    watcher: Arc<Mutex<Watcher>>,
}

/// What it counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records that were looked at.
    pub records: AtomicU64,
    /// Annotations that records made.
    pub annotations: AtomicU64,
    /// Those that were not made because too many came in a minute.
    pub annotations_limited: AtomicU64,
    /// Annotations that left because there are `annotations.count_max`.
    pub annotations_left: AtomicU64,
    /// Error groups of which it was not told that they are new or back because too many were in a minute.
    pub notices_limited: AtomicU64,
    /// Samples of what was noted that could not be stored.
    pub outbox_dropped: AtomicU64,
}

/// The task at work.
pub struct Running {
    task: JoinHandle<()>,
}

impl Watch {
    /// Reads what was noted before. Blocks on the catalog. No record that comes after this is passed over.
    pub fn open(settings: Settings, ingest: &Ingest) -> Result<Watch, CatalogError> {
        let (settings, counters) = (Arc::new(settings), Arc::<Counters>::default());
        let watcher = Watcher::begin(settings.clone(), counters.clone(), ingest, Timestamp::now())?;
        Ok(Watch { settings, counters, watcher: Arc::new(Mutex::new(watcher)) })
    }

    /// Goes on from there until the store closes its feed or `stop` is cancelled.
    pub fn start(&self, ingest: Arc<Ingest>, stop: CancellationToken) -> Running {
        Running { task: tokio::spawn(run(self.clone(), ingest, stop)) }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Stores what follows from what was noted, then writes down that it was noted: a crash in between tells something twice, and
    /// nothing is lost.
    pub async fn note(&self, ingest: &Arc<Ingest>) {
        note(self, ingest).await;
    }

    /// Looks at what was noted, or changes it; waits while a passage of records is looked at.
    pub fn with<T>(&self, work: impl FnOnce(&mut Watcher) -> T) -> T {
        work(&mut self.watcher.lock())
    }

    /// The same on a thread that may wait for the disk. A panic there ends the task, which the panic itself tells.
    async fn on_a_thread<T: Send + 'static>(&self, work: impl FnOnce(&mut Watcher) -> T + Send + 'static) -> T {
        let watch = self.clone();
        match tokio::task::spawn_blocking(move || watch.with(work)).await {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

impl Running {
    /// Waits for its end.
    pub async fn stopped(self) {
        // A panic of its task was logged by the panic itself.
        let _ = self.task.await;
    }
}

async fn run(watch: Watch, ingest: Arc<Ingest>, stop: CancellationToken) {
    let next_seq = watch.with(|watcher| watcher.next_seq());
    let mut subscription = ingest.live_feed().subscribe(Some(next_seq));
    let mut note_at = Instant::now() + NOTE_INTERVAL;
    let mut hosts_at = Instant::now() + HOSTS_INTERVAL;
    loop {
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = tokio::time::sleep_until(note_at) => {
                if Instant::now() >= hosts_at {
                    watch.on_a_thread(|watcher| watcher.tell_hosts(Timestamp::now())).await;
                    hosts_at = Instant::now() + HOSTS_INTERVAL;
                }
                note(&watch, &ingest).await;
                note_at = Instant::now() + NOTE_INTERVAL;
                continue;
            }
            event = subscription.next() => event,
        };
        match event {
            Some(Event::Passage(passage)) => {
                watch.on_a_thread(move |watcher| watcher.take_live(&passage, Timestamp::now())).await;
            }
            Some(Event::Gap(gap)) => fill(&watch, &ingest, gap.from_seq..gap.to_seq + 1, &stop).await,
            None => {
                // The store takes no more: what would have to be told is not written down either, and noted again after the start.
                if watch.with(|watcher| watcher.has_nothing_to_tell()) {
                    write_down(&watch, &ingest).await;
                }
                return;
            }
        }
    }
}

async fn note(watch: &Watch, ingest: &Arc<Ingest>) {
    let samples = watch.with(Watcher::take_outbox);
    if !samples.is_empty() {
        let batch = Batch { samples: samples.clone(), ..Batch::local() };
        match tokio::time::timeout(STORE_PATIENCE, ingest.outlet().deliver(batch)).await {
            Ok(Outcome::Stored { .. } | Outcome::Duplicate { .. } | Outcome::Gap { .. }) => {}
            Ok(Outcome::Refused(refusal)) => {
                tracing::warn!("what was noted cannot be stored, trying again: {}", refusal.message);
                watch.with(|watcher| watcher.put_back(samples));
                return;
            }
            // It may be stored yet.
            Err(_) => tracing::warn!("the store gave no answer to what was noted within {STORE_PATIENCE:?}"),
        }
    }
    write_down(watch, ingest).await;
}

async fn write_down(watch: &Watch, ingest: &Arc<Ingest>) {
    let catalog = ingest.catalog().clone();
    let written = watch.on_a_thread(move |watcher| watcher.write_down(&catalog, false, Timestamp::now())).await;
    if let Err(error) = written {
        tracing::warn!("what was noted cannot be written down, trying again: {error}");
    }
}

/// Takes from the store, page by page, what did not come live. What cannot be read is told and passed over.
async fn fill(watch: &Watch, ingest: &Arc<Ingest>, seqs: Range<u64>, stop: &CancellationToken) {
    let mut from = seqs.start;
    while from < seqs.end && !stop.is_cancelled() {
        let (of_page, filter) = (ingest.clone(), watch.with(|watcher| watcher.interesting().clone()));
        let page = tokio::task::spawn_blocking(move || page(&of_page, filter, from..seqs.end)).await;
        match page.map_err(|panic| panic.to_string()).flatten() {
            Ok((records, next_seq)) => {
                from = next_seq;
                watch.on_a_thread(move |watcher| watcher.take_past(&records, next_seq, Timestamp::now())).await;
            }
            Err(error) => {
                tracing::error!(
                    "records {from} to {} were not looked at for annotations and errors: {error}",
                    seqs.end
                );
                return;
            }
        }
    }
}

fn page(ingest: &Ingest, filter: Filter, seqs: Range<u64>) -> Result<(Vec<StoredRecord>, u64), String> {
    let wanted = Wanted { filter, range: TimeRange::ALL, seqs, rows_max: PAGE_ROWS, bytes_max: PAGE_BYTES };
    let scan = Scan::new(None, u64::MAX);
    let arrived = ingest.logs().first_arrived(&wanted, &scan).map_err(|error| error.to_string())?;
    Ok((arrived.records, arrived.next_seq))
}

impl Counters {
    fn add(counter: &AtomicU64, number: u64) {
        counter.fetch_add(number, Relaxed);
    }
}
