//! What followers share: those with the same question and form have their records looked at and written out once, whoever comes to
//! them first, and are sent the same bytes.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use taffrail_ingest::live_feed::Passage;
use taffrail_ingest::log_store::{CompiledFilter, StoredRecord};
use taffrail_query::log_search::question::Question;
use taffrail_query::log_search::row::Row;
use tokio::sync::OnceCell;

use super::shape::Shape;
use crate::api::record_json::RecordJson;
use crate::api_error::ApiError;

/// Bytes written out for groups of followers that are kept for those who come to them later.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Passages that a group keeps: with small ones of some hundred a second, what a follower that pauses for a second needs.
const KEPT_PASSAGES_MAX: usize = 512;
/// From so many records on, looking at them is no work for a thread that has connections to serve.
const RECORDS_AT_ONCE: usize = 64;

/// All followers.
#[derive(Debug, Default)]
pub struct Audience {
    groups: Mutex<HashMap<(String, Shape), Weak<Group>>>,
    followers: AtomicUsize,
    kept_bytes: Arc<AtomicUsize>,
    /// What they were told.
    pub told: Told,
}

/// Counts of what followers were told, for Taffrail's own metrics.
#[derive(Debug, Default)]
pub struct Told {
    /// Records that were sent.
    pub shown: AtomicU64,
    /// Records that were not sent because their follower was too slow, or wanted no more.
    pub dropped: AtomicU64,
    /// Followers turned away because there were too many.
    pub turned_away: AtomicU64,
}

/// Followers of one question in one form.
#[derive(Debug)]
pub struct Group {
    /// Which records, and what is made of each.
    pub question: Question,
    compiled: Arc<CompiledFilter>,
    /// How they are told.
    pub shape: Shape,
    kept: Mutex<VecDeque<Kept>>,
    kept_bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Kept {
    passage: Passage,
    part: Arc<OnceCell<Arc<Part>>>,
    bytes: usize,
}

/// The matching records of one passage, written out.
#[derive(Debug, Default)]
pub struct Part {
    bytes: Bytes,
    /// Of each record its number and where it ends.
    ends: Vec<(u64, usize)>,
}

/// A follower's place among all; dropping it gives it back.
#[derive(Debug)]
pub struct Place(Arc<Audience>);

impl Audience {
    /// A place among at most `followers_max`.
    pub fn enter(self: &Arc<Audience>, followers_max: usize) -> Result<Place, ApiError> {
        let place = Place(self.clone());
        if self.followers.fetch_add(1, Relaxed) < followers_max {
            return Ok(place);
        }
        self.told.turned_away.fetch_add(1, Relaxed);
        Err(ApiError::overloaded(format!(
            "query.followers_max = {followers_max}: that many follow live records already"
        )))
    }

    /// How many follow now.
    pub fn followers(&self) -> usize {
        self.followers.load(Relaxed)
    }

    /// The group of those who ask the same; `parse` reads the question for the first of them.
    pub fn group(
        &self,
        question: &str,
        shape: Shape,
        parse: impl FnOnce(&str) -> Result<Question, ApiError>,
    ) -> Result<Arc<Group>, ApiError> {
        let key = (question.to_owned(), shape);
        if let Some(group) = self.groups.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(group);
        }
        let question = parse(question)?;
        let compiled = question.filter.compile().map_err(|error| ApiError::bad_request(error.to_string()))?;
        let group = Arc::new(Group {
            question,
            compiled: Arc::new(compiled),
            shape,
            kept: Mutex::default(),
            kept_bytes: self.kept_bytes.clone(),
        });
        let mut groups = self.groups.lock();
        groups.retain(|_, group| group.strong_count() > 0);
        groups.insert(key, Arc::downgrade(&group));
        Ok(group)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Relaxed);
    }
}

impl Group {
    /// The passage's matching records, those before its start that became durable with them included.
    pub async fn part(self: &Arc<Group>, passage: &Passage) -> Arc<Part> {
        let cell = self.cell(passage);
        let part = cell.get_or_init(async || {
            let whole = passage.whole();
            let group = self.clone();
            let write = move || Arc::new(group.write(&whole));
            let records = passage.seqs().end - passage.whole().seqs().start;
            if records <= RECORDS_AT_ONCE as u64 {
                return write();
            }
            match tokio::task::spawn_blocking(write).await {
                Ok(part) => part,
                // The connection breaks, and its follower goes on where it was: records left out would be a lie.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        });
        let part = part.await.clone();
        self.keep(passage, part.bytes.len());
        part
    }

    fn write(&self, passage: &Passage) -> Part {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for (id, record) in passage.records().filter(|(_, record)| self.compiled.matches(record)) {
            let is_told = if self.question.is_search() {
                self.shape.tell("record", &RecordJson { id, record }, Some(id.seq + 1), &mut bytes);
                true
            } else {
                self.tell_each(StoredRecord { id, record: record.clone() }, &mut bytes)
            };
            if is_told {
                ends.push((id.seq, bytes.len()));
            }
        }
        Part { bytes: bytes.into(), ends }
    }

    /// Writes what the question makes of a record that its search matches; false when that is nothing.
    pub fn tell_each(&self, stored: StoredRecord, into: &mut Vec<u8>) -> bool {
        let next_seq = stored.id.seq + 1;
        let Some(Row::Record(stored)) = self.question.each(stored) else { return false };
        self.shape.tell("record", &RecordJson::from(&*stored), Some(next_seq), into);
        true
    }

    /// Where the part is, or will be.
    fn cell(&self, passage: &Passage) -> Arc<OnceCell<Arc<Part>>> {
        let mut kept = self.kept.lock();
        let at = kept.partition_point(|one| one.passage.seqs().end < passage.seqs().end);
        if let Some(found) = kept.get(at).filter(|one| one.passage.is_of_the_same(passage)) {
            return found.part.clone();
        }
        let part = Arc::new(OnceCell::new());
        // What is older than all that is kept was kept once: its follower is far behind, and alone there.
        if at > 0 || kept.is_empty() {
            kept.insert(at, Kept { passage: passage.clone(), part: part.clone(), bytes: 0 });
        }
        part
    }

    /// Counts the part's bytes once they are known, and lets the oldest parts go when all groups keep too much.
    fn keep(&self, passage: &Passage, bytes: usize) {
        let mut kept = self.kept.lock();
        let at = kept.partition_point(|one| one.passage.seqs().end < passage.seqs().end);
        if let Some(one) = kept.get_mut(at).filter(|one| one.bytes == 0 && one.passage.is_of_the_same(passage)) {
            one.bytes = bytes;
            self.kept_bytes.fetch_add(bytes, Relaxed);
        }
        while kept.len() > 1 && (kept.len() > KEPT_PASSAGES_MAX || self.kept_bytes.load(Relaxed) > KEPT_BYTES_MAX) {
            let gone = kept.pop_front().map_or(0, |one| one.bytes);
            self.kept_bytes.fetch_sub(gone, Relaxed);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let bytes: usize = self.kept.get_mut().iter().map(|one| one.bytes).sum();
        self.kept_bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Part {
    /// Which of its records have this number or a later one.
    pub fn from(&self, seq: u64) -> Range<usize> {
        self.ends.partition_point(|(of_record, _)| *of_record < seq)..self.ends.len()
    }

    /// These records as they are sent.
    pub fn bytes(&self, records: Range<usize>) -> Bytes {
        let end_before = |at: usize| at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        self.bytes.slice(end_before(records.start)..end_before(records.end))
    }

    /// A record's number.
    pub fn seq(&self, record: usize) -> u64 {
        self.ends[record].0
    }
}
