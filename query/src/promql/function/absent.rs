//! `absent` and `absent_over_time`: a 1 where nothing is, with the labels that the selector asks for by `=`.

use std::sync::Arc;

use parking_lot::Mutex;
use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_ingest::series_store::LabelTest;

use super::super::PromqlError;
use super::super::selection::matchers;
use super::super::syntax::{Expression, Kind};
use super::{ABSENT, Arguments, StepSeries, Value};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    match name {
        "absent" => Some(absent(arguments)),
        "absent_over_time" => Some(absent_over_time(arguments)),
        _ => None,
    }
}

fn absent(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let mut present = vec![false; arguments.steps.count];
    for series in arguments.vector(0)? {
        present.iter_mut().enumerate().for_each(|(step, present)| *present |= series.is_there(step));
    }
    ones_where_not(&present, arguments)
}

fn absent_over_time(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let present = Mutex::new(vec![false; arguments.steps.count]);
    let range = arguments.range_vector(0)?;
    range.visit(&|_, series| {
        let mut present = present.lock();
        let places = range.windows.places(&series.times);
        present.iter_mut().zip(places.iter()).for_each(|(present, (from, to))| *present |= from < to);
        Ok(())
    })?;
    ones_where_not(&present.into_inner(), arguments)
}

pub(super) fn ones_where_not(present: &[bool], arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    if present.iter().all(|&present| present) {
        return Ok(Value::Vector(Vec::new()));
    }
    let values = present.iter().map(|&present| if present { ABSENT } else { 1.0 }).collect();
    let labels = Arc::new(wanted_labels(arguments.expression(0)?)?);
    Ok(Value::Vector(vec![StepSeries::of_numbers(labels, values)]))
}

/// The labels that a selector fixes, except those it names twice.
fn wanted_labels(expression: &Expression) -> Result<LabelSet, PromqlError> {
    let (Kind::Selector(selector) | Kind::Range { selector, .. }) = &expression.bare().kind else {
        return Ok(LabelSet::default());
    };
    let matchers = matchers(selector)?;
    let fixed = matchers.iter().filter_map(|matcher| match &matcher.test {
        LabelTest::Equal(value) if matcher.name != NAME_LABEL => {
            let named = matchers.iter().filter(|other| other.name == matcher.name).count();
            (named == 1).then_some((matcher.name.as_str(), value.as_str()))
        }
        _ => None,
    });
    Ok(LabelSet::new(fixed))
}
