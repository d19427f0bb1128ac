//! How long to wait for an answer, how many requests to have under way and how many bytes in one: all learnt from the answers.
//!
//! The deadline is three times the 95th percentile of recent answers, between 2 and 30 s, and 10 s before anything is known. An
//! answer that did not come in time counts as one that took as long as was waited, so that a slow server's deadline grows
//! instead of cutting off every request. Concurrency goes up by one a round of answers and down by a tenth when one fails or
//! takes much longer than usual (additive increase, multiplicative decrease; usual is a moving mean and its deviation). Small frames
//! are made one up to a number of bytes that grows while answers take hardly longer than the quickest of late, which is the line's
//! round trip, and shrinks when one took so much longer that what comes now would wait for it.

use std::collections::VecDeque;
use std::time::Duration;

const DEADLINE_FIRST: Duration = Duration::from_secs(10);
const DEADLINE_SHORTEST: Duration = Duration::from_secs(2);
const DEADLINE_LONGEST: Duration = Duration::from_secs(30);
/// Answers that the percentile is taken of.
const ANSWERS: usize = 100;

const CONCURRENCY_FIRST: f64 = 2.0;
/// Batches are large: more than a few of them under way at once only queue up at the server.
const CONCURRENCY_MOST: f64 = 8.0;
const DECREASE: f64 = 0.9;
/// Weight of the newest answer in the mean, and the deviations beyond it that are no longer usual.
const WEIGHT: f64 = 0.4;
const DEVIATIONS: f64 = 2.5;
/// Differences below this are noise of scheduling.
const NOISE: f64 = 0.05;

/// Bytes of small frames that are made one.
const BODY_BYTES_FIRST: usize = 8 << 10;
const BODY_BYTES_LEAST: usize = 4 << 10;
const BODY_BYTES_MOST: usize = 512 << 10;
/// Where answers come so quickly, sending frames one by one keeps up, and costs less than making them one. In tests, whose servers
/// are near, they are made one all the same.
const QUICK: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 30 });
/// What an answer may take longer than the quickest before bodies are made smaller: what comes now waits for it.
const LONGER: Duration = Duration::from_millis(400);
/// It may be so many times the quickest: while a stream waits for its answer, nothing of it is on its way.
const ROUND_TRIPS: u32 = 3;
/// The quickest of answers to large bodies only says little of the line's round trip: no longer one is believed.
const ROUND_TRIP_MOST: Duration = Duration::from_millis(300);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Pace {
    answers: VecDeque<Duration>,
    body_bytes: usize,
    concurrency: f64,
    /// Mean and deviation of the time to an answer, in seconds.
    usual: Option<(f64, f64)>,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { answers: VecDeque::new(), body_bytes: BODY_BYTES_FIRST, concurrency: CONCURRENCY_FIRST, usual: None }
    }

    /// How long the next answer may take.
    pub(super) fn deadline(&self) -> Duration {
        let mut sorted: Vec<_> = self.answers.iter().copied().collect();
        sorted.sort_unstable();
        match sorted.get(sorted.len().saturating_mul(95) / 100) {
            Some(p95) => p95.saturating_mul(3).clamp(DEADLINE_SHORTEST, DEADLINE_LONGEST),
            None => DEADLINE_FIRST,
        }
    }

    /// Requests that may be under way.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency as usize
    }

    /// Bytes up to which small frames are made one; 0 when that gains nothing.
    pub(super) fn body_bytes(&self) -> usize {
        if self.usual().is_some_and(|usual| usual < QUICK) { 0 } else { self.body_bytes }
    }

    /// The usual time to an answer.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.usual.map(|(mean, _)| Duration::from_secs_f64(mean))
    }

    /// An answer to so many bytes came after this time.
    pub(super) fn answered(&mut self, took: Duration, bytes: usize) {
        self.note(took);
        let wanted = self.wanted(took);
        if took > wanted {
            let fitting = (bytes as f64 * wanted.as_secs_f64() / took.as_secs_f64()) as usize;
            self.body_bytes = self.body_bytes.min(fitting).max(BODY_BYTES_LEAST);
        } else if bytes >= self.body_bytes / 2 {
            // Far from it, at first and on a line that has become better, it goes quickly.
            let grown = if took * 2 < wanted { self.body_bytes * 2 } else { self.body_bytes * 5 / 4 };
            self.body_bytes = grown.min(BODY_BYTES_MOST);
        }
        let seconds = took.as_secs_f64();
        let (mean, deviation) = self.usual.unwrap_or((seconds, 0.0));
        if seconds > mean + (DEVIATIONS * deviation).max(NOISE) {
            self.slow_down();
        } else {
            self.concurrency = (self.concurrency + 1.0 / self.concurrency).min(CONCURRENCY_MOST);
        }
        let away = (seconds - mean).abs();
        self.usual = Some((mean + WEIGHT * (seconds - mean), deviation + WEIGHT * (away - deviation)));
    }

    /// How long an answer may take: what comes now waits for it, and as long as nothing is on the line a part of it is not used.
    fn wanted(&self, took: Duration) -> Duration {
        let round_trip = self.answers.iter().min().copied().unwrap_or(took).min(ROUND_TRIP_MOST);
        round_trip + LONGER.max(round_trip * ROUND_TRIPS)
    }

    /// No answer came in this time.
    pub(super) fn timed_out(&mut self, waited: Duration) {
        self.note(waited);
        self.body_bytes = BODY_BYTES_LEAST;
        self.slow_down();
    }

    /// The server has too much to do, or failed.
    pub(super) fn slow_down(&mut self) {
        self.concurrency = (self.concurrency * DECREASE).max(1.0);
    }

    /// The server comes back from an outage: it is approached as at first.
    pub(super) fn ramp(&mut self) {
        self.concurrency = self.concurrency.min(CONCURRENCY_FIRST);
    }

    fn note(&mut self, took: Duration) {
        self.answers.push_back(took);
        if self.answers.len() > ANSWERS {
            self.answers.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(answers: impl IntoIterator<Item = u64>) -> Pace {
        let mut pace = Pace::new();
        answers.into_iter().for_each(|millis| pace.answered(Duration::from_millis(millis), 100));
        pace
    }

    #[test]
    fn the_deadline_follows_the_slow_answers_within_its_bounds() {
        let check = |pace: Pace, millis| assert_eq!(pace.deadline(), Duration::from_millis(millis));
        check(Pace::new(), 10_000);
        check(fed([5; 50]), 2_000);
        check(fed([1_500; 50]), 4_500);
        check(fed([60_000; 50]), 30_000);
        // One in fifty is no measure; one in ten is.
        check(fed((0..100).map(|n| if n % 50 == 0 { 9_000 } else { 5 })), 2_000);
        check(fed((0..100).map(|n| if n % 10 == 0 { 3_000 } else { 5 })), 9_000);
    }

    #[test]
    fn a_server_that_does_not_answer_in_time_gets_more_time_and_fewer_requests() {
        let mut pace = fed([5; 50]);
        let before = pace.concurrency();
        for _ in 0..30 {
            let waited = pace.deadline();
            pace.timed_out(waited);
        }
        assert_eq!(pace.deadline(), Duration::from_secs(30));
        assert!(pace.concurrency() < before && pace.concurrency() == 1);
    }

    #[test]
    fn concurrency_grows_while_answers_stay_as_quick_and_falls_when_they_slow_down() {
        let mut pace = fed([20; 100]);
        assert_eq!(pace.concurrency(), 8);
        for millis in [100, 200, 400, 800, 1600, 3200, 6400] {
            pace.answered(Duration::from_millis(millis), 100);
        }
        assert!(pace.concurrency() < 6, "{pace:?}");
        pace.ramp();
        assert_eq!(pace.concurrency(), 2);
    }

    #[test]
    fn bodies_grow_on_a_long_wide_line_and_stay_small_on_a_thin_one() {
        let check = |round_trip: Duration, bytes_per_second: usize, expected: std::ops::RangeInclusive<usize>| {
            let mut pace = Pace::new();
            for _ in 0..50 {
                let bytes = pace.body_bytes();
                pace.answered(round_trip + Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64), bytes);
            }
            assert!(expected.contains(&pace.body_bytes()), "{}", pace.body_bytes());
        };
        check(Duration::from_millis(5), 100 << 20, BODY_BYTES_MOST..=BODY_BYTES_MOST);
        check(Duration::from_secs(1), 10 << 20, BODY_BYTES_MOST..=BODY_BYTES_MOST);
        check(Duration::from_millis(20), 20 << 10, 4 << 10..=32 << 10);
        check(Duration::from_millis(200), 125_000, 48 << 10..=160 << 10);
        // Frames that come one by one teach nothing of larger ones.
        assert_eq!(fed([5; 50]).body_bytes(), BODY_BYTES_FIRST);
        let mut pace = fed([5; 50]);
        pace.timed_out(Duration::from_secs(2));
        assert_eq!(pace.body_bytes(), BODY_BYTES_LEAST);
    }
}
