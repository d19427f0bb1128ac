//! The fault matrix: what agents and servers do when the network, a server, a name, a certificate, a disk or a clock fails.
//!
//! Each row plays in a network of its own ([`network`]) with an agent, one or two servers and the oracle ([`scene`]), some
//! with a proxy in between that misbehaves ([`proxy`]). It asserts the behaviour, and always: nothing missing and nothing
//! twice in the union of the servers, counters exact, memory, files and threads of the agent as before. Times are
//! printed, never asserted. The rows are those of the table of faults in the order of [`ROWS`]:
//!
//! - [`link`]: connections that are refused, dropped, half open, one-way; servers that are stopped (1–6).
//! - [`middle`]: slow, dripping, broken off, busy, wrong and foreign answers (7–12), thin lines (15), balancers (20).
//! - [`names`]: names that move, certificates that expire (13, 14).
//! - [`room`]: full disks, outages longer than the spool, clocks (16–19).
//!
//! `TAFFRAIL_ROW=4` runs one row. Without root or `ip` and `iptables` a row is skipped and says so.

mod link;
mod middle;
mod names;
mod network;
mod proxy;
mod room;
mod scene;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use network::{Network, in_a_network};

/// A row: its number and letter, the fault, and what plays it and tells what was measured.
type Row = (&'static str, &'static str, fn(&Network) -> String);

/// Rows that play at a time: they mostly wait.
const AT_A_TIME: usize = 6;

fn rows() -> Vec<Row> {
    [link::ROWS, middle::ROWS, names::ROWS, room::ROWS].concat()
}

#[test]
fn every_fault_of_the_matrix_loses_nothing_and_repeats_nothing() {
    let wanted = std::env::var("TAFFRAIL_ROW").ok();
    let rows: Vec<Row> = rows().into_iter().filter(|row| wanted.as_ref().is_none_or(|name| name == row.0)).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((number, fault, play)) = rows.get(next.fetch_add(1, Relaxed)) {
                    let started = Instant::now();
                    let played = catch_unwind(AssertUnwindSafe(|| in_a_network(*play)));
                    let told = match &played {
                        Ok(Ok(told)) => format!("ok: {told}"),
                        Ok(Err(why)) => format!("skipped: {why}"),
                        Err(_) => "FAILED".to_owned(),
                    };
                    tell(&format!("row {number:>3}, {fault}: {told} ({} s)", started.elapsed().as_secs()));
                    if played.is_err() {
                        failed.lock().expect("the failures").push(*number);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("the failures");
    assert!(failed.is_empty(), "rows {failed:?} failed");
}

/// Says it even when the output of tests is kept back: what was skipped must be seen.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
