//! What no answer shows although its bytes may still be there: records whose time to be kept is over, and deleted ones.
//!
//! The retention and a deletion are true at once, and what they remove leaves the disk later, when the compaction comes to
//! it. Until then every question is asked as "and not hidden". A part (a split, a chunk in memory) that nothing hides is
//! asked the plain question, one that hides everything is asked nothing: [`MaskedFilter`] works that out by the part's
//! times and numbers, so that masks cost nothing where they do not apply.
//!
//! A deletion hides records with sequence numbers below its own only. The head is never cut there; instead each split says
//! through which deletion its writer left out what was deleted ([`SplitMeta::deletions_through`]): one that was begun before a
//! deletion holds only records that are older than it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taffrail_collector::model::{LogRecord, Timestamp};

use super::head::Chunk;
use super::matching::{CompiledFilter, FilterError};
use super::split::{Split, SplitMeta};
use super::{Filter, RecordId};
use crate::scan::TimeRange;

/// How long records are kept that a filter matches.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionRule {
    /// Which records.
    pub filter: Filter,
    /// How long; none is for ever.
    pub keep: Option<Duration>,
}

/// How long records are kept: the first rule that matches a record decides, the rest has its own age.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetentionRules {
    /// In the order in which they are asked.
    pub rules: Vec<RetentionRule>,
    /// How long records are kept that no rule matches; none is for ever.
    pub keep_rest: Option<Duration>,
}

/// Records that were deleted and may still be there.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletionMask {
    /// The deletion's number: deletions are numbered from 1 in their order.
    pub id: u64,
    /// Records with this sequence number or a later one came after the deletion, and stay.
    pub seq_below: u64,
    /// Records in this range …
    pub range: TimeRange,
    /// … that match.
    pub filter: Filter,
}

/// Everything that hides records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks {
    rules: Vec<(RetentionRule, Arc<CompiledFilter>)>,
    keep_rest: Option<Duration>,
    /// By rising number.
    deletions: Vec<(DeletionMask, Arc<CompiledFilter>)>,
    deletions_through: u64,
}

/// Why a record is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Its time to be kept is over.
    Expired,
    /// It was deleted, by the deletion of this number.
    Deleted(u64),
}

/// What a part says of its records without a look at them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    oldest: Timestamp,
    newest: Timestamp,
    seq_first: u64,
    deletions_through: u64,
}

/// How much of a part a mask can hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Nothing,
    /// Records in a part of its time.
    Some,
    /// Whatever matches.
    Whole,
}

impl RetentionRules {
    /// How long the records are kept that are kept longest; none is for ever.
    pub fn longest(&self) -> Option<Duration> {
        self.rules
            .iter()
            .map(|rule| rule.keep)
            .chain([self.keep_rest])
            .try_fold(Duration::ZERO, |longest, keep| Some(longest.max(keep?)))
    }
}

impl DeletionMask {
    /// Whether the part may hold records that were deleted.
    pub(crate) fn concerns(&self, extent: &Extent) -> bool {
        self.reach(extent) != Reach::Nothing
    }

    fn reach(&self, extent: &Extent) -> Reach {
        if self.id <= extent.deletions_through
            || self.seq_below <= extent.seq_first
            || !self.range.overlaps(extent.oldest, extent.newest)
        {
            Reach::Nothing
        } else if self.range.contains(extent.oldest) && self.range.contains(extent.newest) {
            Reach::Whole
        } else {
            Reach::Some
        }
    }
}

impl From<&Split> for Extent {
    fn from(split: &Split) -> Extent {
        let SplitMeta { oldest, newest, seq_first, .. } = split.meta;
        Extent { oldest: oldest.time, newest: newest.time, seq_first, deletions_through: split.deletions_through() }
    }
}

impl From<&Chunk> for Extent {
    fn from(chunk: &Chunk) -> Extent {
        let (oldest, newest) = (chunk.oldest().time, chunk.newest().time);
        Extent { oldest, newest, seq_first: chunk.first_seq(), deletions_through: 0 }
    }
}

impl Masks {
    /// The same with other rules of retention.
    pub fn with_rules(&self, rules: &RetentionRules) -> Result<Masks, FilterError> {
        let compiled = |rule: &RetentionRule| Ok((rule.clone(), Arc::new(rule.filter.compile()?)));
        let keep_rest = rules.keep_rest;
        let rules = rules.rules.iter().map(compiled).collect::<Result<_, FilterError>>()?;
        Ok(Masks { rules, keep_rest, ..self.clone() })
    }

    /// The same with a deletion, the newest so far.
    pub fn with_deletion(&self, deletion: DeletionMask) -> Result<Masks, FilterError> {
        let compiled = Arc::new(deletion.filter.compile()?);
        let mut masks = self.clone();
        masks.deletions_through = masks.deletions_through.max(deletion.id);
        masks.deletions.push((deletion, compiled));
        masks.deletions.sort_by_key(|(deletion, _)| deletion.id);
        Ok(masks)
    }

    /// The same without the deletions for which `keep` does not hold.
    pub fn without_deletions(&self, keep: impl Fn(&DeletionMask) -> bool) -> Masks {
        let mut masks = self.clone();
        masks.deletions.retain(|(deletion, _)| keep(deletion));
        masks
    }

    /// Deletions whose records may still be there, by rising number.
    pub fn deletions(&self) -> impl Iterator<Item = &DeletionMask> {
        self.deletions.iter().map(|(deletion, _)| deletion)
    }

    /// The number of the newest deletion there ever was: what is written now leaves out what it deleted.
    pub fn deletions_through(&self) -> u64 {
        self.deletions_through
    }

    /// Whether some record of the part may be hidden by the retention.
    pub fn may_expire(&self, extent: &Extent, now: Timestamp) -> bool {
        self.cutoffs(now).any(|cutoff| reach_of_cutoff(cutoff, extent) != Reach::Nothing)
    }

    /// How long records are kept.
    pub fn rules(&self) -> RetentionRules {
        RetentionRules { rules: self.rules.iter().map(|(rule, _)| rule.clone()).collect(), keep_rest: self.keep_rest }
    }

    /// The deletion that deleted a record in memory, if one did.
    pub fn deletes(&self, id: RecordId, record: &LogRecord) -> Option<u64> {
        let deleted = |(deletion, filter): &&(DeletionMask, Arc<CompiledFilter>)| {
            id.seq < deletion.seq_below && deletion.range.contains(id.time) && filter.matches(record)
        };
        self.deletions.iter().find(deleted).map(|(deletion, _)| deletion.id)
    }

    /// Why the record, which lies in this part, is hidden; none when it is not.
    pub fn hides(&self, extent: &Extent, id: RecordId, record: &LogRecord, now: Timestamp) -> Option<Hidden> {
        let deleted = self.deletions.iter().find(|(deletion, filter)| {
            deletion.concerns(extent)
                && id.seq < deletion.seq_below
                && deletion.range.contains(id.time)
                && filter.matches(record)
        });
        if let Some((deletion, _)) = deleted {
            return Some(Hidden::Deleted(deletion.id));
        }
        if !self.may_expire(extent, now) {
            return None;
        }
        let rule = self.rules.iter().find(|(_, filter)| filter.matches(record));
        let keep = rule.map_or(self.keep_rest, |(rule, _)| rule.keep);
        (id.time < cutoff(keep, now)).then_some(Hidden::Expired)
    }

    /// What the retention alone hides in the part; none when it hides nothing.
    pub fn expired_in(&self, extent: &Extent, now: Timestamp) -> Option<Filter> {
        let reaches: Vec<Reach> = self.cutoffs(now).map(|cutoff| reach_of_cutoff(cutoff, extent)).collect();
        self.expired(&reaches, now)
    }

    /// The moments before which records have expired: by rule, and last those of the rest.
    fn cutoffs(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.rules.iter().map(|(rule, _)| rule.keep).chain([self.keep_rest]).map(move |keep| cutoff(keep, now))
    }

    fn expired(&self, reaches: &[Reach], now: Timestamp) -> Option<Filter> {
        if reaches.iter().all(|reach| *reach == Reach::Nothing) {
            return None;
        }
        if reaches.iter().all(|reach| *reach == Reach::Whole) {
            return Some(Filter::All);
        }
        if self.rules.is_empty() {
            return Some(Filter::Time(TimeRange { start: Timestamp::MIN, end: cutoff(self.keep_rest, now) }));
        }
        let filters = self.rules.iter().map(|(rule, _)| &rule.filter);
        let mut earlier: Vec<Filter> = Vec::new();
        let mut hidden = Vec::new();
        for ((filter, reach), cutoff) in filters.chain([&Filter::All]).zip(reaches).zip(self.cutoffs(now)) {
            if *reach != Reach::Nothing {
                let mut all = vec![filter.clone()];
                all.extend(earlier.iter().cloned());
                if *reach == Reach::Some {
                    all.push(Filter::Time(TimeRange { start: Timestamp::MIN, end: cutoff }));
                }
                hidden.push(Filter::And(all));
            }
            earlier.push(Filter::Not(Box::new(filter.clone())));
        }
        Some(Filter::Or(hidden))
    }
}

/// A question, asked of each part without what is hidden there.
pub(crate) struct MaskedFilter {
    wanted: Filter,
    plain: Arc<CompiledFilter>,
    masks: Arc<Masks>,
    now: Timestamp,
    /// What was compiled so far, by how far each mask reaches.
    compiled: Mutex<BTreeMap<Vec<u8>, Arc<CompiledFilter>>>,
}

impl MaskedFilter {
    /// The question as it is asked at the moment `now`.
    pub fn new(wanted: &Filter, masks: Arc<Masks>, now: Timestamp) -> Result<MaskedFilter, FilterError> {
        let plain = Arc::new(wanted.compile()?);
        Ok(MaskedFilter { wanted: wanted.clone(), plain, masks, now, compiled: Mutex::default() })
    }

    /// Whether nothing in the part is shown to anybody: it need not even be opened.
    pub fn hides_all(&self, part: impl Into<Extent>) -> bool {
        let extent = part.into();
        self.masks.cutoffs(self.now).all(|cutoff| reach_of_cutoff(cutoff, &extent) == Reach::Whole)
    }

    /// What to ask of a part: a [`Split`] or a [`Chunk`].
    pub fn of(&self, part: impl Into<Extent>) -> Arc<CompiledFilter> {
        let extent = part.into();
        let rules = self.masks.cutoffs(self.now).map(|cutoff| reach_of_cutoff(cutoff, &extent));
        let deletions = self.masks.deletions().map(|deletion| deletion.reach(&extent));
        let reaches: Vec<Reach> = rules.chain(deletions).collect();
        if reaches.iter().all(|reach| *reach == Reach::Nothing) {
            return self.plain.clone();
        }
        let key = reaches.iter().map(|reach| *reach as u8).collect();
        let compile = || Arc::new(CompiledFilter::of_checked(&self.without_hidden(&reaches)));
        self.compiled.lock().entry(key).or_insert_with(compile).clone()
    }

    fn without_hidden(&self, reaches: &[Reach]) -> Filter {
        let (rules, deletions) = reaches.split_at(self.masks.rules.len() + 1);
        let mut all = vec![self.wanted.clone()];
        match self.masks.expired(rules, self.now) {
            None => {}
            Some(Filter::All) => return Filter::Nothing,
            Some(expired) => all.push(Filter::Not(Box::new(expired))),
        }
        for (deletion, reach) in self.masks.deletions().zip(deletions) {
            let hidden = match reach {
                Reach::Nothing => continue,
                Reach::Whole => deletion.filter.clone(),
                Reach::Some => Filter::And(vec![deletion.filter.clone(), Filter::Time(deletion.range)]),
            };
            all.push(Filter::Not(Box::new(hidden)));
        }
        Filter::And(all)
    }
}

/// The moment before which what is kept so long has expired.
fn cutoff(keep: Option<Duration>, now: Timestamp) -> Timestamp {
    keep.map_or(Timestamp::MIN, |keep| now.saturating_sub(keep))
}

fn reach_of_cutoff(cutoff: Timestamp, extent: &Extent) -> Reach {
    if extent.newest < cutoff {
        Reach::Whole
    } else if extent.oldest < cutoff {
        Reach::Some
    } else {
        Reach::Nothing
    }
}
