//! Everything of one trace: its log lines across hosts and services, what they say of its spans, and the exemplars that point to it.
//!
//! [`span`] (spans from lines), [`list`] (which traces there are).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use taffrail_collector::model::{Exemplar, LabelSet, Timestamp, TraceId};
use taffrail_ingest::log_store::{Filter, LogStore, LogStoreError, Order, Search, StoredRecord, Test, TextMatch};
use taffrail_ingest::series_store::SeriesStore;
use taffrail_ingest::{Scan, StopReason, TimeRange};

pub mod list;
pub mod span;

use span::Span;

/// The most log records of one trace that are shown.
pub const RECORDS_MAX: usize = 10_000;

/// The most exemplars of one trace that are shown.
pub const EXEMPLARS_MAX: usize = 1_000;

/// Everything known of one trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Which trace; of a 64-bit and a 128-bit form the longer.
    pub trace_id: TraceId,
    /// Every form of its id that is known.
    pub ids: BTreeSet<TraceId>,
    /// The first and the last moment known of it, exemplars included; none when nothing is.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Who took part, in the order of their first records.
    pub services: Vec<Participant>,
    /// What its records say of spans, by their begin.
    pub spans: Vec<Span>,
    /// How many of its records are errors.
    pub errors: u64,
    /// Its log records, oldest first.
    pub records: Vec<StoredRecord>,
    /// The exemplars that point to it, oldest first.
    pub exemplars: Vec<(Arc<LabelSet>, Exemplar)>,
    /// Why there may be more than is shown; none when this is all.
    pub partial: Option<Partial>,
}

/// One service on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The service; empty when unknown.
    pub service: Arc<str>,
    /// The host; empty when unknown.
    pub host: Arc<str>,
    /// How many of the trace's records are its own.
    pub records: u64,
}

/// Why a trace is not shown as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// It has more than [`RECORDS_MAX`] records or [`EXEMPLARS_MAX`] exemplars.
    TooMany,
    /// The search for it stopped early.
    Stopped(StopReason),
}

/// Gathers everything of the trace. Blocks.
pub fn trace(logs: &LogStore, series: &SeriesStore, trace_id: TraceId, scan: &Scan) -> Result<Trace, LogStoreError> {
    let search = Search {
        filter: of_trace(trace_id),
        range: TimeRange::ALL,
        order: Order::OldestFirst,
        after: None,
        // One more than is shown tells whether there is more.
        limit: RECORDS_MAX + 1,
    };
    let mut records = Vec::new();
    let ending = logs.search(&search, scan, &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    })?;
    let forms = half(trace_id).into_iter().chain([trace_id]);
    let ids: BTreeSet<TraceId> = records.iter().filter_map(|stored| stored.record.trace_id).chain(forms).collect();
    let exemplars = ids.iter().flat_map(|id| series.exemplars_of_trace(*id)).collect();
    let mut trace = assemble(trace_id, records, exemplars);
    trace.partial = trace.partial.or(ending.stopped.map(Partial::Stopped));
    Ok(trace)
}

/// The 64-bit form of a 128-bit id, by which some libraries know the same trace (B3, Datadog).
fn half(trace_id: TraceId) -> Option<TraceId> {
    let low = trace_id.bits() as u64;
    (u128::from(low) != trace_id.bits()).then(|| TraceId::new(u128::from(low))).flatten()
}

/// The records of a trace under both forms of its id. Of a 64-bit id the longer form is not known: whatever ends like it.
fn of_trace(trace_id: TraceId) -> Filter {
    let other = match half(trace_id) {
        Some(half) => Filter::Trace(half),
        None if u64::try_from(trace_id.bits()).is_err() => return Filter::Trace(trace_id),
        None => {
            let pattern = format!("*{:016x}", trace_id.bits());
            let test = Test::Text(TextMatch::Wildcard(pattern.clone()), pattern);
            Filter::Field { name: "trace_id".to_owned(), test }
        }
    };
    Filter::Or(vec![Filter::Trace(trace_id), other])
}

fn assemble(trace_id: TraceId, mut records: Vec<StoredRecord>, mut exemplars: Vec<(Arc<LabelSet>, Exemplar)>) -> Trace {
    exemplars.sort_by(|a, b| a.1.timestamp.cmp(&b.1.timestamp).then_with(|| a.0.cmp(&b.0)));
    let too_many = records.len() > RECORDS_MAX || exemplars.len() > EXEMPLARS_MAX;
    records.truncate(RECORDS_MAX);
    exemplars.truncate(EXEMPLARS_MAX);
    let mut services: Vec<Participant> = Vec::new();
    for stored in &records {
        let resource = &stored.record.resource;
        let known = services.iter_mut().find(|known| known.service == resource.service && known.host == resource.host);
        match known {
            Some(known) => known.records += 1,
            None => services.push(Participant {
                service: resource.service.clone(),
                host: resource.host.clone(),
                records: 1,
            }),
        }
    }
    let moments =
        || records.iter().map(|stored| stored.id.time).chain(exemplars.iter().map(|(_, exemplar)| exemplar.timestamp));
    let spans = span::spans(&records);
    let extents = || records.iter().map(|stored| span::extent(&stored.record));
    let first = moments().chain(extents().map(|(start, ..)| start)).min();
    let last = moments().chain(extents().map(|(_, end, _)| end)).max();
    let longest = records.iter().filter_map(|stored| stored.record.trace_id).max();
    let mut ids: BTreeSet<TraceId> = records.iter().filter_map(|stored| stored.record.trace_id).collect();
    ids.insert(trace_id);
    Trace {
        trace_id: longest.map_or(trace_id, |longest| longest.max(trace_id)),
        ids,
        span: first.zip(last),
        services,
        spans,
        errors: records.iter().filter(|stored| span::is_error(&stored.record)).count() as u64,
        records,
        exemplars,
        partial: too_many.then_some(Partial::TooMany),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_collector::model::{LogRecord, Resource, Severity};
    use taffrail_ingest::log_store::RecordId;

    fn stored(seconds: i64, service: &str, host: &str) -> StoredRecord {
        let time = Timestamp::from_unix_seconds(seconds);
        let record = LogRecord {
            timestamp: time,
            observed_timestamp: time,
            severity: Severity::INFO,
            severity_text: Default::default(),
            body: String::new(),
            trace_id: None,
            span_id: None,
            resource: Arc::new(Resource { host: host.into(), service: service.into(), attributes: Vec::new() }),
            attributes: Vec::new(),
        };
        StoredRecord { id: RecordId { time, seq: seconds as u64 }, record }
    }

    fn exemplar(seconds: i64, trace_id: TraceId) -> (Arc<LabelSet>, Exemplar) {
        let labels = Arc::new(LabelSet::new([("__name__", "latency")]));
        (labels, Exemplar { timestamp: Timestamp::from_unix_seconds(seconds), value: 1.0, trace_id, span_id: None })
    }

    #[test]
    fn participants_are_counted_and_exemplars_widen_the_span() {
        let id = TraceId::new(7).unwrap();
        let records =
            vec![stored(10, "shop", "a"), stored(11, "pay", "b"), stored(12, "shop", "a"), stored(13, "shop", "c")];
        let trace = assemble(id, records, vec![exemplar(20, id), exemplar(9, id)]);
        assert_eq!(trace.span, Some((Timestamp::from_unix_seconds(9), Timestamp::from_unix_seconds(20))));
        let services: Vec<_> = trace.services.iter().map(|s| (&*s.service, &*s.host, s.records)).collect();
        assert_eq!(services, [("shop", "a", 2), ("pay", "b", 1), ("shop", "c", 1)]);
        assert_eq!(trace.exemplars[0].1.timestamp, Timestamp::from_unix_seconds(9));
        assert_eq!(trace.partial, None);
    }

    #[test]
    fn a_trace_nobody_knows_is_empty_and_one_too_large_says_so() {
        let id = TraceId::new(7).unwrap();
        let nothing = assemble(id, Vec::new(), Vec::new());
        assert_eq!((nothing.span, nothing.services.len()), (None, 0));
        let large = assemble(id, (0..=RECORDS_MAX as i64).map(|n| stored(n, "s", "h")).collect(), Vec::new());
        assert_eq!((large.records.len(), large.partial), (RECORDS_MAX, Some(Partial::TooMany)));
    }
}
