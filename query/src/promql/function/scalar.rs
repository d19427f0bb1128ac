//! Numbers from series and series from numbers: `scalar`, `vector`, `time`, `pi`, `start`, `end`, `min_of`, `max_of`; and
//! functions of a value and numbers: `clamp*`, `round`; `timestamp`.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;

use super::super::PromqlError;
use super::super::syntax::Kind;
use super::{ABSENT, Arguments, StepSeries, Value, is_absent};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    let steps = arguments.steps;
    let (start, end) = arguments.evaluator.query_bounds();
    let constant = |value: f64| Ok(Value::Scalar(vec![value; steps.count]));
    Some(match name {
        "time" => Ok(Value::Scalar(steps.iter().map(|time| time as f64 / 1000.0).collect())),
        "pi" => constant(std::f64::consts::PI),
        "start" => constant(start as f64 / 1000.0),
        "end" => constant(end as f64 / 1000.0),
        "range" => constant(end.saturating_sub(start) as f64 / 1000.0),
        "step" => constant(arguments.evaluator.step_ms() as f64 / 1000.0),
        "min_of" => of_two(arguments, f64::min),
        "max_of" => of_two(arguments, f64::max),
        "vector" => {
            arguments.numbers(0).map(|values| Value::Vector(vec![StepSeries::of_numbers(Arc::default(), values)]))
        }
        "scalar" => scalar(arguments),
        "clamp" => clamp(arguments, Some(1), Some(2)),
        "clamp_min" => clamp(arguments, Some(1), None),
        "clamp_max" => clamp(arguments, None, Some(1)),
        "round" => round(arguments),
        "timestamp" => timestamp(arguments),
        _ => return None,
    })
}

fn of_two(arguments: &Arguments<'_, '_>, of: fn(f64, f64) -> f64) -> Result<Value, PromqlError> {
    let (a, b) = (arguments.numbers(0)?, arguments.numbers(1)?);
    Ok(Value::Scalar(a.into_iter().zip(b).map(|(a, b)| of(a, b)).collect()))
}

/// The value of the only series that has one at a step, else NaN.
fn scalar(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let series = arguments.vector(0)?;
    let of_step = |step: usize| {
        let mut present = series.iter().map(|one| one.values[step]).filter(|&value| !is_absent(value));
        match (present.next(), present.next()) {
            (Some(value), None) => value,
            _ => f64::NAN,
        }
    };
    Ok(Value::Scalar((0..arguments.steps.count).map(of_step).collect()))
}

/// Replaces each value by a function of it and its step; the name goes.
fn map_steps(
    arguments: &Arguments<'_, '_>,
    mut series: Vec<StepSeries>,
    function: impl Fn(f64, usize) -> f64,
) -> Result<Value, PromqlError> {
    for one in &mut series {
        one.histograms = None;
        for (step, value) in one.values.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value)) {
            *value = function(*value, step);
        }
    }
    arguments.evaluator.renamed(series)
}

fn clamp(arguments: &Arguments<'_, '_>, low: Option<usize>, high: Option<usize>) -> Result<Value, PromqlError> {
    let series = arguments.vector(0)?;
    let bound = |place: Option<usize>, otherwise: f64| match place {
        Some(place) => arguments.numbers(place),
        None => Ok(vec![otherwise; arguments.steps.count]),
    };
    let (low, high) = (bound(low, f64::NEG_INFINITY)?, bound(high, f64::INFINITY)?);
    map_steps(arguments, series, |value, step| {
        let (low, high) = (low[step], high[step]);
        if low > high {
            ABSENT // no value lies between bounds the wrong way round
        } else if low.is_nan() || high.is_nan() || value.is_nan() {
            f64::NAN
        } else {
            low.max(high.min(value))
        }
    })
}

/// To the nearest multiple, halves up.
fn round(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let series = arguments.vector(0)?;
    let nearest = if arguments.len() > 1 { arguments.numbers(1)? } else { vec![1.0; arguments.steps.count] };
    map_steps(arguments, series, |value, step| {
        // Dividing by the inverse gives 5.3 where multiplying by 0.1 would give 5.300000000000001.
        let inverse = 1.0 / nearest[step];
        (value * inverse + 0.5).floor() / inverse
    })
}

/// When the value was measured: known of a selector's points, otherwise the step.
fn timestamp(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let steps = arguments.steps;
    if let Kind::Selector(selector) = &arguments.expression(0)?.bare().kind {
        let series = arguments.evaluator.instant_selector(selector, steps, true)?;
        return arguments.evaluator.renamed(series);
    }
    let mut series = arguments.vector(0)?;
    for one in &mut series {
        for step in (0..steps.count).filter(|&step| one.is_there(step)).collect::<Vec<_>>() {
            one.put(step, super::Cell::Number(steps.at(step) as f64 / 1000.0));
        }
    }
    arguments.evaluator.renamed(series)
}

/// The series that a call without arguments works on: the time of each step, without labels.
pub(super) fn time_series(arguments: &Arguments<'_, '_>) -> Vec<StepSeries> {
    let values = arguments.steps.iter().map(|time| time as f64 / 1000.0).collect();
    vec![StepSeries::of_numbers(Arc::new(LabelSet::default()), values)]
}
