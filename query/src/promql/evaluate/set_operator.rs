//! `and`, `or` and `unless`: what is kept depends, step by step, on which signatures the other side has.

use promql_parser::parser::LabelModifier;
use promql_parser::parser::token::{T_LAND, T_LOR, T_LUNLESS, TokenId};

use super::super::PromqlError;
use super::matching::Signatures;
use super::{ABSENT, StepSeries, is_absent, join_same_labels};

/// The values of `left`, and for `or` those of `right`, that the operator keeps.
pub(super) fn apply(
    operator: TokenId,
    mut left: Vec<StepSeries>,
    mut right: Vec<StepSeries>,
    modifier: Option<&LabelModifier>,
    steps: usize,
) -> Result<Vec<StepSeries>, PromqlError> {
    let signatures = Signatures::new(&left, &right, modifier);
    let mut present = vec![usize::MAX; signatures.labels.len()];
    for step in 0..steps {
        let (deciding, numbers) =
            if operator == T_LOR { (&left, &signatures.left) } else { (&right, &signatures.right) };
        for (series, &number) in deciding.iter().zip(numbers) {
            if !is_absent(series.values[step]) {
                present[number] = step;
            }
        }
        let (filtered, numbers, kept_when) = match operator {
            T_LAND => (&mut left, &signatures.left, true),
            T_LUNLESS => (&mut left, &signatures.left, false),
            _ => (&mut right, &signatures.right, false),
        };
        for (series, &number) in filtered.iter_mut().zip(numbers) {
            if (present[number] == step) != kept_when {
                series.values[step] = ABSENT;
            }
        }
    }
    if operator == T_LOR {
        left.extend(right);
    }
    left.retain(|series| series.values.iter().any(|&value| !is_absent(value)));
    join_same_labels(left)
}
