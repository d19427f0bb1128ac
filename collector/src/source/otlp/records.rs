//! What a request of logs or spans becomes: records in batches, and counts of what was not taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource as WrittenResource;

use super::attributes::{Gathering, Names, value_text};
use crate::enrich::{Enricher, ReceivedLine};
use crate::model::{LogRecord, Resource, SpanId, Timestamp, TraceId, Value};
use crate::source::cut_record::cut;
use crate::source::record_batches::Batches;

/// The logger or tracer, as an attribute.
const SCOPE: &str = "scope.name";

/// What a request held.
#[derive(Debug, Default)]
pub struct TakenRecords {
    /// To be stored, in batches that the store takes; none of them is empty.
    pub batches: Vec<Vec<LogRecord>>,
    /// What was not taken: how many, by reason, and an example.
    pub rejected: BTreeMap<&'static str, (u64, String)>,
}

/// Makes the records of one request.
#[derive(Debug)]
pub(super) struct Reading<'e> {
    /// When the request came.
    pub(super) now: Timestamp,
    /// The names of attributes met.
    pub(super) names: Names,
    enricher: &'e mut Enricher,
    line_bytes_max: usize,
    /// Who stands for a resource that names no host.
    host: Arc<str>,
    batches: Batches,
    rejected: BTreeMap<&'static str, (u64, String)>,
}

impl<'e> Reading<'e> {
    /// Reads what came now; records with more than `line_bytes_max` bytes are cut.
    pub(super) fn new(
        enricher: &'e mut Enricher,
        line_bytes_max: usize,
        host: Arc<str>,
        now: Timestamp,
    ) -> Reading<'e> {
        Reading {
            now,
            names: Names::default(),
            enricher,
            line_bytes_max,
            host,
            batches: Batches::default(),
            rejected: BTreeMap::new(),
        }
    }

    /// Who says the records of this resource.
    pub(super) fn resource(&mut self, written: Option<&WrittenResource>) -> Arc<Resource> {
        let (mut host, mut service) = (Arc::clone(&self.host), Arc::<str>::default());
        let mut gathering = Gathering::new(&mut self.names);
        for attribute in written.iter().flat_map(|resource| &resource.attributes) {
            match attribute.key.as_str() {
                "host.name" => host = value_text(attribute.value.as_ref()).into(),
                "service.name" => service = value_text(attribute.value.as_ref()).into(),
                _ => gathering.add_all([attribute]),
            }
        }
        Arc::new(Resource { host, service, attributes: gathering.finish() })
    }

    /// Takes a record as it is, but for what is redacted and what rules do.
    pub(super) fn take(&mut self, record: LogRecord) {
        let record = self.enricher.take(record);
        self.keep(record);
    }

    /// Takes a line that somebody picked up without reading it: it is read here.
    pub(super) fn take_line(&mut self, line: ReceivedLine<'_>) {
        let record = self.enricher.enrich(line);
        self.keep(record);
    }

    /// Counts what cannot be taken.
    pub(super) fn reject(&mut self, reason: &'static str, example: &str) {
        self.rejected.entry(reason).or_insert_with(|| (0, example.to_owned())).0 += 1;
    }

    /// All that was taken.
    pub(super) fn finish(mut self) -> TakenRecords {
        TakenRecords { batches: self.batches.take(), rejected: self.rejected }
    }

    fn keep(&mut self, record: Option<LogRecord>) {
        if let Some(record) = record {
            let record = cut(record, self.line_bytes_max);
            self.batches.push(record);
        }
    }
}

/// Adds the name of who wrote.
pub(super) fn add_scope(gathering: &mut Gathering<'_>, scope: Option<&InstrumentationScope>) {
    if let Some(scope) = scope.filter(|scope| !scope.name.is_empty()) {
        gathering.add(SCOPE, Value::String(scope.name.clone()));
    }
}

/// Zero is no time, and neither is what lies behind the year 2262.
pub(super) fn moment(nanos: u64) -> Option<Timestamp> {
    i64::try_from(nanos).ok().filter(|&nanos| nanos > 0).map(Timestamp::from_unix_nanos)
}

/// An id of 16 bytes that are not all zero.
pub(super) fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    TraceId::new(u128::from_be_bytes(bytes.try_into().ok()?))
}

/// An id of 8 bytes that are not all zero.
pub(super) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::new(u64::from_be_bytes(bytes.try_into().ok()?))
}
