//! The series of one target: their labels, made once, and what becomes of those that it no longer has. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use rapidhash::{HashMapExt, RapidHashMap};
use thiserror::Error;

use super::Config;
use super::exposition::{Families, Format, Line, WrittenSample, labels_of};
use crate::frame;
use crate::model::label_set::NAME_LABEL;
use crate::model::{LabelSet, STALE, Sample, Timestamp};
use crate::source::descriptions::{Description, Descriptions, TooMany, unescaped};
use crate::source::series_type::{is_running_total_by_name, reading};

/// See the module's documentation.
#[derive(Debug)]
pub struct TargetSeries {
    /// `job`, `instance` and those of the settings.
    own: BTreeMap<String, String>,
    honor_labels: bool,
    samples_max: usize,
    labels_bytes_max: usize,
    known: RapidHashMap<Box<str>, Known>,
    round: u64,
    /// Those of all targets.
    descriptions: Arc<Descriptions>,
}

#[derive(Debug)]
struct Known {
    /// None when they cannot be taken, for this reason.
    labels: Result<Arc<LabelSet>, &'static str>,
    is_running_total: bool,
    unit: &'static str,
    /// The last round in which it was there.
    round: u64,
    /// Whether the target says its times, and so when it ended.
    has_own_times: bool,
}

/// One answer of a target, read.
#[derive(Debug, Default)]
pub struct Round {
    /// Its samples, staleness markers of what it no longer has, and what families say of themselves.
    pub samples: Vec<Sample>,
    /// Samples it had.
    pub scraped: u64,
    /// What could not be taken, by reason, with an example.
    pub refused: BTreeMap<&'static str, (u64, String)>,
}

/// Why an answer is not taken at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// It has more samples than the limit, which this is.
    #[error("it has more than {0} samples: raise collector.scrape.samples_max")]
    TooManySamples(usize),
    /// OpenMetrics without its last line.
    #[error("it ends without `# EOF`: it was cut")]
    Cut,
}

impl TargetSeries {
    /// Of a target of these settings; `descriptions` are those that all targets have told.
    pub fn new(config: &Config, instance: &str, descriptions: Arc<Descriptions>) -> TargetSeries {
        let mut own = config.labels.clone();
        own.entry("job".to_owned()).or_insert_with(|| config.job.clone());
        own.entry("instance".to_owned()).or_insert_with(|| instance.to_owned());
        TargetSeries {
            own,
            honor_labels: config.honor_labels,
            samples_max: config.samples_max,
            labels_bytes_max: config.labels_bytes_max,
            known: RapidHashMap::new(),
            round: 0,
            descriptions,
        }
    }

    /// Reads an answer, which was asked for at this moment.
    ///
    /// # Errors
    /// When nothing of it can be taken; then nothing has changed.
    pub fn read(&mut self, body: &str, format: Format, at: Timestamp) -> Result<Round, Unusable> {
        let (mut families, mut written, mut ended) = (Families::default(), Vec::new(), false);
        let mut round = Round::default();
        for line in body.lines() {
            match families.read(line, format, at) {
                Line::Sample(_) if written.len() == self.samples_max => {
                    return Err(Unusable::TooManySamples(self.samples_max));
                }
                Line::Sample(sample) => written.push(sample),
                Line::End => ended = true,
                Line::Comment => {}
                Line::Malformed => round.refuse("malformed_line", line),
            }
        }
        if format == Format::OpenMetrics && !ended {
            return Err(Unusable::Cut);
        }
        self.round += 1;
        round.scraped = written.len() as u64;
        for sample in written {
            self.take(sample, &families, at, &mut round);
        }
        self.mark_ended(at, &mut round.samples);
        for said in families.said() {
            let help = unescaped(said.help);
            let said = Description { metric: said.family, kind: said.type_word, unit: said.unit, help: &help };
            match self.descriptions.tell(said, at) {
                Ok(told) => round.samples.extend(told),
                Err(TooMany) => round.refuse(TooMany::REASON, said.metric),
            }
        }
        Ok(round)
    }

    /// Markers for all series: the target cannot be read.
    pub fn end(&mut self, at: Timestamp) -> Vec<Sample> {
        self.round += 1;
        let mut samples = Vec::new();
        self.mark_ended(at, &mut samples);
        samples
    }

    /// What is said about the target itself: `up`, `scrape_duration_seconds`, `scrape_samples_scraped`.
    pub fn about(&self, name: &str, value: f64, at: Timestamp) -> Sample {
        let own = self.own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = LabelSet::new(own.chain([(NAME_LABEL, name)]));
        sample(Arc::new(labels), at, value, false, "")
    }

    fn take(&mut self, written: WrittenSample<'_>, families: &Families<'_>, at: Timestamp, round: &mut Round) {
        let has_own_times = written.timestamp.is_some();
        let known = match self.known.get_mut(written.written) {
            Some(known) => known,
            None => {
                let labels = self.labels(written.written);
                let name = labels.as_ref().map_or("", |labels| labels.name());
                let is_running_total = families.type_of(name).is_running_total(is_running_total_by_name(name));
                let unit = frame::unit(families.unit_of(name));
                let known = Known { is_running_total, unit, labels, round: 0, has_own_times };
                self.known.entry(written.written.into()).or_insert(known)
            }
        };
        known.round = self.round;
        known.has_own_times = has_own_times;
        match &known.labels {
            Ok(labels) => {
                let at = written.timestamp.unwrap_or(at);
                let reading = sample(Arc::clone(labels), at, written.value, known.is_running_total, known.unit);
                round.samples.push(Sample { exemplars: written.exemplar.into_iter().collect(), ..reading });
            }
            Err(reason) => round.refuse(reason, written.written),
        }
    }

    fn mark_ended(&mut self, at: Timestamp, samples: &mut Vec<Sample>) {
        let round = self.round;
        self.known.retain(|_, known| {
            let stays = known.round == round;
            if let (false, false, Ok(labels)) = (stays, known.has_own_times, &known.labels) {
                samples.push(sample(Arc::clone(labels), at, STALE, known.is_running_total, known.unit));
            }
            stays
        });
    }

    fn labels(&self, written: &str) -> Result<Arc<LabelSet>, &'static str> {
        let mut labels = labels_of(written).ok_or("malformed_labels")?;
        let mut own: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &self.own {
            let clash = labels.iter_mut().find(|(theirs, value)| theirs == name && !value.is_empty());
            match (clash, self.honor_labels) {
                (Some(_), true) => {}
                (Some(clash), false) => {
                    clash.0 = format!("exported_{name}").into();
                    own.push((name, value));
                }
                (None, _) => own.push((name, value)),
            }
        }
        let mut pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) || pairs.first().is_some_and(|pair| pair.0.is_empty()) {
            return Err("repeated_label");
        }
        pairs.extend(own);
        if pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > self.labels_bytes_max {
            return Err("labels_too_long");
        }
        let labels = LabelSet::new(pairs);
        if labels.name().is_empty() { Err("series_without_name") } else { Ok(Arc::new(labels)) }
    }
}

impl Round {
    fn refuse(&mut self, reason: &'static str, example: &str) {
        let refused = self.refused.entry(reason).or_insert_with(|| (0, example.to_owned()));
        refused.0 += 1;
    }
}

fn sample(
    labels: Arc<LabelSet>,
    timestamp: Timestamp,
    value: f64,
    is_running_total: bool,
    unit: &'static str,
) -> Sample {
    Sample { labels, timestamp, interval_ms: 0, value: reading(value, is_running_total), unit, exemplars: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SampleValue, is_stale};

    fn said(samples: &[Sample]) -> Vec<String> {
        let line = |sample: &Sample| {
            let (value, mark) = match sample.value {
                SampleValue::Cumulative { total } => (total, "+"),
                SampleValue::Gauge { last, .. } => (last, ""),
                _ => unreachable!(),
            };
            let value = if is_stale(value) { "stale".to_owned() } else { value.to_string() };
            format!("{} {value}{mark} @{}", sample.labels, sample.timestamp.unix_seconds())
        };
        let mut lines: Vec<String> = samples.iter().map(line).collect();
        lines.sort();
        lines
    }

    fn series(config: Config) -> TargetSeries {
        TargetSeries::new(&Config { job: "j".to_owned(), ..config }, "i", Arc::default())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn what_a_target_no_longer_has_is_marked_once() {
        let mut series = series(Config::default());
        let mut check = |seconds, body: Option<&str>, expected: &[&str]| {
            let samples = match body {
                Some(body) => series.read(body, Format::Prometheus, at(seconds)).unwrap().samples,
                None => series.end(at(seconds)),
            };
            assert_eq!(said(&samples), expected, "{seconds}");
        };
        let [a, b] = [r#"a_total{instance="i", job="j"}"#, r#"b{instance="i", job="j"}"#];
        let mark = |series: &str, rest: &str| format!("{series} {rest}");
        check(
            1,
            Some("a_total 1\nb 2\nc 3 9000\n"),
            &[&mark(a, "1+ @1"), &mark(b, "2 @1"), r#"c{instance="i", job="j"} 3 @9"#],
        );
        check(2, Some("a_total 2\n"), &[&mark(a, "2+ @2"), &mark(b, "stale @2")]);
        check(3, Some("a_total 3\nb 1\n"), &[&mark(a, "3+ @3"), &mark(b, "1 @3")]);
        check(4, None, &[&mark(a, "stale+ @4"), &mark(b, "stale @4")]);
        check(5, None, &[]);
    }

    #[test]
    fn what_families_say_of_themselves_is_told_once_for_all_targets() {
        let descriptions = Arc::<Descriptions>::default();
        let body = "# HELP hits Pages,\\nall of them.\n# TYPE hits counter\nhits_total 1\n# UNIT took seconds\n# EOF\n";
        let told = |instance: &str, seconds| {
            let mut target = TargetSeries::new(&Config::default(), instance, Arc::clone(&descriptions));
            let round = target.read(body, Format::OpenMetrics, at(seconds)).unwrap();
            assert_eq!(round.scraped, 1);
            said(&round.samples[1..])
        };
        let expected = [
            "{\"taffrail.metric.description\", help=\"Pages,\\nall of them.\", metric=\"hits\", type=\"counter\"} 1 @5",
            "{\"taffrail.metric.description\", metric=\"took\", unit=\"seconds\"} 1 @5",
        ];
        assert_eq!(told("a", 5), expected);
        assert_eq!(told("b", 6), Vec::<String>::new());
    }

    #[test]
    fn labels_that_clash_are_kept_beside_ours_or_honoured() {
        let check = |honor_labels, expected| {
            let mut series = series(Config {
                labels: [("env".to_owned(), "prod".to_owned())].into(),
                honor_labels,
                ..Config::default()
            });
            let body = "up_time{job=\"theirs\",env=\"\"} 1\n";
            let round = series.read(body, Format::Prometheus, at(1)).unwrap();
            assert_eq!(said(&round.samples), [expected]);
        };
        check(false, r#"up_time{env="prod", exported_job="theirs", instance="i", job="j"} 1 @1"#);
        check(true, r#"up_time{env="prod", instance="i", job="theirs"} 1 @1"#);
    }

    #[test]
    fn limits_hold_and_bad_lines_cost_no_other() {
        let mut series = series(Config { samples_max: 3, labels_bytes_max: 60, ..Config::default() });
        let long = format!("long{{x=\"{}\"}} 1", "y".repeat(80));
        let body = format!("good 1\nbad\n{long}\ntwice{{a=\"1\",a=\"2\"}} 1\n");
        let round = series.read(&body, Format::Prometheus, at(1)).unwrap();
        let refused: Vec<_> = round.refused.iter().map(|(reason, (count, _))| (*reason, *count)).collect();
        assert_eq!(refused, [("labels_too_long", 1), ("malformed_line", 1), ("repeated_label", 1)]);
        assert_eq!((round.scraped, said(&round.samples).len()), (3, 1));
        let too_many = series.read("a 1\nb 1\nc 1\nd 1\n", Format::Prometheus, at(2)).unwrap_err();
        assert_eq!(too_many, Unusable::TooManySamples(3));
        assert_eq!(series.read("good 1\n", Format::OpenMetrics, at(3)).unwrap_err(), Unusable::Cut);
        let round = series.read("good 1\n# EOF\n", Format::OpenMetrics, at(4)).unwrap();
        assert_eq!(said(&round.samples), [r#"good{instance="i", job="j"} 1 @4"#]);
    }
}
