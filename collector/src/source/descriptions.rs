//! What metrics are said to be: type, unit and help, told as samples of one reserved series for each metric.
//!
//! ```text
//! {"taffrail.metric.description", metric="http_requests_total", type="counter", help="Requests answered."}  1
//! ```
//! So a description goes the way of every sample: with an agent's deliveries, through the journal, into blocks; it is as durable as what
//! it describes, kept as long, can be joined with it in a question, and needs no place of its own. It is told when it is new or changed,
//! and again every [`REPEAT`] while its sender goes on saying it, at a fraction of a byte.
//!
//! How much one source remembers and how long a text may be is limited here; how many series there are, where all series are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rapidhash::quality::RandomState;

use crate::model::label_set::NAME_LABEL;
use crate::model::{LabelSet, Sample, SampleValue, Timestamp};

/// The series that hold descriptions; labels `metric`, `type`, `unit`, `help`.
pub const DESCRIPTION_SERIES: &str = "taffrail.metric.description";

/// How often a description that stands is told again: PromQL looks back five minutes.
pub const REPEAT: Duration = Duration::from_secs(240);

/// Metrics that one source remembers to have described.
const METRICS_MAX: usize = 20_000;

/// Bytes of a name and of a unit at most; what is longer is not described. Real ones are a tenth of it.
const NAME_BYTES_MAX: usize = 1 << 10;

/// Bytes of a help text that are kept.
const HELP_BYTES_MAX: usize = 1 << 10;

/// What is said of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Description<'a> {
    /// The metric's name; of a histogram without `_bucket`, `_sum` and `_count`.
    pub metric: &'a str,
    /// `counter`, `gauge`, `histogram`, … as Prometheus' metadata has it; empty when nothing is said.
    pub kind: &'a str,
    /// Its unit.
    pub unit: &'a str,
    /// What it is.
    pub help: &'a str,
}

/// There are more metrics than one source may describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl TooMany {
    /// The reason's name in counters.
    pub const REASON: &'static str = "too_many_descriptions";
}

/// The descriptions that a source has told.
#[derive(Debug, Default)]
pub struct Descriptions {
    told: Mutex<HashMap<Box<str>, Told, RandomState>>,
    hashes: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    content: u64,
    at: Timestamp,
}

impl Descriptions {
    /// The sample that tells a description; none when it was told a moment ago, or says nothing.
    ///
    /// # Errors
    /// [`TooMany`] when it is new and there is no room to remember it.
    pub fn tell(&self, said: Description<'_>, now: Timestamp) -> Result<Option<Sample>, TooMany> {
        let is_empty = said.kind.is_empty() && said.unit.is_empty() && said.help.is_empty();
        if is_empty || said.metric.is_empty() || said.metric.len().max(said.unit.len()) > NAME_BYTES_MAX {
            return Ok(None);
        }
        let content = self.hashes.hash_one((said.kind, said.unit, said.help));
        let mut told = self.told.lock();
        let is_fresh =
            |told: &Told| (Duration::ZERO..REPEAT).contains(&now.saturating_since(told.at)) && now >= told.at;
        match told.get_mut(said.metric) {
            Some(last) if last.content == content && is_fresh(last) => return Ok(None),
            Some(last) => *last = Told { content, at: now },
            None => {
                if told.len() >= METRICS_MAX {
                    told.retain(|_, told| is_fresh(told));
                }
                if told.len() >= METRICS_MAX {
                    return Err(TooMany);
                }
                told.insert(said.metric.into(), Told { content, at: now });
            }
        }
        drop(told);
        Ok(Some(sample_of(said, now)))
    }

    /// What was told did not arrive: everything is told again when it is said next.
    pub fn forget(&self) {
        self.told.lock().clear();
    }
}

/// A help text of the text formats without its escapes `\\`, `\n` and `\"`.
pub fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => plain.push('\n'),
                Some(escaped @ ('\\' | '"')) => plain.push(escaped),
                Some(other) => plain.extend(['\\', other]),
                None => plain.push('\\'),
            },
            (letter, false) => plain.push(letter),
        }
    }
    plain.into()
}

fn sample_of(said: Description<'_>, now: Timestamp) -> Sample {
    let help = &said.help[..said.help.floor_char_boundary(HELP_BYTES_MAX)];
    let labels = [
        (NAME_LABEL, DESCRIPTION_SERIES),
        ("metric", said.metric),
        ("type", said.kind),
        ("unit", said.unit),
        ("help", help),
    ];
    Sample {
        labels: Arc::new(LabelSet::new(labels)),
        timestamp: Timestamp::from_unix_millis(now.unix_millis()),
        interval_ms: 0,
        value: SampleValue::Gauge { last: 1.0, min: 1.0, max: 1.0 },
        unit: "",
        exemplars: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
    }

    fn said<'a>(metric: &'a str, help: &'a str) -> Description<'a> {
        Description { metric, kind: "counter", unit: "", help }
    }

    #[test]
    fn a_description_is_told_when_it_is_new_or_changed_or_long_ago() {
        let descriptions = Descriptions::default();
        let check = |seconds, help, is_told: bool| {
            let told = descriptions.tell(said("a", help), at(seconds)).unwrap();
            let expected =
                format!("{{\"taffrail.metric.description\", help=\"{help}\", metric=\"a\", type=\"counter\"}}");
            assert_eq!(told.map(|sample| sample.labels.to_string()), is_told.then_some(expected), "{seconds}");
        };
        check(0, "One.", true);
        check(239, "One.", false);
        check(240, "One.", true);
        check(241, "Two.", true);
        check(242, "Two.", false);
        check(1, "Two.", true); // the clock was set back
        descriptions.forget();
        check(2, "Two.", true);
    }

    #[test]
    fn what_says_nothing_is_not_told_and_long_texts_are_cut() {
        let descriptions = Descriptions::default();
        let nothing = Description { metric: "a", ..Description::default() };
        assert_eq!(descriptions.tell(nothing, at(0)), Ok(None));
        assert_eq!(descriptions.tell(said("", "Nameless."), at(0)), Ok(None));
        assert_eq!(descriptions.tell(said(&"n".repeat(NAME_BYTES_MAX + 1), "Long."), at(0)), Ok(None));
        let long = "é".repeat(HELP_BYTES_MAX);
        let told = descriptions.tell(said("a", &long), at(0)).unwrap().unwrap();
        assert_eq!(told.labels.get("help"), "é".repeat(HELP_BYTES_MAX / 2));
    }

    #[test]
    fn memory_is_bounded_and_what_is_said_no_more_makes_room() {
        let descriptions = Descriptions::default();
        let names: Vec<String> = (0..=METRICS_MAX).map(|n| format!("m{n}")).collect();
        for name in &names[..METRICS_MAX] {
            assert!(descriptions.tell(said(name, "A."), at(0)).unwrap().is_some());
        }
        assert_eq!(descriptions.tell(said(&names[METRICS_MAX], "A."), at(1)), Err(TooMany));
        assert!(descriptions.tell(said(&names[METRICS_MAX], "A."), at(700)).unwrap().is_some());
        assert_eq!(descriptions.told.lock().len(), 1);
    }

    #[test]
    fn escapes_are_read() {
        for (text, expected) in [("plain", "plain"), (r#"a\nb\\c\"d\e\"#, "a\nb\\c\"d\\e\\"), ("é\\n", "é\n")] {
            assert_eq!(unescaped(text), expected);
        }
    }
}
