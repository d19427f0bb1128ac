//! `sort*`: the order of an instant query's answer. Answers over a range are always ordered by labels.

use std::cmp::Ordering;

use super::super::PromqlError;
use super::super::annotation::Annotation;
use super::{Arguments, StepSeries, Value, is_absent};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    if !matches!(name, "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc") {
        return None;
    }
    Some(sorted(name, arguments))
}

fn sorted(name: &str, arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let mut series = arguments.vector(0)?;
    let (start, end) = arguments.evaluator.query_bounds();
    let of_numbers = matches!(name, "sort" | "sort_desc");
    if of_numbers {
        series.iter_mut().for_each(|one| one.histograms = None);
    }
    if start != end || arguments.steps.count != 1 {
        arguments.evaluator.annotate(&Annotation::SortInRange, arguments.span);
        return Ok(Value::Vector(series));
    }
    series.retain(|one| if of_numbers { !is_absent(one.values[0]) } else { one.is_there(0) });
    match name {
        "sort" => series.sort_by(|a, b| by_value(a, b, false)),
        "sort_desc" => series.sort_by(|a, b| by_value(a, b, true)),
        _ => {
            let names = (1..arguments.len()).map(|place| arguments.text(place)).collect::<Result<Vec<_>, _>>()?;
            series.sort_by(|a, b| by_labels(a, b, &names));
            if name == "sort_by_label_desc" {
                series.reverse();
            }
        }
    }
    Ok(Value::Vector(series))
}

/// NaN comes last either way.
fn by_value(a: &StepSeries, b: &StepSeries, falling: bool) -> Ordering {
    let (a, b) = (a.values[0], b.values[0]);
    match (a.is_nan(), b.is_nan()) {
        (false, false) => {
            let rising = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if falling { rising.reverse() } else { rising }
        }
        (a, b) => a.cmp(&b),
    }
}

/// By the named labels in natural order, then by all labels.
fn by_labels(a: &StepSeries, b: &StepSeries, names: &[String]) -> Ordering {
    let named = names.iter().map(|name| natural(a.labels.get(name), b.labels.get(name)));
    named.reduce(Ordering::then).unwrap_or(Ordering::Equal).then_with(|| a.labels.cmp(&b.labels))
}

/// Runs of digits compare as numbers: `cpu2` before `cpu10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let (digits_a, digits_b) = (leading_digits(a), leading_digits(b));
        if digits_a > 0 && digits_b > 0 {
            let number = |text: &str| text.trim_start_matches('0').to_owned();
            let (number_a, number_b) = (number(&a[..digits_a]), number(&b[..digits_b]));
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(&number_b));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[digits_a..], &b[digits_b..]);
        } else {
            let mut rest = (a.chars(), b.chars());
            let order = rest.0.next().cmp(&rest.1.next());
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest.0.as_str(), rest.1.as_str());
        }
    }
    a.len().cmp(&b.len())
}

fn leading_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_compare_as_numbers() {
        let mut names = ["cpu10", "cpu2", "cpu", "cpu02b", "a", "cpu2é", "99999999999999999999999", "3"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["3", "99999999999999999999999", "a", "cpu", "cpu2", "cpu02b", "cpu2é", "cpu10"]);
    }
}
