//! `histogram_*`: what histograms tell, be they native or classic (series of buckets with an `le` label).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;

use super::super::PromqlError;
use super::super::annotation::Annotation;
use super::super::histogram::{Estimate, Histogram, bucket_fraction, bucket_quantile};
use super::super::labels::{value_text, with, without};
use super::{ABSENT, Arguments, Cell, StepSeries, Value, is_absent};

/// The label that holds a classic bucket's upper bound.
const BOUND_LABEL: &str = "le";

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    let of_native: fn(&Histogram) -> f64 = match name {
        "histogram_count" => |histogram| histogram.count,
        "histogram_sum" => |histogram| histogram.sum,
        "histogram_avg" => |histogram| histogram.sum / histogram.count,
        "histogram_stddev" => |histogram| histogram.variance().sqrt(),
        "histogram_stdvar" => Histogram::variance,
        "histogram_quantile" => return Some(histogram_quantile(arguments)),
        "histogram_quantiles" => return Some(histogram_quantiles(arguments)),
        "histogram_fraction" => return Some(histogram_fraction(arguments)),
        _ => return None,
    };
    let only_totals = matches!(name, "histogram_count" | "histogram_sum" | "histogram_avg");
    let series = match only_totals {
        true => arguments.evaluator.reading_totals(|| arguments.vector(0)),
        false => native_vector(arguments, 0),
    };
    Some(series.and_then(|series| {
        let of_series = |series: StepSeries| {
            let of_step = |step: usize| series.histogram(step).map_or(ABSENT, |histogram| of_native(histogram));
            let values = (0..arguments.steps.count).map(of_step).collect();
            StepSeries { values, histograms: None, ..series }
        };
        arguments.evaluator.renamed(series.into_iter().map(of_series).collect())
    }))
}

/// An argument whose timers are to be read as native histograms.
fn native_vector(arguments: &Arguments<'_, '_>, place: usize) -> Result<Vec<StepSeries>, PromqlError> {
    arguments.evaluator.reading_histograms(|| arguments.vector(place))
}

fn histogram_quantile(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let q = arguments.evaluator.checked_quantiles(arguments.expression(0)?, arguments.steps)?;
    let series = native_vector(arguments, 1)?;
    arguments.evaluator.renamed(quantiles(arguments, &q, &series, 1)?)
}

fn histogram_quantiles(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let label = arguments.text(1)?;
    if label.is_empty() || label.contains('\u{FFFD}') {
        return Err(PromqlError::Execution(format!("invalid label name {label:?} in histogram_quantiles()")));
    }
    let series = native_vector(arguments, 0)?;
    let mut found = Vec::new();
    for place in 2..arguments.len() {
        let q = arguments.evaluator.checked_quantiles(arguments.expression(place)?, arguments.steps)?;
        for one in quantiles(arguments, &q, &series, 0)? {
            for step in (0..arguments.steps.count).filter(|&step| one.is_there(step)) {
                let labels = Arc::new(with(&one.labels, &label, &quantile_text(q[step])));
                let mut labelled = StepSeries::empty(labels, arguments.steps.count);
                labelled.drop_name = one.drop_name;
                labelled.put(step, one.cell(step));
                found.push(labelled);
            }
        }
    }
    // A quantile that is not the same at all steps makes several series of one.
    let mut joined: Vec<StepSeries> = Vec::new();
    let mut places: HashMap<Arc<LabelSet>, usize> = HashMap::new();
    for one in found {
        let place = *places.entry(one.labels.clone()).or_insert(joined.len());
        if place == joined.len() {
            joined.push(one);
        } else {
            let into = &mut joined[place];
            (0..arguments.steps.count)
                .filter(|&step| one.is_there(step))
                .for_each(|step| into.put(step, one.cell(step)));
        }
    }
    arguments.evaluator.renamed(joined)
}

/// A quantile as OpenMetrics writes it: always with a decimal point.
fn quantile_text(q: f64) -> String {
    let text = value_text(q);
    if q.is_finite() && !text.contains('.') { text + ".0" } else { text }
}

fn quantiles(
    arguments: &Arguments<'_, '_>,
    q: &[f64],
    series: &[StepSeries],
    place: usize,
) -> Result<Vec<StepSeries>, PromqlError> {
    let native = |labels: &LabelSet, step: usize, histogram: &Histogram| {
        let metric = labels.name();
        match histogram.quantile(q[step]) {
            Estimate::Plain(value) => value,
            Estimate::Skewed(value) => {
                arguments.annotate(&Annotation::QuantileIsSkewed(metric), place);
                value
            }
            Estimate::NotANumber => {
                arguments.annotate(&Annotation::QuantileIsNotANumber(metric), place);
                f64::NAN
            }
        }
    };
    let classic = |labels: &LabelSet, step: usize, buckets: Vec<(f64, f64)>| {
        let (value, forced) = bucket_quantile(q[step], buckets);
        if forced {
            arguments.annotate(&Annotation::ForcedMonotonicity(labels.name()), place);
        }
        value
    };
    of_histograms(arguments, series, place, native, classic)
}

fn histogram_fraction(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let (lower, upper) = (arguments.numbers(0)?, arguments.numbers(1)?);
    let series = native_vector(arguments, 2)?;
    let native = |labels: &LabelSet, step: usize, histogram: &Histogram| {
        if histogram.has_nan() {
            arguments.annotate(&Annotation::FractionExcludesNan(labels.name()), 2);
        }
        histogram.fraction(lower[step], upper[step])
    };
    let classic = |_: &LabelSet, step: usize, buckets| bucket_fraction(lower[step], upper[step], buckets);
    arguments.evaluator.renamed(of_histograms(arguments, &series, 2, native, classic)?)
}

/// A classic histogram: its labels without the bound, and (upper bound, series) of its buckets.
struct Classic {
    labels: Arc<LabelSet>,
    buckets: Vec<(f64, usize)>,
    drop_name: bool,
}

/// One number of each histogram at each step. Where one is classic and native at once neither counts.
fn of_histograms(
    arguments: &Arguments<'_, '_>,
    series: &[StepSeries],
    place: usize,
    native: impl Fn(&LabelSet, usize, &Histogram) -> f64,
    classic: impl Fn(&LabelSet, usize, Vec<(f64, f64)>) -> f64,
) -> Result<Vec<StepSeries>, PromqlError> {
    let steps = arguments.steps.count;
    let histograms = classic_histograms(arguments, series, place);
    arguments.evaluator.hold(histograms.len().saturating_add(series.len()).saturating_mul(steps))?;
    let mut found: Vec<StepSeries> = Vec::new();
    let mut native_places: HashMap<LabelSet, usize> = HashMap::new();
    for one in series.iter().filter(|one| one.histograms.is_some()) {
        let mut estimated = StepSeries::empty(one.labels.clone(), steps);
        for step in 0..steps {
            if let Some(histogram) = one.histogram(step) {
                estimated.values[step] = native(&one.labels, step, histogram);
            }
        }
        estimated.drop_name = one.drop_name;
        native_places.insert(without(&one.labels, &[BOUND_LABEL]), found.len());
        found.push(estimated);
    }
    let mut mixed: HashSet<(usize, usize)> = HashSet::new();
    for histogram in histograms {
        let mut estimated = StepSeries::empty(histogram.labels.clone(), steps);
        let partner = native_places.get(&*histogram.labels).copied();
        for step in 0..steps {
            let counts = histogram.buckets.iter().map(|&(bound, member)| (bound, series[member].values[step]));
            let present: Vec<(f64, f64)> = counts.filter(|(_, count)| !is_absent(*count)).collect();
            if present.is_empty() {
                continue;
            }
            if let Some(partner) = partner.filter(|&partner| found[partner].is_there(step)) {
                arguments.annotate(&Annotation::MixedClassicNative(histogram.labels.name()), place);
                mixed.insert((partner, step));
                continue;
            }
            estimated.put(step, Cell::Number(classic(&histogram.labels, step, present)));
        }
        estimated.drop_name = histogram.drop_name;
        found.push(estimated);
    }
    mixed.into_iter().for_each(|(partner, step)| found[partner].remove(step));
    Ok(found)
}

fn classic_histograms(arguments: &Arguments<'_, '_>, series: &[StepSeries], place: usize) -> Vec<Classic> {
    let mut places: HashMap<Arc<LabelSet>, usize> = HashMap::new();
    let mut histograms: Vec<Classic> = Vec::new();
    for (member, one) in series.iter().enumerate().filter(|(_, one)| one.values.iter().any(|&value| !is_absent(value)))
    {
        let Some(bound) = bound(one.labels.get(BOUND_LABEL)) else {
            let (metric, label) = (one.labels.get(NAME_LABEL), one.labels.get(BOUND_LABEL));
            arguments.annotate(&Annotation::BadBucketLabel { metric, label }, place);
            continue;
        };
        let labels = Arc::new(without(&one.labels, &[BOUND_LABEL]));
        let at = *places.entry(labels).or_insert_with_key(|labels| {
            histograms.push(Classic { labels: labels.clone(), buckets: Vec::new(), drop_name: one.drop_name });
            histograms.len() - 1
        });
        histograms[at].buckets.push((bound, member));
    }
    histograms
}

/// A bound as Prometheus clients write it: a decimal number, `+Inf` for the last.
fn bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}
