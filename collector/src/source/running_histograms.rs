//! Histograms that their senders count from their start on: each window of ours is what was observed between two of them.
//!
//! The counts of before are kept here, and move on only once the windows made of them are stored, so that what is sent again
//! after a refusal gives the same windows. After a restart the first counts of a histogram say where to go on, and no more:
//! what was observed while nobody looked is not known to belong to any window.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rapidhash::{HashMapExt, RapidHashMap};

use super::bucket_counts::BucketCounts;
use crate::model::{LabelSet, Sample, SampleValue, Timestamp};

/// Histograms whose counts are kept: some 2 KiB each.
const HISTOGRAMS_MAX: usize = 50_000;

/// When there are too many, those go that were not heard of for so long.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The counts of before.
#[derive(Debug, Default)]
pub struct RunningHistograms {
    known: Mutex<RapidHashMap<Arc<LabelSet>, Reading>>,
}

/// Counts at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The moment.
    pub at: Timestamp,
    /// When counting began, where the sender says so: another beginning is another histogram.
    pub started: Option<Timestamp>,
    /// The counts.
    pub counts: BucketCounts,
}

/// Counts that replace those of before once what was made of them is stored.
pub type Pending = RapidHashMap<Arc<LabelSet>, Option<Reading>>;

/// What counts that came in give.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A window.
    Window(Sample),
    /// They are the first, from which the next window begins.
    First,
    /// Nothing was observed since.
    Quiet,
    /// They are not newer than those of before: sent again, or late.
    NotNewer,
    /// There are too many histograms.
    TooMany,
}

impl RunningHistograms {
    /// Takes counts; `pending` holds those of before that are not stored yet.
    pub fn step(&self, pending: &mut Pending, labels: &Arc<LabelSet>, unit: &'static str, reading: Reading) -> Step {
        let before = match pending.get(labels) {
            Some(before) => before.clone(),
            None => {
                let mut known = self.known.lock();
                if known.len() >= HISTOGRAMS_MAX && !known.contains_key(labels) {
                    known.retain(|_, known| reading.at.saturating_since(known.at) < FORGET_AFTER);
                    if known.len() >= HISTOGRAMS_MAX {
                        return Step::TooMany;
                    }
                }
                known.get(labels).cloned()
            }
        };
        let step = match before {
            None => Step::First,
            Some(before) if reading.at <= before.at => return Step::NotNewer,
            Some(before) => match window(labels, unit, &before, &reading) {
                Sample { value: SampleValue::Distribution(seen), .. } if seen.count == 0.0 => Step::Quiet,
                sample => Step::Window(sample),
            },
        };
        pending.insert(Arc::clone(labels), Some(reading));
        step
    }

    /// The histogram has ended: what comes under its name later is another.
    pub fn end(pending: &mut Pending, labels: &Arc<LabelSet>) {
        pending.insert(Arc::clone(labels), None);
    }

    /// What was made of them is stored.
    pub fn commit(&self, pending: Pending) {
        if pending.is_empty() {
            return;
        }
        let mut known = self.known.lock();
        for (labels, reading) in pending {
            match reading {
                Some(reading) if known.get(&labels).is_some_and(|known| known.at >= reading.at) => {}
                Some(reading) => drop(known.insert(labels, reading)),
                None => drop(known.remove(&labels)),
            }
        }
    }
}

/// No pending counts.
pub fn nothing_pending() -> Pending {
    Pending::new()
}

fn window(labels: &Arc<LabelSet>, unit: &'static str, before: &Reading, now: &Reading) -> Sample {
    let same = now.started.is_none() || before.started.is_none() || now.started == before.started;
    let since = if same { now.counts.since(&before.counts) } else { None };
    let began_anew = now.started.filter(|started| since.is_none() && *started > before.at && *started < now.at);
    let counts = since.as_ref().unwrap_or(&now.counts);
    window_of(
        labels,
        unit,
        began_anew.unwrap_or(before.at),
        now.at,
        SampleValue::Distribution(Box::new(counts.distribution(None, None))),
    )
}

/// A window between two moments.
pub fn window_of(
    labels: &Arc<LabelSet>,
    unit: &'static str,
    from: Timestamp,
    to: Timestamp,
    value: SampleValue,
) -> Sample {
    let interval_ms = u32::try_from(to.saturating_since(from).as_millis()).unwrap_or(u32::MAX);
    Sample { labels: Arc::clone(labels), timestamp: from, interval_ms, value, unit, exemplars: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::bucket_counts::Layout;

    fn reading(seconds: i64, started: Option<i64>, count: f64) -> Reading {
        let counts = BucketCounts {
            layout: Layout::Powers(3),
            zero_threshold: 0.0,
            zero: count,
            positive: Vec::new(),
            negative: Vec::new(),
            count,
            sum: 0.0,
        };
        Reading {
            at: Timestamp::from_unix_seconds(seconds),
            started: started.map(Timestamp::from_unix_seconds),
            counts,
        }
    }

    /// (start, length in seconds, count), or the step's name.
    fn said(step: &Step) -> String {
        let Step::Window(Sample { timestamp, interval_ms, value: SampleValue::Distribution(value), .. }) = step else {
            return format!("{step:?}");
        };
        format!("{}+{}: {}", timestamp.unix_seconds(), interval_ms / 1000, value.count)
    }

    #[test]
    fn windows_lie_between_counts_and_begin_again_where_counting_does() {
        let labels = Arc::new(LabelSet::new([("__name__", "h")]));
        let histograms = RunningHistograms::default();
        let mut pending = nothing_pending();
        let mut check = |reading: Reading, expected: &str| {
            assert_eq!(said(&histograms.step(&mut pending, &labels, "", reading)), expected);
        };
        check(reading(10, None, 5.0), "First");
        check(reading(20, None, 7.0), "10+10: 2");
        check(reading(20, None, 7.0), "NotNewer");
        check(reading(15, None, 6.0), "NotNewer");
        check(reading(30, None, 7.0), "Quiet");
        check(reading(40, None, 3.0), "30+10: 3");
        check(reading(50, Some(1), 4.0), "40+10: 1");
        check(reading(60, Some(55), 9.0), "55+5: 9");
        RunningHistograms::end(&mut pending, &labels);
        assert_eq!(histograms.step(&mut pending, &labels, "", reading(70, None, 9.0)), Step::First);
    }

    #[test]
    fn what_was_not_stored_gives_the_same_windows_again() {
        let labels = Arc::new(LabelSet::new([("__name__", "h")]));
        let histograms = RunningHistograms::default();
        let step = |reading| {
            let mut pending = nothing_pending();
            (said(&histograms.step(&mut pending, &labels, "", reading)), pending)
        };
        histograms.commit(step(reading(10, None, 5.0)).1);
        let refused = step(reading(20, None, 7.0));
        assert_eq!(refused.0, "10+10: 2");
        let again = step(reading(20, None, 7.0));
        assert_eq!(again.0, "10+10: 2");
        histograms.commit(again.1);
        assert_eq!(step(reading(20, None, 7.0)).0, "NotNewer");
        // An older commit that comes late moves nothing back.
        histograms.commit(refused.1);
        assert_eq!(step(reading(30, None, 8.0)).0, "20+10: 1");
    }
}
