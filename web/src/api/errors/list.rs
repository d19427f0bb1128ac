//! The list: which groups the question's records belong to, how many records of each there are, when and on which hosts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::error_group::GROUP_FIELD;
use taffrail_ingest::log_store::{Field, GroupCounts, GroupQuestion};
use taffrail_ingest::{Scan, TimeRange};
use taffrail_query::error_group::group::Group;

use super::{known, of_groups};
use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api_error::ApiError;

/// Groups in an answer when nobody says how many, and at most.
const LIMIT: (usize, usize) = (100, 1_000);
/// Steps of a trend.
const STEPS: u64 = 40;
/// Hosts that are named with a group.
const HOSTS_SHOWN: usize = 10;
/// Of so many groups and hosts together counts are kept apart.
const COUNTED_MAX: usize = 200_000;

/// What was counted of a group.
#[derive(Default)]
struct Counted {
    count: u64,
    trend: BTreeMap<usize, u64>,
    hosts: BTreeMap<String, u64>,
}

/// In which order groups stand.
#[derive(Clone, Copy)]
enum Sort {
    LastSeen,
    FirstSeen,
    Count,
}

/// Answers `q`, `from`, `to`, `state` (open, regressed, resolved, ignored, unresolved or all), `service`, `sort` and `limit`.
pub(super) async fn list(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let range = parameters.range()?;
    let filter = of_groups(&parameters, None)?;
    let limit = parameters.count("limit", LIMIT.0, LIMIT.1)?;
    let states = states(parameters.get("state"))?;
    let sort = sort(parameters.get("sort"))?;
    let service = parameters.get("service").map(str::to_owned);
    let (start, step, bounds) = steps(range);
    let steps = bounds.len() - 1;
    let fields = [GROUP_FIELD, "host"].map(Field::named).to_vec();
    let question = GroupQuestion { fields, bounds: bounds.into(), groups_max: COUNTED_MAX };
    let logs = app.ingest.logs().clone();
    let ask = move |scan: &Scan| logs.count_groups(&filter, &question, scan).map_err(ApiError::from);
    let (counts, scan) = app.questions.ask(ask).await?;
    let (other, stopped) = (counts.other, counts.ending.stopped.map(stop_words));
    let counted = gather(counts);

    let now = Timestamp::now();
    let mut found: Vec<(String, Group, Counted)> = app.watch.with(|watcher| {
        let group = |id: &String| watcher.groups.group(id).cloned().unwrap_or_default();
        counted.into_iter().map(|(id, counted)| (id.clone(), group(&id), counted)).collect()
    });
    let mut by_state: BTreeMap<&str, u64> = BTreeMap::new();
    found.retain(|(_, group, _)| service.as_ref().is_none_or(|service| group.service == *service));
    for (_, group, _) in &found {
        *by_state.entry(group.state_name(now.unix_nanos())).or_default() += 1;
    }
    found.retain(|(_, group, _)| states.is_empty() || states.contains(&group.state_name(now.unix_nanos())));
    match sort {
        Sort::Count => found.sort_by_key(|(_, _, counted)| Reverse(counted.count)),
        Sort::LastSeen => found.sort_by_key(|(_, group, counted)| Reverse((group.last_seen, counted.count))),
        Sort::FirstSeen => found.sort_by_key(|(_, group, counted)| Reverse((group.first_seen, counted.count))),
    }
    let groups_total = found.len();
    let total: u64 = found.iter().map(|(_, _, counted)| counted.count).sum();
    let errors: Vec<Value> = found.iter().take(limit).map(|found| shown(found, steps, now)).collect();
    let stopped = stopped.map(str::to_owned).or_else(|| {
        (other > 0).then(|| format!("{other} records belong to further groups: {COUNTED_MAX} are told apart by host"))
    });
    Ok(Json(json!({
        "errors": errors,
        "groups_total": groups_total,
        "total": total,
        "states": by_state,
        "trend": { "start": start.to_string(), "interval_ms": step.as_millis() as u64 },
        "summary": summary(&scan, stopped.as_deref()),
    })))
}

fn shown((id, group, counted): &(String, Group, Counted), steps: usize, now: Timestamp) -> Value {
    let mut hosts: Vec<(&String, &u64)> = counted.hosts.iter().filter(|(host, _)| !host.is_empty()).collect();
    let hosts_total = hosts.len();
    hosts.sort_by_key(|(_, count)| Reverse(**count));
    let hosts = hosts.into_iter().take(HOSTS_SHOWN).map(|(host, count)| json!({ "value": host, "count": count }));
    let trend: Vec<u64> = (0..steps).map(|step| counted.trend.get(&step).copied().unwrap_or(0)).collect();
    let mut shown = known(id, group, now);
    shown.insert("count".into(), counted.count.into());
    shown.insert("trend".into(), trend.into());
    shown.insert("hosts".into(), hosts.collect());
    shown.insert("hosts_total".into(), hosts_total.into());
    Value::Object(shown)
}

fn gather(counts: GroupCounts) -> HashMap<String, Counted> {
    let mut gathered: HashMap<String, Counted> = HashMap::new();
    for group in counts.groups {
        let [id, host] = <[String; 2]>::try_from(group.values).unwrap_or_default();
        let counted = gathered.entry(id).or_default();
        for (stretch, count) in group.counts {
            counted.count += count;
            // Stretch 1 is the first between two bounds.
            *counted.trend.entry(stretch.saturating_sub(1)).or_default() += count;
            *counted.hosts.entry(host.clone()).or_default() += count;
        }
    }
    gathered
}

/// The trend's steps over a range: when it starts, how long a step is, and the bounds that [`GroupQuestion`] takes.
pub(in crate::api) fn steps(range: TimeRange) -> (Timestamp, Duration, Vec<Timestamp>) {
    let width = range.end.saturating_since(range.start).as_nanos().max(1);
    let step = u64::try_from(width.div_ceil(u128::from(STEPS))).unwrap_or(u64::MAX).max(1);
    // A stretch begins behind its bound, so that a range without its end has its records.
    let before = |moment: Timestamp| moment.saturating_sub(Duration::from_nanos(1));
    let mut bounds = vec![before(range.start)];
    for number in 1..=STEPS {
        let end = before(range.start.saturating_add(Duration::from_nanos(step.saturating_mul(number))))
            .min(before(range.end));
        if bounds.last().is_some_and(|last| *last < end) {
            bounds.push(end);
        }
    }
    if bounds.len() == 1 {
        bounds.push(range.start);
    }
    (range.start, Duration::from_nanos(step), bounds)
}

/// The states that are wanted; empty wants all.
fn states(asked: Option<&str>) -> Result<Vec<&'static str>, ApiError> {
    Ok(match asked {
        None | Some("all") => Vec::new(),
        Some("unresolved") => vec!["open", "regressed"],
        Some("open") => vec!["open"],
        Some("regressed") => vec!["regressed"],
        Some("resolved") => vec!["resolved"],
        Some("ignored") => vec!["ignored"],
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "`state` is unresolved, open, regressed, resolved, ignored or all, not `{other}`"
            )));
        }
    })
}

fn sort(asked: Option<&str>) -> Result<Sort, ApiError> {
    match asked {
        None | Some("last_seen") => Ok(Sort::LastSeen),
        Some("first_seen") => Ok(Sort::FirstSeen),
        Some("count") => Ok(Sort::Count),
        Some(other) => Err(ApiError::bad_request(format!("`sort` is last_seen, first_seen or count, not `{other}`"))),
    }
}
