//! Fits through a window: `deriv` and `predict_linear` (least squares), `double_exponential_smoothing` (Holt).

use super::super::PromqlError;
use super::super::summation::Sum;
use super::{Arguments, Value, Window};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    Some(match name {
        "deriv" => arguments.range_vector(0).and_then(|range| {
            arguments.fold_numbers(&range, 0, |_| {
                |_: usize, window: Window<'_>, _: usize| Some(line(window, window.first().0)?.0)
            })
        }),
        "predict_linear" => predict_linear(arguments),
        "double_exponential_smoothing" => smoothed(arguments),
        _ => return None,
    })
}

/// Slope per second and value at `origin_ms` of the least-squares line through at least two points; times are taken from
/// `origin_ms`, sums compensated, and a constant is recognised, as in Prometheus.
fn line(window: Window<'_>, origin_ms: i64) -> Option<(f64, f64)> {
    let [first, _, ..] = window.values else { return None };
    if window.values.iter().all(|value| value == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, *first) });
    }
    let n = window.len() as f64;
    let [mut x_sum, mut y_sum, mut xy_sum, mut x2_sum] = [Sum::default(); 4];
    for (time, y) in window.points() {
        let x = (time - origin_ms) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(y);
        xy_sum.add(x * y);
        x2_sum.add(x * x);
    }
    let [x, y, xy, x2] = [x_sum.total(), y_sum.total(), xy_sum.total(), x2_sum.total()];
    let slope = (xy - x * y / n) / (x2 - x * x / n);
    Some((slope, y / n - slope * x / n))
}

fn predict_linear(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    let ahead = arguments.numbers(1)?;
    let (steps, ahead) = (arguments.steps, &ahead);
    arguments.fold_numbers(&range, 0, |_| {
        move |step: usize, window: Window<'_>, _: usize| {
            let (slope, now) = line(window, steps.at(step))?;
            Some(slope * ahead[step] + now)
        }
    })
}

fn smoothed(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    let (smoothing, trend) = (arguments.numbers(1)?, arguments.numbers(2)?);
    for (what, factors) in [("smoothing", &smoothing), ("trend", &trend)] {
        if let Some(factor) = factors.iter().find(|factor| !(**factor > 0.0 && **factor < 1.0)) {
            let message = format!("invalid {what} factor. Expected: 0 < {what} factor < 1, got: {factor}");
            return Err(PromqlError::Execution(message));
        }
    }
    let (smoothing, trend) = (&smoothing, &trend);
    arguments.fold_numbers(&range, 0, |_| {
        move |step: usize, window: Window<'_>, _: usize| {
            let [first, second, ..] = *window.values else { return None };
            let (mut level, mut slope) = (first, second - first);
            for &value in &window.values[1..] {
                let next = smoothing[step] * value + (1.0 - smoothing[step]) * (level + slope);
                slope = trend[step] * (next - level) + (1.0 - trend[step]) * slope;
                level = next;
            }
            Some(level)
        }
    })
}
