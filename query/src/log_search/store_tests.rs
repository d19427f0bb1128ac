//! Questions about single records, asked of a real store: half of it sealed, half still in memory.

use std::sync::Arc;

use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{
    Batch, Exemplar, LabelSet, LogRecord, Resource, Sample, SampleValue, Severity, Timestamp, TraceId,
};
use taffrail_ingest::log_store::{Order, RecordId, Search, StoredRecord};
use taffrail_ingest::{Ingest, Scan, TimeRange};

use super::execute::{context, record};
use crate::log_search::parse;
use crate::trace::trace;

struct World {
    ingest: Ingest,
    _directory: tempfile::TempDir,
}

impl World {
    /// Records `0..20`, two every second, of the hosts `a` and `b` in turn; every fifth belongs to trace 7.
    async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let ingest = super::cases::open(directory.path());
        let world = World { ingest, _directory: directory };
        world.store((0..10).map(log).collect(), Vec::new()).await;
        world.ingest.seal().await.unwrap();
        world.store((10..20).map(log).collect(), vec![sample()]).await;
        world
    }

    async fn store(&self, logs: Vec<LogRecord>, samples: Vec<Sample>) {
        let outcome = self.ingest.outlet().deliver(Batch { logs, samples, ..Batch::local() }).await;
        assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
    }

    /// The only record that the question finds.
    fn find(&self, question: &str) -> StoredRecord {
        let search = Search {
            filter: parse(question).unwrap(),
            range: TimeRange::ALL,
            order: Order::OldestFirst,
            after: None,
            limit: 2,
        };
        let mut found = Vec::new();
        let mut emit = |stored| {
            found.push(stored);
            std::ops::ControlFlow::Continue(())
        };
        self.ingest.logs().search(&search, &Scan::unlimited(), &mut emit).unwrap();
        assert_eq!(found.len(), 1, "{question}");
        found.remove(0)
    }
}

fn trace_id() -> TraceId {
    TraceId::new(7).unwrap()
}

fn log(n: i64) -> LogRecord {
    let time = Timestamp::from_unix_seconds(1_732_172_400 + n / 2);
    let host = if n % 2 == 0 { "a" } else { "b" };
    LogRecord {
        timestamp: time,
        observed_timestamp: time,
        severity: Severity::INFO,
        severity_text: Default::default(),
        body: format!("line n{n}"),
        trace_id: (n % 5 == 0).then(trace_id),
        span_id: None,
        resource: Arc::new(Resource { host: host.into(), service: "shop".into(), attributes: Vec::new() }),
        attributes: Vec::new(),
    }
}

fn sample() -> Sample {
    let timestamp = Timestamp::from_unix_seconds(1_732_172_399);
    Sample {
        labels: Arc::new(LabelSet::new([("__name__", "hits")])),
        timestamp,
        interval_ms: 10_000,
        value: SampleValue::Counter { sum: 1.0 },
        unit: "",
        exemplars: vec![Exemplar { timestamp, value: 1.0, trace_id: trace_id(), span_id: None }],
    }
}

fn bodies(records: &[StoredRecord]) -> Vec<&str> {
    records.iter().map(|stored| stored.record.body.as_str()).collect()
}

#[tokio::test]
async fn a_record_is_shown_among_its_neighbours_whatever_led_to_it() {
    let world = World::new().await;
    let logs = world.ingest.logs();
    let check = |question: &str, by: &[&str], before: &[&str], after: &[&str]| {
        let center = world.find(question);
        let by: Vec<String> = by.iter().map(|&name| name.to_owned()).collect();
        let found = context(logs, center.id, (2, 3), &by, &Scan::unlimited()).unwrap();
        assert_eq!(found.record.map(|stored| stored.record.body), Some(center.record.body), "{question}");
        assert_eq!(
            (bodies(&found.before), bodies(&found.after)),
            (before.to_vec(), after.to_vec()),
            "{question} {by:?}"
        );
    };
    check("n9", &[], &["line n7", "line n8"], &["line n10", "line n11", "line n12"]);
    check("n9", &["host", "service"], &["line n5", "line n7"], &["line n11", "line n13", "line n15"]);
    check("n12", &["host", "missing"], &["line n8", "line n10"], &["line n14", "line n16", "line n18"]);
    check("n0", &["host"], &[], &["line n2", "line n4", "line n6"]);
    check("n19", &["host"], &["line n15", "line n17"], &[]);
}

#[tokio::test]
async fn a_record_is_found_by_its_id_and_no_other_in_its_place() {
    let world = World::new().await;
    let logs = world.ingest.logs();
    for question in ["n0", "n1", "n18", "n19"] {
        let stored = world.find(question);
        let found = record(logs, stored.id, &Scan::unlimited()).unwrap().expect(question);
        assert_eq!(found.record.body, stored.record.body);
        let gone = RecordId { seq: stored.id.seq + 1_000, ..stored.id };
        assert!(record(logs, gone, &Scan::unlimited()).unwrap().is_none());
        let none = context(logs, gone, (2, 2), &[], &Scan::unlimited()).unwrap();
        assert!(none.record.is_none() && none.before.is_empty() && none.after.is_empty());
    }
}

#[tokio::test]
async fn a_trace_is_its_records_of_all_hosts_and_its_exemplars() {
    let world = World::new().await;
    let found = trace(world.ingest.logs(), world.ingest.series(), trace_id(), &Scan::unlimited()).unwrap();
    assert_eq!(bodies(&found.records), ["line n0", "line n5", "line n10", "line n15"]);
    let services: Vec<_> = found.services.iter().map(|one| (&*one.service, &*one.host, one.records)).collect();
    assert_eq!(services, [("shop", "a", 2), ("shop", "b", 2)]);
    assert_eq!((found.exemplars.len(), found.partial), (1, None));
    let seconds = |moment: Timestamp| moment.unix_nanos() / 1_000_000_000 - 1_732_172_400;
    assert_eq!(found.span.map(|(start, end)| (seconds(start), seconds(end))), Some((-1, 7)));
    let unknown = TraceId::new(8).unwrap();
    let nothing = trace(world.ingest.logs(), world.ingest.series(), unknown, &Scan::unlimited()).unwrap();
    assert_eq!((nothing.records.len(), nothing.span), (0, None));
}
