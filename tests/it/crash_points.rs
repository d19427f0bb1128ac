//! Killed at every named step of sealing, compaction, retention and deletion: after the restart the answers are those from
//! before, as an oracle outside of the server knows them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use taffrail_collector::crash_point::CRASH_POINTS;

use crate::server::{SOON, Server, agent, encode, taffrail, wait_for};

/// SIGABRT, which a crash point ends with.
const ABORTED: i32 = 6;

/// Time of the newest records, and of those that are two days old.
fn seconds_ago(seconds: u64) -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_secs_f64() - seconds as f64
}

fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = taffrail();
    command.args(["serve", "--no-host"]).envs(variables.iter().copied());
    command
}

/// A server over the directory, with these variables.
pub fn start(data: &Path, variables: &[(&str, &str)]) -> Server {
    Server::start_command(&mut command(variables), data, &[])
}

/// Posts the records; whether that was acknowledged.
fn post(server: &Server, numbers: Range<u32>, ago: u64) -> bool {
    let body: String = numbers
        .map(|n| {
            let user = if n % 3 == 0 { "alice" } else { "bob" };
            let time = seconds_ago(ago) + f64::from(n) / 1000.0;
            let record = json!({ "time": format!("{time:.3}"), "service": "shop", "user": user, "n": n, "message": format!("order {n} was paid") });
            format!("{record}\n")
        })
        .collect();
    let answer = agent().post(server.url("/api/v1/logs")).send(body.as_bytes());
    answer.is_ok_and(|answer| answer.status().as_u16() == 200)
}

/// Has it write what is in memory to the disk; whether it said that it did.
pub fn seal(server: &Server) -> bool {
    agent().post(server.url("/-/seal")).send(&b""[..]).is_ok_and(|answer| answer.status().as_u16() == 200)
}

/// Everything that questions answer: the records by number, counts, facets.
fn answers(server: &Server) -> (BTreeMap<u64, Value>, Value, Value) {
    let mut records = BTreeMap::new();
    for record in server.search("service:shop") {
        let number = record["attributes"]["n"].as_u64().expect("a number");
        assert!(records.insert(number, record).is_none(), "record {number} is there twice");
    }
    let all = format!("from=now-30d&to=now%2B1d&q={}", encode("service:shop"));
    let (_, counts) = server.get(&format!("/api/v1/logs/histogram?{all}&interval=1d&by=user"));
    let (_, facets) = server.get(&format!("/api/v1/logs/facets?{all}&fields=user,n&limit=1000"));
    assert_eq!(counts["total"], records.len());
    (records, counts["buckets"].clone(), facets["facets"].clone())
}

fn numbers(server: &Server) -> Vec<u64> {
    answers(server).0.into_keys().collect()
}

/// The server dies by itself at the crash point.
pub fn dies(server: &mut Server, point: &str) {
    let status = server.wait_for_end();
    assert_eq!(status.signal(), Some(ABORTED), "{point}: {status}");
}

/// A server that does nothing but to start and die there.
pub fn start_and_die(data: &Path, point: &str, variables: &[(&str, &str)]) {
    let mut command = command(variables);
    let free = "127.0.0.1:0";
    command.env("TAFFRAIL_CRASH_AT", point).args(["--http", free, "--statsd", free, "--syslog", free, "--data-dir"]);
    let log = std::fs::File::create(data.with_extension("death.log")).expect("create a log");
    let mut process = command.arg(data).stdout(Stdio::null()).stderr(log).spawn().expect("start taffrail");
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(status) = process.try_wait().expect("wait for the server") {
            assert_eq!(status.signal(), Some(ABORTED), "{point}: {status}");
            return;
        }
        if Instant::now() > deadline {
            process.kill().expect("kill the server");
            process.wait().expect("wait for the server");
            panic!("{point} was not reached");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The crash points whose names begin so.
pub fn points(of: &[&str]) -> Vec<&'static str> {
    let points: Vec<_> =
        CRASH_POINTS.iter().copied().filter(|point| of.iter().any(|name| point.starts_with(name))).collect();
    assert!(!points.is_empty());
    points
}

fn status(server: &Server) -> Value {
    server.get("/api/v1/ingest").1["store"].clone()
}

fn split_files(data: &Path) -> usize {
    std::fs::read_dir(data.join("splits")).expect("the splits").count()
}

/// Merges nothing.
pub const STILL: (&str, &str) = ("TAFFRAIL_STORE_COMPACTION_CPU_PERCENT", "0");
/// Merges without rest.
pub const BUSY: (&str, &str) = ("TAFFRAIL_STORE_COMPACTION_CPU_PERCENT", "100");

#[test]
fn a_crash_at_any_step_of_sealing_loses_and_repeats_nothing() {
    for point in points(&["seal:", "split:"]) {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let mut server = start(&data, &[STILL, ("TAFFRAIL_CRASH_AT", point)]);
        assert!(post(&server, 0..60, 60) && post(&server, 60..90, 3600), "{point}");
        let before = answers(&server);
        seal(&server);
        dies(&mut server, point);
        drop(server);
        let server = start(&data, &[STILL]);
        assert_eq!(answers(&server), before, "after {point}");
        assert!(post(&server, 90..100, 10) && seal(&server), "{point}");
        assert_eq!(numbers(&server), (0..100).collect::<Vec<_>>(), "sealed after {point}");
        assert_eq!(split_files(&data) as u64, status(&server)["splits"].as_u64().unwrap(), "leftovers of {point}");
    }
}

#[test]
fn a_crash_at_any_step_of_compaction_loses_and_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let loaded = directory.path().join("loaded");
    let server = start(&loaded, &[STILL]);
    for part in 0..10 {
        assert!(post(&server, part * 20..part * 20 + 20, 2 * 86_400) && seal(&server));
    }
    let before = answers(&server);
    assert_eq!(server.stop(), Some(0));
    for point in points(&["compaction:", "split:"]) {
        let data = directory.path().join(point.replace(':', "-"));
        copy(&loaded, &data);
        start_and_die(&data, point, &[BUSY]);
        let server = start(&data, &[BUSY]);
        assert_eq!(answers(&server), before, "after {point}");
        wait_for("the splits to merge", || (status(&server)["splits"].as_u64() < Some(5)).then_some(()));
        assert_eq!(answers(&server), before, "merged after {point}");
        wait_for("old files to go", || (split_files(&data) as u64 == status(&server)["splits"]).then_some(()));
    }
}

#[test]
fn a_crash_at_any_step_of_retention_removes_what_is_old_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let loaded = directory.path().join("loaded");
    let server = start(&loaded, &[STILL]);
    for (part, ago) in [2 * 86_400, 60, 2 * 86_400, 3600].into_iter().enumerate() {
        let part = part as u32;
        assert!(post(&server, part * 20..part * 20 + 20, ago) && seal(&server));
    }
    assert_eq!(numbers(&server).len(), 80);
    assert_eq!(server.stop(), Some(0));
    let expected: Vec<u64> = (20..40).chain(60..80).collect();
    for point in points(&["retention:"]) {
        let data = directory.path().join(point.replace(':', "-"));
        copy(&loaded, &data);
        let variables = [STILL, ("TAFFRAIL_STORE_RETENTION_AGE", "1d")];
        start_and_die(&data, point, &variables);
        let server = start(&data, &variables);
        assert_eq!(numbers(&server), expected, "after {point}");
        wait_for("expired splits to go", || (split_files(&data) == 2).then_some(()));
        assert_eq!(numbers(&server), expected, "removed after {point}");
    }
}

#[test]
fn a_crash_at_any_step_of_a_deletion_deletes_all_of_it_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let loaded = directory.path().join("loaded");
    let server = start(&loaded, &[STILL]);
    for part in 0..3 {
        assert!(post(&server, part * 20..part * 20 + 20, 60) && seal(&server));
    }
    // What is in the journal only, too.
    assert!(post(&server, 60..80, 30));
    assert_eq!(server.stop(), Some(0));
    let without: Vec<u64> = (0..80).filter(|n| n % 3 != 0).collect();
    for point in points(&["delete:", "split:", "seal:"]) {
        let data = directory.path().join(point.replace(':', "-"));
        copy(&loaded, &data);
        let mut server = start(&data, &[STILL, ("TAFFRAIL_CRASH_AT", point)]);
        assert_eq!(numbers(&server).len(), 80, "{point}");
        let path = "/api/v1/logs/delete?reason=asked+to&q=user:alice";
        let answered =
            agent().post(server.url(path)).send(&b""[..]).is_ok_and(|answer| answer.status().as_u16() == 200);
        dies(&mut server, point);
        drop(server);
        let server = start(&data, &[STILL]);
        let found = numbers(&server);
        let nothing = found.len() == 80 && !answered;
        assert!(nothing || found == without, "after {point}, answered: {answered}: {found:?}");
        if nothing {
            assert_eq!(point, "delete:before_catalog");
            assert_eq!(server.post(path, b"").0, 200);
        }
        // New ones that match are not meant.
        assert!(post(&server, 81..82, 1), "{point}");
        wait_for("the deletion to be carried out", || {
            (server.get("/api/v1/logs/deletions").1["deletions"][0]["state"] == "done").then_some(())
        });
        let deletions = server.get("/api/v1/logs/deletions").1["deletions"].clone();
        assert_eq!(deletions.as_array().map(Vec::len), Some(1), "{point}: {deletions}");
        assert_eq!(deletions[0]["rows_removed"], 27, "{point}: each removed row is counted once");
        let expected: Vec<u64> = without.iter().copied().chain([81]).collect();
        assert_eq!(numbers(&server), expected, "carried out after {point}");
        wait_for("old files to go", || (split_files(&data) as u64 == status(&server)["splits"]).then_some(()));
        assert!(!data.join("set-aside").exists(), "{point}: nothing deleted may be put aside");
    }
}

/// Copies a directory.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create a directory");
    for entry in std::fs::read_dir(from).expect("read a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy a file");
        }
    }
}
