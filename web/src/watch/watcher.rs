//! What is noted of each record, and when it is written down. Blocks on the catalog; knows no clock.

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LogRecord, Sample, Timestamp};
use taffrail_ingest::catalog::annotations::{Annotation, AnnotationQuestion, DEPLOY};
use taffrail_ingest::catalog::watched::Watched;
use taffrail_ingest::catalog::{Catalog, CatalogError};
use taffrail_ingest::error_group::GROUP_FIELD;
use taffrail_ingest::live_feed::Passage;
use taffrail_ingest::log_store::{Filter, RecordId, StoredRecord, Test};
use taffrail_ingest::{Ingest, TimeRange};
use taffrail_query::error_group::group::Seen;
use taffrail_query::error_group::tracker::Tracker;

use super::annotation_rule::{EVENT_FIELD, of_event};
use super::check_status::{CHECK_FIELD, status_sample};
use super::deploys::{self, Deploys};
use super::error_notice::{self, describe, version_of};
use super::hosts::Hosts;
use super::{Counters, Settings};
use crate::api::record_json::record_id_text;

/// Annotations that records may make in a minute: an event for every request would leave no room for deploys.
const ANNOTATIONS_PER_MINUTE: u32 = 600;
/// Error groups of which it is told in a minute that they are new or back.
const NOTICES_PER_MINUTE: u32 = 200;
/// While nothing is noted, how far it has come is written down so often.
const PLACE_INTERVAL: Duration = Duration::from_secs(30);
/// Samples that wait while the store takes none.
const OUTBOX_MAX: usize = 10_000;
/// The catalog's document with the hosts.
const HOSTS: (&str, &str) = ("watch", "hosts");

/// Looks at records in the order in which they came.
pub struct Watcher {
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    interesting: Filter,
    /// The number of the first record that was not looked at.
    next_seq: u64,
    /// The same as it is written down, and since when.
    written: (Option<u64>, Timestamp),
    annotations: Vec<Annotation>,
    /// Error groups.
    pub groups: Tracker,
    /// The newest deploy of each service.
    pub deploys: Deploys,
    /// When each host was last heard of.
    pub hosts: Hosts,
    outbox: Vec<Sample>,
    minute: Minute,
}

/// What was made in a minute.
#[derive(Default)]
struct Minute {
    number: i64,
    annotations: u32,
    notices: u32,
}

impl Watcher {
    /// Goes on where it stopped; from now on when it never began.
    pub fn begin(
        settings: Arc<Settings>,
        counters: Arc<Counters>,
        ingest: &Ingest,
        now: Timestamp,
    ) -> Result<Watcher, CatalogError> {
        let catalog = ingest.catalog();
        let written = catalog.watched_through()?;
        // A catalog of a backup may know of less, one whose data is gone of more.
        let next_seq = written.unwrap_or_else(|| ingest.live_feed().seqs().end).min(ingest.next_seq());
        let mut deploys = Deploys::default();
        for deploy in catalog.annotations(&recent_deploys(now))?.0 {
            deploys.take(&deploy);
        }
        let hosts = catalog.document(HOSTS.0, HOSTS.1)?.map_or_else(Hosts::default, |text| Hosts::read(&text));
        Ok(Watcher {
            interesting: interesting(&settings),
            groups: Tracker::new(catalog.error_groups()?, settings.error_groups_max),
            settings,
            counters,
            next_seq,
            written: (written, Timestamp::MIN),
            annotations: Vec::new(),
            deploys,
            hosts,
            outbox: Vec::new(),
            minute: Minute::default(),
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
        // Neighbours come from one host, mostly.
        let (mut host, mut records) = (Arc::<str>::from(""), 0);
        for (id, record) in passage.records() {
            if !Arc::ptr_eq(&host, &record.resource.host) {
                self.hosts.take(&host, records, now);
                (host, records) = (record.resource.host.clone(), 0);
            }
            records += 1;
            self.take(id, record, now);
        }
        self.hosts.take(&host, records, now);
        Counters::add(&self.counters.records, end.saturating_sub(self.next_seq));
        self.next_seq = end;
    }

    /// Looks at records that came before `next_seq`, all of those that are [interesting](Self::interesting).
    pub fn take_past(&mut self, records: &[StoredRecord], next_seq: u64, now: Timestamp) {
        records.iter().for_each(|stored| self.take(stored.id, &stored.record, now));
        Counters::add(&self.counters.records, records.len() as u64);
        self.next_seq = next_seq;
    }

    fn take(&mut self, id: RecordId, record: &LogRecord, now: Timestamp) {
        let group = record.attributes.iter().find(|(key, _)| &**key == GROUP_FIELD);
        if let Some(group) = group.and_then(|(_, value)| value.as_str()) {
            self.take_error(group, id, record, now);
        }
        let rules = &self.settings.annotation_rules;
        let by_rule = || rules.iter().find_map(|rule| rule.annotation(id, record));
        if let Some(annotation) = of_event(id, record).or_else(by_rule) {
            self.annotate(annotation, now);
        }
        self.outbox.extend(status_sample(record));
    }

    fn take_error(&mut self, group: &str, id: RecordId, record: &LogRecord, now: Timestamp) {
        let (record_id, version) = (record_id_text(id), version_of(record));
        let seen = Seen { time: id.time.unix_nanos(), record: &record_id, version: &version };
        let event = self.groups.take(group, seen, now.unix_nanos(), || describe(record));
        let Some((event, known)) = event.zip(self.groups.group(group)) else { return };
        let is_ignored = known.state_name(now.unix_nanos()) == "ignored";
        if is_ignored {
            return;
        }
        self.minute.turn(now);
        if self.minute.notices == NOTICES_PER_MINUTE {
            Counters::add(&self.counters.notices_limited, 1);
            return;
        }
        self.minute.notices += 1;
        let deploy = self.deploys.before(&known.service, seen.time);
        self.outbox.push(error_notice::sample((group, known), event, deploy, now));
    }

    fn annotate(&mut self, annotation: Annotation, now: Timestamp) {
        self.minute.turn(now);
        if self.minute.annotations == ANNOTATIONS_PER_MINUTE {
            Counters::add(&self.counters.annotations_limited, 1);
            return;
        }
        self.minute.annotations += 1;
        Counters::add(&self.counters.annotations, 1);
        self.deploy(&annotation);
        self.annotations.push(annotation);
    }

    /// Takes note of an annotation that is written down already, or will be.
    pub fn deploy(&mut self, annotation: &Annotation) {
        self.deploys.take(annotation);
        self.outbox.extend(deploys::sample(annotation));
    }

    /// Tells how long each host has been silent.
    pub fn tell_hosts(&mut self, now: Timestamp) {
        self.outbox.extend(self.hosts.samples(now));
    }

    /// Whether nothing waits to be stored.
    pub fn has_nothing_to_tell(&self) -> bool {
        self.outbox.is_empty()
    }

    /// What is to be stored now; what could not be comes back by [`Watcher::put_back`].
    pub fn take_outbox(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.outbox)
    }

    /// Takes back what could not be stored, the oldest first; what there is no room for is dropped and counted.
    pub fn put_back(&mut self, mut outbox: Vec<Sample>) {
        outbox.append(&mut self.outbox);
        Counters::add(&self.counters.outbox_dropped, outbox.len().saturating_sub(OUTBOX_MAX) as u64);
        outbox.truncate(OUTBOX_MAX);
        self.outbox = outbox;
    }

    /// Writes down what was noted since the last time; at once when `is_asked`. What cannot be written is kept for the next time.
    pub fn write_down(&mut self, catalog: &Catalog, is_asked: bool, now: Timestamp) -> Result<(), CatalogError> {
        let is_moved = self.written.0 != Some(self.next_seq);
        let is_late = is_moved && now.saturating_since(self.written.1) >= PLACE_INTERVAL;
        if self.annotations.is_empty() && !self.groups.is_changed() && !is_late && !is_asked {
            return Ok(());
        }
        let changes = self.groups.changes();
        let watched = Watched {
            next_seq: Some(self.next_seq),
            annotations: &self.annotations,
            annotations_max: self.settings.annotations_max,
            groups: &changes.groups,
            groups_removed: &changes.removed,
        };
        let left = catalog.record_watched(&watched)?;
        Counters::add(&self.counters.annotations_left, left);
        self.annotations.clear();
        self.groups.kept();
        self.written.0 = Some(self.next_seq);
        if is_late || now.saturating_since(self.written.1) >= PLACE_INTERVAL {
            if let Some(hosts) = self.hosts.changes() {
                catalog.put_document(HOSTS.0, HOSTS.1, &hosts)?;
            }
            self.written.1 = now;
        }
        Ok(())
    }
}

impl Minute {
    /// Begins anew when another minute has begun.
    fn turn(&mut self, now: Timestamp) {
        let number = now.unix_nanos().div_euclid(60_000_000_000);
        if self.number != number {
            *self = Minute { number, annotations: 0, notices: 0 };
        }
    }
}

fn interesting(settings: &Settings) -> Filter {
    let of_rules = settings.annotation_rules.iter().map(|rule| rule.filter.clone());
    let of_field = |name: &str| Filter::Field { name: name.to_owned(), test: Test::Exists };
    Filter::Or([EVENT_FIELD, GROUP_FIELD, CHECK_FIELD].map(of_field).into_iter().chain(of_rules).collect())
}

fn recent_deploys(now: Timestamp) -> AnnotationQuestion {
    let range = TimeRange { start: now.saturating_sub(deploys::RECENT), end: Timestamp::MAX };
    AnnotationQuestion { range, kinds: vec![DEPLOY.to_owned()], services: Vec::new(), limit: 10_000 }
}
