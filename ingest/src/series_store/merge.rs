//! Stretches of one series from several places (blocks, frozen heads) become one, in the order in which they became
//! durable: for sealing and compaction, where everything comes sorted and nothing need be held but the series at hand.

use std::iter::Peekable;
use std::sync::Arc;

use taffrail_collector::model::{Exemplar, LabelSet, SampleKind};

use super::SeriesStoreError;
use super::points::{Points, RunningTotal};
use crate::scan::TimeRange;

/// A stretch of one series.
#[derive(Clone, Debug)]
pub(super) struct SeriesPart {
    pub(super) labels: Arc<LabelSet>,
    pub(super) unit: String,
    pub(super) interval_ms: u32,
    /// What the windows before the first of `points` added up to.
    pub(super) before: RunningTotal,
    pub(super) points: Points,
    pub(super) exemplars: Vec<Exemplar>,
}

/// Parts sorted by kind, then labels.
pub(super) type SortedParts<'a> = Box<dyn Iterator<Item = Result<SeriesPart, SeriesStoreError>> + 'a>;

impl SeriesPart {
    pub(super) fn key(&self) -> (SampleKind, &LabelSet) {
        (self.points.kind(), &self.labels)
    }

    /// Its windows that end in the range, anchored anew.
    pub(super) fn into_range(mut self, range: TimeRange) -> SeriesPart {
        let (start, end) = (range.start.unix_nanos(), range.end.unix_nanos());
        self.before = self.before + self.points.total_before(start);
        self.points = self.points.into_between(start, end);
        self
    }

    /// Takes in a part that became durable later. The anchor is that of the part with the oldest window: the documented
    /// rule of [`super::SeriesData::before`].
    pub(super) fn absorb(&mut self, newer: SeriesPart) {
        let older_starts =
            self.points.first_end().is_some_and(|first| newer.points.first_end().is_none_or(|n| first <= n));
        if !older_starts {
            self.before = newer.before;
        }
        if !newer.unit.is_empty() {
            self.unit = newer.unit;
        }
        // The longest decides: windows of several resolutions are read as if all were as long.
        self.interval_ms = self.interval_ms.max(newer.interval_ms);
        self.points.merge(newer.points);
        self.exemplars.extend(newer.exemplars);
        self.exemplars.sort_by_key(|exemplar| exemplar.timestamp);
    }
}

/// Joins sorted sources, given oldest first, into one sorted source with each series once.
pub(super) struct MergedParts<'a> {
    sources: Vec<Peekable<SortedParts<'a>>>,
}

impl<'a> MergedParts<'a> {
    pub(super) fn new(sources: Vec<SortedParts<'a>>) -> MergedParts<'a> {
        MergedParts { sources: sources.into_iter().map(Iterator::peekable).collect() }
    }
}

impl Iterator for MergedParts<'_> {
    type Item = Result<SeriesPart, SeriesStoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least: Option<(usize, (SampleKind, Arc<LabelSet>))> = None;
        for (i, source) in self.sources.iter_mut().enumerate() {
            match source.peek() {
                Some(Err(_)) => return source.next(),
                Some(Ok(part)) if least.as_ref().is_none_or(|(_, key)| part.key() < (key.0, &*key.1)) => {
                    least = Some((i, (part.points.kind(), part.labels.clone())));
                }
                Some(Ok(_)) | None => {}
            }
        }
        let (first, key) = least?;
        let mut merged: Option<SeriesPart> = None;
        for source in &mut self.sources[first..] {
            while let Some(part) = source.next_if(|part| matches!(part, Ok(part) if part.key() == (key.0, &*key.1))) {
                let Ok(part) = part else { unreachable!("the condition above wants a part") };
                match &mut merged {
                    Some(before) => before.absorb(part),
                    None => merged = Some(part),
                }
            }
        }
        merged.map(Ok)
    }
}
