//! `/api/v1/metadata`: type, unit and help of metrics, as their senders said them, or as the store knows them where nobody said anything.
//!
//! What senders said lies in the store as series of its own ([`descriptions`](taffrail_collector::source::descriptions)). A metric of
//! which several senders say different things has several entries, as in Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_collector::source::descriptions::DESCRIPTION_SERIES;
use taffrail_ingest::TimeRange;
use taffrail_ingest::series_store::{LabelMatcher, LabelRegex, LabelTest, MetricInfo};
use taffrail_query::promql::{LOGS_COUNT, StoreSource, damage_warnings};

use super::{Failure, Success};
use crate::api::App;
use crate::api::parameters::Parameters;

/// Metrics whose metadata one answer holds.
const METRICS_MAX: usize = 100_000;

/// Series that are parts of a metric which is described as a whole.
const PARTS: [&str; 3] = ["_bucket", "_count", "_sum"];

/// What OpenMetrics puts behind a counter's name.
const OF_COUNTERS: &str = "_total";

/// Answers `metric`, `limit` and `limit_per_metric`: `{"web.hits":[{"type":"counter","help":"Pages.","unit":""}]}`.
pub async fn metadata(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Success, Failure> {
    let wanted = parameters.get("metric").filter(|metric| !metric.is_empty()).map(str::to_owned);
    let limit = parameters.count("limit", METRICS_MAX, usize::MAX)?.min(METRICS_MAX);
    let each = match parameters.count("limit_per_metric", 0, usize::MAX)? {
        0 => usize::MAX,
        each => each,
    };
    let store = app.ingest.series().clone();
    let (known, scan) = app
        .questions
        .ask(move |scan| {
            let source = StoreSource::new(store.clone());
            let all_time = TimeRange { start: Timestamp::MIN, end: Timestamp::MAX };
            let described = source.series(&descriptions_of(wanted.as_deref()), all_time, scan)?;
            let stored = store.metrics(wanted.as_deref().unwrap_or_default(), METRICS_MAX);
            let mut known = known(&described, stored, wanted.as_deref());
            if wanted.as_deref().is_none_or(|wanted| wanted == LOGS_COUNT) {
                let help = "Records of the log store, counted by their own times.";
                let about = About { kind: "counter".to_owned(), help: help.to_owned(), unit: String::new() };
                known.entry(LOGS_COUNT.to_owned()).or_default().insert(about);
            }
            Ok::<_, Failure>(known)
        })
        .await?;
    let entry = |about: &About| json!({ "type": about.kind, "help": about.help, "unit": about.unit });
    let entries = |abouts: BTreeSet<About>| abouts.iter().take(each).map(entry).collect();
    let answer: BTreeMap<String, Value> =
        known.into_iter().take(limit).map(|(name, abouts)| (name, entries(abouts))).collect();
    Ok(Success::new(json!(answer)).with_remarks(damage_warnings(&scan), Vec::new()))
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct About {
    kind: String,
    help: String,
    unit: String,
}

/// The series that describe a metric, or all.
fn descriptions_of(wanted: Option<&str>) -> Vec<LabelMatcher> {
    let name = LabelTest::Equal(DESCRIPTION_SERIES.to_owned());
    let mut matchers = vec![LabelMatcher { name: NAME_LABEL.to_owned(), test: name }];
    matchers.extend(wanted.map(|wanted| {
        let names = [Some(wanted.to_owned()), wanted.strip_suffix(OF_COUNTERS).map(str::to_owned)];
        let is_wanted = move |metric: &str| names.iter().flatten().any(|name| name == metric);
        LabelMatcher { name: "metric".to_owned(), test: LabelTest::Matches(LabelRegex(Arc::new(is_wanted))) }
    }));
    matchers
}

/// What is known of each metric: what is said of it; else, of an OpenMetrics counter, what is said of its family; else what its series
/// show. Parts of a metric that is described as a whole are not listed beside it.
fn known(
    described: &[Arc<LabelSet>],
    stored: Vec<MetricInfo>,
    wanted: Option<&str>,
) -> BTreeMap<String, BTreeSet<About>> {
    let mut said: BTreeMap<String, BTreeSet<About>> = BTreeMap::new();
    for labels in described {
        let kind = if labels.get("type").is_empty() { "unknown" } else { labels.get("type") };
        let about =
            About { kind: kind.to_owned(), help: labels.get("help").to_owned(), unit: labels.get("unit").to_owned() };
        said.entry(labels.get("metric").to_owned()).or_default().insert(about);
    }
    let mut shown: BTreeMap<String, BTreeSet<About>> = BTreeMap::new();
    for metric in stored {
        let name = metric.name;
        let is_part = PARTS.iter().any(|part| name.strip_suffix(part).is_some_and(|whole| said.contains_key(whole)));
        if name == DESCRIPTION_SERIES || said.contains_key(&name) || (is_part && wanted != Some(&name)) {
            continue;
        }
        let of_family = name.strip_suffix(OF_COUNTERS).and_then(|family| said.get(family));
        let by_itself = || {
            let kind = metric.kind.prometheus_type().to_owned();
            BTreeSet::from([About { kind, help: String::new(), unit: metric.unit.clone() }])
        };
        let abouts = of_family.cloned().unwrap_or_else(by_itself);
        shown.entry(name).or_default().extend(abouts);
    }
    shown.extend(said);
    shown.retain(|name, _| wanted.is_none_or(|wanted| wanted == name));
    shown
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::{Batch, Sample, SampleValue};
    use taffrail_collector::source::descriptions::{Description, Descriptions};

    use super::*;
    use crate::api::world::World;

    #[tokio::test]
    async fn what_senders_said_is_answered_beside_what_the_store_knows() {
        let world = World::shop().await;
        let said = [
            ("web.hits", "counter", "", "Pages."),
            ("web.hits", "counter", "", "Pages, said otherwise."),
            ("took", "histogram", "seconds", "Time.\nIn lines."),
            ("jobs", "counter", "", "Jobs."),
            ("absent", "", "bytes", ""),
        ];
        let descriptions = Descriptions::default();
        let at = Timestamp::now();
        let mut samples: Vec<Sample> = said
            .iter()
            .map(|&(metric, kind, unit, help)| Description { metric, kind, unit, help })
            .filter_map(|said| descriptions.tell(said, at).unwrap())
            .collect();
        assert_eq!(samples.len(), 5);
        let stored = ["took_bucket", "took_sum", "jobs_total", "other_sum"];
        samples.extend(stored.map(|name| Sample {
            labels: Arc::new(LabelSet::new([(NAME_LABEL, name)])),
            value: SampleValue::Cumulative { total: 1.0 },
            ..samples[0].clone()
        }));
        world.deliver(Batch { samples, ..Batch::local() }).await;

        let entry = |kind: &str, help: &str, unit: &str| json!({ "type": kind, "help": help, "unit": unit });
        let all = world.get("/api/v1/metadata").await;
        let expected = json!({
            "absent": [entry("unknown", "", "bytes")],
            "jobs": [entry("counter", "Jobs.", "")],
            "jobs_total": [entry("counter", "Jobs.", "")],
            "logs_count": [entry("counter", "Records of the log store, counted by their own times.", "")],
            "other_sum": [entry("counter", "", "")],
            "request.time": [entry("summary", "", "ms")],
            "took": [entry("histogram", "Time.\nIn lines.", "seconds")],
            "web.hits": [entry("counter", "Pages, said otherwise.", ""), entry("counter", "Pages.", "")],
        });
        assert_eq!(all["data"], expected);
        let check = async |query: &str, names: &[&str], entries: usize| {
            let answer = world.get(&format!("/api/v1/metadata?{query}")).await;
            let found = answer["data"].as_object().unwrap();
            assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), names, "{query}");
            assert_eq!(
                found.values().map(|of_one| of_one.as_array().unwrap().len()).sum::<usize>(),
                entries,
                "{query}"
            );
        };
        check("metric=web.hits", &["web.hits"], 2).await;
        check("metric=web.hits&limit_per_metric=1", &["web.hits"], 1).await;
        check("metric=jobs_total", &["jobs_total"], 1).await;
        check("metric=took_sum", &["took_sum"], 1).await;
        check("metric=nothing", &[], 0).await;
        check("limit=2", &["absent", "jobs"], 2).await;
        check("limit=0", &[], 0).await;
        assert_eq!(world.ask("GET", "/api/v1/metadata?limit=x").await.status(), 400);
    }
}
