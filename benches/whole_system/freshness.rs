//! How soon a line is on disk, and how soon after that a search finds it.

use std::time::Instant;

use crate::server::Server;
use crate::table::{Beside, Spread, Table};

const PROBES: usize = 200;

/// Posts single lines and asks for each until it is found.
pub fn measure(table: &mut Table, server: &Server) {
    let (mut acknowledged, mut searchable) = (Vec::new(), Vec::new());
    for probe in 0..PROBES {
        let took = server.post("/api/v1/logs", format!("{{\"message\":\"searchable probe{probe}\"}}").as_bytes());
        acknowledged.push(took.as_secs_f64() * 1e3);
        let started = Instant::now();
        let query = format!("probe{probe}");
        loop {
            let answer = server.ask("/api/v1/logs/search", &[("q", &query), ("from", "now-1h"), ("limit", "1")]);
            let took = started.elapsed();
            if !answer.json().expect("an answer")["records"][0].is_null() {
                searchable.push(took.as_secs_f64() * 1e3);
                break;
            }
        }
    }
    let mut row = |what, samples: &mut Vec<f64>, target| {
        samples.sort_by(f64::total_cmp);
        let (p50, p99) = (Spread::one(samples[PROBES / 2 - 1]), Spread::one(samples[PROBES * 99 / 100 - 1]));
        table.row(&format!("{what}, p50"), "ms", p50, Beside::default());
        table.row(
            &format!("{what}, p99"),
            "ms",
            p99,
            Beside { target, remark: "of 200 single lines", ..Beside::default() },
        );
    };
    row("one line posted → acknowledged", &mut acknowledged, None);
    row("acknowledged → searchable", &mut searchable, Some(10.0));
}
