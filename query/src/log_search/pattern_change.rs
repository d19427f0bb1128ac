//! What a moment (a deploy) changed in a pattern: how often it came before and after, and how surely the difference is none
//! by chance.

/// What became of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It came only after the moment.
    New,
    /// It came only before.
    Gone,
    /// It comes more often than before, and not by chance.
    Grown,
    /// It comes more rarely than before, and not by chance.
    Shrunk,
    /// It comes as before.
    Steady,
}

/// A stretch of time and how many records of a pattern lie in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// How many records.
    pub count: u64,
    /// How long, in seconds.
    pub seconds: f64,
}

/// Differences with a score below are taken for chance: three standard deviations.
pub const SCORE_MIN: f64 = 3.0;

impl Stretch {
    /// Records a second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.count as f64 / self.seconds } else { 0.0 }
    }
}

impl Change {
    /// What changed, and the score: how many standard deviations lie between what was counted and what one rate over both
    /// stretches would give (the signed root of the likelihood ratio of two Poisson rates, S. S. Wilks, "The large-sample
    /// distribution of the likelihood ratio for testing composite hypotheses", 1938). Growth is positive.
    pub fn between(before: Stretch, after: Stretch) -> (Change, f64) {
        let seconds = before.seconds + after.seconds;
        let all = (before.count + after.count) as f64;
        let part = |stretch: Stretch| {
            let expected = all * stretch.seconds / seconds;
            let count = stretch.count as f64;
            if stretch.count == 0 || expected <= 0.0 { 0.0 } else { count * (count / expected).ln() }
        };
        let ratio = if seconds > 0.0 { 2.0 * (part(before) + part(after)) } else { 0.0 };
        let sign = if after.rate() >= before.rate() { 1.0 } else { -1.0 };
        let score = sign * ratio.max(0.0).sqrt();
        let change = match (before.count, after.count) {
            (0, 0) => Change::Steady,
            (0, _) => Change::New,
            (_, 0) => Change::Gone,
            _ if score >= SCORE_MIN => Change::Grown,
            _ if score <= -SCORE_MIN => Change::Shrunk,
            _ => Change::Steady,
        };
        (change, score)
    }

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Gone => "gone",
            Change::Grown => "grown",
            Change::Shrunk => "shrunk",
            Change::Steady => "steady",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_from_chance() {
        let check = |before: (u64, f64), after: (u64, f64), change: Change, score: f64| {
            let stretch = |(count, seconds)| Stretch { count, seconds };
            let (found, scored) = Change::between(stretch(before), stretch(after));
            assert_eq!(found, change, "{before:?} {after:?} {scored}");
            assert!((scored - score).abs() < 0.01, "{before:?} {after:?}: {scored}");
        };
        check((100, 100.0), (100, 100.0), Change::Steady, 0.0);
        check((100, 100.0), (10, 10.0), Change::Steady, 0.0);
        check((100, 100.0), (110, 100.0), Change::Steady, 0.69);
        check((100, 100.0), (200, 100.0), Change::Grown, 5.83);
        check((200, 100.0), (100, 100.0), Change::Shrunk, -5.83);
        check((100, 1000.0), (40, 100.0), Change::Grown, 6.59);
        check((0, 100.0), (1, 100.0), Change::New, 1.18);
        check((0, 100.0), (100, 100.0), Change::New, 11.77);
        check((50, 100.0), (0, 100.0), Change::Gone, -8.33);
        check((0, 100.0), (0, 100.0), Change::Steady, 0.0);
        check((5, 0.0), (5, 0.0), Change::Steady, 0.0);
    }
}
