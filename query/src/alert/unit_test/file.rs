//! What a file of unit tests says, checked: durations, series, labels and expressions are read before anything runs.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use taffrail_collector::model::{LabelSet, LogRecord, Resource, Severity, Timestamp, TraceId, Value};

use crate::alert::rule::{Problem, parse_duration};
use crate::alert::rule_yaml::{Place, plain_message};
use crate::alert::state::Labels;
use crate::promql::promqltest::notation::{LoadedSeries, Written, expected_series, loaded_series};

/// Records that one test may have, so that a slip of `times:` ends as a message.
const RECORDS_MAX: usize = 1_000_000;

/// A file of tests.
#[derive(Debug)]
pub(super) struct TestFile {
    pub name: String,
    pub rule_files: Vec<String>,
    pub interval: Duration,
    /// Groups that are evaluated in this order; the others stay where they are.
    pub group_order: Vec<String>,
    /// Whether numbers may differ in their last digit.
    pub fuzzy: bool,
    pub tests: Vec<Test>,
}

/// One test.
#[derive(Debug)]
pub(super) struct Test {
    pub name: String,
    /// When its time begins; the epoch when nothing is said.
    pub start: Timestamp,
    /// How far the values of its series lie apart.
    pub interval: Duration,
    pub series: Vec<LoadedSeries>,
    pub logs: Vec<LogRecord>,
    pub alerts: Vec<AlertCase>,
    pub expressions: Vec<ExpressionCase>,
    pub external_labels: Labels,
    pub external_url: String,
}

/// The alerts of a name that fire at a time.
#[derive(Debug)]
pub(super) struct AlertCase {
    pub place: Place,
    pub time: Duration,
    pub name: String,
    /// Labels and annotations.
    pub expected: Vec<(Labels, Labels)>,
}

/// What an expression gives at a time.
#[derive(Debug)]
pub(super) struct ExpressionCase {
    pub place: Place,
    pub time: Duration,
    pub expr: String,
    pub expected: Vec<(LabelSet, Written)>,
}

/// Reads a file of tests, or says everything that is wrong with it.
pub(super) fn parse(name: &str, text: &str) -> Result<TestFile, Vec<Problem>> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let mut check = Check { file: name, problems: Vec::new() };
    let raw = match serde_saphyr::from_str_with_options::<Option<RawFile>>(text, options) {
        Ok(raw) => raw.unwrap_or_default(),
        Err(error) => {
            check.problem(error.location().map(Place::from).unwrap_or_default(), plain_message(&error));
            return Err(check.problems);
        }
    };
    let file = check.file(raw);
    check.problems.sort();
    if check.problems.is_empty() { Ok(file) } else { Err(check.problems) }
}

type Text = Spanned<String>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawFile {
    rule_files: Option<Vec<String>>,
    evaluation_interval: Option<Text>,
    group_eval_order: Option<Vec<Text>>,
    fuzzy_compare: bool,
    tests: Option<Vec<Spanned<RawTest>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawTest {
    name: Option<String>,
    interval: Option<Text>,
    start_timestamp: Option<Text>,
    input_series: Option<Vec<RawSeries>>,
    input_logs: Option<Vec<Spanned<RawLogs>>>,
    alert_rule_test: Option<Vec<Spanned<RawAlertCase>>>,
    promql_expr_test: Option<Vec<Spanned<RawExpressionCase>>>,
    external_labels: Option<BTreeMap<String, String>>,
    external_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeries {
    series: Text,
    values: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawLogs {
    at: Option<Text>,
    every: Option<Text>,
    times: Option<Text>,
    message: Option<String>,
    level: Option<Text>,
    service: Option<String>,
    host: Option<String>,
    trace_id: Option<Text>,
    fields: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawAlertCase {
    eval_time: Option<Text>,
    alertname: Option<String>,
    exp_alerts: Option<Vec<RawAlert>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawAlert {
    exp_labels: Option<BTreeMap<String, String>>,
    exp_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawExpressionCase {
    expr: Option<Text>,
    eval_time: Option<Text>,
    exp_samples: Option<Vec<Spanned<RawSample>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawSample {
    labels: Option<String>,
    value: Option<Text>,
    histogram: Option<String>,
}

struct Check<'a> {
    file: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn file(&mut self, raw: RawFile) -> TestFile {
        let minute = Duration::from_secs(60);
        let interval = self.interval("evaluation_interval", raw.evaluation_interval.as_ref()).unwrap_or(minute);
        let mut names = HashSet::new();
        let mut group_order = Vec::new();
        for name in raw.group_eval_order.into_iter().flatten() {
            if names.insert(name.value.clone()) {
                group_order.push(name.value);
            } else {
                self.at(name.referenced, format!("group_eval_order: {:?} stands here twice", name.value));
            }
        }
        let tests = raw.tests.into_iter().flatten().enumerate();
        TestFile {
            name: self.file.to_owned(),
            rule_files: raw.rule_files.unwrap_or_default(),
            interval,
            group_order,
            fuzzy: raw.fuzzy_compare,
            tests: tests.map(|(at, test)| self.test(at, test.value, interval)).collect(),
        }
    }

    fn test(&mut self, at: usize, raw: RawTest, interval: Duration) -> Test {
        let start = raw.start_timestamp.as_ref().and_then(|start| self.moment(start)).unwrap_or(Timestamp::EPOCH);
        let mut series = Vec::new();
        for RawSeries { series: name, values } in raw.input_series.into_iter().flatten() {
            match loaded_series(&format!("{} {}", name.value.trim(), values.value.trim())) {
                Ok(line) => series.push(line),
                Err(message) => self.at(name.referenced, format!("input_series: {message}")),
            }
        }
        let mut logs = Vec::new();
        for lines in raw.input_logs.into_iter().flatten() {
            self.logs(lines, start, &mut logs);
        }
        logs.sort_by_key(|record| record.timestamp);
        Test {
            name: raw.name.unwrap_or_else(|| format!("test {}", at + 1)),
            start,
            interval: self.interval("interval", raw.interval.as_ref()).unwrap_or(interval),
            series,
            logs,
            alerts: raw.alert_rule_test.into_iter().flatten().filter_map(|case| self.alert_case(case)).collect(),
            expressions: raw
                .promql_expr_test
                .into_iter()
                .flatten()
                .filter_map(|case| self.expression_case(case))
                .collect(),
            external_labels: raw.external_labels.unwrap_or_default(),
            external_url: raw.external_url.unwrap_or_default(),
        }
    }

    fn logs(&mut self, raw: Spanned<RawLogs>, start: Timestamp, logs: &mut Vec<LogRecord>) {
        let (place, raw) = (raw.referenced, raw.value);
        let Some(at) = raw.at.as_ref().and_then(|at| self.duration("at", at)) else {
            if raw.at.is_none() {
                self.at(place, "input_logs: at is missing: write at: 90s, counted from the test's start".to_owned());
            }
            return;
        };
        let every = raw.every.as_ref().and_then(|every| self.duration("every", every)).unwrap_or_default();
        let times = raw.times.as_ref().map_or(1, |times| match times.value.parse() {
            Ok(times) if times <= RECORDS_MAX - logs.len().min(RECORDS_MAX) => times,
            _ => {
                let message = format!("times: {:?} is no number of records up to {RECORDS_MAX}", times.value);
                self.at(times.referenced, message);
                0
            }
        });
        let severity = match &raw.level {
            None => Severity::UNSPECIFIED,
            Some(level) => Severity::from_word(&level.value).unwrap_or_else(|| {
                self.at(level.referenced, format!("level: {:?} is no level", level.value));
                Severity::UNSPECIFIED
            }),
        };
        let trace_id = raw.trace_id.as_ref().and_then(|id| {
            let read = TraceId::from_hex(&id.value);
            if read.is_none() {
                self.at(id.referenced, format!("trace_id: {:?} is not 32 hexadecimal digits", id.value));
            }
            read
        });
        let service = raw.service.unwrap_or_default();
        let host = raw.host.unwrap_or_default();
        let resource = Resource { host: host.into(), service: service.into(), attributes: Vec::new() };
        let fields = raw.fields.unwrap_or_default().into_iter();
        let mut record = LogRecord {
            timestamp: start.saturating_add(at),
            observed_timestamp: start.saturating_add(at),
            severity,
            severity_text: Default::default(),
            body: raw.message.unwrap_or_default(),
            trace_id,
            span_id: None,
            resource: std::sync::Arc::new(resource),
            attributes: fields.map(|(name, value)| (name.into(), field(value))).collect(),
        };
        for _ in 0..times {
            logs.push(record.clone());
            record.timestamp = record.timestamp.saturating_add(every);
            record.observed_timestamp = record.timestamp;
        }
    }

    fn alert_case(&mut self, raw: Spanned<RawAlertCase>) -> Option<AlertCase> {
        let (place, raw) = (raw.referenced, raw.value);
        let time = self.time(raw.eval_time.as_ref())?;
        let Some(name) = raw.alertname.filter(|name| !name.is_empty()) else {
            self.at(place, "alert_rule_test: alertname is missing".to_owned());
            return None;
        };
        let expected = raw.exp_alerts.into_iter().flatten().map(|alert| {
            let mut labels = alert.exp_labels.unwrap_or_default();
            // Whose alert it is need not be said again.
            labels.insert(crate::alert::evaluate::ALERT_NAME.to_owned(), name.clone());
            (labels, alert.exp_annotations.unwrap_or_default())
        });
        Some(AlertCase { place: place.into(), time, expected: expected.collect(), name })
    }

    fn expression_case(&mut self, raw: Spanned<RawExpressionCase>) -> Option<ExpressionCase> {
        let (place, raw) = (raw.referenced, raw.value);
        let time = self.time(raw.eval_time.as_ref())?;
        let Some(expr) = raw.expr else {
            self.at(place, "promql_expr_test: expr is missing".to_owned());
            return None;
        };
        let samples = raw.exp_samples.into_iter().flatten();
        let expected = samples.filter_map(|sample| self.sample(sample)).collect();
        Some(ExpressionCase { place: expr.referenced.into(), time, expr: expr.value, expected })
    }

    fn sample(&mut self, raw: Spanned<RawSample>) -> Option<(LabelSet, Written)> {
        let (place, raw) = (raw.referenced, raw.value);
        let number = |text: &Text| match text.value.trim() {
            ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
            ".inf" | "+.inf" | ".Inf" | "+.Inf" => Some(f64::INFINITY),
            "-.inf" | "-.Inf" => Some(f64::NEG_INFINITY),
            other => other.parse().ok(),
        };
        let value = match &raw.value {
            None => 0.0,
            Some(text) => match number(text) {
                Some(value) => value,
                None => {
                    self.at(text.referenced, format!("value: {:?} is no number", text.value));
                    return None;
                }
            },
        };
        let written = raw.histogram.unwrap_or_default();
        match expected_series(format!("{} {written}", raw.labels.unwrap_or_default().trim()).trim()) {
            Ok(series) if series.values.len() <= 1 => {
                Some((series.labels, series.values.into_iter().next().unwrap_or(Written::Number(value))))
            }
            Ok(_) => {
                self.at(place, "exp_samples: labels stand without values, and histogram is one".to_owned());
                None
            }
            Err(message) => {
                self.at(place, format!("exp_samples: {message}"));
                None
            }
        }
    }

    /// As in promtool, what says no time is asked at the start.
    fn time(&mut self, written: Option<&Text>) -> Option<Duration> {
        written.map_or(Some(Duration::ZERO), |time| self.duration("eval_time", time))
    }

    fn interval(&mut self, key: &str, written: Option<&Text>) -> Option<Duration> {
        let interval = self.duration(key, written?)?;
        // As in promtool, nothing means what is usual.
        Some(interval).filter(|interval| !interval.is_zero())
    }

    fn duration(&mut self, key: &str, written: &Text) -> Option<Duration> {
        match parse_duration(&written.value) {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.at(written.referenced, format!("{key}: {message}"));
                None
            }
        }
    }

    fn moment(&mut self, written: &Text) -> Option<Timestamp> {
        let text = written.value.trim();
        let read = match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() => Some(Timestamp::from_unix_nanos((seconds * 1e9) as i64)),
            Ok(_) => None,
            Err(_) => text
                .parse::<jiff::Timestamp>()
                .ok()
                .and_then(|moment| i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_unix_nanos)),
        };
        if read.is_none() {
            let message = "start_timestamp: write 2026-01-31T08:00:00Z or seconds since the epoch".to_owned();
            self.at(written.referenced, message);
        }
        read
    }

    fn at(&mut self, location: Location, message: String) {
        self.problem(location.into(), message);
    }

    fn problem(&mut self, place: Place, message: String) {
        self.problems.push(Problem { file: self.file.to_owned(), line: place.line, column: place.column, message });
    }
}

/// A field's value: a number or a truth value where it reads as one.
fn field(text: String) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::Int(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::Float(number),
        _ => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text),
        },
    }
}
