//! Looks at every log record once it is durable, in the order in which they came, and notes what follows from it: annotations
//! (deploys that StatsD events or lines tell of).
//!
//! How far it has come is kept in the catalog in the same transaction as what it noted, so that a crash makes it neither
//! repeat nor pass over a record. Records that it did not get live (it was slower than they came) it reads from the store.
//!
//! Reading order: [`annotation_rule`] (which records are annotations), [`watcher`] (what is noted of a record), here the task.

pub mod annotation_rule;
mod watcher;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use taffrail_collector::model::Timestamp;
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

/// Checked settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Annotations that are kept at most.
    pub annotations_max: u64,
    /// Which log records are annotations, besides StatsD's events.
    pub annotation_rules: Vec<AnnotationRule>,
}

/// What others may know of it. Cheap to clone.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
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
}

struct Shared {
    settings: Settings,
    counters: Counters,
}

/// The task at work.
pub struct Running {
    task: JoinHandle<()>,
}

impl Watch {
    /// Of these settings; nothing is looked at before [`Watch::start`].
    pub fn new(settings: Settings) -> Watch {
        Watch { shared: Arc::new(Shared { settings, counters: Counters::default() }) }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What it counted.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Begins where it was when the server stopped, and goes on until the store closes its feed or `stop` is cancelled. No record
    /// that comes after this returns is passed over.
    pub async fn start(&self, ingest: Arc<Ingest>, stop: CancellationToken) -> Result<Running, CatalogError> {
        let (watch, of_watcher) = (self.clone(), ingest.clone());
        let begun = tokio::task::spawn_blocking(move || Watcher::begin(watch, &of_watcher)).await;
        let watcher = begun.map_err(|panic| CatalogError(panic.to_string()))??;
        Ok(Running { task: tokio::spawn(run(Box::new(watcher), ingest, stop)) })
    }
}

impl Running {
    /// Waits for its end.
    pub async fn stopped(self) {
        // A panic of its task was logged by the panic itself.
        let _ = self.task.await;
    }
}

async fn run(mut watcher: Box<Watcher>, ingest: Arc<Ingest>, stop: CancellationToken) {
    let mut subscription = ingest.live_feed().subscribe(Some(watcher.next_seq()));
    let mut note_at = Instant::now() + NOTE_INTERVAL;
    loop {
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = tokio::time::sleep_until(note_at) => {
                watcher = write_down(watcher, &ingest).await;
                note_at = Instant::now() + NOTE_INTERVAL;
                continue;
            }
            event = subscription.next() => event,
        };
        match event {
            Some(Event::Passage(passage)) => {
                watcher = on_a_thread(watcher, move |watcher| watcher.take_live(&passage, Timestamp::now())).await;
            }
            Some(Event::Gap(gap)) => watcher = fill(watcher, &ingest, gap.from_seq..gap.to_seq + 1, &stop).await,
            None => {
                write_down(watcher, &ingest).await;
                return;
            }
        }
    }
}

async fn write_down(watcher: Box<Watcher>, ingest: &Ingest) -> Box<Watcher> {
    let catalog = ingest.catalog().clone();
    on_a_thread(watcher, move |watcher| watcher.write_down(&catalog, Timestamp::now())).await
}

/// Takes from the store, page by page, what did not come live. What cannot be read is told and passed over.
async fn fill(
    mut watcher: Box<Watcher>,
    ingest: &Arc<Ingest>,
    seqs: Range<u64>,
    stop: &CancellationToken,
) -> Box<Watcher> {
    let mut from = seqs.start;
    while from < seqs.end && !stop.is_cancelled() {
        let (of_page, filter) = (ingest.clone(), watcher.interesting().clone());
        let page = tokio::task::spawn_blocking(move || page(&of_page, filter, from..seqs.end)).await;
        match page.map_err(|panic| panic.to_string()).flatten() {
            Ok((records, next_seq)) => {
                from = next_seq;
                watcher = on_a_thread(watcher, move |watcher| {
                    watcher.take_past(&records, next_seq, Timestamp::now());
                })
                .await;
            }
            Err(error) => {
                tracing::error!(
                    "records {from} to {} were not looked at for annotations and errors: {error}",
                    seqs.end
                );
                break;
            }
        }
    }
    watcher
}

fn page(ingest: &Ingest, filter: Filter, seqs: Range<u64>) -> Result<(Vec<StoredRecord>, u64), String> {
    let wanted = Wanted { filter, range: TimeRange::ALL, seqs, rows_max: PAGE_ROWS, bytes_max: PAGE_BYTES };
    let scan = Scan::new(None, u64::MAX);
    let arrived = ingest.logs().first_arrived(&wanted, &scan).map_err(|error| error.to_string())?;
    Ok((arrived.records, arrived.next_seq))
}

/// Lends the watcher to a thread that may wait for the disk. A panic there ends the task, which the panic itself tells.
async fn on_a_thread(mut watcher: Box<Watcher>, work: impl FnOnce(&mut Watcher) + Send + 'static) -> Box<Watcher> {
    let back = tokio::task::spawn_blocking(move || {
        work(&mut watcher);
        watcher
    });
    match back.await {
        Ok(watcher) => watcher,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

impl Counters {
    fn add(counter: &AtomicU64, number: u64) {
        counter.fetch_add(number, Relaxed);
    }
}
