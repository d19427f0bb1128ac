//! One group: what is known of it, one of its events with the trace read out, the events beside that one, and what its records
//! have in common.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::error_group::GROUP_FIELD;
use taffrail_ingest::error_group::record::{TracedError, read};
use taffrail_ingest::log_store::{
    Facet, Field, Filter, GroupQuestion, LogStore, LogStoreError, Order, RecordId, Search, StoredRecord,
};
use taffrail_ingest::{Scan, StopReason, TimeRange};
use taffrail_query::error_group::group::Group;
use taffrail_query::log_search::execute;

use super::list::steps;
use super::{known, of_groups};
use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api::record_json::{RecordJson, parse_record_id, record_id_text};
use crate::api_error::ApiError;

/// Fields whose values are told with their shares.
const TAGS_MAX: usize = 16;
/// Values of each.
const TAG_VALUES: usize = 5;
/// A field whose commonest value has less than one of so many records tells nothing: it differs in each.
const TAG_SHARE: u64 = 10;
/// Fields that say nothing about what errors have in common: they differ in each, or hold the trace itself.
const NO_TAGS: [&str; 14] = [
    "time",
    "message",
    "trace_id",
    "span_id",
    "severity_text",
    GROUP_FIELD,
    "exception.stacktrace",
    "exception.message",
    "error.stack_trace",
    "error.message",
    "stack_trace",
    "stack",
    "error.stack",
    "err.stack",
];

/// Answers `q`, `from`, `to` and `event` (a record's id; default the newest).
pub(super) async fn detail(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let range = parameters.range()?;
    let filter = of_groups(&parameters, Some(&id))?;
    let event = parameters.record_id("event")?;
    let group = app.watch.with(|watcher| watcher.groups.group(&id).cloned());
    let missing = ApiError::not_found(format!("there is no error group `{id}`"));
    let logs = app.ingest.logs().clone();
    let newest = group.as_ref().and_then(|group| parse_record_id(&group.last_record));
    let asked = Asked { filter, range, event, newest };
    let (found, scan) = app.questions.ask(move |scan| asked.answer(&logs, scan).map_err(ApiError::from)).await?;
    let group = match (group, &found.event) {
        (Some(group), _) => group,
        (None, Some(event)) => of_event(event),
        (None, None) => return Err(missing),
    };
    let mut answer = known(&id, &group, Timestamp::now());
    let (start, step, _) = steps(range);
    answer.insert("count".into(), found.trend.iter().sum::<u64>().into());
    answer.insert("trend".into(), found.trend.into());
    let event = found
        .event
        .as_ref()
        .map(|stored| json!({ "record": RecordJson::from(stored), "error": traced(&read(&stored.record)) }));
    let neighbour = |id: Option<RecordId>| id.map(record_id_text);
    Ok(Json(json!({
        "error_group": answer,
        "event": event,
        "previous": neighbour(found.previous),
        "next": neighbour(found.next),
        "tags": found.tags,
        "trend": { "start": start.to_string(), "interval_ms": step.as_millis() as u64 },
        "summary": summary(&scan, found.stopped.map(stop_words)),
    })))
}

struct Asked {
    filter: Filter,
    range: TimeRange,
    event: Option<RecordId>,
    /// The group's newest record, wherever it lies.
    newest: Option<RecordId>,
}

#[derive(Default)]
struct Found {
    event: Option<StoredRecord>,
    previous: Option<RecordId>,
    next: Option<RecordId>,
    tags: Vec<Value>,
    trend: Vec<u64>,
    stopped: Option<StopReason>,
}

impl Asked {
    fn answer(&self, logs: &LogStore, scan: &Scan) -> Result<Found, LogStoreError> {
        let event = match self.event {
            Some(id) => execute::record(logs, id, scan)?,
            None => self.beside(logs, None, Order::NewestFirst, scan)?,
        };
        let mut found = Found { event, ..Found::default() };
        // Nothing in the range: the newest there is still tells what the error is.
        if let (None, Some(newest)) = (&found.event, self.newest) {
            found.event = execute::record(logs, newest, scan)?;
        }
        if let Some(event) = &found.event {
            let beside = |order| Ok(self.beside(logs, Some(event.id), order, scan)?.map(|stored| stored.id));
            (found.previous, found.next) = (beside(Order::NewestFirst)?, beside(Order::OldestFirst)?);
        }
        let (names, ending) = logs.field_names(&self.filter, self.range, scan)?;
        found.stopped = ending.stopped;
        let names: Vec<String> = names
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !NO_TAGS.contains(&name.as_str()))
            .take(TAGS_MAX)
            .collect();
        let (facets, ending) = logs.facets(&self.filter, self.range, &names, TAG_VALUES, scan)?;
        found.stopped = found.stopped.or(ending.stopped);
        found.tags = facets
            .into_iter()
            .filter(is_telling)
            .map(|facet| {
                let values: Vec<Value> =
                    facet.values.iter().map(|(value, count)| json!({ "value": value, "count": count })).collect();
                json!({ "field": facet.field, "values": values, "other": facet.other, "missing": facet.missing })
            })
            .collect();
        let (_, _, bounds) = steps(self.range);
        let stretches = bounds.len() - 1;
        let question = GroupQuestion { fields: vec![Field::named(GROUP_FIELD)], bounds: bounds.into(), groups_max: 1 };
        let counts = logs.count_groups(&self.filter, &question, scan)?;
        found.stopped = found.stopped.or(counts.ending.stopped);
        found.trend = vec![0; stretches];
        for (stretch, count) in counts.groups.into_iter().flat_map(|group| group.counts) {
            if let Some(sum) = found.trend.get_mut(stretch.saturating_sub(1)) {
                *sum += count;
            }
        }
        Ok(found)
    }

    /// The first of the group's records behind this one in that order.
    fn beside(
        &self,
        logs: &LogStore,
        after: Option<RecordId>,
        order: Order,
        scan: &Scan,
    ) -> Result<Option<StoredRecord>, LogStoreError> {
        let mut found = None;
        let wanted = Search { filter: self.filter.clone(), range: self.range, order, after, limit: 1 };
        logs.search(&wanted, scan, &mut |stored| {
            found = Some(stored);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }
}

/// Whether a field's values say what the records have in common: its commonest is no rarity among them.
fn is_telling(facet: &Facet) -> bool {
    let all = facet.other + facet.values.iter().map(|(_, count)| count).sum::<u64>();
    facet.values.first().is_some_and(|(_, count)| *count * TAG_SHARE >= all)
}

/// What a group is that is not kept any more, by one of its records.
fn of_event(event: &StoredRecord) -> Group {
    let time = event.id.time.unix_nanos();
    Group {
        first_seen: time,
        last_seen: time,
        last_record: record_id_text(event.id),
        ..crate::watch::error_notice::describe(&event.record)
    }
}

/// The error as its record tells of it, with the trace read out.
fn traced(error: &TracedError<'_>) -> Value {
    let exceptions = error.trace.iter().flat_map(|trace| &trace.exceptions).map(|exception| {
        let frames = exception.frames.iter().map(
            |frame| json!({ "function": frame.function, "file": frame.file, "line": frame.line, "own": frame.is_own }),
        );
        json!({ "type": exception.kind, "message": exception.message, "frames": frames.collect::<Vec<_>>() })
    });
    json!({
        "type": error.kind,
        "message": error.message,
        "language": error.trace.as_ref().map(|trace| trace.language.name()),
        "exceptions": exceptions.collect::<Vec<_>>(),
        "text": error.text,
    })
}
