//! A server that was just started: how long until it is ready, and until it has answered its first question.
//!
//! The page cache stays warm; cold are the process and all that it keeps of its files in memory. The corpus is cut into a hundred
//! slices, each of which gets a day of its own: so they stay a hundred splits, as only splits of one day are merged.

use std::path::Path;

use crate::corpus::{Corpus, Window, redated};
use crate::ingest::BODY_BYTES;
use crate::plain_scan::Expected;
use crate::question::Question;
use crate::server::Server;
use crate::table::{Beside, Spread, Table, number};

/// Starts that are measured.
const STARTS: usize = 5;
/// Times that the head is sealed while the corpus comes in.
const SLICES: usize = 100;

/// Starts a server over data that is there, several times.
pub fn measure_start(table: &mut Table, directory: &Path) {
    let times: Vec<f64> = (0..STARTS)
        .map(|_| {
            let server = Server::start(directory);
            let took = server.start_time;
            server.stop();
            took.as_secs_f64() * 1e3
        })
        .collect();
    let beside = Beside { target: Some(300.0), remark: "from the process to ready", ..Beside::default() };
    table.row("start over this data", "ms", Spread::of(times), beside);
}

/// Stores the corpus in a hundred slices and measures the first answer of servers that were just started.
pub fn measure(table: &mut Table, corpus: &Corpus, asked: &[(&Question, &Expected)]) {
    eprintln!("storing {} lines in {SLICES} slices …", number(corpus.rows as f64));
    let directory = crate::new_directory();
    let window = store_in_slices(corpus, directory.path());
    let (mut starts, mut splits) = (Vec::new(), Vec::new());
    let mut first_answers = Vec::new();
    for (question, expected) in asked {
        let mut times = Vec::new();
        let mut outcome = Ok(String::new());
        for _ in 0..STARTS {
            let server = Server::start(directory.path());
            let (took, answer) = question.ask(&server, &window);
            outcome = outcome.and(answer.and_then(|answer| expected.check(&answer)));
            times.push(took);
            starts.push(server.start_time.as_secs_f64() * 1e3);
            splits.push(server.store_status("splits") as f64);
            server.stop();
        }
        first_answers.push((question, Spread::of(times), outcome));
    }
    let splits = format!("{} splits, page cache warm", number(Spread::of(splits).median));
    let beside = |target| Beside { target: Some(target), remark: &splits, ..Beside::default() };
    table.row("start over many splits", "ms", Spread::of(starts), beside(300.0));
    for (question, spread, outcome) in first_answers {
        let what = format!("first question after it: {}", question.what);
        match outcome {
            Ok(_) => table.row(&what, "ms", spread, beside(40.0)),
            Err(why) => table.wrong(&what, &why),
        }
    }
}

/// Stores a slice a day, the last of them under its own date, and returns the window of all these days.
fn store_in_slices(corpus: &Corpus, directory: &Path) -> Window {
    let server = Server::start(directory);
    let slice_bytes = corpus.bytes as usize / SLICES + (1 << 10); // cut at line ends, so a little more than a hundredth
    let days = corpus.pieces(slice_bytes).count();
    for (day, slice) in corpus.pieces(slice_bytes).enumerate() {
        let (_, date) = corpus.days_before(days - 1 - day);
        for body in bodies(&redated(&slice, &date)) {
            server.post("/api/v1/logs", body);
        }
        server.post("/-/seal", b"");
    }
    server.settle();
    server.stop();
    corpus.days_before(days - 1).0
}

/// The text cut into bodies at line ends.
fn bodies(text: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut = rest.len().min(BODY_BYTES);
        let end = rest[..cut].iter().rposition(|&byte| byte == b'\n').expect("lines are short") + 1;
        bodies.push(&rest[..end]);
        rest = &rest[end..];
    }
    bodies
}
