//! Backups of a server under constant load: each holds all that was acknowledged before it, once; one that is killed half way
//! is none, and leaves the earlier ones whole.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::server::{Random, Server, agent, taffrail};

const BACKUPS: usize = 4;

/// Sends batches until told to stop; returns each message that was acknowledged, in order.
fn send(
    server: &Server,
    writer: usize,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
) -> std::thread::JoinHandle<()> {
    let url = server.url("/api/v1/logs");
    std::thread::spawn(move || {
        for batch in 0.. {
            if stop.load(Relaxed) {
                break;
            }
            let messages: Vec<String> = (0..25).map(|row| format!("w{writer} b{batch} n{row}")).collect();
            let body: String = messages
                .iter()
                .map(|message| format!("{{\"service\":\"load\",\"message\":\"{message}\",\"took\":{batch}}}\n"))
                .collect();
            let answer = agent().post(&url).send(body.as_bytes()).expect("an answer");
            assert_eq!(answer.status().as_u16(), 200);
            acknowledged.lock().unwrap().extend(messages);
        }
    })
}

fn run(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = taffrail().args(arguments).arg("--json").output().expect("run taffrail");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let answer = serde_json::from_str(line)
        .unwrap_or_else(|_| panic!("{arguments:?} printed {text:?} and {:?}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), answer)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn counts(server: &Server) -> HashMap<String, u32> {
    let mut counts = HashMap::new();
    for record in server.search("service:load") {
        *counts.entry(record["message"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn backups_under_load_restore_everything_acknowledged_once() {
    let mut random = Random::from_environment("backups_under_load_restore_everything_acknowledged_once");
    let directory = tempfile::tempdir().unwrap();
    let (data, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let mut server = Server::start(&data);
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..2).map(|writer| send(&server, writer, stop.clone(), acknowledged.clone())).collect();
    let mut generations = Vec::new();
    for round in 0..BACKUPS {
        std::thread::sleep(Duration::from_millis(200 + random.below(300)));
        if round > 0 {
            assert_eq!(server.post("/-/seal", b"").0, 200);
        }
        let before = acknowledged.lock().unwrap().clone();
        let (code, report) = run(&["backup", text(&backup), "--data-dir", text(&data)]);
        assert_eq!((code, &report["missing"]), (Some(0), &serde_json::json!([])), "{report}");
        generations.push((report["generation"].as_str().unwrap().to_owned(), before, report));

        // The next one is killed somewhere on its way.
        let mut killed = taffrail()
            .args(["backup", text(&backup), "--data-dir", text(&data)])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("run taffrail backup");
        std::thread::sleep(Duration::from_millis(random.below(25)));
        killed.kill().expect("kill the backup");
        killed.wait().expect("wait for the backup");
    }
    stop.store(true, Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    let sent = acknowledged.lock().unwrap().clone();
    // What a killed server leaves can be backed up and checked as it is.
    server.kill();
    let checked = taffrail().args(["doctor", "--data-dir", text(&data)]).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    let (_, report) = run(&["backup", text(&backup), "--data-dir", text(&data)]);
    generations.push((report["generation"].as_str().unwrap().to_owned(), sent.clone(), report));
    for (at, (generation, before, report)) in generations.iter().enumerate() {
        let restored = directory.path().join(format!("restored-{at}"));
        let (code, answer) =
            run(&["restore", text(&backup), "--data-dir", text(&restored), "--generation", generation]);
        assert_eq!((code, &answer["generation"]), (Some(0), &Value::from(generation.as_str())));
        let checked = taffrail().args(["doctor", "--data-dir", text(&restored)]).output().unwrap();
        assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
        let server = Server::start(&restored);
        let found = counts(&server);
        let missing = before.iter().filter(|message| !found.contains_key(*message)).count();
        let repeated = found.values().filter(|count| **count > 1).count();
        // What was on its way when the writers were stopped is not in `sent`; there is none of another round.
        assert_eq!((missing, repeated), (0, 0), "{generation}: of {} acknowledged; {report}", before.len());
        assert!(found.len() <= sent.len(), "{generation}: {} of {}", found.len(), sent.len());
        assert_eq!(server.stop(), Some(0));
    }
    let last = &generations[BACKUPS].2;
    assert!(last["copied_bytes"].as_u64() < last["bytes"].as_u64(), "the last one used what was there: {last}");

    // Nothing new: nothing of what was sealed is copied.
    let (_, first) = run(&["backup", text(&backup), "--data-dir", text(&data)]);
    let (_, second) = run(&["backup", text(&backup), "--data-dir", text(&data)]);
    assert!(second["copied_files"].as_u64().unwrap() <= 1, "only the catalog's copy is new: {first} {second}");
    assert!(!data.join("pins/held").exists(), "nothing is held any more");
}
