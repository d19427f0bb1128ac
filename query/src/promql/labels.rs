//! Label sets made from others, and how values and labels are written in answers and messages.

use std::sync::Arc;

use promql_parser::parser::LabelModifier;
use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;

/// The labels without the name.
pub(super) fn without_name(labels: &Arc<LabelSet>) -> Arc<LabelSet> {
    if labels.name().is_empty() { labels.clone() } else { Arc::new(without(labels, &[NAME_LABEL])) }
}

/// The labels without these.
pub(super) fn without(labels: &LabelSet, names: &[impl AsRef<str>]) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(name, _)| !contains(names, name)))
}

/// Only these of the labels.
pub(super) fn only(labels: &LabelSet, names: &[impl AsRef<str>]) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(name, _)| contains(names, name)))
}

/// The labels with one set (or removed, by an empty value).
pub(super) fn with(labels: &LabelSet, name: &str, value: &str) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(other, _)| *other != name).chain([(name, value)]))
}

/// What an aggregation groups by: `by` keeps the labels, `without` takes them and the name away, neither keeps none.
pub(super) fn group(labels: &LabelSet, modifier: Option<&LabelModifier>) -> LabelSet {
    match modifier {
        Some(LabelModifier::Include(names)) => only(labels, &names.labels),
        Some(LabelModifier::Exclude(names)) => signature_without(labels, &names.labels),
        None => LabelSet::default(),
    }
}

/// What series are matched by: with `on` those labels, else all but the `ignoring` ones and the name.
pub(super) fn signature(labels: &LabelSet, modifier: Option<&LabelModifier>) -> LabelSet {
    match modifier {
        Some(LabelModifier::Include(names)) => only(labels, &names.labels),
        Some(LabelModifier::Exclude(names)) => signature_without(labels, &names.labels),
        None => signature_without(labels, &[] as &[&str]),
    }
}

fn signature_without(labels: &LabelSet, names: &[impl AsRef<str>]) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(name, _)| *name != NAME_LABEL && !contains(names, name)))
}

fn contains(names: &[impl AsRef<str>], wanted: &str) -> bool {
    names.iter().any(|name| name.as_ref() == wanted)
}

/// All labels in braces, the name among them, as Prometheus writes them in messages.
pub(super) fn in_braces(labels: &LabelSet) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A value as Prometheus writes it: the shortest decimal without an exponent, `+Inf`, `-Inf`, `NaN`.
pub(super) fn value_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}
