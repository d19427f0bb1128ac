//! What the sender knows of one server: its connections, whether it may be asked, how much and how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Permit};
use super::endpoint::{Answer, Endpoint};
use super::pace::Pace;
use super::status::EndpointSnapshot;
use crate::random::random_bits;

/// No server is believed that asks for a longer pause, or for none.
const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(300);
const RETRY_AFTER_SHORTEST: Duration = Duration::from_millis(200);

/// A pause that was asked for without saying how long.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// How long to leave a server alone that refuses our token, or everything.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// A server whose usual answer takes so long, and so many times as long as another's, stands behind that one.
const SLOW: Duration = Duration::from_secs(2);
const SLOWER: u32 = 4;

/// See the module's documentation.
pub(super) struct Server {
    pub(super) endpoint: Arc<dyn Endpoint>,
    pub(super) breaker: Breaker,
    pub(super) pace: Pace,
    /// It has said what it has of our streams, and has not failed since.
    pub(super) is_greeted: bool,
    /// That question is under way.
    pub(super) is_greeting: bool,
    /// Requests under way.
    pub(super) in_flight: usize,
    acked_batches: u64,
    failures: u32,
    last_error: String,
}

impl Server {
    pub(super) fn new(endpoint: Arc<dyn Endpoint>) -> Server {
        Server {
            endpoint,
            breaker: Breaker::default(),
            pace: Pace::new(),
            is_greeted: false,
            is_greeting: false,
            in_flight: 0,
            acked_batches: 0,
            failures: 0,
            last_error: String::new(),
        }
    }

    /// Whether batches may go to it.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.is_greeted && !matches!(self.breaker.permit(now), Permit::Not(_))
    }

    /// How many more requests may go to it now.
    pub(super) fn free_slots(&self, now: Instant) -> usize {
        let most = match self.breaker.permit(now) {
            _ if !self.is_greeted => 0,
            Permit::Free => self.pace.concurrency(),
            Permit::Probe => 1,
            Permit::Not(_) => 0,
        };
        most.saturating_sub(self.in_flight)
    }

    /// Whether it could take twice what is under way without slowing down, as far as it has shown.
    pub(super) fn is_roomy(&self) -> bool {
        self.in_flight * 2 < self.pace.concurrency()
    }

    /// Whether another that is as usable had better be asked first.
    pub(super) fn is_slower_than(&self, other: &Server) -> bool {
        match (self.pace.usual(), other.pace.usual()) {
            (Some(own), Some(others)) => own >= SLOW && own > others * SLOWER,
            (Some(own), None) => own >= SLOW,
            (None, _) => false,
        }
    }

    /// Notes an acknowledgement of so many bytes that took so long.
    pub(super) fn acked(&mut self, took: Duration, bytes: usize, now: Instant) {
        self.breaker.succeeded(now);
        self.pace.answered(took, bytes);
        self.acked_batches += 1;
        self.failures = 0;
    }

    /// Notes what an answer that is no acknowledgement says of the server itself.
    pub(super) fn failed(&mut self, answer: &Answer, deadline: Duration, now: Instant) {
        let reason = match answer {
            Answer::Busy { reason, retry_after, .. } => {
                let wait = retry_after.unwrap_or(PAUSE).clamp(RETRY_AFTER_SHORTEST, RETRY_AFTER_LONGEST);
                // Not all at once, when many were told the same.
                self.breaker.pause(now + wait.mul_f64(1.0 + chance() / 2.0));
                self.pace.slow_down();
                reason.clone()
            }
            Answer::Unauthorized { reason } => {
                self.breaker.pause(now + REFUSED_PAUSE);
                format!("{reason} (collector.token_file)")
            }
            Answer::TimedOut { reason } => {
                self.pace.timed_out(deadline);
                self.broke(now);
                reason.clone()
            }
            Answer::Unsent { reason } | Answer::Broken { reason } | Answer::Failed { reason } => {
                self.pace.slow_down();
                self.broke(now);
                reason.clone()
            }
            Answer::Acked { .. } | Answer::Gap { .. } | Answer::Poison { .. } | Answer::TooLarge { .. } => return,
        };
        self.note(&reason);
    }

    /// It refuses whatever it is sent: nothing is gained by sending more at once.
    pub(super) fn refuses_everything(&mut self, reason: &str, now: Instant) {
        self.breaker.pause(now + REFUSED_PAUSE);
        self.note(&format!("it refuses even an empty batch: {reason}"));
    }

    pub(super) fn snapshot(&self, now: Instant) -> EndpointSnapshot {
        EndpointSnapshot {
            url: self.endpoint.url().to_owned(),
            state: if self.is_greeted || self.breaker.failures_in_a_row() > 0 {
                self.breaker.state(now)
            } else {
                "new"
            },
            failures_in_a_row: self.failures,
            last_error: self.last_error.clone(),
            in_flight: self.in_flight,
            concurrency: self.pace.concurrency(),
            deadline_ms: self.pace.deadline().as_millis() as u64,
            rtt_ms: self.pace.usual().map(|usual| usual.as_secs_f64() * 1000.0),
            acked_batches: self.acked_batches,
        }
    }

    fn broke(&mut self, now: Instant) {
        self.is_greeted = false;
        self.breaker.failed(now, chance());
        self.pace.ramp();
    }

    /// The first failure and then ever fewer of them are told: an outage of days is a dozen lines.
    fn note(&mut self, reason: &str) {
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_power_of_two() {
            let (server, failures) = (self.endpoint.url(), self.failures);
            tracing::warn!(server, failures, reason, "a batch was not acknowledged; it is sent again");
        }
        reason.clone_into(&mut self.last_error);
    }
}

/// A random number from 0 to 1.
fn chance() -> f64 {
    (random_bits() >> 11) as f64 / (1u64 << 53) as f64
}
