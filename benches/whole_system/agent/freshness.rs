//! How soon a line that a program writes is durable at the server, when little else happens: the server shows it to who follows
//! the log, which it does once it is durable.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use taffrail_collector::model::Timestamp;

use super::process::Place;
use super::{check_stored, lines};
use crate::server;
use crate::table::{Beside, Spread, Table};

const PROBES: u64 = 200;

/// Writes single lines, some of them soon after each other.
pub fn measure(table: &mut Table) {
    eprintln!("agent: single lines …");
    let place = Place::new();
    let path = place.logs().join("0.log");
    std::fs::write(&path, "").expect("create a log file");
    let server = place.start_server(0);
    let _agent = place.start_agent(server.port());
    let (arrived, arrivals) = mpsc::channel();
    let url = server.url("/api/v1/logs/tail?q=seq:*");
    let following = std::thread::spawn(move || {
        let mut answer = server::new_agent().get(url).call().expect("follow the log");
        for line in BufReader::new(answer.body_mut().as_reader()).lines().map_while(Result::ok) {
            let now = Timestamp::now();
            let line: Value = serde_json::from_str(&line).expect("a line of JSON");
            if let Some(seq) = line["record"]["attributes"]["seq"].as_u64()
                && (arrived.send((seq, now)).is_err() || seq + 1 == PROBES)
            {
                return;
            }
        }
    });
    sleep(Duration::from_secs(2));
    let mut times = Vec::new();
    for seq in 0..PROBES {
        let mut text = String::new();
        lines::put(&mut text, seq);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("open the log file");
        let written = Timestamp::now();
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("write a line");
        match arrivals.recv_timeout(Duration::from_secs(10)) {
            Ok((found, at)) if found == seq => times.push(at.saturating_since(written).as_secs_f64() * 1e3),
            other => return table.wrong("agent: line → acknowledged", &format!("line {seq}: {other:?}")),
        }
        sleep(Duration::from_millis(20 + seq * 37 % 80));
    }
    let _ = following.join();
    check_stored(table, "agent: line → acknowledged", &server, PROBES);
    times.sort_by(f64::total_cmp);
    let at = |share: f64| Spread::one(times[(times.len() as f64 * share) as usize - 1]);
    table.row("line written → durable at the server, p50", "ms", at(0.5), Beside::default());
    let p99 = Beside { target: Some(250.0), remark: "of 200 single lines", ..Beside::default() };
    table.row("line written → durable at the server, p99", "ms", at(0.99), p99);
}
