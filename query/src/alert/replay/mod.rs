//! A rehearsal: what rules would have done over stored data, before they page anyone.
//!
//! ```text
//! from ├── chunk of steps ──┼── chunk ──┼── … ──┤ to
//!        group by group, rule by rule: PromQL once over all steps of the chunk, questions over logs once a step;
//!        then step by step what a server does: alerts begin, fire and end, what is recorded is seen by the rules after it
//! ```
//! Groups are evaluated at the moments at which a server evaluates them. A rule that looks at what a later rule records sees what
//! the store has of it. Nothing is stored, nobody is told. The whole rehearsal has one budget; when that is used up, what was
//! found until then is the answer, and says so.

mod nights;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LabelSet, SampleValue, Timestamp};
use taffrail_ingest::{Scan, StopReason};

pub use nights::{Night, nights};

use super::evaluate::{Budget, Environment, Evaluation, recorded};
use super::log_expression::stopped;
use super::overlay::Overlay;
use super::rule::{Action, Group, NoData, Rule};
use super::schedule::next_due;
use super::state::{Alert, AlertState, Labels, LinesAsked, samples};
use super::values::{Reading, message};
use crate::promql::syntax::parse;
use crate::promql::{self, STALE, SeriesSource};

/// Steps whose values are in memory at once.
const CHUNK_STEPS: i64 = 500;

/// The most steps of one group: a year of minutes.
const STEPS_MAX: u64 = 530_000;

/// Firings that are listed, at most; beyond it they are only counted.
pub const FIRINGS_MAX: usize = 10_000;

/// What to rehearse over.
pub struct Rehearsal<'a> {
    /// Where series and records come from.
    pub source: &'a dyn SeriesSource,
    /// What all of it may cost.
    pub scan: &'a Scan,
    /// How many bytes a question over logs may keep, and what is recorded on the way.
    pub memory_bytes_max: u64,
    /// The most alerts that one rule may have.
    pub alerts_max: usize,
    /// How often groups are evaluated that do not say it.
    pub interval: Duration,
    /// Labels of this server in templates.
    pub external_labels: &'a BTreeMap<String, String>,
    /// Where people reach this server.
    pub external_url: &'a str,
    /// From when on.
    pub from: Timestamp,
    /// Up to when.
    pub to: Timestamp,
}

/// What the rules would have done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Every rule, in order.
    pub rules: Vec<RuleReplay>,
    /// How many times a group would have been evaluated.
    pub evaluations: u64,
    /// Why this is not everything.
    pub partial: Option<String>,
}

/// What one rule would have done.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleReplay {
    /// The file it stands in.
    pub file: String,
    /// Its group.
    pub group: String,
    /// The alert's name, or that of the recorded series.
    pub name: String,
    /// Whether it records a series.
    pub records: bool,
    /// What fired, in the order of its beginning.
    pub firings: Vec<Firing>,
    /// How many times something fired; more than are listed when there are very many.
    pub firing_total: u64,
    /// How many times an alert went away while its `for` ran.
    pub pending_only: u64,
    /// Evaluations that failed.
    pub failed: u64,
    /// Why the last of them did.
    pub error: Option<String>,
}

/// An alert from its first moment to its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// Its labels.
    pub labels: Labels,
    /// Its texts when it began to fire.
    pub annotations: Labels,
    /// The expression's value then.
    pub value: f64,
    /// The value farthest from not firing: the highest, or of `<` the lowest.
    pub worst: f64,
    /// Since when the expression held.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub start: Timestamp,
    /// When it ended; none when it fires still.
    pub end: Option<Timestamp>,
    /// Log lines that would have been shown.
    pub log_lines: Option<LinesAsked>,
}

/// How far a rehearsal has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The moment that has been reached.
    pub time: Timestamp,
    /// The share of the whole that is done, from 0 to 1.
    pub done: f64,
    /// Firings so far.
    pub firings: u64,
}

/// Rehearses the groups. Blocks, and tells how far it has come.
pub fn replay(groups: &[Group], rehearsal: &Rehearsal<'_>, tell: &mut dyn FnMut(Progress)) -> Result<Replayed, String> {
    if rehearsal.to <= rehearsal.from {
        return Err("the rehearsal ends before it begins: `from` lies before `to`".to_owned());
    }
    let mut overlay = Overlay::new(rehearsal.source);
    let mut courses: Vec<Course<'_>> = groups.iter().map(|group| Course::new(group, rehearsal)).collect();
    for course in &courses {
        let steps = rehearsal.to.saturating_since(rehearsal.from).as_nanos() / course.interval.as_nanos().max(1);
        if steps > u128::from(STEPS_MAX) {
            return Err(format!(
                "the group {} would be evaluated {steps} times, more than {STEPS_MAX}: choose a shorter time or a longer \
                 interval",
                course.group.name
            ));
        }
    }
    let longest = courses.iter().map(|course| course.interval).max().unwrap_or(rehearsal.interval);
    let chunk = longest.saturating_mul(CHUNK_STEPS as u32);
    let mut partial = None;
    let mut until = rehearsal.from;
    while partial.is_none() && until < rehearsal.to && !courses.is_empty() {
        until = until.saturating_add(chunk).min(rehearsal.to);
        for course in &mut courses {
            course.go_on(until, &mut overlay, rehearsal);
            partial = stop_reason(rehearsal, &overlay);
            if partial.is_some() {
                break;
            }
        }
        let whole = rehearsal.to.saturating_since(rehearsal.from).as_secs_f64();
        let done = until.saturating_since(rehearsal.from).as_secs_f64() / whole;
        let firings = courses.iter().flat_map(|course| &course.rules).map(|rule| rule.replay.firing_total).sum();
        tell(Progress { time: until, done, firings });
    }
    let evaluations = courses.iter().map(|course| course.evaluations).sum();
    let rules: Vec<RuleReplay> = courses.into_iter().flat_map(|course| course.rules).map(|rule| rule.replay).collect();
    if partial.is_none() && rules.iter().any(|rule| rule.firing_total > rule.firings.len() as u64) {
        partial = Some(format!("of each rule only the first {FIRINGS_MAX} firings are listed"));
    }
    Ok(Replayed { rules, evaluations, partial })
}

fn stop_reason(rehearsal: &Rehearsal<'_>, overlay: &Overlay<'_>) -> Option<String> {
    if overlay.bytes() as u64 > rehearsal.memory_bytes_max {
        let limit = rehearsal.memory_bytes_max;
        return Some(format!("what the rules record does not fit into query.memory_bytes_max = {limit} bytes"));
    }
    match rehearsal.scan.touch(0, 0) {
        Ok(()) => None,
        Err(StopReason::OutOfTime) => {
            Some("it took longer than query.export_time_max allows: rehearse a shorter time or fewer rules".to_owned())
        }
        Err(reason) => Some(stopped(reason)),
    }
}

/// A group on its way through time.
struct Course<'a> {
    group: &'a Group,
    interval: Duration,
    /// The moment of its next evaluation.
    next: Timestamp,
    rules: Vec<RuleCourse>,
    evaluations: u64,
}

struct RuleCourse {
    alerts: Vec<Alert>,
    /// Where in the list of firings each alert stands that fires.
    open: HashMap<Labels, usize>,
    /// Which series the last step gave, so that they can be ended.
    given: HashSet<Arc<LabelSet>>,
    replay: RuleReplay,
}

impl<'a> Course<'a> {
    fn new(group: &'a Group, rehearsal: &Rehearsal<'_>) -> Course<'a> {
        let interval = group.interval.unwrap_or(rehearsal.interval);
        let rule = |rule: &Rule| RuleCourse {
            alerts: Vec::new(),
            open: HashMap::new(),
            given: HashSet::new(),
            replay: RuleReplay {
                file: group.file.clone(),
                group: group.name.clone(),
                name: rule.name.clone(),
                records: rule.action == Action::Record,
                firings: Vec::new(),
                firing_total: 0,
                pending_only: 0,
                failed: 0,
                error: None,
            },
        };
        Course {
            group,
            interval,
            next: next_due(group, interval, rehearsal.from),
            rules: group.rules.iter().map(rule).collect(),
            evaluations: 0,
        }
    }

    /// Evaluates everything that is due before `until`.
    fn go_on(&mut self, until: Timestamp, overlay: &mut Overlay<'_>, rehearsal: &Rehearsal<'_>) {
        let mut times = Vec::new();
        while self.next < until {
            times.push(self.next);
            self.next = self.next.saturating_add(self.interval);
        }
        for (rule, course) in self.group.rules.iter().zip(&mut self.rules) {
            // Short intervals beside long ones make many steps of a chunk.
            for times in times.chunks(CHUNK_STEPS as usize) {
                let environment = Environment {
                    source: rehearsal.source,
                    budget: Budget::Whole(rehearsal.scan),
                    memory_bytes_max: rehearsal.memory_bytes_max,
                    alerts_max: rehearsal.alerts_max,
                    interval: self.interval,
                    external_labels: rehearsal.external_labels,
                    external_url: rehearsal.external_url,
                };
                let given = course.steps(self.group, rule, times, &environment, overlay, self.interval);
                for (labels, time_ms, value) in given {
                    overlay.add(labels, time_ms, value);
                }
                if rehearsal.scan.touch(0, 0).is_err() {
                    return;
                }
            }
        }
        self.evaluations += times.len() as u64;
    }
}

/// A point that a rule gave: series, milliseconds, value.
type Given = (Arc<LabelSet>, i64, f64);

impl RuleCourse {
    fn steps(
        &mut self,
        group: &Group,
        rule: &Rule,
        times: &[Timestamp],
        environment: &Environment<'_>,
        overlay: &Overlay<'_>,
        interval: Duration,
    ) -> Vec<Given> {
        let mut given = Vec::new();
        let ahead = match rule.logs {
            Some(_) => None,
            None => match ahead(group, rule, times, environment, overlay, interval) {
                Ok(ahead) => ahead,
                // An answer that fails somewhere on the way says nothing of the steps before and after it.
                Err(_) if !environment.budget.is_spent() => None,
                Err(_) => return given,
            },
        };
        for (at, &time) in times.iter().enumerate() {
            let evaluation = Evaluation::new(group, rule, environment, overlay, time);
            let readings = match &ahead {
                Some(ahead) => Ok(ahead[at].clone()),
                None => evaluation.asking.readings(),
            };
            match readings.and_then(|readings| self.step(&evaluation, rule, readings, &mut given)) {
                Ok(()) => {}
                Err(error) => {
                    if environment.budget.is_spent() {
                        break;
                    }
                    self.replay.failed += 1;
                    self.replay.error = Some(error);
                }
            }
        }
        given
    }

    fn step(
        &mut self,
        evaluation: &Evaluation<'_>,
        rule: &Rule,
        readings: Vec<Reading>,
        given: &mut Vec<Given>,
    ) -> Result<(), String> {
        // Most steps of most rules: there is nothing, and there was nothing.
        if readings.is_empty() && self.alerts.is_empty() && self.given.is_empty() && rule.no_data == NoData::Ok {
            return Ok(());
        }
        let fresh = match &rule.action {
            Action::Record => recorded(evaluation, readings)?,
            Action::Alert { hold, keep_firing, annotations } => {
                let without_texts = BTreeMap::new();
                let judged = evaluation.judge(&mut self.alerts, &readings, (*hold, *keep_firing), &without_texts);
                if judged.is_err() {
                    self.end_what_was_dropped(evaluation.time);
                }
                for transition in judged? {
                    match transition.to {
                        Some(AlertState::Firing) => {
                            self.begin(evaluation, &transition.labels, &readings, annotations);
                        }
                        Some(AlertState::Resolved) => self.end(&transition.labels, evaluation.time),
                        Some(AlertState::Pending) => {}
                        None => self.replay.pending_only += 1,
                    }
                }
                self.note_worst(rule);
                // Nobody is told twice here.
                self.alerts.retain(|alert| alert.state != AlertState::Resolved);
                samples(&self.alerts, evaluation.query_time)
            }
        };
        let time_ms = evaluation.query_time.unix_millis();
        let mut now = HashSet::with_capacity(fresh.len());
        for sample in fresh {
            if let SampleValue::Gauge { last, .. } = sample.value {
                now.insert(sample.labels.clone());
                given.push((sample.labels, time_ms, last));
            }
        }
        given.extend(self.given.difference(&now).map(|gone| (gone.clone(), time_ms, STALE)));
        self.given = now;
        Ok(())
    }

    fn begin(
        &mut self,
        evaluation: &Evaluation<'_>,
        labels: &Labels,
        readings: &[Reading],
        annotations: &BTreeMap<String, super::template::Template>,
    ) {
        self.replay.firing_total += 1;
        let Some(alert) = self.alerts.iter().find(|alert| alert.labels == *labels) else { return };
        if self.replay.firings.len() == FIRINGS_MAX {
            return;
        }
        // Only now that people would read them are the texts worth their expansion.
        let found = evaluation.texts_of(labels, readings, annotations);
        self.open.insert(labels.clone(), self.replay.firings.len());
        self.replay.firings.push(Firing {
            labels: labels.clone(),
            annotations: found.annotations,
            value: alert.value,
            worst: alert.value,
            active_at: alert.active_at,
            start: evaluation.time,
            end: None,
            log_lines: found.log_lines,
        });
    }

    fn end(&mut self, labels: &Labels, time: Timestamp) {
        if let Some(at) = self.open.remove(labels) {
            self.replay.firings[at].end = Some(time);
        }
    }

    /// Beyond the group's limit all alerts of a rule are dropped.
    fn end_what_was_dropped(&mut self, time: Timestamp) {
        let is_there = |labels: &Labels| self.alerts.iter().any(|alert| alert.labels == *labels);
        let gone: Vec<Labels> = self.open.keys().filter(|labels| !is_there(labels)).cloned().collect();
        gone.iter().for_each(|labels| self.end(labels, time));
    }

    fn note_worst(&mut self, rule: &Rule) {
        let falls = rule.comparison.as_ref().is_some_and(|comparison| comparison.operator.starts_with('<'));
        for alert in &self.alerts {
            if let Some(firing) = self.open.get(&alert.labels).and_then(|at| self.replay.firings.get_mut(*at)) {
                firing.worst = if falls { firing.worst.min(alert.value) } else { firing.worst.max(alert.value) };
            }
        }
    }
}

/// The readings of every step, asked for all at once; none for an expression that means something else then.
fn ahead(
    group: &Group,
    rule: &Rule,
    times: &[Timestamp],
    environment: &Environment<'_>,
    overlay: &Overlay<'_>,
    interval: Duration,
) -> Result<Option<Vec<Vec<Reading>>>, String> {
    let expression = rule.comparison.as_ref().map_or(&rule.expr, |comparison| &comparison.expression);
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(Some(Vec::new())) };
    // These name the bounds of the question itself.
    if ["start()", "end()", "step()", "range()"].iter().any(|word| expression.contains(word)) {
        return Ok(None);
    }
    // An interval that is no whole number of milliseconds drifts away from a range's steps.
    if !interval.subsec_nanos().is_multiple_of(1_000_000) {
        return Ok(None);
    }
    parse(expression).map_err(message)?;
    let (start, end) = (first.saturating_sub(group.query_offset), last.saturating_sub(group.query_offset));
    let evaluated = environment.budget.spend(|scan| {
        let answer = promql::range(expression, start, end, interval, overlay, scan).map_err(message)?;
        super::values::whole(scan).map(|()| answer)
    })?;
    let mut readings = vec![Vec::new(); times.len()];
    let (start_ms, step_ms) = (start.unix_millis(), interval.as_millis() as i64);
    for series in evaluated.value {
        for (time_ms, value) in series.points {
            let at = usize::try_from((time_ms - start_ms) / step_ms.max(1)).unwrap_or(usize::MAX);
            if let Some(step) = readings.get_mut(at) {
                step.push(Reading { labels: series.labels.clone(), columns: series.labels.clone(), value });
            }
        }
    }
    Ok(Some(readings))
}

#[cfg(test)]
mod tests;
