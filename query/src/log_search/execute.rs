//! Single records and what stands around them: lookups that need no query text.

use std::ops::ControlFlow;

use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::{Field, Filter, LogStore, LogStoreError, Order, RecordId, Search, StoredRecord, Test};
use taffrail_ingest::{Scan, StopReason, TimeRange};

/// A record and its neighbours, oldest first.
#[derive(Clone, Debug)]
pub struct Context {
    /// What came before it, oldest first.
    pub before: Vec<StoredRecord>,
    /// The record itself; none when it is gone (retention) or never was.
    pub record: Option<StoredRecord>,
    /// What came after it, oldest first.
    pub after: Vec<StoredRecord>,
    /// Why neighbours may be missing that exist.
    pub stopped: Option<StopReason>,
}

/// The record with this id.
pub fn record(store: &LogStore, id: RecordId, scan: &Scan) -> Result<Option<StoredRecord>, LogStoreError> {
    let end = Timestamp::from_unix_nanos(id.time.unix_nanos().saturating_add(1));
    let search = Search {
        filter: Filter::All,
        range: TimeRange { start: id.time, end },
        order: Order::OldestFirst,
        after: id.seq.checked_sub(1).map(|seq| RecordId { time: id.time, seq }),
        limit: 1,
    };
    let mut found = None;
    store.search(&search, scan, &mut |stored| {
        found = (stored.id == id).then_some(stored);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// The `before` records before and the `after` records after a record that agree with it in the fields `by` (`host`,
/// `service` …): what its neighbours in the same log were, whatever query led to it.
pub fn context(
    store: &LogStore,
    id: RecordId,
    (before, after): (usize, usize),
    by: &[String],
    scan: &Scan,
) -> Result<Context, LogStoreError> {
    let mut context =
        Context { before: Vec::new(), record: record(store, id, scan)?, after: Vec::new(), stopped: None };
    let Some(center) = &context.record else { return Ok(context) };
    let filter = same_fields(center, by);
    let mut side = |order, limit| {
        let end = Timestamp::from_unix_nanos(id.time.unix_nanos().saturating_add(1));
        let range = match order {
            Order::NewestFirst => TimeRange { start: Timestamp::MIN, end },
            Order::OldestFirst => TimeRange { start: id.time, end: Timestamp::MAX },
        };
        let search = Search { filter: filter.clone(), range, order, after: Some(id), limit };
        let mut found = Vec::new();
        let ending = store.search(&search, scan, &mut |stored| {
            found.push(stored);
            ControlFlow::Continue(())
        })?;
        context.stopped = context.stopped.or(ending.stopped);
        Ok(found)
    };
    let mut earlier = side(Order::NewestFirst, before)?;
    let later = side(Order::OldestFirst, after)?;
    earlier.reverse();
    context.before = earlier;
    context.after = later;
    Ok(context)
}

/// Records that have the same values in these fields as `center`, or lack them as it does.
fn same_fields(center: &StoredRecord, by: &[String]) -> Filter {
    let conditions = by.iter().map(|name| {
        let mut value = None;
        Field::named(name).visit_values(&center.record, &mut |text| {
            value.get_or_insert_with(|| text.into_owned());
        });
        let field = |test| Filter::Field { name: name.clone(), test };
        match value {
            Some(value) => field(Test::Equals(value)),
            None => Filter::Not(Box::new(field(Test::Exists))),
        }
    });
    Filter::And(conditions.collect())
}
