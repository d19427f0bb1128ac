//! What an answer should be against what it is.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;

use super::super::histogram::Histogram;
use super::super::labels::{in_braces, value_text};
use super::super::{Answer, Evaluated, PromqlError, Series};
use super::histogram_notation::WrittenHistogram;
use super::notation::Written;
use super::script::{Eval, Expected, When};

/// Values may differ by this share, as in Prometheus' own runner.
const EPSILON: f64 = 1e-6;

/// What came of a question.
#[derive(Debug)]
pub(super) enum Outcome {
    Failed(String),
    Answered { answer: Answer, warnings: Vec<String>, infos: Vec<String> },
}

impl Outcome {
    pub(super) fn of_instant(result: Result<Evaluated<Answer>, PromqlError>) -> Outcome {
        match result {
            Err(error) => Outcome::Failed(error.to_string()),
            Ok(Evaluated { value, warnings, infos }) => Outcome::Answered { answer: value, warnings, infos },
        }
    }

    pub(super) fn of_range(result: Result<Evaluated<Vec<Series>>, PromqlError>) -> Outcome {
        match result {
            Err(error) => Outcome::Failed(error.to_string()),
            Ok(Evaluated { value, warnings, infos }) => {
                Outcome::Answered { answer: Answer::Matrix(value), warnings, infos }
            }
        }
    }
}

impl Eval {
    /// Whether the outcome is as expected; the error says what differs.
    pub(super) fn check(&self, outcome: Outcome) -> Result<(), String> {
        let (answer, warnings, infos) = match (outcome, &self.fail) {
            (Outcome::Failed(_), Some(None)) => return Ok(()),
            (Outcome::Failed(error), Some(Some(message))) if message.fits(&error) => return Ok(()),
            (Outcome::Failed(error), Some(Some(message))) => {
                return Err(format!("failed with {error:?}, expected {message:?}"));
            }
            (Outcome::Failed(error), None) => return Err(format!("failed: {error}")),
            (Outcome::Answered { .. }, Some(_)) => return Err("it was expected to fail".to_owned()),
            (Outcome::Answered { answer, warnings, infos }, None) => (answer, warnings, infos),
        };
        annotations("warning", &self.warn, &warnings)?;
        annotations("info", &self.info, &infos)?;
        match (answer, self.when) {
            (Answer::Text(text), _) => match &self.text {
                Some(wanted) if *wanted == text => Ok(()),
                wanted => Err(format!("the text {text:?}, expected {wanted:?}")),
            },
            (Answer::Scalar(value), _) => self.check_number(value),
            (Answer::Vector(values), When::Instant { time_ms } | When::Range { start_ms: time_ms, .. }) => {
                let series: Vec<Series> = values
                    .into_iter()
                    .map(|one| match one.histogram {
                        Some(histogram) => {
                            Series { labels: one.labels, points: Vec::new(), histograms: vec![(time_ms, histogram)] }
                        }
                        None => Series::of_numbers(one.labels, vec![(time_ms, one.value)]),
                    })
                    .collect();
                self.check_values(&series, time_ms)
            }
            (Answer::Matrix(series), _) => self.check_values(&series, 0),
        }
    }

    fn check_number(&self, value: f64) -> Result<(), String> {
        match self.number {
            Some(wanted) if nearly(wanted, value) => Ok(()),
            Some(wanted) => Err(format!("{}, expected {}", value_text(value), value_text(wanted))),
            None => Err(format!("the number {}, expected none", value_text(value))),
        }
    }

    /// Compares series; those of an instant query have one point, at `time_ms`.
    pub(super) fn check_values(&self, found: &[Series], time_ms: i64) -> Result<(), String> {
        if let (Some(_), [only]) = (self.number, found)
            && only.labels.is_empty()
        {
            return self.check_number(only.points.first().map_or(f64::NAN, |point| point.1));
        }
        let times = |step: usize| match (self.window, self.when) {
            (Some((start, _, length)), _) => start + step as i64 * length,
            (None, When::Range { start_ms, step_ms, .. }) => start_ms + step as i64 * step_ms as i64,
            (None, When::Instant { .. }) => time_ms,
        };
        let wanted: Vec<(&LabelSet, ExpectedPoints<'_>)> = self
            .series
            .iter()
            .map(|series| (&series.labels, expected_points(&series.values, times)))
            .filter(|(_, points)| !points.is_empty())
            .collect();
        for (place, series) in found.iter().enumerate() {
            let at = wanted.iter().position(|(labels, _)| **labels == *series.labels);
            let at = at.ok_or_else(|| format!("{} was not expected", in_braces(&series.labels)))?;
            if self.ordered && at != place {
                return Err(format!("{} comes at place {place}, expected at {at}", in_braces(&series.labels)));
            }
            same_points(&wanted[at].1, series).map_err(|differ| format!("{}: {differ}", in_braces(&series.labels)))?;
        }
        let missing = wanted.iter().find(|(labels, _)| !found.iter().any(|series| *series.labels == **labels));
        match missing {
            Some((labels, _)) => Err(format!("{} is expected and missing", in_braces(labels))),
            None => Ok(()),
        }
    }
}

/// (time, value) of each point.
type ExpectedPoints<'a> = Vec<(i64, &'a Written)>;

/// The points that are written.
fn expected_points(values: &[Written], times: impl Fn(usize) -> i64) -> ExpectedPoints<'_> {
    let written = values.iter().enumerate().filter(|(_, value)| !matches!(value, Written::Nothing));
    written.map(|(step, value)| (times(step), value)).collect()
}

/// A point that was found.
enum Found<'a> {
    Number(f64),
    Histogram(&'a Arc<Histogram>),
}

fn same_points(wanted: &[(i64, &Written)], series: &Series) -> Result<(), String> {
    let numbers = series.points.iter().map(|&(time, value)| (time, Found::Number(value)));
    let histograms = series.histograms.iter().map(|(time, histogram)| (*time, Found::Histogram(histogram)));
    let mut found: Vec<(i64, Found<'_>)> = numbers.chain(histograms).collect();
    found.sort_by_key(|point| point.0);
    if wanted.len() != found.len() {
        let shown: Vec<String> = found.iter().map(|(time, found)| format!("{} at {time} ms", found.text())).collect();
        return Err(format!("{} values, expected {}: {}", found.len(), wanted.len(), shown.join(", ")));
    }
    for ((wanted_time, wanted), (time, found)) in wanted.iter().zip(&found) {
        if wanted_time != time {
            return Err(format!("a value at {time} ms, expected at {wanted_time} ms"));
        }
        let differ = |wanted: String| Err(format!("{} at {time} ms, expected {wanted}", found.text()));
        match (wanted, found) {
            (Written::Number(wanted), Found::Number(value)) if nearly(*wanted, *value) => {}
            (Written::Histogram(wanted), Found::Histogram(histogram)) if same_histogram(wanted, histogram) => {}
            (Written::Number(wanted), _) => return differ(value_text(*wanted)),
            (Written::Histogram(wanted), _) => return differ(described(&wanted.histogram)),
            (Written::Nothing, _) => return differ("nothing".to_owned()),
        }
    }
    Ok(())
}

impl Found<'_> {
    fn text(&self) -> String {
        match self {
            Found::Number(value) => value_text(*value),
            Found::Histogram(histogram) => described(histogram),
        }
    }
}

fn described(histogram: &Histogram) -> String {
    let Histogram { hint, schema, zero_threshold, custom, .. } = histogram;
    format!("{histogram} (schema {schema}, {hint:?}, zero to {zero_threshold}, bounds {custom:?})")
}

/// What is known of restarts counts only where the script says it.
pub(crate) fn same_histogram(wanted: &WrittenHistogram, found: &Histogram) -> bool {
    let same_buckets = |wanted: &[(i32, f64)], found: &[(i32, f64)]| {
        wanted.len() == found.len() && wanted.iter().zip(found).all(|(a, b)| a.0 == b.0 && nearly(a.1, b.1))
    };
    let (says_hint, wanted) = (wanted.says_hint, &wanted.histogram);
    (!says_hint || wanted.hint == found.hint)
        && wanted.schema == found.schema
        && nearly(wanted.count, found.count)
        && nearly(wanted.sum, found.sum)
        && wanted.zero_threshold == found.zero_threshold
        && nearly(wanted.zero_count, found.zero_count)
        && (!wanted.is_custom() || wanted.custom == found.custom)
        && same_buckets(&wanted.positive, &found.positive)
        && same_buckets(&wanted.negative, &found.negative)
}

fn annotations(kind: &str, expected: &Expected, found: &[String]) -> Result<(), String> {
    match expected {
        Expected::Either => Ok(()),
        Expected::None if found.is_empty() => Ok(()),
        Expected::None => Err(format!("no {kind} is expected: {found:?}")),
        Expected::Some(_) if found.is_empty() => Err(format!("a {kind} is expected")),
        Expected::Some(None) => Ok(()),
        Expected::Some(Some(message)) if found.iter().any(|text| message.fits(text)) => Ok(()),
        Expected::Some(Some(message)) => Err(format!("the {kind} {message:?} is expected, not {found:?}")),
    }
}

fn nearly(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a == b {
        return true;
    }
    let (difference, sum) = ((a - b).abs(), a.abs() + b.abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}
