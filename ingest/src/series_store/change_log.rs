//! From which moment on the store's content has changed since it was last looked at: what lets an answer be kept and given
//! again without ever being stale.
//!
//! Samples come at the end of time, mostly, so that everything before them stays as it was. The log holds, for each change
//! that is not yet covered by a later one reaching as far back, its number and the earliest moment that it touched.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::window_ends::End;

/// Changes remembered one by one. Of what happened before these it is only known that something changed.
const CHANGES_MAX: usize = 4_096;

/// A moment in the life of a store: after so many changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeMark(u64);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct ChangeLog(Mutex<Changes>);

#[derive(Debug, Default)]
struct Changes {
    /// How many there were.
    count: u64,
    /// (number, earliest moment touched), both rising.
    log: VecDeque<(u64, End)>,
    /// The highest number that is no longer in the log for lack of room.
    forgotten: u64,
}

impl ChangeLog {
    /// Notes a change of windows that end at `earliest` or later. Called once questions see the change, and before its
    /// author is told that they do.
    pub(super) fn note(&self, earliest: End) {
        let mut changes = self.0.lock();
        changes.count += 1;
        let number = changes.count;
        while changes.log.back().is_some_and(|&(_, before)| before >= earliest) {
            changes.log.pop_back();
        }
        changes.log.push_back((number, earliest));
        if changes.log.len() > CHANGES_MAX
            && let Some((number, _)) = changes.log.pop_front()
        {
            changes.forgotten = number;
        }
    }

    /// Now. To be taken before anything is looked at.
    pub(super) fn mark(&self) -> ChangeMark {
        ChangeMark(self.0.lock().count)
    }

    /// The end of the earliest window that may have changed since; none when nothing has.
    pub(super) fn changed_since(&self, mark: ChangeMark) -> Option<End> {
        let changes = self.0.lock();
        if mark.0 == changes.count {
            return None;
        }
        if mark.0 < changes.forgotten {
            return Some(End::MIN);
        }
        // What was popped for a later change is covered by it, so the first entry behind the mark reaches back farthest.
        let first = changes.log.partition_point(|&(number, _)| number <= mark.0);
        changes.log.get(first).map(|&(_, earliest)| earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_knows_the_earliest_change_since_any_mark(changes in prop::collection::vec(-50i64..50, 0..60)) {
            let log = ChangeLog::default();
            let mut marks = vec![log.mark()];
            for &earliest in &changes {
                log.note(earliest);
                marks.push(log.mark());
            }
            for (at, mark) in marks.into_iter().enumerate() {
                prop_assert_eq!(log.changed_since(mark), changes[at..].iter().min().copied());
            }
        }
    }

    #[test]
    fn what_was_forgotten_counts_as_changed() {
        let log = ChangeLog::default();
        let old = log.mark();
        (0..).take(CHANGES_MAX + 1).for_each(|end| log.note(end));
        let newest = log.mark();
        assert_eq!(log.changed_since(old), Some(End::MIN));
        log.note(7_000_000);
        assert_eq!(log.changed_since(newest), Some(7_000_000));
    }
}
