//! When each host was last heard of: which of them have gone silent.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taffrail_collector::model::{LabelSet, Sample, Timestamp};

use super::deploys::gauge;

/// Hosts that are remembered; beyond it the one not heard of for longest leaves.
pub const HOSTS_MAX: usize = 20_000;
/// The series of how long each host has been silent, in seconds.
pub const SERIES: &str = "taffrail.host.silent_seconds";
/// A host of which nothing was heard for longer is forgotten.
const FORGET_NANOS: i64 = 7 * 86_400 * 1_000_000_000;

/// A host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When its newest log record came, in nanoseconds since the epoch.
    pub logs: i64,
    /// Its log records since the server first heard of it.
    pub records: u64,
}

/// All hosts that send log records.
#[derive(Debug, Default)]
pub struct Hosts {
    seen: HashMap<Arc<str>, Seen>,
    changed: bool,
}

impl Hosts {
    /// As they were written down; none when that cannot be read.
    pub fn read(text: &str) -> Hosts {
        let seen: HashMap<String, Seen> = serde_json::from_str(text).unwrap_or_default();
        Hosts { seen: seen.into_iter().map(|(host, seen)| (host.into(), seen)).collect(), changed: false }
    }

    /// To be written down; none when nothing changed since the last time.
    pub fn changes(&mut self) -> Option<String> {
        let seen: HashMap<&str, &Seen> = self.seen.iter().map(|(host, seen)| (&**host, seen)).collect();
        std::mem::take(&mut self.changed).then(|| serde_json::to_string(&seen).unwrap_or_default())
    }

    /// So many records of the host came.
    pub fn take(&mut self, host: &Arc<str>, records: u64, now: Timestamp) {
        if host.is_empty() || records == 0 {
            return;
        }
        self.changed = true;
        if let Some(seen) = self.seen.get_mut(&**host) {
            (seen.logs, seen.records) = (now.unix_nanos(), seen.records + records);
            return;
        }
        if self.seen.len() >= HOSTS_MAX {
            let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.logs).map(|(host, _)| host.clone());
            oldest.and_then(|host| self.seen.remove(&host));
        }
        self.seen.insert(host.clone(), Seen { logs: now.unix_nanos(), records });
    }

    /// Each host, in no order.
    pub fn all(&self) -> impl Iterator<Item = (&str, Seen)> {
        self.seen.iter().map(|(host, seen)| (&**host, *seen))
    }

    /// How long each has been silent; those that are silent for a week are forgotten.
    pub fn samples(&mut self, now: Timestamp) -> Vec<Sample> {
        let nanos = now.unix_nanos();
        self.seen.retain(|_, seen| nanos.saturating_sub(seen.logs) < FORGET_NANOS);
        let silent = |seen: &Seen| nanos.saturating_sub(seen.logs).max(0) as f64 / 1e9;
        let labels = |host: &str| Arc::new(LabelSet::new([("__name__", SERIES), ("host", host)]));
        self.seen.iter().map(|(host, seen)| gauge(labels(host), now, silent(seen).floor())).collect()
    }
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::SampleValue;

    use super::*;

    #[test]
    fn a_host_is_silent_since_its_newest_record_also_over_a_restart() {
        let at = Timestamp::from_unix_seconds;
        let mut hosts = Hosts::default();
        hosts.take(&"".into(), 1, at(1));
        hosts.take(&"a".into(), 1, at(1));
        hosts.take(&"b".into(), 1, at(1));
        hosts.take(&"a".into(), 2, at(50));
        let mut hosts = Hosts::read(&hosts.changes().unwrap());
        assert_eq!(hosts.changes(), None);
        let silent = |hosts: &mut Hosts, now| {
            let mut told: Vec<(String, f64)> = hosts
                .samples(at(now))
                .into_iter()
                .map(|sample| {
                    let SampleValue::Gauge { last, .. } = sample.value else { panic!("a gauge") };
                    (sample.labels.get("host").to_owned(), last)
                })
                .collect();
            told.sort_by(|a, b| a.0.cmp(&b.0));
            told
        };
        assert_eq!(silent(&mut hosts, 60), [("a".to_owned(), 10.0), ("b".to_owned(), 59.0)]);
        assert_eq!(silent(&mut hosts, 7 * 86_400 + 10), [("a".to_owned(), 604_760.0)]);
        assert_eq!(hosts.all().count(), 1);
    }
}
