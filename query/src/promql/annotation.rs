//! What an answer says beside its values: warnings that something may be wrong with the data, infos that something may be
//! wrong with the question. The sentences are Prometheus' (`util/annotations`), since dashboards and alerts look for them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::syntax::{Span, position};

/// A remark.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Annotation<'a> {
    InvalidQuantile(f64),
    InvalidRatio(f64, f64),
    BadBucketLabel { metric: &'a str, label: &'a str },
    MixedFloatsHistograms(&'a str),
    MixedInAggregation,
    MixedClassicNative(&'a str),
    NotCounter(&'a str),
    NotGauge(&'a str),
    MixedExponentialCustom(&'a str),
    IncompatibleLayout(&'static str),
    ResetCollision(Operation),
    SortInRange,
    PossiblyNoCounter(&'a str),
    PossiblyNoCounterByType { metric: &'a str, kind: &'a str },
    ForcedMonotonicity(&'a str),
    IncompatibleTypes { left: &'static str, operator: &'static str, right: &'static str },
    IgnoredInAggregation(&'static str),
    IgnoredInMixedRange(&'a str),
    QuantileIsNotANumber(&'a str),
    QuantileIsSkewed(&'a str),
    FractionExcludesNan(&'a str),
    ReconciledBounds(Operation),
}

/// What was done with histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Addition => "addition",
            Operation::Subtraction => "subtraction",
            Operation::Aggregation => "aggregation",
        }
    }
}

impl Annotation<'_> {
    /// Whether it is a warning, and its sentence.
    fn sentence(&self) -> (bool, String) {
        let number = super::histogram::number_text;
        let about = |text: &str, metric: &str| match metric {
            "" => text.to_owned(),
            metric => format!("{text} for metric name {metric:?}"),
        };
        match self {
            Annotation::InvalidQuantile(q) => {
                (true, format!("quantile value should be between 0 and 1, got {}", number(*q)))
            }
            Annotation::InvalidRatio(ratio, capped) => (
                true,
                format!(
                    "ratio value should be between -1 and 1, got {}, capping to {}",
                    number(*ratio),
                    number(*capped)
                ),
            ),
            Annotation::BadBucketLabel { metric, label } => {
                let text = format!("bucket label \"le\" is missing or has a malformed value of {label:?}");
                (true, about(&text, metric))
            }
            Annotation::MixedFloatsHistograms(metric) => {
                (true, format!("encountered a mix of histograms and floats for metric name {metric:?}"))
            }
            Annotation::MixedInAggregation => {
                (true, "encountered a mix of histograms and floats for aggregation".to_owned())
            }
            Annotation::MixedClassicNative(metric) => {
                (true, about("vector contains a mix of classic and native histograms", metric))
            }
            Annotation::NotCounter(metric) => {
                (true, format!("this native histogram metric is not a counter: {metric:?}"))
            }
            Annotation::NotGauge(metric) => (true, format!("this native histogram metric is not a gauge: {metric:?}")),
            Annotation::MixedExponentialCustom(metric) => (
                true,
                format!(
                    "vector contains a mix of histograms with exponential and custom buckets schemas for metric name \
                     {metric:?}"
                ),
            ),
            Annotation::IncompatibleLayout(operator) => {
                (true, format!("incompatible bucket layout encountered for binary operator {operator}"))
            }
            Annotation::ResetCollision(operation) => {
                (true, format!("conflicting counter resets during histogram {}", operation.name()))
            }
            Annotation::SortInRange => {
                (true, "sort is ineffective for range queries since results are always ordered by labels".to_owned())
            }
            Annotation::PossiblyNoCounter(metric) => (
                false,
                format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"),
            ),
            Annotation::PossiblyNoCounterByType { metric, kind } => (
                false,
                format!(
                    "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got \
                     {kind:?}: {metric:?}"
                ),
            ),
            Annotation::ForcedMonotonicity(metric) => (
                false,
                about(
                    "input to histogram_quantile needed to be fixed for monotonicity (see \
                     https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                    metric,
                ),
            ),
            Annotation::IncompatibleTypes { left, operator, right } => (
                false,
                format!(
                    "incompatible sample types encountered for binary operator {operator:?}: {left} {operator} {right}"
                ),
            ),
            Annotation::IgnoredInAggregation(name) => (false, format!("ignored histogram in {name} aggregation")),
            Annotation::IgnoredInMixedRange(metric) => (
                false,
                format!(
                    "ignored histograms in a range containing both floats and histograms for metric name {metric:?}"
                ),
            ),
            Annotation::QuantileIsNotANumber(metric) => {
                (false, about("input to histogram_quantile has NaN observations, result is NaN", metric))
            }
            Annotation::QuantileIsSkewed(metric) => {
                (false, about("input to histogram_quantile has NaN observations, result is skewed higher", metric))
            }
            Annotation::FractionExcludesNan(metric) => (
                false,
                about(
                    "input to histogram_fraction has NaN observations, which are excluded from all fractions",
                    metric,
                ),
            ),
            Annotation::ReconciledBounds(operation) => {
                (false, format!("mismatched custom buckets were reconciled during {}", operation.name()))
            }
        }
    }
}

/// The remarks of one question, each sentence once, at the first place that it was met.
#[derive(Debug, Default)]
pub(super) struct Annotations(Mutex<BTreeMap<(bool, String), Span>>);

/// More different remarks than these are not kept: a question over a million series may meet as many.
const REMARKS_MAX: usize = 1_000;

impl Annotations {
    pub(super) fn add(&self, annotation: &Annotation<'_>, span: Span) {
        let mut found = self.0.lock();
        if found.len() < REMARKS_MAX {
            let known = found.entry(annotation.sentence()).or_insert(span);
            // Threads meet them in any order.
            known.start = known.start.min(span.start);
        }
    }

    /// Warnings and infos as they are shown.
    pub(super) fn shown(self, query: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for ((is_warning, sentence), span) in self.0.into_inner() {
            let (kind, into) = if is_warning { ("warning", &mut warnings) } else { ("info", &mut infos) };
            into.push(format!("PromQL {kind}: {sentence} ({})", position(query, span.start)));
        }
        (warnings, infos)
    }
}
