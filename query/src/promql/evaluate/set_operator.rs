//! `and`, `or` and `unless`: what is kept depends, step by step, on which signatures the other side has.

use super::super::PromqlError;
use super::super::syntax::{Grouping, Operator};
use super::matching::Signatures;
use super::{StepSeries, join_same_labels};

/// The values of `left`, and for `or` those of `right`, that the operator keeps. Names that are to go at the end keep series
/// apart until then.
pub(super) fn apply(
    operator: Operator,
    mut left: Vec<StepSeries>,
    mut right: Vec<StepSeries>,
    matching: Option<&Grouping>,
    (steps, delayed_names): (usize, bool),
) -> Result<Vec<StepSeries>, PromqlError> {
    let signatures = Signatures::new(&left, &right, matching);
    let mut present = vec![usize::MAX; signatures.labels.len()];
    for step in 0..steps {
        let (deciding, numbers) =
            if operator == Operator::Or { (&left, &signatures.left) } else { (&right, &signatures.right) };
        for (series, &number) in deciding.iter().zip(numbers) {
            if series.is_there(step) {
                present[number] = step;
            }
        }
        let (filtered, numbers, kept_when) = match operator {
            Operator::And => (&mut left, &signatures.left, true),
            Operator::Unless => (&mut left, &signatures.left, false),
            _ => (&mut right, &signatures.right, false),
        };
        for (series, &number) in filtered.iter_mut().zip(numbers) {
            if (present[number] == step) != kept_when {
                series.remove(step);
            }
        }
    }
    if operator == Operator::Or {
        left.extend(right);
    }
    left.retain(StepSeries::is_anywhere);
    if delayed_names { Ok(left) } else { join_same_labels(left) }
}
