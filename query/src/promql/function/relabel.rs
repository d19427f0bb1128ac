//! `label_replace` and `label_join`.

use std::sync::Arc;

use taffrail_collector::model::label_set::NAME_LABEL;

use super::super::PromqlError;
use super::super::labels::with;
use super::super::selection::anchored;
use super::{Arguments, StepSeries, Value, join_same_labels};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    match name {
        "label_replace" => Some(label_replace(arguments)),
        "label_join" => Some(label_join(arguments)),
        _ => None,
    }
}

fn label_replace(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let mut series = arguments.vector(0)?;
    let [target, replacement, source, pattern] =
        [arguments.text(1)?, arguments.text(2)?, arguments.text(3)?, arguments.text(4)?];
    let regex = anchored(&pattern)
        .map_err(|_| PromqlError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    check_name(&target, "invalid destination label name in label_replace()")?;
    for one in &mut series {
        if let Some(captures) = regex.captures(one.labels.get(&source)) {
            let mut value = String::new();
            captures.expand(&replacement, &mut value);
            one.labels = Arc::new(with(&one.labels, &target, &value));
            // A name that was set here stays.
            one.drop_name &= target != NAME_LABEL;
        }
    }
    joined(arguments, series)
}

fn label_join(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let mut series = arguments.vector(0)?;
    let (target, separator) = (arguments.text(1)?, arguments.text(2)?);
    let sources = (3..arguments.len()).map(|place| arguments.text(place)).collect::<Result<Vec<_>, _>>()?;
    check_name(&target, "invalid destination label name in label_join()")?;
    for source in &sources {
        check_name(source, "invalid source label name in label_join()")?;
    }
    for one in &mut series {
        let values: Vec<&str> = sources.iter().map(|source| one.labels.get(source)).collect();
        one.labels = Arc::new(with(&one.labels, &target, &values.join(&separator)));
        one.drop_name &= target != NAME_LABEL;
    }
    joined(arguments, series)
}

fn joined(arguments: &Arguments<'_, '_>, series: Vec<StepSeries>) -> Result<Value, PromqlError> {
    if arguments.evaluator.dialect().delayed_names && series.iter().any(|one| one.drop_name) {
        return Ok(Value::Vector(series));
    }
    join_same_labels(series).map(Value::Vector)
}

/// Any UTF-8 text but the empty one names a label.
fn check_name(name: &str, message: &str) -> Result<(), PromqlError> {
    if name.is_empty() || name.contains('\u{FFFD}') {
        return Err(PromqlError::Execution(format!("{message}: {name}")));
    }
    Ok(())
}
