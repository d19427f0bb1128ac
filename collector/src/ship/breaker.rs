//! When a server is left alone: a circuit breaker for the few, large requests of an agent.
//!
//! It opens after [`FAILURES_IN_A_ROW`] failures in a row, or when at least half of at least [`ATTEMPTS_MIN`] attempts within
//! [`WINDOW`] failed (Hystrix waits for twenty: at one request a second it would never open). It stays open for a random
//! part of a span that doubles from [`OPEN_FIRST`] to [`OPEN_LONGEST`], so that a thousand agents do not come back at once; then one
//! real batch is the probe.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const FAILURES_IN_A_ROW: u32 = 3;
const ATTEMPTS_MIN: usize = 10;
const WINDOW: Duration = Duration::from_secs(10);
const OPEN_FIRST: Duration = Duration::from_secs(1);
const OPEN_LONGEST: Duration = Duration::from_secs(30);
/// After a failure that does not open the breaker the next attempt waits a random part of this, doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Set while it is open or half open; the moment from which a probe may go.
    open_until: Option<Instant>,
    /// Not before this, closed or not.
    wait_until: Option<Instant>,
    failures_in_a_row: u32,
    /// How often it opened since it was last closed.
    openings: u32,
    attempts: VecDeque<(Instant, bool)>,
}

/// What may go to a server now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// As much as its concurrency allows.
    Free,
    /// One request, to see.
    Probe,
    /// Nothing before this moment.
    Not(Instant),
}

impl Breaker {
    pub(super) fn permit(&self, now: Instant) -> Permit {
        match (self.open_until.max(self.wait_until).filter(|&until| until > now), self.open_until) {
            (Some(until), _) => Permit::Not(until),
            (None, Some(_)) => Permit::Probe,
            (None, None) => Permit::Free,
        }
    }

    /// The server acknowledged something.
    pub(super) fn succeeded(&mut self, now: Instant) {
        (self.open_until, self.wait_until) = (None, None);
        (self.failures_in_a_row, self.openings) = (0, 0);
        self.note(now, true);
    }

    /// An attempt failed. `chance` is a random number from 0 to 1.
    pub(super) fn failed(&mut self, now: Instant, chance: f64) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.note(now, false);
        let failed = self.attempts.iter().filter(|(_, sound)| !sound).count();
        let often = self.attempts.len() >= ATTEMPTS_MIN && failed * 2 >= self.attempts.len();
        if self.open_until.is_some() || self.failures_in_a_row >= FAILURES_IN_A_ROW || often {
            let longest = OPEN_FIRST.saturating_mul(1 << self.openings.min(8)).min(OPEN_LONGEST);
            self.openings = self.openings.saturating_add(1);
            self.open_until = Some(now + longest.mul_f64(chance));
        } else {
            let longest = BACKOFF_FIRST.saturating_mul(1 << self.failures_in_a_row.min(8));
            self.wait_until = Some(now + longest.mul_f64(chance));
        }
    }

    /// The server asked to be left alone until then: no failure.
    pub(super) fn pause(&mut self, until: Instant) {
        self.wait_until = self.wait_until.max(Some(until));
    }

    pub(super) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// `closed`, `open`, `half_open` or `paused`.
    pub(super) fn state(&self, now: Instant) -> &'static str {
        match (self.permit(now), self.open_until) {
            (Permit::Not(_), None) => "paused",
            (Permit::Not(_), Some(_)) => "open",
            (Permit::Probe, _) => "half_open",
            (Permit::Free, _) => "closed",
        }
    }

    fn note(&mut self, now: Instant, sound: bool) {
        self.attempts.push_back((now, sound));
        while self.attempts.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW)
            || self.attempts.len() > 10 * ATTEMPTS_MIN
        {
            self.attempts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds outcomes half a second apart; gives the state after the last, and for how long it lasts.
    fn after(outcomes: &str) -> (&'static str, Duration) {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        for outcome in outcomes.chars() {
            now += Duration::from_millis(500);
            match outcome {
                '+' => breaker.succeeded(now),
                '-' => breaker.failed(now, 1.0),
                _ => now += Duration::from_secs(60),
            }
        }
        let wait = match breaker.permit(now) {
            Permit::Not(until) => until - now,
            Permit::Free | Permit::Probe => Duration::ZERO,
        };
        (breaker.state(now), wait)
    }

    #[test]
    fn it_opens_after_three_failures_in_a_row_or_half_of_ten() {
        let check =
            |outcomes, state, millis| assert_eq!(after(outcomes), (state, Duration::from_millis(millis)), "{outcomes}");
        check("", "closed", 0);
        check("-", "paused", 400);
        check("+--", "paused", 800);
        check("+--+", "closed", 0);
        check("---", "open", 1000);
        check("--- ", "half_open", 0);
        check("--- -", "open", 2000);
        check("--- - - - - - ", "half_open", 0);
        check("--- - - - - - -", "open", 30_000);
        check("--- +", "closed", 0);
        check("-+-+-+-+-+", "closed", 0);
        check("-+-+-+-+-+-", "open", 1000);
    }

    #[test]
    fn a_pause_that_was_asked_for_is_no_failure() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.pause(now + Duration::from_secs(7));
        assert_eq!((breaker.permit(now), breaker.state(now)), (Permit::Not(now + Duration::from_secs(7)), "paused"));
        assert_eq!(breaker.permit(now + Duration::from_secs(8)), Permit::Free);
        assert_eq!(breaker.failures_in_a_row(), 0);
    }
}
