//! Functions of `logs_count[…]`: counts of records in each window, exact to the nanosecond.

use std::sync::Arc;

use super::super::PromqlError;
use super::super::syntax::Kind;
use super::absent::ones_where_not;
use super::{ABSENT, Arguments, StepSeries, Value, is_absent};

/// What the call gives; none when it is not about records.
pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    let (selector, range) = arguments.call.arguments.iter().find_map(|argument| match &argument.bare().kind {
        Kind::Range { selector, range } => Some((selector, range)),
        _ => None,
    })?;
    let logs = arguments.evaluator.logs_of(selector)?;
    let counted = || {
        let range_ms = arguments.evaluator.positive_ms(range)?;
        let counted = arguments.evaluator.counted((logs, selector), range_ms, arguments.steps)?;
        Ok((counted, range_ms as f64 / 1000.0))
    };
    let each = |of: &dyn Fn(f64, f64) -> f64| {
        let (counted, seconds) = counted()?;
        let value = |count: f64| if is_absent(count) { ABSENT } else { of(count, seconds) };
        let series = counted.into_iter().map(|counted| {
            let values = counted.counts.into_iter().map(value).collect();
            StepSeries::of_numbers(Arc::new(counted.labels), values)
        });
        Ok(Value::Vector(series.filter(StepSeries::is_anywhere).collect()))
    };
    Some(match name {
        "increase" | "sum_over_time" | "count_over_time" => each(&|count, _| count),
        "rate" => each(&|count, seconds| count / seconds),
        "present_over_time" => each(&|count, _| if count > 0.0 { 1.0 } else { ABSENT }),
        "absent_over_time" => counted().and_then(|(counted, _)| {
            let is_present = |step: usize| counted.iter().any(|one| one.counts[step] > 0.0);
            let present: Vec<bool> = (0..arguments.steps.count).map(is_present).collect();
            ones_where_not(&present, arguments)
        }),
        other => Err(refused(other)),
    })
}

/// What is said of anything else that takes a range.
pub(in super::super) fn refused(what: &str) -> PromqlError {
    PromqlError::Invalid(format!(
        "{what} does not take logs_count as it is: it has no points of its own. Count with increase, rate, sum_over_time or \
         count_over_time first, for instance max_over_time(increase(logs_count[1m])[1h:1m])"
    ))
}
