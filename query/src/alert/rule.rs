//! What a rules file says, checked: groups of recording and alerting rules as Prometheus defines them
//! (<https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/> and `alerting_rules`).
//!
//! Reading is lenient about order and strict about meaning: every problem of a file is listed with its place, and a file
//! with a problem is not used at all. The YAML itself is read in `rule_yaml`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::comparison::Comparison;
use super::rule_yaml::{Place, Placed, RawGroup, RawRule, Unknown, read_yaml};
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
    /// PromQL.
    pub expr: String,
    /// Labels that the results get, those of the group included; of alerts they may be templates.
    pub labels: BTreeMap<String, Template>,
    /// What the rule does with its results.
    pub action: Action,
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
        /// Texts for people.
        annotations: BTreeMap<String, Template>,
    },
}

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
        self.unknown("a group", &["name", "interval", "limit", "query_offset", "labels", "rules"], &raw.unknown);
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
        let rules = raw.rules.into_iter().map(|rule| self.rule(rule, &labels)).collect();
        Group { file: self.file.to_owned(), name, interval, limit, query_offset, rules }
    }

    fn rule(&mut self, raw: RawRule, group_labels: &BTreeMap<String, Template>) -> Rule {
        let known = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];
        self.unknown("a rule", &known, &raw.unknown);
        let hold = self.duration("for", raw.hold.as_ref());
        let keep_firing = self.duration("keep_firing_for", raw.keep_firing.as_ref());
        let mut labels = group_labels.clone();
        labels.extend(self.templates("label", &raw.labels));
        let annotations = self.templates("annotation", &raw.annotations);
        let alerting =
            Action::Alert { hold: hold.unwrap_or_default(), keep_firing: keep_firing.unwrap_or_default(), annotations };
        let (name, action) = match (&raw.record, &raw.alert) {
            (Some(record), None) => {
                self.recording_name(record);
                let alone = [("for", &raw.hold), ("keep_firing_for", &raw.keep_firing)];
                for (key, written) in alone.into_iter().filter_map(|(key, written)| Some((key, written.as_ref()?))) {
                    self.problem(written.place, format!("{key} belongs to alerts; this rule records a series"));
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
        let (expr, comparison) = self.expr(raw.place, raw.expr);
        Rule { name, expr, labels, action, comparison, line: raw.place.line }
    }

    fn recording_name(&mut self, name: &Placed) {
        if name.value.is_empty() {
            self.problem(name.place, "the recorded series has no name".to_owned());
        } else if name.value.contains(['{', '}']) {
            let message = "record is the bare name of the new series; its labels go under labels:".to_owned();
            self.problem(name.place, message);
        }
    }

    fn expr(&mut self, rule: Place, raw: Option<Placed>) -> (String, Option<Comparison>) {
        let Some(expr) = raw else {
            self.problem(rule, "the rule has no expr: write expr: …, the PromQL to evaluate".to_owned());
            return (String::new(), None);
        };
        match super::comparison::parse_expression(&expr.value) {
            Ok(comparison) => (expr.value, comparison),
            Err(message) => {
                self.problem(expr.place, format!("expr: {message}"));
                (expr.value, None)
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
mod tests {
    use super::*;

    #[test]
    fn durations_are_prometheus_durations() {
        let check =
            |text, expected: Option<u64>| assert_eq!(parse_duration(text).ok(), expected.map(Duration::from_millis));
        check("5m", Some(300_000));
        check("1h30m", Some(5_400_000));
        check("1d12h", Some(129_600_000));
        check("1y2w3d4h5m6s7ms", Some(33_019_506_007));
        check("0s", Some(0));
        check("0", Some(0));
        for text in ["", "5", "m", "5m1h", "1.5h", "-5m", "5 m", "5min", "5m5m", "99999999999999999999s"] {
            check(text, None);
        }
    }

    #[test]
    fn a_full_rules_file_is_read_as_prometheus_reads_it() {
        let text = r#"
# what everybody copies from the documentation
groups:
  - name: example
    interval: 15s
    limit: 10
    query_offset: 5s
    labels: { team: shop, tier: 1 }
    rules:
      - record: job:http_inprogress_requests:sum
        expr: sum by (job) (http_inprogress_requests)
        labels:
          version: 1.10
      - alert: HighRequestLatency
        expr: |
          job:request_latency_seconds:mean5m{job="myjob"} > 0.5
        for: 10m
        keep_firing_for: 5m
        labels:
          severity: page
          tier: '2'
        annotations:
          summary: High request latency on {{ $labels.instance }}
          description: "{{ $value | humanize }} seconds"
  - name: empty
    rules: []
"#;
        let groups = parse_rules("r.yml", text).unwrap();
        assert_eq!(groups.len(), 2);
        let group = &groups[0];
        assert_eq!((group.interval, group.limit, group.query_offset.as_secs()), (Some(Duration::from_secs(15)), 10, 5));
        let [record, alert] = &group.rules[..] else { panic!("two rules") };
        let labels =
            |rule: &Rule| rule.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(record.action, Action::Record);
        assert_eq!(labels(record), ["team=shop", "tier=1", "version=1.10"]);
        assert_eq!(labels(alert), ["severity=page", "team=shop", "tier=2"]);
        let Action::Alert { hold, keep_firing, annotations } = &alert.action else { panic!("an alert") };
        assert_eq!((hold.as_secs(), keep_firing.as_secs(), annotations.len()), (600, 300, 2));
        assert_eq!(alert.line, 14);
        assert_eq!(alert.comparison.as_ref().map(|comparison| comparison.threshold), Some(0.5));
    }

    #[test]
    fn every_problem_is_listed_with_its_place() {
        let text = r#"groups:
- name: a
  intervall: 1m
  rules:
  - alert: A
    exprs: up
    expr: up ==
    for: 5 minutes
    labels: { __name__: x }
    annotations: { summary: "{{ if }}" }
  - record: b{c="d"}
    expr: up
    for: 5m
    annotations: { x: y }
  - expr: up
- name: a
  limit: many
  rules:
  - { alert: A, record: b, expr: up }
  - alert: ""
group: []
"#;
        let problems = parse_rules("r.yml", text).unwrap_err();
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            ("r.yml:3:3: ", "did you mean interval?"),
            ("r.yml:6:5: ", "did you mean expr?"),
            ("r.yml:7:11: ", "expr: 1:6: parse error: unexpected end of input"),
            ("r.yml:8:10: ", "for: \"5 minutes\" is no duration"),
            ("r.yml:9:15: ", "cannot be the name of a label"),
            ("r.yml:10:29: ", "annotation summary: "),
            ("r.yml:11:13: ", "bare name"),
            ("r.yml:13:10: ", "for belongs to alerts"),
            ("r.yml:14:20: ", "annotations belong to alerts"),
            ("r.yml:15:5: ", "neither alert"),
            ("r.yml:16:9: ", "another group named \"a\""),
            ("r.yml:17:10: ", "no whole number"),
            ("r.yml:19:14: ", "not both"),
            ("r.yml:20:5: ", "no expr"),
            ("r.yml:20:12: ", "name is empty"),
            ("r.yml:21:1: ", "did you mean groups?"),
        ];
        for (found, (place, part)) in found.iter().zip(expected) {
            assert!(found.starts_with(place) && found.contains(part), "{found}\n  expected {place} {part}");
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn what_is_no_rules_file_says_where() {
        let check = |text: &str, line: u64, part: &str| {
            let problems = parse_rules("r.yml", text).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].line, line, "{problems:?}");
            assert!(problems[0].message.contains(part), "{problems:?}");
        };
        check("groups: 5", 1, "a list");
        check("groups:\n- name: [a]\n", 2, "");
        check("groups:\n- name: a\n  rules:\n  - [1]\n", 4, "names and their values");
        check("groups:\n- name: a\n  name: b\n", 3, "duplicate");
        check("groups: [", 1, "");
        check("- a", 1, "names and their values");
        assert_eq!(parse_rules("r.yml", ""), Ok(Vec::new()));
        assert_eq!(parse_rules("r.yml", "groups:\n"), Ok(Vec::new()));
    }
}
