//! Which traces there are: gathered from the newest records that carry a trace id, as many as a question may look at.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{Timestamp, TraceId};
use taffrail_ingest::log_store::{CompiledFilter, Filter, LogStore, LogStoreError, Order, Search, StoredRecord, Test};
use taffrail_ingest::{Scan, TimeRange};

use super::Partial;
use super::span::{extent, is_error};

/// Records with a trace id that one question looks at.
pub const RECORDS_MAX: usize = 200_000;
/// Characters of the first message that name a trace.
const NAME_CHARACTERS: usize = 120;

/// Which traces.
pub struct Wanted {
    /// From when to when.
    pub range: TimeRange,
    /// Some record of theirs matches this.
    pub matching: Option<CompiledFilter>,
    /// This service took part.
    pub service: Option<String>,
    /// They took so long at least.
    pub min_duration: Duration,
    /// Whether they have errors; none when that does not matter.
    pub error: Option<bool>,
    /// So many at most, the newest first.
    pub limit: usize,
}

/// A trace in short, as far as it lies in the range.
#[derive(Clone, Debug)]
pub struct TraceInShort {
    /// Its id; of a 64-bit and a 128-bit form the longer.
    pub trace_id: TraceId,
    /// Its begin: the first line's, or what a line says of it.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// The service that began first, as far as lines tell.
    pub root_service: Arc<str>,
    /// What it said, cut.
    pub name: String,
    /// Who took part, and with how many records.
    pub services: BTreeMap<Arc<str>, u64>,
    /// On how many hosts.
    pub hosts: usize,
    /// All records.
    pub records: u64,
    /// Those that are errors.
    pub errors: u64,
}

/// Traces, the newest first.
#[derive(Clone, Debug)]
pub struct TraceList {
    /// The traces.
    pub traces: Vec<TraceInShort>,
    /// How many there are that are wanted.
    pub total: usize,
    /// Why there may be more.
    pub partial: Option<Partial>,
}

struct Gathered {
    short: TraceInShort,
    /// When that began which the record that names it tells of.
    named_at: Timestamp,
    hosts: Vec<Arc<str>>,
    matches: bool,
}

/// Gathers traces. Blocks.
pub fn list(logs: &LogStore, wanted: &Wanted, scan: &Scan) -> Result<TraceList, LogStoreError> {
    let search = Search {
        filter: Filter::Field { name: "trace_id".to_owned(), test: Test::Exists },
        range: wanted.range,
        order: Order::NewestFirst,
        after: None,
        limit: RECORDS_MAX + 1,
    };
    // A 64-bit id is the lower half of the 128-bit one of the same trace (B3, Datadog).
    let mut found: HashMap<u64, Gathered> = HashMap::new();
    let mut rows = 0;
    let ending = logs.search(&search, scan, &mut |stored| {
        rows += 1;
        if rows <= RECORDS_MAX
            && let Some(trace_id) = stored.record.trace_id
        {
            let matches = wanted.matching.as_ref().is_none_or(|filter| filter.matches(&stored.record));
            let gathered = found.entry(trace_id.bits() as u64);
            gathered.or_insert_with(|| Gathered::new(trace_id, &stored)).add(trace_id, &stored, matches);
        }
        ControlFlow::Continue(())
    })?;
    let stopped = ending.stopped.map(Partial::Stopped);
    let partial = stopped.or((rows > RECORDS_MAX).then_some(Partial::TooMany));
    let mut traces: Vec<TraceInShort> =
        found.into_values().filter(|gathered| gathered.is(wanted)).map(|gathered| gathered.short).collect();
    traces.sort_unstable_by_key(|trace| (std::cmp::Reverse(trace.start), trace.trace_id));
    let total = traces.len();
    traces.truncate(wanted.limit);
    Ok(TraceList { traces, total, partial })
}

impl Gathered {
    fn new(trace_id: TraceId, stored: &StoredRecord) -> Gathered {
        let short = TraceInShort {
            trace_id,
            start: stored.id.time,
            end: stored.id.time,
            root_service: Arc::default(),
            name: String::new(),
            services: BTreeMap::new(),
            hosts: 0,
            records: 0,
            errors: 0,
        };
        Gathered { short, named_at: Timestamp::MAX, hosts: Vec::new(), matches: false }
    }

    fn add(&mut self, trace_id: TraceId, stored: &StoredRecord, matches: bool) {
        let record = &stored.record;
        let (start, end, _) = extent(record);
        let short = &mut self.short;
        short.trace_id = short.trace_id.max(trace_id);
        (short.start, short.end) = (short.start.min(start), short.end.max(end).max(stored.id.time));
        *short.services.entry(record.resource.service.clone()).or_default() += 1;
        if !self.hosts.contains(&record.resource.host) {
            self.hosts.push(record.resource.host.clone());
            short.hosts += 1;
        }
        short.records += 1;
        short.errors += u64::from(is_error(record));
        // What a service says at the end of a request began before what others said meanwhile. They come newest first, so that of two
        // with one begin the later in this order was stored earlier.
        if start <= self.named_at {
            self.named_at = start;
            short.root_service = record.resource.service.clone();
            short.name = record.body.lines().next().unwrap_or_default().chars().take(NAME_CHARACTERS).collect();
        }
        self.matches |= matches;
    }

    fn is(&self, wanted: &Wanted) -> bool {
        let short = &self.short;
        self.matches
            && wanted.service.as_deref().is_none_or(|service| short.services.contains_key(service))
            && short.end.saturating_since(short.start) >= wanted.min_duration
            && wanted.error.is_none_or(|error| error == (short.errors > 0))
    }
}
