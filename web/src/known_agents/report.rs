//! What an agent says of itself, put together again from the samples of its own metrics: the inverse of [`crate::agent::figures`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{Sample, SampleValue, Timestamp};

use crate::agent::figures::{INFO, NAME_PREFIX, OF_SOURCES, PARTS, Part, SOURCE_LABELS};

/// Figures that one agent may have: an agent of ours has a dozen for each source and each server.
const FIGURES_MAX: usize = 5_000;
/// An agent's clock may be ahead of ours by so many intervals.
const FUTURE_INTERVALS: u32 = 3;

/// The newest figures of an agent, and its counts since this server first heard of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When the newest figures were read, by the agent's clock, in nanoseconds since 1970.
    time: i64,
    /// How often they come.
    interval_ms: u32,
    levels: Vec<(Key, f64)>,
    counts: Vec<(Key, Count)>,
}

/// A figure's name without the prefix, and its labels without those that say whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    name: String,
    labels: Vec<(String, String)>,
}

/// A count, and what the newest window added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    total: f64,
    added: f64,
}

impl Report {
    /// Takes in the samples of one batch that came at `now`. Counts are added up whatever their order; levels are those of the newest
    /// window. A window that lies in the future, as of a clock that was ahead, is not the newest once others come.
    pub fn take(&mut self, samples: &[Sample], now: Timestamp) {
        let own = samples.iter().filter_map(|sample| Some((key(sample)?, sample)));
        let own: Vec<_> = own.collect();
        let Some(newest) = own.iter().map(|(_, sample)| sample.timestamp.unix_nanos()).max() else { return };
        let ahead = FUTURE_INTERVALS * self.interval().max(Duration::from_secs(1));
        let future = now.unix_nanos().saturating_add(i64::try_from(ahead.as_nanos()).unwrap_or(i64::MAX));
        if newest > self.time || (self.time > future && newest <= future) {
            self.time = newest;
            self.levels.clear();
            self.counts.iter_mut().for_each(|(_, count)| count.added = 0.0);
        }
        for (key, sample) in own {
            let is_newest = sample.timestamp.unix_nanos() == self.time;
            if is_newest {
                self.interval_ms = sample.interval_ms;
            }
            match &sample.value {
                SampleValue::Gauge { last, .. } if is_newest => *entry(&mut self.levels, key) = *last,
                SampleValue::Counter { sum } => {
                    let count = entry(&mut self.counts, key);
                    count.total += sum;
                    if is_newest {
                        count.added += sum;
                    }
                }
                _ => {}
            }
        }
        self.levels.truncate(FIGURES_MAX);
        self.counts.truncate(FIGURES_MAX);
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.counts.is_empty()
    }

    /// How often figures come.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.into())
    }

    /// The version that the agent says it is.
    pub fn version(&self) -> Option<&str> {
        self.info("version")
    }

    /// What the agent says of itself under this name.
    fn info(&self, name: &str) -> Option<&str> {
        let info = self.levels.iter().find(|(key, _)| key.name == INFO)?;
        info.0.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The level of this name, the greatest of several.
    pub fn level(&self, name: &str) -> Option<f64> {
        self.levels.iter().filter(|(key, _)| key.name == name).map(|(_, level)| *level).reduce(f64::max)
    }

    /// Everything, in the form of the agent's own status; beside a count stands `<field>_per_second`.
    pub fn document(&self) -> Value {
        let seconds = self.interval().as_secs_f64().max(0.001);
        let mut shown: Vec<(&Key, String, Value)> = Vec::new();
        for (key, level) in &self.levels {
            shown.push((key, String::new(), number(*level)));
        }
        for (key, count) in &self.counts {
            shown.push((key, String::new(), number(count.total)));
            shown.push((key, "_per_second".to_owned(), number((count.added / seconds * 1e3).round() / 1e3)));
        }
        let mut document = json!({
            "time": Timestamp::from_unix_nanos(self.time).to_string(),
            "interval_seconds": number(seconds),
            "version": self.version(),
            "os": self.info("os"),
            "arch": self.info("arch"),
        });
        for (key, suffix, value) in shown {
            if let Some(list) = OF_SOURCES.iter().find(|list| list.figure == key.name) {
                let source = item_of(&mut document, &["sources"], &key.labels, SOURCE_LABELS);
                let items = source.entry(list.field).or_insert_with(|| json!([]));
                item_in(items, &key.labels, list.labels).insert(format!("count{suffix}"), value);
            } else if let Some((part, field)) = part_of(key) {
                let item = item_of(&mut document, part.at, &key.labels, part.labels);
                match key.labels.iter().find(|(name, _)| name == "state" && field == "state") {
                    Some((_, state)) => item.insert(field.to_owned(), state.as_str().into()),
                    None => item.insert(format!("{field}{suffix}"), value),
                };
            }
        }
        document
    }
}

/// Whose figure a sample is; none when it is none of an agent's.
fn key(sample: &Sample) -> Option<Key> {
    let name = sample.labels.name().strip_prefix(NAME_PREFIX)?.to_owned();
    let labels = sample.labels.iter().filter(|(name, _)| ![NAME_LABEL, "agent", "host"].contains(name));
    Some(Key { name, labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() })
}

fn entry<V: Default>(sorted: &mut Vec<(Key, V)>, key: Key) -> &mut V {
    let at = match sorted.binary_search_by(|(have, _)| have.cmp(&key)) {
        Ok(at) => at,
        Err(at) => {
            sorted.insert(at, (key, V::default()));
            at
        }
    };
    &mut sorted[at].1
}

/// The part whose prefix the name has, the longest of several, and the field that follows it.
fn part_of(key: &Key) -> Option<(&'static Part, &str)> {
    let has = |label: &&str| key.labels.iter().any(|(name, _)| name == label);
    let fits = PARTS.iter().filter(|part| part.labels.iter().all(has));
    let named = fits.filter_map(|part| Some((part, key.name.strip_prefix(part.prefix)?)));
    named.max_by_key(|(part, _)| part.prefix.len()).filter(|(_, field)| *field != INFO)
}

/// The object at this place of the document, and within a list the one with these labels.
fn item_of<'a>(
    document: &'a mut Value,
    at: &[&str],
    labels: &[(String, String)],
    wanted: &[&str],
) -> &'a mut Map<String, Value> {
    let mut there = document;
    for (depth, field) in at.iter().enumerate() {
        let is_list = depth + 1 == at.len() && !wanted.is_empty();
        let empty = || if is_list { json!([]) } else { json!({}) };
        there = object(there).entry(*field).or_insert_with(empty);
    }
    if wanted.is_empty() { object(there) } else { item_in(there, labels, wanted) }
}

/// The item of a list with these labels, made when there is none.
fn item_in<'a>(list: &'a mut Value, labels: &[(String, String)], wanted: &[&str]) -> &'a mut Map<String, Value> {
    let text = |name: &str| labels.iter().find(|(have, _)| have == name).map_or("", |(_, value)| value);
    if !list.is_array() {
        *list = json!([]);
    }
    let list = list.as_array_mut().expect("it was made one just now");
    let at = list.iter().position(|item| wanted.iter().all(|name| item[name] == text(name))).unwrap_or_else(|| {
        list.push(Value::Object(wanted.iter().map(|name| ((*name).to_owned(), text(name).into())).collect()));
        list.len() - 1
    });
    object(&mut list[at])
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made one just now")
}

/// Whole numbers without a fraction.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::figures::figures;
    use crate::agent::own_samples::OwnSamples;

    fn status(records: u64, cut: u64, spooled: u64, state: &str) -> Value {
        json!({
            "version": "1.2.3", "os": "linux", "arch": "aarch64",
            "process": {"uptime_seconds": 0.5},
            "sources": [{"kind": "files", "name": "/a", "records": records, "lag_bytes": 9, "problems": [{"reason": "cut", "count": cut}]},
                        {"kind": "stdin", "name": "-", "records": 1, "problems": [], "shed": [{"reason": "kernel_drop", "count": 10}]}],
            "ship": {"acked_rows": 5, "spool_bytes": spooled,
                     "endpoints": [{"url": "http://a", "state": state, "failures_in_a_row": 4}]},
            "own_log": {"dropped": 0}
        })
    }

    #[test]
    fn a_status_comes_back_from_its_samples_with_rates() {
        let mut samples = OwnSamples::new("ab".to_owned(), "h".into());
        let mut report = Report::default();
        let mut take = |status: &Value, seconds: i64| {
            let at = Timestamp::from_unix_seconds(seconds);
            report.take(&samples.samples(figures(status), at, 10_000), at);
        };
        take(&status(10, 0, 70, "closed"), 100);
        take(&status(30, 2, 40, "open"), 110);
        assert_eq!(report.version(), Some("1.2.3"));
        assert_eq!((report.level("spool_bytes"), report.level("nothing")), (Some(40.0), None));
        assert_eq!(
            report.document(),
            json!({
                "time": "1970-01-01T00:01:50.000Z", "interval_seconds": 10, "version": "1.2.3", "os": "linux", "arch": "aarch64",
                "ship": {
                    "endpoints": [{"url": "http://a", "failures_in_a_row": 4, "state": "open"}],
                    "spool_bytes": 40,
                    "acked_rows": 5, "acked_rows_per_second": 0
                },
                "process": {"uptime_seconds": 0.5},
                "sources": [
                    {"kind": "files", "name": "/a", "lag_bytes": 9,
                     "problems": [{"reason": "cut", "count": 2, "count_per_second": 0.2}],
                     "records": 30, "records_per_second": 2},
                    {"kind": "stdin", "name": "-", "records": 1, "records_per_second": 0,
                     "shed": [{"reason": "kernel_drop", "count": 10, "count_per_second": 0}]}
                ],
                "own_log": {"dropped": 0, "dropped_per_second": 0}
            })
        );
    }

    #[test]
    fn what_comes_late_is_counted_and_changes_no_level() {
        let mut samples = OwnSamples::new("ab".to_owned(), "h".into());
        let early = samples.samples(figures(&status(10, 0, 70, "closed")), Timestamp::from_unix_seconds(100), 10_000);
        let late = samples.samples(figures(&status(30, 0, 40, "open")), Timestamp::from_unix_seconds(110), 10_000);
        let mut report = Report::default();
        report.take(&late, Timestamp::from_unix_seconds(110));
        report.take(&early, Timestamp::from_unix_seconds(110));
        let document = report.document();
        assert_eq!((&document["ship"]["spool_bytes"], &document["sources"][0]["records"]), (&json!(40), &json!(30)));
        assert_eq!(document["sources"][0]["records_per_second"], 2);
    }

    #[test]
    fn an_agent_whose_clock_was_ahead_is_seen_again_once_it_is_right() {
        let check = |ahead_seconds: i64, expected: u64| {
            let mut samples = OwnSamples::new("ab".to_owned(), "h".into());
            let mut report = Report::default();
            let (then, now) = (Timestamp::from_unix_seconds(1000), Timestamp::from_unix_seconds(1010));
            let ahead = Timestamp::from_unix_seconds(1000 + ahead_seconds);
            report.take(&samples.samples(figures(&status(10, 0, 70, "closed")), ahead, 10_000), then);
            report.take(&samples.samples(figures(&status(30, 0, 40, "open")), now, 10_000), now);
            let document = report.document();
            assert_eq!(document["ship"]["spool_bytes"], expected, "{ahead_seconds}");
            assert_eq!(document["sources"][0]["records"], 30, "{ahead_seconds}");
        };
        check(0, 40);
        check(86_400, 40);
        // Within what clocks may differ, the newer one by the agent's clock counts.
        check(20, 70);
    }

    #[test]
    fn it_is_saved_and_read_back_and_what_is_no_agents_is_left_alone() {
        let mut samples = OwnSamples::new("ab".to_owned(), "h".into());
        let mut report = Report::default();
        report
            .take(&samples.samples(figures(&status(10, 1, 70, "closed")), Timestamp::EPOCH, 10_000), Timestamp::EPOCH);
        let saved = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&saved).unwrap(), report);
        let mut foreign = samples.samples(figures(&status(10, 1, 70, "closed")), Timestamp::EPOCH, 10_000);
        for sample in &mut foreign {
            sample.labels = std::sync::Arc::new(taffrail_collector::model::LabelSet::new([("__name__", "web.hits")]));
        }
        let mut empty = Report::default();
        empty.take(&foreign, Timestamp::EPOCH);
        assert!(empty.is_empty());
    }
}
