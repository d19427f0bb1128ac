//! Which metrics, labels and sources make how many series: the answer to who fills the store.
//!
//! It tells of the series that the registry knows, which are those of the last hours, and reads them once from end to end.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rapidhash::RapidHashMap;
use serde::Serialize;
use taffrail_collector::model::label_set::NAME_LABEL;

use super::label_index::LabelIndex;
use super::registry::Registry;
use super::series_limits::{Limited, SeriesLimits};

/// What makes how many series, the most first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cardinality {
    /// Series, of all metrics or of the one asked about.
    pub series: u64,
    /// Different labels (a name with a value) of all series.
    pub label_pairs: u64,
    /// Bytes of memory that knowing all series takes.
    pub bytes: u64,
    /// How many there may be.
    pub limits: SeriesLimits,
    /// Metrics.
    pub metrics: Vec<MetricCardinality>,
    /// Labels, by how many values they have.
    pub labels: Vec<LabelCardinality>,
    /// Labels with their value, by how many series have them.
    pub values: Vec<ValueCardinality>,
    /// Sources.
    pub sources: Vec<SourceCardinality>,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricCardinality {
    /// Its name.
    pub name: String,
    /// Its series.
    pub series: u64,
    /// What had no room among them.
    pub limited: Option<Limited>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelCardinality {
    /// Its name.
    pub name: String,
    /// Different values.
    pub values: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// Its commonest values.
    pub top: Vec<ValueCardinality>,
}

/// A label with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueCardinality {
    /// The label's name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Series that have it.
    pub series: u64,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceCardinality {
    /// The label that names it; empty for all series that name none.
    pub label: String,
    /// Its name.
    pub name: String,
    /// Its series.
    pub series: u64,
    /// What of it had no room.
    pub limited: Option<Limited>,
}

/// The series of one label's value: the value's term, and how many.
type Counted = (u32, u64);

/// What the registry knows; at most `limit` of each list, of the series of one metric or of all.
pub(super) fn cardinality(registry: &Registry, metric: Option<&str>, limit: usize) -> Cardinality {
    let (index, limiter) = (registry.index(), registry.limiter());
    let (labels, series) = match metric {
        None => {
            let counted = |terms: &[u32]| terms.iter().map(|&term| (term, u64::from(index.count(term)))).collect();
            (index.names().map(|(name, terms)| (name, counted(terms))).collect(), registry.len() as u64)
        }
        Some(metric) => of_metric(index, metric),
    };
    let is_name = |name: &str| name == NAME_LABEL;
    let names = labels.iter().find(|(name, _)| is_name(name)).map_or(&[][..], |(_, values)| values);
    let mut values: Vec<Counted> = Vec::new();
    for (_, more) in labels.iter().filter(|(name, _)| !is_name(name)) {
        values.extend(top(more, limit));
    }
    Cardinality {
        series,
        label_pairs: labels.iter().map(|(_, values)| values.len() as u64).sum(),
        bytes: registry.bytes() as u64,
        limits: limiter.limits,
        metrics: metrics(registry, names, metric, limit),
        values: top(&values, limit).into_iter().map(|counted| told(index, counted)).collect(),
        labels: labels_of(index, labels, limit),
        sources: if metric.is_none() { sources(registry, limit) } else { Vec::new() },
    }
}

/// Those that were limited stand first.
fn metrics(registry: &Registry, names: &[Counted], only: Option<&str>, limit: usize) -> Vec<MetricCardinality> {
    let (index, limiter) = (registry.index(), registry.limiter());
    let limited = limiter.limited_metrics().filter(|name| only.is_none_or(|only| only == *name));
    let living = |name: &str| index.term(NAME_LABEL, name).map_or(0, |term| u64::from(index.count(term)));
    let mut metrics: Vec<MetricCardinality> = limited
        .map(|name| MetricCardinality { name: name.to_owned(), series: living(name), limited: limiter.of_metric(name) })
        .collect();
    metrics.sort_by_cached_key(|metric| (Reverse(metric.limited.as_ref().map(windows)), Reverse(metric.series)));
    for (term, series) in top(names, limit) {
        let name = index.value(term);
        if limiter.of_metric(name).is_none() {
            metrics.push(MetricCardinality { name: name.to_owned(), series, limited: None });
        }
    }
    metrics.truncate(limit);
    metrics
}

fn windows(limited: &Limited) -> u64 {
    limited.dropped_windows + limited.joined_windows
}

fn labels_of(index: &LabelIndex, mut labels: Vec<(&str, Vec<Counted>)>, limit: usize) -> Vec<LabelCardinality> {
    labels.sort_by_key(|(name, values)| (Reverse(values.len()), *name));
    let labels = labels.into_iter().filter(|(_, values)| !values.is_empty()).take(limit);
    let label = |(name, values): (&str, Vec<Counted>)| LabelCardinality {
        name: name.to_owned(),
        values: values.len() as u64,
        bytes: values.iter().map(|&(term, _)| index.value(term).len() as u64).sum(),
        top: top(&values, limit).into_iter().map(|counted| told(index, counted)).collect(),
    };
    labels.map(label).collect()
}

fn sources(registry: &Registry, limit: usize) -> Vec<SourceCardinality> {
    let (index, limiter) = (registry.index(), registry.limiter());
    let mut sources: Vec<SourceCardinality> = limiter
        .living_of_sources()
        .map(|(term, living)| {
            let name = term.map_or("", |term| index.value(term)).to_owned();
            let label = term.map_or("", |term| index.name(term)).to_owned();
            SourceCardinality { limited: limiter.of_source(&name), label, name, series: living as u64 }
        })
        .collect();
    sources.sort_by(|a, b| {
        let (a_limited, b_limited) = (a.limited.as_ref().map(windows), b.limited.as_ref().map(windows));
        b_limited
            .cmp(&a_limited)
            .then(b.series.cmp(&a.series))
            .then_with(|| (&a.label, &a.name).cmp(&(&b.label, &b.name)))
    });
    sources.truncate(limit);
    sources
}

/// The labels of one metric's series with their values, and how many series there are.
fn of_metric<'a>(index: &'a LabelIndex, metric: &str) -> (Vec<(&'a str, Vec<Counted>)>, u64) {
    let mut ids = Vec::new();
    if let Some(term) = index.term(NAME_LABEL, metric) {
        index.ids(term, &mut ids);
    }
    let mut counts: RapidHashMap<u32, u64> = RapidHashMap::default();
    ids.iter().flat_map(|&id| index.row(id)).for_each(|&term| *counts.entry(term).or_default() += 1);
    let mut labels: BTreeMap<&str, Vec<Counted>> = BTreeMap::new();
    counts.into_iter().for_each(|(term, count)| labels.entry(index.name(term)).or_default().push((term, count)));
    (labels.into_iter().collect(), ids.len() as u64)
}

/// The `limit` with the most series, the most first.
fn top(values: &[Counted], limit: usize) -> Vec<Counted> {
    let key = |&(term, count): &Counted| (Reverse(count), term);
    let mut values = values.to_vec();
    if limit > 0 && values.len() > limit {
        values.select_nth_unstable_by_key(limit - 1, key);
    }
    values.truncate(limit);
    values.sort_unstable_by_key(key);
    values
}

fn told(index: &LabelIndex, (term, series): Counted) -> ValueCardinality {
    ValueCardinality { name: index.name(term).to_owned(), value: index.value(term).to_owned(), series }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use taffrail_collector::model::{LabelSet, Sample, SampleKind, SampleValue, Timestamp};

    use super::super::series_limits::{LimitedBy, LimitedWindows};
    use super::*;

    fn sample(kind: SampleKind, pairs: &[(&str, &str)]) -> Sample {
        let value = match kind {
            SampleKind::Counter => SampleValue::Counter { sum: 1.0 },
            SampleKind::Cumulative => SampleValue::Cumulative { total: 1.0 },
            _ => SampleValue::Gauge { last: 1.0, min: 1.0, max: 1.0 },
        };
        let labels = Arc::new(LabelSet::new(pairs.iter().copied()));
        Sample { labels, timestamp: Timestamp::EPOCH, interval_ms: 0, value, unit: "", exemplars: Vec::new() }
    }

    /// The labels under which each is known, none for what is dropped.
    fn admitted(limits: SeriesLimits, samples: &[Sample]) -> (Registry, Vec<Option<String>>) {
        let mut registry = Registry::default();
        registry.limiter_mut().limits = limits;
        let known = samples.iter().cloned().map(|mut sample| {
            let known = registry.admit(&mut sample)?;
            assert_eq!(registry.labels(known.id), *sample.labels);
            Some(sample.labels.to_string())
        });
        let known = known.collect();
        (registry, known)
    }

    #[test]
    fn what_has_no_room_goes_to_the_overflow_series_or_is_counted() {
        let hits = |kind, path: &str, host: &str| sample(kind, &[("__name__", "hits"), ("path", path), ("host", host)]);
        let count = SampleKind::Counter;
        let samples = [
            hits(count, "/a", "h1"),
            hits(count, "/b", "h1"),
            hits(count, "/c", "h2"),
            hits(count, "/a", "h1"),
            hits(SampleKind::Cumulative, "/a", "h1"),
        ];
        let metric = SeriesLimits { per_metric: Some(2), ..SeriesLimits::default() };
        let (registry, known) = admitted(metric, &samples);
        let own = |path: &str, host: &str| Some(format!("hits{{host={host:?}, path={path:?}}}"));
        let overflow = Some("hits{overflow=\"true\"}".to_owned());
        assert_eq!(known, [own("/a", "h1"), own("/b", "h1"), overflow.clone(), own("/a", "h1"), None]);
        assert_eq!(registry.limiter().totals()[&LimitedBy::Metric], LimitedWindows { joined: 1, dropped: 1 });

        let source = SeriesLimits { per_source: Some(1), ..SeriesLimits::default() };
        let more = [samples.to_vec(), vec![sample(count, &[("__name__", "new"), ("host", "h1")])]].concat();
        let (registry, known) = admitted(source, &more);
        assert_eq!(known, [own("/a", "h1"), overflow, own("/c", "h2"), own("/a", "h1"), None, None]);
        let cardinality = cardinality(&registry, None, 10);
        let limited = cardinality.sources[0].limited.clone().expect("the source was limited");
        assert_eq!(
            (cardinality.sources[0].name.as_str(), limited.joined_windows, limited.dropped_windows),
            ("h1", 1, 2)
        );
        assert_eq!((limited.by, limited.series), (LimitedBy::Source, 3));
    }

    #[test]
    fn silent_series_give_their_places_to_others() {
        let limits = SeriesLimits { per_metric: Some(2), ..SeriesLimits::default() };
        let of = |path: &str| sample(SampleKind::Counter, &[("__name__", "hits"), ("path", path)]);
        let (mut registry, known) = admitted(limits, &[of("/a"), of("/b"), of("/c")]);
        assert_eq!(known[2].as_deref(), Some("hits{overflow=\"true\"}"));
        registry.grow_older();
        registry.note_heard(0..1);
        assert!(!registry.is_mostly_silent());
        registry.make_room();
        let mut late = of("/c");
        registry.admit(&mut late);
        assert_eq!(late.labels.get("path"), "/c");
    }

    #[test]
    fn the_culprits_stand_first() {
        let mut registry = Registry::default();
        for n in 0..50 {
            let (id, host) = (format!("id-{n}"), format!("h{}", n % 2));
            let many = [("__name__", "requests"), ("id", &*id), ("host", &*host)];
            registry.know(SampleKind::Counter, &LabelSet::new(many), "", 10);
        }
        registry.know(SampleKind::Counter, &LabelSet::new([("__name__", "up"), ("host", "h0")]), "", 10);
        registry.know(SampleKind::Counter, &LabelSet::new([("__name__", "up")]), "", 10);
        let all = cardinality(&registry, None, 2);
        let metrics: Vec<_> = all.metrics.iter().map(|metric| (metric.name.as_str(), metric.series)).collect();
        assert_eq!((all.series, all.label_pairs, metrics), (52, 54, vec![("requests", 50), ("up", 2)]));
        assert_eq!((all.labels[0].name.as_str(), all.labels[0].values, all.labels[0].top.len()), ("id", 50, 2));
        let value = |value: &str, series| ValueCardinality { name: "host".to_owned(), value: value.to_owned(), series };
        assert_eq!(all.values, [value("h0", 26), value("h1", 25)]);
        let sources: Vec<_> = all.sources.iter().map(|source| (source.name.as_str(), source.series)).collect();
        assert_eq!(sources, [("h0", 26), ("h1", 25)]);
        let one = cardinality(&registry, Some("up"), 10);
        assert_eq!((one.series, one.values), (2, vec![value("h0", 1)]));
        assert_eq!(cardinality(&registry, Some("absent"), 10).metrics, []);
    }
}
