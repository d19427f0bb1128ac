//! Answers to range questions, kept as long as nothing that they are made of has changed. An answer is given again only
//! while the store says that no window up to its end was added, changed or deleted since: it is never stale.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taffrail_collector::model::Timestamp;
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::ChangeMark;

use super::select::StoreSource;
use super::{Evaluated, PromqlError, Series, log_series, range, selectors};

/// Points kept in all answers together, at most: 16 bytes each.
const POINTS_MAX: usize = 4 << 20;

/// What a series costs beside its points, in points.
const SERIES_POINTS: usize = 32;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct AnswerCache(Mutex<Kept>);

/// What was asked: query, start, end, step.
type Question = (String, Timestamp, Timestamp, Duration);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Question, KeptAnswer>,
    points: usize,
    /// Counts questions; an answer's last use.
    uses: u64,
}

#[derive(Debug)]
struct KeptAnswer {
    answer: Arc<Evaluated<Vec<Series>>>,
    mark: ChangeMark,
    points: usize,
    last_use: u64,
}

impl AnswerCache {
    /// What [`super::range`] gives of the store, perhaps given before. Answers with warnings are not kept.
    pub fn range(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        source: &StoreSource,
        scan: &Scan,
    ) -> Result<Arc<Evaluated<Vec<Series>>>, PromqlError> {
        let question = (query.to_owned(), start, end, step);
        if let Some(answer) = self.get(&question, source) {
            return Ok(answer);
        }
        let mark = source.change_mark();
        let answer = Arc::new(range(query, start, end, step, source, scan)?);
        // Only what looks back can be known to be unchanged by what changed before its end.
        if answer.warnings.is_empty() && !looks_ahead(query) && !counts_records(query) {
            self.keep(question, KeptAnswer { points: points(&answer), answer: answer.clone(), mark, last_use: 0 });
        }
        Ok(answer)
    }

    fn get(&self, question: &Question, source: &StoreSource) -> Option<Arc<Evaluated<Vec<Series>>>> {
        let mut kept = self.0.lock();
        let (mark, now) = (kept.answers.get(question)?.mark, source.change_mark());
        let is_fresh = source.changed_since(mark).is_none_or(|changed| changed > question.2);
        kept.uses += 1;
        let last_use = kept.uses;
        if !is_fresh {
            if let Some(stale) = kept.answers.remove(question) {
                kept.points -= stale.points;
            }
            return None;
        }
        let answer = kept.answers.get_mut(question)?;
        (answer.last_use, answer.mark) = (last_use, now);
        Some(answer.answer.clone())
    }

    fn keep(&self, question: Question, mut answer: KeptAnswer) {
        let mut kept = self.0.lock();
        if answer.points > POINTS_MAX / 4 {
            return;
        }
        kept.uses += 1;
        answer.last_use = kept.uses;
        kept.points += answer.points;
        if let Some(before) = kept.answers.insert(question, answer) {
            kept.points -= before.points;
        }
        while kept.points > POINTS_MAX {
            let oldest =
                kept.answers.iter().min_by_key(|(_, answer)| answer.last_use).map(|(question, _)| question.clone());
            let Some(removed) = oldest.and_then(|question| kept.answers.remove(&question)) else { return };
            kept.points -= removed.points;
        }
    }
}

fn points(answer: &Evaluated<Vec<Series>>) -> usize {
    let of_histograms = |series: &Series| -> usize {
        let sizes = series.histograms.iter().map(|(_, one)| 8 + one.positive.len() + one.negative.len());
        sizes.sum()
    };
    answer.value.iter().map(|series| series.points.len() + of_histograms(series) + SERIES_POINTS).sum()
}

/// Whether the text may ask for what comes after a step: by a negative offset, or by a moment of its own. Rather too often.
fn looks_ahead(query: &str) -> bool {
    ["@", "offset", "smoothed"].iter().any(|part| query.contains(part))
}

/// Whether records are counted: they may come late or be deleted, and of them nobody says what changed since.
fn counts_records(query: &str) -> bool {
    selectors(query).is_ok_and(|selectors| selectors.iter().any(|matchers| log_series::are_meant(matchers)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_collector::model::{LabelSet, Sample, SampleValue};
    use taffrail_ingest::series_store::SeriesStore;

    fn level(seconds: i64, level: f64) -> Sample {
        Sample {
            labels: Arc::new(LabelSet::new([("__name__", "heat")])),
            timestamp: Timestamp::from_unix_seconds(seconds),
            interval_ms: 0,
            value: SampleValue::Gauge { last: level, min: level, max: level },
            unit: "",
            exemplars: Vec::new(),
        }
    }

    #[test]
    fn an_answer_is_given_again_until_something_before_its_end_changes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SeriesStore::open(directory.path(), Vec::new()).unwrap());
        let source = StoreSource::new(store.clone());
        let cache = AnswerCache::default();
        let at = Timestamp::from_unix_seconds;
        let ask = |query: &str| {
            let scan = Scan::unlimited();
            let answer = cache.range(query, at(0), at(1_000), Duration::from_secs(10), &source, &scan).unwrap();
            let fresh = range(query, at(0), at(1_000), Duration::from_secs(10), &source, &scan).unwrap();
            assert_eq!(*answer, fresh, "what is given is what is there");
            answer
        };
        store.insert(vec![level(100, 1.0), level(900, 2.0)]);
        let first = ask("heat");
        store.insert(vec![level(2_000, 3.0)]);
        assert!(Arc::ptr_eq(&first, &ask("heat")), "what came after its end does not change it");
        store.insert(vec![level(500, 4.0)]);
        let second = ask("heat");
        assert!(!Arc::ptr_eq(&first, &second), "what came late does");
        store.remove_blocks(&[]);
        assert!(!Arc::ptr_eq(&second, &ask("heat")), "and so does what went");
        let ahead = ask("heat offset -30m");
        assert!(!Arc::ptr_eq(&ahead, &ask("heat offset -30m")), "what looks ahead is not kept");
    }

    #[test]
    fn the_answers_used_longest_ago_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let source = StoreSource::new(Arc::new(SeriesStore::open(directory.path(), Vec::new()).unwrap()));
        let cache = AnswerCache::default();
        let ask = |number: usize| {
            let (start, end) = (Timestamp::from_unix_seconds(0), Timestamp::from_unix_seconds(10_000));
            let query = format!("vector({number})");
            cache.range(&query, start, end, Duration::from_secs(1), &source, &Scan::unlimited()).unwrap()
        };
        let first = ask(0);
        (1..POINTS_MAX / 10_100).for_each(|number| drop(ask(number)));
        assert!(Arc::ptr_eq(&first, &ask(0)), "there is room");
        (POINTS_MAX..POINTS_MAX + 100).for_each(|number| drop(ask(number)));
        assert!(Arc::ptr_eq(&first, &ask(0)), "it was used lately");
        assert!(cache.0.lock().points <= POINTS_MAX);
    }
}
