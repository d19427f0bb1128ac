//! From one reading of the agent's figures to the next: the samples of the window between them.
//!
//! A count is sent as what was added since the reading before (the first time since the agent's start), like every counter
//! here; a reading that was left out is part of the next one, so that sums stay whole.

use std::collections::HashMap;
use std::sync::Arc;

use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, Sample, SampleValue, Timestamp};

use super::figures::{Figure, Measured, unit};

/// Remembers counts from one reading to the next.
#[derive(Debug)]
pub struct OwnSamples {
    agent: String,
    host: Arc<str>,
    before: HashMap<Arc<LabelSet>, f64>,
}

impl OwnSamples {
    /// Its series carry these as `agent` and `host`.
    pub fn new(agent: String, host: Arc<str>) -> OwnSamples {
        OwnSamples { agent, host, before: HashMap::new() }
    }

    /// The samples of the window from `start`.
    pub fn samples(&mut self, figures: Vec<Figure>, start: Timestamp, interval_ms: u32) -> Vec<Sample> {
        let sample = |figure: Figure| {
            let unit = unit(&figure.name);
            let labels = Arc::new(self.labels(figure.name, figure.labels));
            let value = match figure.value {
                Measured::Level(level) => SampleValue::Gauge { last: level, min: level, max: level },
                Measured::Count(count) => {
                    let before = self.before.insert(Arc::clone(&labels), count).unwrap_or(0.0);
                    SampleValue::Counter { sum: if count >= before { count - before } else { count } }
                }
            };
            Sample { labels, timestamp: start, interval_ms, value, unit, exemplars: Vec::new() }
        };
        figures.into_iter().map(sample).collect()
    }

    fn labels(&self, name: String, labels: Vec<(&'static str, String)>) -> LabelSet {
        let own = [(NAME_LABEL, name), ("agent", self.agent.clone()), ("host", self.host.to_string())];
        LabelSet::new(own.into_iter().chain(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_sent_as_what_was_added_and_levels_as_they_are() {
        let mut samples = OwnSamples::new("ab".to_owned(), "h".into());
        let mut check = |count: f64, level: f64, expected: [f64; 2]| {
            let figure =
                |name: &str, value| Figure { name: name.to_owned(), labels: vec![("kind", "files".to_owned())], value };
            let figures = vec![figure("a_rows", Measured::Count(count)), figure("a_bytes", Measured::Level(level))];
            let found = samples.samples(figures, Timestamp::EPOCH, 10_000);
            let values: Vec<f64> = found
                .iter()
                .map(|sample| match sample.value {
                    SampleValue::Counter { sum } => sum,
                    SampleValue::Gauge { last, .. } => last,
                    _ => panic!("{sample:?}"),
                })
                .collect();
            assert_eq!(values, expected);
            assert_eq!(found[1].labels.to_string(), r#"a_bytes{agent="ab", host="h", kind="files"}"#);
            assert_eq!((found[0].unit, found[1].unit), ("", "bytes"));
        };
        check(5.0, 3.0, [5.0, 3.0]);
        check(7.0, 1.0, [2.0, 1.0]);
        check(7.0, 1.0, [0.0, 1.0]);
        check(4.0, 1.0, [4.0, 1.0]); // counted anew
    }
}
