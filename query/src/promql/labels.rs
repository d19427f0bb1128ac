//! Label sets made from others, and how values and labels are written in answers and messages.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;

use super::syntax::Grouping;

/// Labels that say what a metric is, and so go where its name goes.
const METADATA: [&str; 3] = [NAME_LABEL, "__type__", "__unit__"];

/// The labels without the name, and the type and unit that belong to it.
pub(super) fn without_name(labels: &Arc<LabelSet>) -> Arc<LabelSet> {
    let is_named = METADATA.iter().any(|name| !labels.get(name).is_empty());
    if is_named { Arc::new(without(labels, &METADATA)) } else { labels.clone() }
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
pub(super) fn group(labels: &LabelSet, grouping: Option<&Grouping>) -> LabelSet {
    match grouping {
        Some(Grouping::Only(names)) => only(labels, names),
        Some(Grouping::AllBut(names)) => signature_without(labels, names),
        None => LabelSet::default(),
    }
}

/// What series are matched by: with `on` those labels, else all but the `ignoring` ones and the name.
pub(super) fn signature(labels: &LabelSet, matching: Option<&Grouping>) -> LabelSet {
    match matching {
        Some(Grouping::Only(names)) => only(labels, names),
        Some(Grouping::AllBut(names)) => signature_without(labels, names),
        None => signature_without(labels, &[] as &[&str]),
    }
}

fn signature_without(labels: &LabelSet, names: &[impl AsRef<str>]) -> LabelSet {
    LabelSet::new(labels.iter().filter(|(name, _)| !METADATA.contains(name) && !contains(names, name)))
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
