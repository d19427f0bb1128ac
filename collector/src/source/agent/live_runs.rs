//! Tells apart two live agents that have one identity: a cloned machine, a copied state directory.
//!
//! Every run of an agent shows a random number. A new one takes the place of the one before, as after a restart; an old one that
//! comes back while the new one lives is a second agent. Its batches would take the numbers of the other's, so it is refused.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::AgentId;

/// A run that was heard of within this span lives.
const LIVE: Duration = Duration::from_secs(60);

/// Agents and runs remembered; beyond, all are forgotten, which only puts off telling two apart.
const RUNS_MAX: usize = 100_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct LiveRuns(Mutex<Runs>);

#[derive(Debug, Default)]
struct Runs {
    known: usize,
    agents: HashMap<AgentId, Agent>,
}

#[derive(Debug)]
struct Agent {
    current: u64,
    heard: Instant,
    superseded: HashSet<u64>,
}

impl LiveRuns {
    /// Notes that this run of the agent speaks; whether it may, for no later one lives.
    pub(super) fn hear(&self, agent: AgentId, run: u64, now: Instant) -> bool {
        let mut runs = self.0.lock();
        if runs.known >= RUNS_MAX {
            *runs = Runs::default();
        }
        runs.known += 1;
        let known =
            runs.agents.entry(agent).or_insert_with(|| Agent { current: run, heard: now, superseded: HashSet::new() });
        if known.current == run {
            known.heard = now;
            runs.known -= 1;
            return true;
        }
        if known.superseded.contains(&run) && now.saturating_duration_since(known.heard) < LIVE {
            runs.known -= 1;
            return false;
        }
        known.superseded.remove(&run);
        known.superseded.insert(known.current);
        (known.current, known.heard) = (run, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_run_that_comes_back_is_a_second_agent_until_the_newer_is_silent() {
        let runs = LiveRuns::default();
        let start = Instant::now();
        let check = |agent, run, after: Duration, expected| {
            assert_eq!(runs.hear(AgentId(agent), run, start + after), expected, "{agent} {run} {after:?}");
        };
        check(7, 1, Duration::ZERO, true);
        check(7, 2, Duration::ZERO, true);
        check(7, 1, LIVE / 2, false);
        check(8, 1, LIVE / 2, true);
        check(7, 2, LIVE / 2, true);
        check(7, 1, LIVE, false);
        check(7, 1, LIVE * 2, true);
        check(7, 2, LIVE * 2, false);
        check(7, 3, LIVE * 2, true);
    }
}
