//! What `load_with_nhcb` makes of classic buckets: native histograms with the same bounds, of the bare name.

use std::collections::BTreeMap;
use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;

use super::super::histogram::{CUSTOM_SCHEMA, Histogram};
use super::histogram_notation::{WrittenHistogram, number};
use super::notation::{LoadedSeries, Written};

/// A classic histogram's series.
#[derive(Default)]
struct Classic<'a> {
    /// (upper bound, cumulative counts).
    buckets: Vec<(f64, &'a [Written])>,
    count: Option<&'a [Written]>,
    sum: Option<&'a [Written]>,
}

/// The native histograms of all classic ones among the series.
pub(super) fn as_native_histograms(series: &[LoadedSeries]) -> Vec<LoadedSeries> {
    let mut histograms: BTreeMap<LabelSet, Classic<'_>> = BTreeMap::new();
    for one in series {
        let name = one.labels.name();
        let (base, part) =
            match ["_bucket", "_count", "_sum"].iter().find_map(|end| Some((name.strip_suffix(end)?, *end))) {
                Some(found) => found,
                None => continue,
            };
        let labels = one.labels.iter().filter(|(label, _)| *label != NAME_LABEL && *label != "le");
        let classic = histograms.entry(LabelSet::new(labels.chain([(NAME_LABEL, base)]))).or_default();
        match part {
            "_bucket" => {
                classic.buckets.extend(number(one.labels.get("le")).ok().map(|bound| (bound, &one.values[..])))
            }
            "_count" => classic.count = Some(&one.values),
            _ => classic.sum = Some(&one.values),
        }
    }
    histograms.into_iter().filter(|(_, classic)| !classic.buckets.is_empty()).map(native).collect()
}

fn native((labels, mut classic): (LabelSet, Classic<'_>)) -> LoadedSeries {
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let custom: Arc<[f64]> = classic.buckets.iter().map(|bucket| bucket.0).filter(|bound| bound.is_finite()).collect();
    let length = classic.buckets.iter().map(|bucket| bucket.1.len()).max().unwrap_or(0);
    let at = |values: Option<&[Written]>, step: usize| match values.and_then(|values| values.get(step)) {
        Some(Written::Number(value)) => Some(*value),
        _ => None,
    };
    let values = (0..length).map(|step| {
        let mut below = 0.0;
        let mut positive = Vec::new();
        let mut any = false;
        for (place, (_, counts)) in classic.buckets.iter().enumerate() {
            let Some(count) = at(Some(counts), step) else { continue };
            any = true;
            if count != below {
                positive.push((place as i32, count - below));
            }
            below = count;
        }
        if !any {
            return Written::Nothing;
        }
        let count = at(classic.count, step).unwrap_or(below);
        let last_has_no_bound = classic.buckets.last().is_some_and(|bucket| bucket.0.is_finite());
        if last_has_no_bound && count != below {
            positive.push((custom.len() as i32, count - below));
        }
        let sum = at(classic.sum, step).unwrap_or(0.0);
        let histogram =
            Histogram { schema: CUSTOM_SCHEMA, count, sum, positive, custom: custom.clone(), ..Histogram::default() };
        Written::Histogram(Arc::new(WrittenHistogram { histogram, says_hint: false }))
    });
    LoadedSeries { values: values.collect(), labels: Arc::new(labels) }
}
