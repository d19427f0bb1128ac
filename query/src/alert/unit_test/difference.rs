//! What is expected against what was found, and how the two are shown.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;

use crate::alert::state::Labels;
use crate::promql::InstantValue;
use crate::promql::promqltest::compare::same_histogram;
use crate::promql::promqltest::notation::Written;

/// The firing alerts of a name: labels and annotations of each. The error shows both sides.
pub(super) fn alerts(mut expected: Vec<(Labels, Labels)>, mut found: Vec<(Labels, Labels)>) -> Result<(), String> {
    expected.sort();
    found.sort();
    if expected == found {
        return Ok(());
    }
    let one = |(labels, annotations): &(Labels, Labels)| format!("{} {}", braces(labels), braces(annotations));
    Err(sides("alerts (labels, then annotations)", expected.iter().map(one), found.iter().map(one)))
}

/// What an expression gave. `fuzzy` lets numbers differ in their last digit.
pub(super) fn samples(expected: &[(LabelSet, Written)], found: &[InstantValue], fuzzy: bool) -> Result<(), String> {
    let meets = |(labels, written): &(LabelSet, Written)| {
        let one = found.iter().find(|value| *value.labels == *labels)?;
        let same = match (written, &one.histogram) {
            (Written::Number(wanted), None) => same_number(*wanted, one.value, fuzzy),
            (Written::Histogram(wanted), Some(histogram)) => same_histogram(wanted, histogram),
            _ => false,
        };
        same.then_some(())
    };
    if expected.len() == found.len() && expected.iter().all(|sample| meets(sample).is_some()) {
        return Ok(());
    }
    let wanted = expected.iter().map(|(labels, written)| match written {
        Written::Number(value) => format!("{labels} {value}"),
        Written::Histogram(histogram) => format!("{labels} {}", histogram.histogram),
        Written::Nothing => labels.to_string(),
    });
    let gave = found.iter().map(|value| match &value.histogram {
        Some(histogram) => format!("{} {}", value.labels, Arc::clone(histogram)),
        None => format!("{} {}", value.labels, value.value),
    });
    Err(sides("samples", wanted, gave))
}

fn same_number(wanted: f64, found: f64, fuzzy: bool) -> bool {
    wanted == found
        || wanted.is_nan() && found.is_nan()
        || fuzzy && (wanted.next_up() == found || wanted.next_down() == found)
}

fn sides(what: &str, expected: impl Iterator<Item = String>, found: impl Iterator<Item = String>) -> String {
    let lines = |lines: Vec<String>| match lines.is_empty() {
        true => " none".to_owned(),
        false => lines.iter().map(|line| format!("\n      {line}")).collect(),
    };
    format!("{what} differ\n    expected:{}\n    found:{}", lines(expected.collect()), lines(found.collect()))
}

fn braces(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
