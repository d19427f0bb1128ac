//! A gauge's level over windows and threads.
//!
//! A level is one, whichever thread its changes come in on, yet no thread may ask another for it. So a thread writes down what
//! it saw relative to the level that it does not know: changes before the first value that sets the level, the last value that
//! set it, changes since. The merger, who keeps the level, plays these runs one after another in the order in which they came:
//! of several threads' settings the later stands, and changes add up unless a later setting made them void. A run of changes
//! counts as come with its last one: so within a thread, and one sender is always on one thread, everything is exact, and
//! between senders, whose datagrams may overtake each other anyway, a change may count that a setting came after, but none is
//! lost that came after it. The level is remembered from window to window until the gauge's time to live is over.

use crate::model::Timestamp;

/// What one thread saw of one gauge in one window.
#[derive(Clone, Debug)]
pub struct GaugeRuns {
    values: u32,
    /// Changes of the level that stood before.
    before: Changes,
    set: Option<Set>,
    /// Changes since it was set last.
    since: Changes,
    /// The lowest and the highest level since it was set first.
    low: f64,
    high: f64,
}

#[derive(Clone, Copy, Debug)]
struct Set {
    level: f64,
    at: Timestamp,
}

/// Changes one after another: their sum, the lowest and the highest sum on the way, and when the last one came.
#[derive(Clone, Copy, Debug)]
struct Changes {
    sum: f64,
    low: f64,
    high: f64,
    last: Timestamp,
}

const NO_CHANGES: Changes =
    Changes { sum: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY, last: Timestamp::from_unix_nanos(0) };

/// A window of a gauge, all threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaugeWindow {
    /// The level at its end.
    pub last: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Default for GaugeRuns {
    fn default() -> GaugeRuns {
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        GaugeRuns { values: 0, before: NO_CHANGES, set: None, since: NO_CHANGES, low, high }
    }
}

impl GaugeRuns {
    /// How many values came.
    pub fn values(&self) -> u32 {
        self.values
    }

    /// The level is this.
    pub fn set(&mut self, level: f64, at: Timestamp) {
        self.values = self.values.saturating_add(1);
        self.set = Some(Set { level, at });
        self.since = NO_CHANGES;
        self.note(level);
    }

    /// The level has changed by this.
    pub fn change(&mut self, by: f64, at: Timestamp) {
        self.values = self.values.saturating_add(1);
        let Some(set) = self.set else { return self.before.add(by, at) };
        self.since.add(by, at);
        self.note(set.level + self.since.sum);
    }

    fn note(&mut self, level: f64) {
        self.low = self.low.min(level);
        self.high = self.high.max(level);
    }
}

impl Changes {
    fn add(&mut self, by: f64, at: Timestamp) {
        self.sum += by;
        self.low = self.low.min(self.sum);
        self.high = self.high.max(self.sum);
        self.last = at;
    }

    fn is_none(&self) -> bool {
        self.low > self.high
    }
}

/// Plays what all threads saw in a window, beginning at `level`. There must be something.
pub fn play(level: f64, threads: &[GaugeRuns]) -> GaugeWindow {
    enum Step {
        Set(f64),
        Change(Changes),
    }
    let mut steps: Vec<(Timestamp, Step)> = Vec::with_capacity(threads.len() * 3);
    let mut window = GaugeWindow { last: level, min: f64::INFINITY, max: f64::NEG_INFINITY };
    for runs in threads {
        if !runs.before.is_none() {
            steps.push((runs.before.last, Step::Change(runs.before)));
        }
        if let Some(set) = runs.set {
            steps.push((set.at, Step::Set(set.level)));
            (window.min, window.max) = (window.min.min(runs.low), window.max.max(runs.high));
        }
        if !runs.since.is_none() {
            steps.push((runs.since.last, Step::Change(runs.since)));
        }
    }
    if threads.len() > 1 {
        steps.sort_by_key(|step| step.0);
    }
    for (_, step) in steps {
        match step {
            Step::Set(level) => window.last = level,
            Step::Change(changes) => {
                window.min = window.min.min(window.last + changes.low);
                window.max = window.max.max(window.last + changes.high);
                window.last += changes.sum;
            }
        }
    }
    window
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(moment: i64) -> Timestamp {
        Timestamp::from_unix_nanos(moment)
    }

    /// Values as they came: thread, whether it is a change, value.
    fn played(level: f64, values: &[(usize, bool, f64)]) -> GaugeWindow {
        let mut threads = vec![GaugeRuns::default(); 3];
        for (moment, &(thread, is_change, value)) in values.iter().enumerate() {
            let moment = at(i64::try_from(moment).unwrap());
            if is_change { threads[thread].change(value, moment) } else { threads[thread].set(value, moment) }
        }
        threads.retain(|runs| runs.values() > 0);
        play(level, &threads)
    }

    /// The same, one value after another.
    fn plainly(mut level: f64, values: &[(usize, bool, f64)]) -> GaugeWindow {
        let levels: Vec<f64> = values
            .iter()
            .map(|&(_, is_change, value)| {
                level = if is_change { level + value } else { value };
                level
            })
            .collect();
        let (min, max) = levels.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        GaugeWindow { last: level, min, max }
    }

    #[test]
    fn between_threads_the_later_setting_stands_and_changes_add_up() {
        let check = |values: &[(usize, bool, f64)], last| assert_eq!(played(100.0, values).last, last, "{values:?}");
        check(&[(0, false, 5.0), (1, false, 7.0)], 7.0);
        check(&[(1, false, 7.0), (0, false, 5.0)], 5.0);
        check(&[(0, true, 5.0), (1, true, -7.0), (2, true, 1.0)], 99.0);
        check(&[(0, true, 5.0), (1, false, 7.0)], 7.0); // the change came before
        check(&[(1, false, 7.0), (0, true, 5.0)], 12.0);
        check(&[(0, false, 1.0), (1, false, 7.0), (0, true, 2.0)], 9.0);
        check(&[(0, true, 1.0), (1, false, 7.0), (0, true, 2.0)], 10.0); // one run: the first counts too
    }

    proptest! {
        #[test]
        fn on_one_thread_everything_is_exact(
            values in prop::collection::vec((Just(0usize), any::<bool>(), (-50i32..50).prop_map(f64::from)), 1..30),
        ) {
            prop_assert_eq!(played(10.0, &values), plainly(10.0, &values));
        }

        #[test]
        fn settings_alone_and_changes_alone_are_exact_on_any_threads(
            values in prop::collection::vec((0usize..3, (-50i32..50).prop_map(f64::from)), 1..30),
            is_change: bool,
        ) {
            let values: Vec<_> = values.into_iter().map(|(thread, value)| (thread, is_change, value)).collect();
            let (found, expected) = (played(10.0, &values), plainly(10.0, &values));
            prop_assert_eq!(found.last, expected.last);
            if !is_change {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
