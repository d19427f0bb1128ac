//! What is noted of each record, and when it is written down. Blocks on the catalog; knows no clock.

use std::time::Duration;

use taffrail_collector::model::{LogRecord, Timestamp};
use taffrail_ingest::Ingest;
use taffrail_ingest::catalog::annotations::Annotation;
use taffrail_ingest::catalog::watched::Watched;
use taffrail_ingest::catalog::{Catalog, CatalogError};
use taffrail_ingest::live_feed::Passage;
use taffrail_ingest::log_store::{Filter, RecordId, StoredRecord, Test};

use super::annotation_rule::{EVENT_FIELD, of_event};
use super::{Counters, Watch};

/// Annotations that records may make in a minute: an event for every request would leave no room for deploys.
const ANNOTATIONS_PER_MINUTE: u32 = 600;
/// While nothing is noted, how far it has come is written down so often.
const PLACE_INTERVAL: Duration = Duration::from_secs(30);

/// Looks at records in the order in which they came.
pub struct Watcher {
    watch: Watch,
    interesting: Filter,
    /// The number of the first record that was not looked at.
    next_seq: u64,
    /// The same as it is written down, and since when.
    written: (Option<u64>, Timestamp),
    annotations: Vec<Annotation>,
    /// The minute, and the annotations that records made in it.
    minute: (i64, u32),
}

impl Watcher {
    /// Goes on where it stopped; from now on when it never began.
    pub fn begin(watch: Watch, ingest: &Ingest) -> Result<Watcher, CatalogError> {
        let written = ingest.catalog().watched_through()?;
        // A catalog of a backup may know of less, one whose data is gone of more.
        let next_seq = written.unwrap_or_else(|| ingest.live_feed().seqs().end).min(ingest.next_seq());
        let of_rules = watch.settings().annotation_rules.iter().map(|rule| rule.filter.clone());
        let of_field = |name: &str| Filter::Field { name: name.to_owned(), test: Test::Exists };
        let interesting = Filter::Or([of_field(EVENT_FIELD)].into_iter().chain(of_rules).collect());
        Ok(Watcher {
            watch,
            interesting,
            next_seq,
            written: (written, Timestamp::MIN),
            annotations: Vec::new(),
            minute: (0, 0),
        })
    }

    /// The number of the first record that was not looked at.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Records that anything may be noted of.
    pub fn interesting(&self) -> &Filter {
        &self.interesting
    }

    /// Looks at records that just came.
    pub fn take_live(&mut self, passage: &Passage, now: Timestamp) {
        let end = passage.seqs().end;
        for (id, record) in passage.records() {
            self.take(id, record, now);
        }
        Counters::add(&self.watch.counters().records, end.saturating_sub(self.next_seq));
        self.next_seq = end;
    }

    /// Looks at records that came before `next_seq`, all of those that are [interesting](Self::interesting).
    pub fn take_past(&mut self, records: &[StoredRecord], next_seq: u64, now: Timestamp) {
        records.iter().for_each(|stored| self.take(stored.id, &stored.record, now));
        Counters::add(&self.watch.counters().records, records.len() as u64);
        self.next_seq = next_seq;
    }

    fn take(&mut self, id: RecordId, record: &LogRecord, now: Timestamp) {
        let rules = &self.watch.settings().annotation_rules;
        let by_rule = || rules.iter().find_map(|rule| rule.annotation(id, record));
        if let Some(annotation) = of_event(id, record).or_else(by_rule) {
            self.annotate(annotation, now);
        }
    }

    fn annotate(&mut self, annotation: Annotation, now: Timestamp) {
        let minute = now.unix_nanos().div_euclid(60_000_000_000);
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        let counters = self.watch.counters();
        if self.minute.1 == ANNOTATIONS_PER_MINUTE {
            Counters::add(&counters.annotations_limited, 1);
            return;
        }
        self.minute.1 += 1;
        Counters::add(&counters.annotations, 1);
        self.annotations.push(annotation);
    }

    /// Writes down what was noted since the last time. What cannot be written is kept for the next time.
    pub fn write_down(&mut self, catalog: &Catalog, now: Timestamp) {
        let is_moved = self.written.0 != Some(self.next_seq);
        let is_late = now.saturating_since(self.written.1) >= PLACE_INTERVAL;
        if self.annotations.is_empty() && !(is_moved && is_late) {
            return;
        }
        let watched = Watched {
            next_seq: Some(self.next_seq),
            annotations: &self.annotations,
            annotations_max: self.watch.settings().annotations_max,
            ..Watched::default()
        };
        match catalog.record_watched(&watched) {
            Ok(left) => {
                Counters::add(&self.watch.counters().annotations_left, left);
                self.annotations.clear();
                self.written = (Some(self.next_seq), now);
            }
            Err(error) => tracing::warn!("annotations cannot be written down, trying again: {error}"),
        }
    }
}
