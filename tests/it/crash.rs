//! Killed at random moments from a printed seed: everything acknowledged is there afterwards, once.
//!
//! The oracle stands outside the server: it knows each record it sent and which were acknowledged. What was sent but not
//! acknowledged may be there or not, but never twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::server::{Random, Server, agent, wait_for};

/// The issue asks for at least fifty.
const KILLS: u64 = 50;

fn counts_by_message(server: &Server, question: &str) -> HashMap<String, u32> {
    let mut counts = HashMap::new();
    for record in server.search(question) {
        *counts.entry(record["message"].as_str().expect("a message").to_owned()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn fifty_kills_lose_nothing_acknowledged_and_repeat_nothing() {
    let mut random = Random::from_environment("fifty_kills_lose_nothing_acknowledged_and_repeat_nothing");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let tailed = directory.path().join("tailed.log");
    let config = directory.path().join("taffrail.toml");
    std::fs::write(
        &config,
        format!("[[collector.files]]\ninclude = [{:?}]\nservice = \"tailed\"\nstart_at = \"beginning\"\n", tailed),
    )
    .unwrap();
    let mut lines = File::create(&tailed).unwrap();
    let mut lines_written = 0u64;
    let mut acknowledged: Vec<String> = Vec::new();
    let mut sent: Vec<String> = Vec::new();
    for round in 0..KILLS {
        let mut server = Server::start_with(&data, &["--config", config.to_str().unwrap()]);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (stop, url) = (Arc::clone(&stop), server.url("/api/v1/logs"));
                std::thread::spawn(move || {
                    let (mut sent, mut acknowledged) = (Vec::new(), Vec::new());
                    for batch in 0.. {
                        if stop.load(Relaxed) {
                            break;
                        }
                        let messages: Vec<String> =
                            (0..20).map(|row| format!("posted r{round}w{writer}b{batch}n{row}")).collect();
                        let body: String = messages
                            .iter()
                            .map(|message| format!("{{\"service\":\"posted\",\"message\":\"{message}\"}}\n"))
                            .collect();
                        sent.extend(messages.iter().cloned());
                        match agent().post(&url).send(body.as_bytes()) {
                            Ok(answer) if answer.status().as_u16() == 200 => acknowledged.extend(messages),
                            Ok(answer) => panic!("refused with {}", answer.status()),
                            Err(_) => break, // killed under way
                        }
                    }
                    (sent, acknowledged)
                })
            })
            .collect();
        let sealer = (random.below(2) == 0).then(|| {
            let (url, wait) = (server.url("/-/seal"), random.below(200));
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(wait));
                let _ = agent().post(&url).send(&b""[..]);
            })
        });
        let pieces = 1 + random.below(5);
        for _ in 0..pieces {
            for _ in 0..random.below(40) {
                writeln!(lines, "tailed line {lines_written}").unwrap();
                lines_written += 1;
            }
            std::thread::sleep(Duration::from_millis(random.below(120)));
        }
        server.kill();
        stop.store(true, Relaxed);
        for writer in writers {
            let (more_sent, more_acknowledged) = writer.join().expect("a writer");
            sent.extend(more_sent);
            acknowledged.extend(more_acknowledged);
        }
        if let Some(sealer) = sealer {
            sealer.join().expect("the sealer");
        }
    }
    let server = Server::start_with(&data, &["--config", config.to_str().unwrap()]);
    assert!(acknowledged.len() > 200, "the oracle saw work: {} acknowledged", acknowledged.len());
    let posted = counts_by_message(&server, "service:posted");
    let missing = acknowledged.iter().filter(|message| !posted.contains_key(*message)).count();
    let repeated: Vec<_> = posted.iter().filter(|(_, count)| **count > 1).take(5).collect();
    let sent: std::collections::HashSet<_> = sent.into_iter().collect();
    let spurious = posted.keys().filter(|message| !sent.contains(*message)).count();
    assert_eq!(
        (missing, repeated.len(), spurious),
        (0, 0, 0),
        "of {} acknowledged; repeated {repeated:?}",
        acknowledged.len()
    );

    let tailed = wait_for("all lines of the tailed file", || {
        let found = counts_by_message(&server, "service:tailed");
        (found.len() as u64 >= lines_written).then_some(found)
    });
    let repeated: Vec<_> = tailed.iter().filter(|(_, count)| **count > 1).take(5).collect();
    assert_eq!((tailed.len() as u64, repeated.len()), (lines_written, 0), "repeated {repeated:?}");
    println!(
        "{KILLS} kills: {} acknowledged records and {lines_written} tailed lines, each there once",
        acknowledged.len()
    );
    assert_eq!(server.stop(), Some(0));
}
