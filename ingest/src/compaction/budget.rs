//! What the compaction may take of the machine: a share of one core and a rate of bytes. It works for a moment and rests in
//! proportion, so that it is never in anybody's way for long.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The share that deletions take where nothing else is allowed.
const SHARE_OF_DELETIONS: f64 = 0.25;
/// Rests are taken once they are worth it.
const REST_MIN: Duration = Duration::from_millis(5);
/// How often a rest looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// The compaction's share of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionBudget {
    /// Of one core: 1 works without rest, 0 merges nothing and only carries deletions out.
    pub cpu_share: f64,
    /// Read and written together.
    pub bytes_per_second: u64,
}

/// The pace of one piece of work.
pub struct Pace {
    budget: CompactionBudget,
    /// Bytes to read and write for each row, as far as known before.
    bytes_of_row: f64,
    /// Since the last rest.
    since: Instant,
    /// Bytes since the last rest.
    bytes: f64,
}

impl CompactionBudget {
    /// Whether anything but deletions is done.
    pub fn merges(&self) -> bool {
        self.cpu_share > 0.0
    }
}

impl Pace {
    /// For so many rows and bytes to read; writing is taken to be as much again.
    pub fn new(budget: CompactionBudget, rows: u64, bytes: u64) -> Pace {
        let bytes_of_row = 2.0 * bytes as f64 / rows.max(1) as f64;
        Pace { budget, bytes_of_row, since: Instant::now(), bytes: 0.0 }
    }

    /// Notes that rows were worked on, and rests as long as that demands; not once `interrupt` is set.
    pub fn rest(&mut self, rows: u64, interrupt: &AtomicBool) {
        self.bytes += rows as f64 * self.bytes_of_row;
        let rest = rest(self.budget, self.since.elapsed(), self.bytes);
        if rest < REST_MIN {
            return;
        }
        let until = Instant::now() + rest;
        while !interrupt.load(Relaxed)
            && let Some(left) = until.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            std::thread::sleep(left.min(TICK));
        }
        (self.since, self.bytes) = (Instant::now(), 0.0);
    }

    /// Rests for what was done after the last row.
    pub fn settle(&mut self, interrupt: &AtomicBool) {
        self.rest(0, interrupt);
    }
}

/// How long to rest after so much work and so many bytes.
fn rest(budget: CompactionBudget, worked: Duration, bytes: f64) -> Duration {
    let seconds = worked.as_secs_f64();
    let share = if budget.merges() { budget.cpu_share } else { SHARE_OF_DELETIONS };
    let for_cpu = seconds / share.clamp(0.001, 1.0) - seconds;
    let for_bytes = bytes / budget.bytes_per_second.max(1) as f64 - seconds;
    Duration::from_secs_f64(for_cpu.max(for_bytes).clamp(0.0, 3600.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_as_long_as_the_tighter_limit_demands() {
        let check = |cpu_share, bytes_per_second, worked_ms, bytes, expected_ms: u64| {
            let rest = rest(CompactionBudget { cpu_share, bytes_per_second }, Duration::from_millis(worked_ms), bytes);
            assert!(rest.abs_diff(Duration::from_millis(expected_ms)) < Duration::from_micros(1), "{rest:?}");
        };
        check(1.0, u64::MAX, 100, 1e9, 0);
        check(0.25, u64::MAX, 100, 1e9, 300);
        check(0.0, u64::MAX, 100, 1e9, 300);
        check(0.25, 1_000_000, 100, 100_000.0, 300);
        check(0.25, 1_000_000, 100, 1_000_000.0, 900);
        check(1.0, 1_000_000, 100, 50_000.0, 0);
    }

    #[test]
    fn an_interrupted_rest_ends() {
        let mut pace = Pace::new(CompactionBudget { cpu_share: 1.0, bytes_per_second: 1 }, 1, 1000);
        pace.rest(1, &AtomicBool::new(true));
        assert_eq!(pace.bytes, 0.0);
    }
}
