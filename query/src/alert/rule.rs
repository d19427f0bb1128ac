//! What a rules file says, checked: groups of recording and alerting rules as Prometheus defines them
//! (<https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/> and `alerting_rules`).
//!
//! Beyond Prometheus a group or a rule may say `type: logs` (the expression is a question in the search language) and
//! `no_data: ok | keep | alert`, and a rule `window`, `log_lines: {query, max}`, `severity` and `runbook`. A file that uses none
//! of them is one of Prometheus'.
//!
//! Reading is lenient about order and strict about meaning: every problem of a file is listed with its place, and a file
//! with a problem is not used at all. The YAML itself is read in `rule_yaml`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::comparison::Comparison;
use super::log_expression::{self, LogExpression};
use super::rule_yaml::{Place, Placed, RawGroup, RawLogLines, RawRule, Unknown, read_yaml};
use super::template::Template;

/// One thing that is wrong with a rules file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 when it concerns the file as a whole.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
    /// What is wrong and how to write it.
    pub message: String,
}

/// Rules that are evaluated together, in order, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The file it stands in.
    pub file: String,
    /// Its name, unique in the file.
    pub name: String,
    /// How often it is evaluated; none for the server's own interval.
    pub interval: Option<Duration>,
    /// The most alerts or series that one rule may give; 0 for any number.
    pub limit: usize,
    /// How far in the past queries look, for data that comes late.
    pub query_offset: Duration,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The name of the alert, or of the series that is recorded.
    pub name: String,
    /// PromQL; of a rule with `type: logs` a question in the search language.
    pub expr: String,
    /// How that question is asked; none when the expression is PromQL.
    pub logs: Option<LogExpression>,
    /// Labels that the results get, those of the group and `severity:` included; of alerts they may be templates.
    pub labels: BTreeMap<String, Template>,
    /// What the rule does with its results.
    pub action: Action,
    /// What becomes of its alerts while the data that they look at is missing.
    pub no_data: NoData,
    /// Which log lines its alerts show; with `type: logs` and nothing written those that the expression counts.
    pub log_lines: Option<LogLines>,
    /// The comparison with a number that the expression is, if it is one: then the page can show "0.3 of 0.5".
    pub comparison: Option<Comparison>,
    /// The line it starts on.
    pub line: u64,
}

/// What a rule does with its results.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// They are stored as a new series.
    Record,
    /// Each of them is an alert.
    Alert {
        /// How long a result must stand before the alert fires.
        hold: Duration,
        /// How long the alert goes on firing once the result is gone.
        keep_firing: Duration,
        /// Texts for people; `runbook:` is the one called [`RUNBOOK`].
        annotations: BTreeMap<String, Template>,
    },
}

/// What becomes of alerts while the data that they look at is missing. Missing is not the same as false: of a comparison with a
/// number data is missing when its left side has no value for the alert's series; of other PromQL when none of its selectors
/// finds a series; of logs when the window holds no record at all. An evaluation that fails is neither: alerts stay as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoData {
    /// They end, as in Prometheus.
    #[default]
    Ok,
    /// They stay as they were, for as long as it takes; the time does not count towards `for`.
    Keep,
    /// They stay as they were, and while there is no data at all the rule has one alert more, with the label
    /// `reason="no_data"`.
    Alert,
}

/// The log lines that belong into a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLines {
    /// A search; its `$labels` and `$value` are those of the alert.
    pub query: Template,
    /// How many lines at most.
    pub max: usize,
}

/// The annotation that `runbook:` is short for, as dashboards and receivers know it.
pub const RUNBOOK: &str = "runbook_url";

/// Lines that a notification shows when `log_lines` says no number.
pub const LOG_LINES: usize = 10;

/// The most lines that it may show: receivers refuse messages of some ten kilobytes.
pub const LOG_LINES_MAX: usize = 100;

/// The groups of a rules file, or everything that is wrong with it, in the order of its lines.
pub fn parse_rules(file: &str, text: &str) -> Result<Vec<Group>, Vec<Problem>> {
    let mut check = Check { file, problems: Vec::new() };
    let groups = match read_yaml(text) {
        Ok(raw) => {
            check.unknown("a rules file", &["groups"], &raw.unknown);
            check.groups(raw.groups)
        }
        Err((place, message)) => {
            check.problem(place, message);
            Vec::new()
        }
    };
    check.problems.sort();
    if check.problems.is_empty() { Ok(groups) } else { Err(check.problems) }
}

/// A length of time as Prometheus writes it: `1h30m`, `90s`, `500ms`, `0`; years have 365 days, the units stand in order.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong =
        || format!("{text:?} is no duration: write a whole number and a unit (ms s m h d w y), as in 90s, 5m or 1h30m");
    let (mut rest, mut units, mut millis) = (text, UNITS.iter(), 0u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let (_, width) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*width));
        millis = part.and_then(|part| millis.checked_add(part)).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(millis)) }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            _ => write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message),
        }
    }
}

/// What an expression is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Language {
    #[default]
    Promql,
    Logs,
}

/// Other products' files say `prometheus` for what is the usual.
const LANGUAGES: [(&str, Language); 3] =
    [("promql", Language::Promql), ("prometheus", Language::Promql), ("logs", Language::Logs)];

const NO_DATA: [(&str, NoData); 3] = [("ok", NoData::Ok), ("keep", NoData::Keep), ("alert", NoData::Alert)];

const RULE_KEYS: [&str; 13] = [
    "record",
    "alert",
    "expr",
    "for",
    "keep_firing_for",
    "labels",
    "annotations",
    "type",
    "window",
    "no_data",
    "log_lines",
    "severity",
    "runbook",
];

/// What a group says for all its rules.
struct Defaults {
    labels: BTreeMap<String, Template>,
    language: Language,
    no_data: NoData,
}

struct Check<'a> {
    file: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn groups(&mut self, raw: Vec<RawGroup>) -> Vec<Group> {
        let mut names = HashSet::new();
        raw.into_iter().map(|group| self.group(group, &mut names)).collect()
    }

    fn group(&mut self, raw: RawGroup, names: &mut HashSet<String>) -> Group {
        let known = ["name", "interval", "limit", "query_offset", "labels", "rules", "type", "no_data"];
        self.unknown("a group", &known, &raw.unknown);
        let name = match raw.name {
            Some(name) if name.value.is_empty() => {
                self.problem(name.place, "the group's name is empty".to_owned());
                String::new()
            }
            Some(name) => {
                if !names.insert(name.value.clone()) {
                    let message =
                        format!("the file has another group named {:?}: names of groups are unique", name.value);
                    self.problem(name.place, message);
                }
                name.value
            }
            None => {
                self.problem(raw.place, "the group has no name: write name: …".to_owned());
                String::new()
            }
        };
        let interval = self.duration("interval", raw.interval.as_ref());
        if let (Some(Duration::ZERO), Some(written)) = (interval, &raw.interval) {
            self.problem(written.place, "an interval is longer than nothing".to_owned());
        }
        let limit = raw.limit.map_or(0, |limit| match limit.value.parse() {
            Ok(number) => number,
            Err(_) => {
                self.problem(limit.place, format!("limit: {:?} is no whole number; 0 means no limit", limit.value));
                0
            }
        });
        let query_offset = self.duration("query_offset", raw.query_offset.as_ref()).unwrap_or_default();
        let labels = self.templates("label", &raw.labels);
        let language = self.choice("type", raw.language.as_ref(), &LANGUAGES).unwrap_or_default();
        let no_data = self.choice("no_data", raw.no_data.as_ref(), &NO_DATA).unwrap_or_default();
        let defaults = Defaults { labels, language, no_data };
        let rules = raw.rules.into_iter().map(|rule| self.rule(rule, &defaults)).collect();
        Group { file: self.file.to_owned(), name, interval, limit, query_offset, rules }
    }

    fn rule(&mut self, raw: RawRule, defaults: &Defaults) -> Rule {
        self.unknown("a rule", &RULE_KEYS, &raw.unknown);
        let hold = self.duration("for", raw.hold.as_ref());
        let keep_firing = self.duration("keep_firing_for", raw.keep_firing.as_ref());
        let mut labels = defaults.labels.clone();
        labels.extend(self.templates("label", &raw.labels));
        self.short("severity", raw.severity.as_ref(), ("labels", "severity"), &raw.labels, &mut labels);
        let mut annotations = self.templates("annotation", &raw.annotations);
        self.short("runbook", raw.runbook.as_ref(), ("annotations", RUNBOOK), &raw.annotations, &mut annotations);
        let alerting =
            Action::Alert { hold: hold.unwrap_or_default(), keep_firing: keep_firing.unwrap_or_default(), annotations };
        let (name, action) = match (&raw.record, &raw.alert) {
            (Some(record), None) => {
                self.recording_name(record);
                let alone = [
                    ("for", &raw.hold),
                    ("keep_firing_for", &raw.keep_firing),
                    ("no_data", &raw.no_data),
                    ("severity", &raw.severity),
                    ("runbook", &raw.runbook),
                ];
                let alone = alone.into_iter().filter_map(|(key, written)| Some((key, written.as_ref()?.place)));
                for (key, place) in alone.chain(raw.log_lines.iter().map(|lines| ("log_lines", lines.place))) {
                    self.problem(place, format!("{key} belongs to alerts; this rule records a series"));
                }
                if let Some((annotation, _)) = raw.annotations.first() {
                    let message = "annotations belong to alerts; this rule records a series".to_owned();
                    self.problem(annotation.place, message);
                }
                (record.value.clone(), Action::Record)
            }
            (None, Some(alert)) => {
                if alert.value.is_empty() {
                    self.problem(alert.place, "the alert's name is empty".to_owned());
                }
                (alert.value.clone(), alerting)
            }
            (Some(_), Some(alert)) => {
                let message = "a rule has either record (a new series) or alert (a condition), not both".to_owned();
                self.problem(alert.place, message);
                (alert.value.clone(), alerting)
            }
            (None, None) => {
                let message =
                    "the rule says neither alert: NAME (a condition) nor record: NAME (a new series)".to_owned();
                self.problem(raw.place, message);
                (String::new(), alerting)
            }
        };
        let language = self.choice("type", raw.language.as_ref(), &LANGUAGES).unwrap_or(defaults.language);
        let no_data = self.choice("no_data", raw.no_data.as_ref(), &NO_DATA).unwrap_or(defaults.no_data);
        let window = self.window(language, raw.window.as_ref());
        let log_lines = raw.log_lines.and_then(|lines| self.log_lines(lines));
        let (expr, logs, comparison) = self.expr(raw.place, raw.expr, language, window);
        Rule { name, expr, logs, labels, action, no_data, log_lines, comparison, line: raw.place.line }
    }

    fn window(&mut self, language: Language, written: Option<&Placed>) -> Option<Duration> {
        let written = written?;
        if language == Language::Promql {
            let message = "window belongs to rules with type: logs; PromQL says it as in rate(x[5m])";
            self.problem(written.place, message.to_owned());
        }
        let window = self.duration("window", Some(written))?;
        if window.is_zero() {
            self.problem(written.place, "a window is longer than nothing".to_owned());
        }
        Some(window)
    }

    fn log_lines(&mut self, raw: RawLogLines) -> Option<LogLines> {
        self.unknown("log_lines", &["query", "max"], &raw.unknown);
        let max = raw.max.map_or(LOG_LINES, |max| match max.value.parse() {
            Ok(number) if (1..=LOG_LINES_MAX).contains(&number) => number,
            _ => {
                let message = format!("max: {:?} is no whole number from 1 to {LOG_LINES_MAX}", max.value);
                self.problem(max.place, message);
                LOG_LINES
            }
        });
        let Some(query) = raw.query else {
            self.problem(
                raw.place,
                "log_lines has no query: write query: …, a search for the lines to show".to_owned(),
            );
            return None;
        };
        match Template::parse(&query.value) {
            Ok(template) => {
                // With a template in it the search is only known once there is an alert.
                let checked =
                    if query.value.contains("{{") { Ok(()) } else { log_expression::check_search(&query.value) };
                if let Err(message) = checked {
                    self.problem(query.place, format!("log_lines: query: {message}"));
                }
                Some(LogLines { query: template, max })
            }
            Err(error) => {
                self.problem(query.place, format!("log_lines: query: {error}"));
                None
            }
        }
    }

    /// A key that is short for a label or an annotation.
    fn short(
        &mut self,
        key: &str,
        written: Option<&Placed>,
        (section, name): (&str, &str),
        beside: &[(Placed, Placed)],
        all: &mut BTreeMap<String, Template>,
    ) {
        let Some(written) = written else { return };
        if beside.iter().any(|(other, _)| other.value == name) {
            let message =
                format!("{key} is short for {section}: {name}, which stands there too: leave one of them out");
            self.problem(written.place, message);
        }
        match Template::parse(&written.value) {
            Ok(template) => drop(all.insert(name.to_owned(), template)),
            Err(error) => self.problem(written.place, format!("{key}: {error}")),
        }
    }

    fn choice<T: Copy>(&mut self, key: &str, written: Option<&Placed>, choices: &[(&str, T)]) -> Option<T> {
        let written = written?;
        let chosen = choices.iter().find(|(name, _)| *name == written.value);
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.problem(written.place, format!("{key}: {:?} is none of {}", written.value, names.join(", ")));
        }
        chosen.map(|(_, choice)| *choice)
    }

    fn recording_name(&mut self, name: &Placed) {
        if name.value.is_empty() {
            self.problem(name.place, "the recorded series has no name".to_owned());
        } else if name.value.contains(['{', '}']) {
            let message = "record is the bare name of the new series; its labels go under labels:".to_owned();
            self.problem(name.place, message);
        }
    }

    fn expr(
        &mut self,
        rule: Place,
        raw: Option<Placed>,
        language: Language,
        window: Option<Duration>,
    ) -> (String, Option<LogExpression>, Option<Comparison>) {
        let Some(expr) = raw else {
            let message = match language {
                Language::Promql => "the rule has no expr: write expr: …, the PromQL to evaluate",
                Language::Logs => "the rule has no expr: write expr: …, the search to evaluate",
            };
            self.problem(rule, message.to_owned());
            return (String::new(), None, None);
        };
        let parsed = match language {
            Language::Promql => super::comparison::parse_expression(&expr.value).map(|comparison| (None, comparison)),
            Language::Logs => {
                LogExpression::parse(&expr.value, window).map(|(logs, comparison)| (Some(logs), comparison))
            }
        };
        match parsed {
            Ok((logs, comparison)) => (expr.value, logs, comparison),
            Err(message) => {
                self.problem(expr.place, format!("expr: {message}"));
                (expr.value, None, None)
            }
        }
    }

    fn templates(&mut self, what: &str, raw: &[(Placed, Placed)]) -> BTreeMap<String, Template> {
        let mut templates = BTreeMap::new();
        for (name, text) in raw {
            if name.value.is_empty() || name.value == "__name__" {
                let message = format!("{:?} cannot be the name of a {what}", name.value);
                self.problem(name.place, message);
            }
            match Template::parse(&text.value) {
                Ok(template) => {
                    templates.insert(name.value.clone(), template);
                }
                Err(error) => self.problem(text.place, format!("{what} {}: {error}", name.value)),
            }
        }
        templates
    }

    fn duration(&mut self, key: &str, written: Option<&Placed>) -> Option<Duration> {
        let written = written?;
        match parse_duration(&written.value) {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.problem(written.place, format!("{key}: {message}"));
                None
            }
        }
    }

    fn unknown(&mut self, what: &str, known: &[&str], unknown: &[Unknown]) {
        for key in unknown {
            let near = known.iter().map(|name| (distance(name, &key.value), name)).min();
            let hint = match near {
                Some((distance, name)) if distance <= 2 => format!("did you mean {name}?"),
                _ => format!("{what} has {}", known.join(", ")),
            };
            self.problem(key.place, format!("{:?} means nothing here: {hint}", key.value));
        }
    }

    fn problem(&mut self, place: Place, message: String) {
        self.problems.push(Problem { file: self.file.to_owned(), line: place.line, column: place.column, message });
    }
}

/// How many letters must change to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
