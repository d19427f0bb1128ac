//! The evaluations of a test: every group at every step, as `promtool test rules` does it, whatever the groups' own intervals.

use std::collections::BTreeMap;
use std::time::Duration;

use taffrail_collector::model::{SampleValue, Timestamp};
use taffrail_ingest::Scan;
use taffrail_ingest::log_store::LogStore;
use taffrail_ingest::series_store::LabelMatcher;

use super::file::{AlertCase, ExpressionCase, Test, TestFile};
use super::input_logs::TestLogs;
use super::{Failure, Report, difference};
use crate::alert::evaluate::{Budget, Environment, evaluate_group};
use crate::alert::rule::{Group, Problem};
use crate::alert::rule_yaml::Place;
use crate::alert::saved_state::SavedState;
use crate::alert::state::{AlertState, Labels};
use crate::alert::status::Status;
use crate::promql::promqltest::memory::MemorySource;
use crate::promql::{self, Answer, InstantValue, PromqlError, Series, SeriesSource, Wanted};

/// Steps that one test may take: 70 days of minutes.
const STEPS_MAX: u128 = 100_000;

/// What a question over logs may keep in memory here.
const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// Runs all tests of the file over these groups.
pub(super) fn run(file: &TestFile, mut groups: Vec<Group>) -> Result<Report, Vec<Problem>> {
    let place = |group: &Group| file.group_order.iter().position(|name| *name == group.name).unwrap_or(0);
    groups.sort_by_key(place);
    let mut report = Report::default();
    for test in &file.tests {
        let mut run = Run { file, test, passed: 0, failures: Vec::new() };
        if let Err(message) = run.run(&groups) {
            run.fail(Place::default(), message);
        }
        report.passed += run.passed;
        report.failures.append(&mut run.failures);
    }
    Ok(report)
}

/// What a test's rules look at: its series, those that they record, and its records.
struct World {
    series: MemorySource,
    logs: Option<TestLogs>,
}

impl SeriesSource for World {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        wanted: Wanted,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        self.series.select(matchers, start_ms, end_ms, wanted, scan)
    }

    fn logs(&self) -> Option<&LogStore> {
        self.logs.as_ref().map(TestLogs::store)
    }
}

struct Run<'a> {
    file: &'a TestFile,
    test: &'a Test,
    passed: usize,
    failures: Vec<Failure>,
}

impl Run<'_> {
    fn run(&mut self, groups: &[Group]) -> Result<(), String> {
        let test = self.test;
        let mut series = MemorySource::default();
        series.load(test.start.unix_millis(), test.interval.as_millis() as i64, test.series.clone());
        let needs_logs =
            !test.logs.is_empty() || groups.iter().flat_map(|group| &group.rules).any(|rule| rule.logs.is_some());
        let logs = if needs_logs { Some(TestLogs::of(test.logs.clone())?) } else { None };
        let mut world = World { series, logs };
        let mut states: Vec<Status> =
            groups.iter().map(|group| Status::new(SavedState::default().alerts_of(group))).collect();
        let step = self.file.interval;
        let times = test.alerts.iter().map(|case| case.time).chain(test.expressions.iter().map(|case| case.time));
        let last = times.max().unwrap_or_default();
        if last.as_nanos() / step.as_nanos().max(1) > STEPS_MAX {
            return Err(format!("it would take more than {STEPS_MAX} evaluations: ask at an earlier eval_time"));
        }
        let mut at = Duration::ZERO;
        while at <= last {
            for (group, state) in groups.iter().zip(&mut states) {
                evaluate(group, state, &mut world, test, (test.start.saturating_add(at), step))
                    .map_err(|message| format!("at {at:?}: {message}"))?;
            }
            for case in test.alerts.iter().filter(|case| at <= case.time && case.time < at + step) {
                self.check_alerts(case, groups, &states);
            }
            at += step;
        }
        for case in &test.expressions {
            self.check_expression(case, &world);
        }
        Ok(())
    }

    fn check_alerts(&mut self, case: &AlertCase, groups: &[Group], states: &[Status]) {
        let interval = self.file.interval;
        let all = groups.iter().zip(states).flat_map(|(group, state)| state.alerts(group, interval));
        let firing = all.filter(|named| named.rule == case.name && named.alert.state == AlertState::Firing);
        let found: Vec<(Labels, Labels)> = firing.map(|named| (named.alert.labels, named.alert.annotations)).collect();
        let outcome = difference::alerts(case.expected.clone(), found);
        let asked = || format!("alertname {}, eval_time {}", case.name, shown(case.time));
        self.note(case.place, outcome.map_err(|difference| format!("{}: {difference}", asked())));
    }

    fn check_expression(&mut self, case: &ExpressionCase, world: &World) {
        let time = self.test.start.saturating_add(case.time);
        let answer = promql::instant(&case.expr, time, world, &Scan::unlimited());
        let outcome = match answer.map(|evaluated| evaluated.value) {
            Err(error) => Err(error.to_string()),
            Ok(Answer::Vector(found)) => difference::samples(&case.expected, &found, self.file.fuzzy),
            Ok(Answer::Scalar(value)) => {
                let found = InstantValue { labels: Default::default(), value, histogram: None };
                difference::samples(&case.expected, &[found], self.file.fuzzy)
            }
            Ok(Answer::Text(_) | Answer::Matrix(_)) => Err("it does not give one value a series".to_owned()),
        };
        let asked = || format!("expr {:?}, eval_time {}", case.expr, shown(case.time));
        self.note(case.place, outcome.map_err(|difference| format!("{}: {difference}", asked())));
    }

    fn note(&mut self, place: Place, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(message) => self.fail(place, message),
        }
    }

    fn fail(&mut self, place: Place, message: String) {
        let (file, test) = (self.file.name.clone(), self.test.name.clone());
        self.failures.push(Failure { file, line: place.line, column: place.column, test, message });
    }
}

/// One evaluation of a group; what it records is seen from now on. A rule that fails ends the test.
fn evaluate(
    group: &Group,
    state: &mut Status,
    world: &mut World,
    test: &Test,
    (time, step): (Timestamp, Duration),
) -> Result<(), String> {
    let external_labels: BTreeMap<String, String> = test.external_labels.clone();
    let environment = Environment {
        source: world,
        budget: Budget::Each(&Scan::unlimited),
        memory_bytes_max: MEMORY_BYTES_MAX,
        alerts_max: usize::MAX,
        interval: group.interval.unwrap_or(step),
        external_labels: &external_labels,
        external_url: &test.external_url,
    };
    let mut alerts = state.all_alerts();
    let outcomes = evaluate_group(group, &mut alerts, &state.given(), &environment, time);
    let failed = group.rules.iter().zip(&outcomes).find_map(|(rule, outcome)| Some((rule, outcome.error.clone()?)));
    if let Some((rule, error)) = failed {
        return Err(format!("the rule {} ({}:{}): {error}", rule.name, group.file, rule.line));
    }
    let (samples, _) = state.finish(group, alerts, outcomes, time);
    for sample in samples {
        if let SampleValue::Gauge { last, .. } = sample.value {
            world.series.add(sample.labels, sample.timestamp.unix_millis(), last);
        }
    }
    Ok(())
}

/// A length of time as these files write it.
fn shown(span: Duration) -> String {
    const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut left = span.as_millis();
    let mut text = String::new();
    for (unit, width) in UNITS {
        if left >= width {
            text.push_str(&format!("{}{unit}", left / width));
            left %= width;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
