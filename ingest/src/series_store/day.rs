//! A day becomes one raw block, and its windows are rolled up: in one pass over all that is there of it, series by series.
//!
//! ```text
//! raw block of the day ┐             ┌─► raw block of the day
//! late raw blocks      ┴─► a series ─┤
//! older rolled up windows ───────────┴─► 1 m ─► 10 m ─► 1 h
//! ```
//!
//! A series that the raw block of the day has (or any, when the day is merged for the first time) is rolled up anew from all its
//! windows. One that it has no longer, because its raw windows have expired, keeps the rolled up windows it has, and late ones
//! are joined to them.

use std::iter::Peekable;
use std::sync::Arc;

use taffrail_collector::model::{LabelSet, SampleKind};

use super::SeriesStoreError;
use super::block_writer::BlockWriter;
use super::merge::{MergedParts, SeriesPart};
use super::rollup::roll_up;
use super::{RESOLUTIONS_MS, place::RAW};

/// What there is of a day.
pub(super) struct DaySources<'a> {
    /// The raw block of the day.
    pub(super) whole: Source<'a>,
    /// Raw blocks that are not in it.
    pub(super) late: Source<'a>,
    /// What was rolled up before, for each of [`RESOLUTIONS_MS`].
    pub(super) rolled: [Source<'a>; 3],
    /// Whether the day is merged for the first time.
    pub(super) first: bool,
}

/// Where what becomes of a day goes; none for what is not kept that long.
pub(super) struct DayTargets {
    pub(super) raw: Option<BlockWriter>,
    pub(super) rolled: [Option<BlockWriter>; 3],
}

pub(super) type Source<'a> = Peekable<MergedParts<'a>>;
type Key = (SampleKind, Arc<LabelSet>);

impl DayTargets {
    /// The writers and their resolutions.
    pub(super) fn into_writers(self) -> impl Iterator<Item = (u32, BlockWriter)> {
        let rolled = RESOLUTIONS_MS.into_iter().zip(self.rolled);
        let all = std::iter::once((RAW, self.raw)).chain(rolled);
        all.filter_map(|(resolution_ms, writer)| Some((resolution_ms, writer?)))
    }
}

/// Writes the day; `progress` hears how many windows were read.
pub(super) fn merge_day(
    mut sources: DaySources<'_>,
    targets: &mut DayTargets,
    progress: &mut dyn FnMut(u64) -> Result<(), SeriesStoreError>,
) -> Result<(), SeriesStoreError> {
    while let Some(key) = sources.next_key()? {
        let whole = take(&mut sources.whole, &key)?;
        let late = take(&mut sources.late, &key)?;
        let anew = sources.first || whole.is_some();
        let raw = joined(whole, late);
        progress(raw.as_ref().map_or(0, |part| part.points.len() as u64))?;
        let mut finer: Option<SeriesPart> = None;
        for (at, resolution_ms) in RESOLUTIONS_MS.into_iter().enumerate() {
            let before = take(&mut sources.rolled[at], &key)?;
            let rolled = finer.as_ref().or(raw.as_ref()).map(|part| roll_up(part, resolution_ms));
            finer.clone_from(&rolled);
            let kept = if anew && rolled.is_some() { rolled } else { joined(before, rolled) };
            if let (Some(part), Some(writer)) = (kept, &mut targets.rolled[at]) {
                writer.push(part)?;
            }
        }
        if let (Some(part), Some(writer)) = (raw, &mut targets.raw) {
            writer.push(part)?;
        }
    }
    Ok(())
}

fn joined(older: Option<SeriesPart>, newer: Option<SeriesPart>) -> Option<SeriesPart> {
    match (older, newer) {
        (Some(mut older), Some(newer)) => {
            older.absorb(newer);
            Some(older)
        }
        (older, newer) => older.or(newer),
    }
}

impl DaySources<'_> {
    fn next_key(&mut self) -> Result<Option<Key>, SeriesStoreError> {
        let mut least: Option<Key> = None;
        for source in [&mut self.whole, &mut self.late].into_iter().chain(&mut self.rolled) {
            if let Some(Err(error)) = source.next_if(Result::is_err) {
                return Err(error);
            }
            let Some(Ok(part)) = source.peek() else { continue };
            if least.as_ref().is_none_or(|key| part.key() < (key.0, &*key.1)) {
                least = Some((part.points.kind(), part.labels.clone()));
            }
        }
        Ok(least)
    }
}

fn take(source: &mut Source<'_>, key: &Key) -> Result<Option<SeriesPart>, SeriesStoreError> {
    source.next_if(|part| part.as_ref().is_ok_and(|part| part.key() == (key.0, &*key.1))).transpose()
}
