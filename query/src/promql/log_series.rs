//! The series that `logs_count` has, for lists of series, labels and their values: completion in Grafana and on the Metrics
//! page.

use std::collections::BTreeSet;
use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_ingest::log_store::{Filter, GroupQuestion, LogStore};
use taffrail_ingest::series_store::{LabelMatcher, LabelTest};
use taffrail_ingest::{Scan, TimeRange};

use super::PromqlError;
use super::evaluate::log_counts::{LABELS, LOGS_COUNT, field};

/// Different series that are listed, at most; what is beyond is left out.
const SERIES_MAX: usize = 10_000;

/// Whether the conditions name the metric, and nothing else could be meant.
pub(super) fn are_meant(matchers: &[LabelMatcher]) -> bool {
    let names = |matcher: &LabelMatcher| {
        matcher.name == NAME_LABEL && matches!(&matcher.test, LabelTest::Equal(name) if name == LOGS_COUNT)
    };
    matchers.iter().any(names)
}

/// Whether the metric is among those that conditions without any other label select.
pub(super) fn is_among(logs: &LogStore, matchers: &[LabelMatcher]) -> bool {
    let named = LabelSet::new([(NAME_LABEL, LOGS_COUNT)]);
    let passes = |matcher: &LabelMatcher| matcher.name == NAME_LABEL && matcher.passes(&named);
    let size = logs.size();
    matchers.iter().all(passes) && size.split_rows + (size.head.rows + size.sealing.rows) as u64 > 0
}

/// The series that have a record in the range and pass the conditions, with one more label when one is asked for.
pub(super) fn series(
    logs: &LogStore,
    matchers: &[LabelMatcher],
    range: TimeRange,
    more: Option<&str>,
    scan: &Scan,
) -> Result<Vec<Arc<LabelSet>>, PromqlError> {
    let names = LABELS.into_iter().chain(more).chain(matchers.iter().map(|matcher| matcher.name.as_str()));
    let names: Vec<&str> = names.filter(|name| *name != NAME_LABEL).collect::<BTreeSet<_>>().into_iter().collect();
    let fields = names.iter().map(|name| field(name)).collect();
    let question = GroupQuestion { fields, bounds: Arc::new([range.start, range.end]), groups_max: SERIES_MAX };
    let found = logs.count_groups(&Filter::All, &question, scan);
    let found = found.map_err(|error| PromqlError::Execution(error.to_string()))?;
    if let Some(reason) = found.ending.stopped {
        return Err(PromqlError::Stopped(reason));
    }
    let named = |group: &[String]| {
        let own = names.iter().copied().zip(group.iter().map(String::as_str)).filter(|(_, value)| !value.is_empty());
        LabelSet::new(own.chain([(NAME_LABEL, LOGS_COUNT)]))
    };
    let all = found.groups.iter().map(|group| named(&group.values));
    Ok(all.filter(|labels| matchers.iter().all(|matcher| matcher.passes(labels))).map(Arc::new).collect())
}
