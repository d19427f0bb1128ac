//! Splits that are flipped, cut or removed, while the server is stopped and while it runs: the rest is served, what is missing
//! is named, no line is wrong; `taffrail doctor` finds it and repairs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::server::{Random, Server, encode, taffrail, wait_for};

const SPLITS: usize = 3;
const ROWS: usize = 400;

/// Messages by split, and what each record says of itself besides.
fn message(split: usize, row: usize) -> String {
    format!("order {} of part {split} took {} ms: {}", split * ROWS + row, row % 97, "x".repeat(row % 40))
}

/// Sends three parts and seals each; returns when all are splits.
fn fill(server: &Server) {
    for split in 0..SPLITS {
        let body: String = (0..ROWS)
            .map(|row| {
                format!("{{\"service\":\"part{split}\",\"message\":\"{}\",\"row\":{row}}}\n", message(split, row))
            })
            .collect();
        assert_eq!(server.post("/api/v1/logs", body.as_bytes()).0, 200);
        assert_eq!(server.post("/-/seal", b"").0, 200);
    }
}

/// The splits, oldest first.
fn splits(data: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(data.join("splits")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), SPLITS);
    paths
}

/// The file of a split that holds its records.
fn file_of(split: &Path) -> PathBuf {
    if split.is_dir() { split.join("records") } else { split.to_owned() }
}

/// A split's name, as answers give it.
fn name_of(split: &Path) -> String {
    split.file_name().unwrap().to_string_lossy().into_owned()
}

/// All records of a question in one answer, and its summary.
fn ask(server: &Server, question: &str) -> (Vec<Value>, Value) {
    let path = format!("/api/v1/logs/search?from=0&to=now%2B3650d&limit=5000&q={}", encode(question));
    let (status, lines) = server.get(&path);
    assert_eq!(status, 200, "{question}: {lines}");
    let text = lines.as_str().unwrap_or_else(|| panic!("{question}: {lines}"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().unwrap()["summary"].clone();
    assert!(summary.is_object(), "{question}: {lines:?}");
    (lines.iter().filter_map(|line| line.get("record").cloned()).collect(), summary)
}

/// Asks in every way and checks that only the split may lack records, that none is wrong, and that what lacks is named.
/// Returns whether anything was named.
fn check(server: &Server, damaged: &str, what: &str) -> bool {
    let (records, summary) = ask(server, "");
    let mut seen: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for record in &records {
        let split: usize = record["service"].as_str().unwrap().trim_start_matches("part").parse().unwrap();
        let row = record["attributes"]["row"].as_u64().unwrap() as usize;
        assert_eq!(record["message"], message(split, row), "{what}: a wrong line");
        assert!(seen.entry(split).or_default().insert(row), "{what}: a line twice");
    }
    assert_eq!((seen[&0].len(), seen[&2].len()), (ROWS, ROWS), "{what}: the others are whole");
    let named = summary["damaged_splits"].as_array().unwrap().clone();
    let whole = seen.get(&1).map_or(0, BTreeSet::len) == ROWS;
    assert!(whole || named == [damaged], "{what}: what lacks is named: {summary}");
    assert_eq!(named.is_empty(), summary["partial"] == false, "{what}: {summary}");

    let (found, _) = ask(server, "service:part2 row:7");
    assert_eq!(found.len(), 1, "{what}");
    let range = "from=0&to=now%2B1d";
    let (status, counts) = server.get(&format!("/api/v1/logs/histogram?{range}&interval=100d&by=service"));
    assert_eq!(status, 200, "{what}: {counts}");
    let left_out = counts["summary"]["damaged_splits"].as_array().unwrap().len();
    assert_eq!(counts["total"], (SPLITS - left_out) * ROWS, "{what}: counted whole or not at all");
    for path in ["facets", "fields"] {
        assert_eq!(server.get(&format!("/api/v1/logs/{path}?{range}")).0, 200, "{what}: {path}");
    }
    let mut query = taffrail();
    query.args(["query", "--from", "0", "--to", "now+1d", "--limit", "5000", "--server"]).arg(server.url(""));
    let output = query.output().expect("run taffrail query");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // What the first question had no need to read, a later one may have found damaged.
    assert!(output.status.success() && (told.contains(damaged) || named.is_empty()), "{what}: {told}");
    let any = !named.is_empty() || left_out > 0 || told.contains(damaged);
    let (status, ready) = server.get("/readyz");
    let ready = ready.as_str().unwrap().to_owned();
    assert!(status == 200 && ready.starts_with("ready"), "{what}: {ready}");
    assert!(ready.contains(damaged) || !any, "{what}: {ready}");
    let any = ready.contains(damaged);
    let metrics = server.get("/metrics").1.as_str().unwrap().to_owned();
    assert!(metrics.contains(&format!("\ntaffrail_damaged_splits {}\n", usize::from(any))), "{what}: {metrics}");
    assert!(!server.log_text().contains("panicked"), "{what}: {}", server.log_text());
    any
}

type Harm = Box<dyn Fn(&Path, &[u8])>;

/// Ways to harm a file whose content is given.
fn harms(random: &mut Random, length: usize) -> Vec<(String, Harm)> {
    let mut harms: Vec<(String, Harm)> = Vec::new();
    for _ in 0..6 {
        let at = random.below(length as u64) as usize;
        harms.push((
            format!("byte {at} of {length} flipped"),
            Box::new(move |path, whole| {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 0x10;
                fs::write(path, bytes).unwrap();
            }),
        ));
    }
    for kept in [0, length / 3, length - 1] {
        harms.push((
            format!("cut to {kept} of {length}"),
            Box::new(move |path, _| fs::File::options().write(true).open(path).unwrap().set_len(kept as u64).unwrap()),
        ));
    }
    harms.push(("removed".to_owned(), Box::new(|path, _| fs::remove_file(path).unwrap())));
    harms
}

#[test]
fn a_server_that_starts_over_a_damaged_split_serves_the_rest_and_names_it() {
    let mut random = Random::from_environment("a_server_that_starts_over_a_damaged_split_serves_the_rest_and_names_it");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    fill(&server);
    assert_eq!(server.stop(), Some(0));
    let split = splits(&data)[1].clone();
    let file = file_of(&split);
    let whole = fs::read(&file).unwrap();
    let mut named = 0;
    for (what, harm) in harms(&mut random, whole.len()) {
        harm(&file, &whole);
        let server = Server::start(&data);
        named += usize::from(check(&server, &name_of(&split), &what));
        assert_eq!(server.stop(), Some(0), "{what}");
        fs::write(&file, &whole).unwrap();
    }
    assert!(named >= 4, "what was cut or removed is always noticed: {named}");
}

#[test]
fn a_split_that_is_harmed_while_the_server_runs_costs_only_itself_and_comes_back_when_restored() {
    let mut random =
        Random::from_environment("a_split_that_is_harmed_while_the_server_runs_costs_only_itself_and_comes_back");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    fill(&server);
    let split = splits(&data)[1].clone();
    let file = file_of(&split);
    let whole = fs::read(&file).unwrap();
    assert!(!check(&server, &name_of(&split), "sound"));
    for (what, harm) in harms(&mut random, whole.len()) {
        harm(&file, &whole);
        check(&server, &name_of(&split), &what);
        fs::write(&file, &whole).unwrap();
        wait_for("the split to be read again", || (server.get("/readyz").1 == "ready\n").then_some(()));
        let (records, summary) = ask(&server, "");
        assert_eq!((records.len(), &summary["partial"]), (SPLITS * ROWS, &Value::Bool(false)), "{what}, restored");
    }
    assert_eq!(server.stop(), Some(0));
}

fn doctor(data: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let output: Output =
        taffrail().arg("doctor").arg("--data-dir").arg(data).args(flags).output().expect("run taffrail doctor");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn doctor_finds_repairs_and_says_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    fill(&server);
    let (code, text) = doctor(&data, &[]);
    assert!(code == Some(1) && text.contains("--read-only"), "{code:?} {text}");
    assert_eq!(doctor(&data, &["--read-only"]).0, Some(0));
    assert_eq!(server.stop(), Some(0));
    let (code, text) = doctor(&data, &[]);
    assert!(code == Some(0) && text.contains("all is sound"), "{code:?} {text}");
    assert_eq!(doctor(&data, &["--repair", "--read-only"]).0, Some(2));

    let split = splits(&data)[1].clone();
    let file = file_of(&split);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (code, text) = doctor(&data, &["--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["problems"][0]["kind"]), (Some(1), &Value::from("split_damaged")), "{text}");
    let (code, text) = doctor(&data, &["--repair"]);
    assert!(code == Some(1) && text.contains("all repaired") && text.contains("quarantine"), "{code:?} {text}");
    assert_eq!(doctor(&data, &[]).0, Some(0));

    for name in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    let (code, text) = doctor(&data, &["--repair"]);
    assert!(code == Some(1) && text.contains("made anew"), "{code:?} {text}");
    let server = Server::start(&data);
    let (records, summary) = ask(&server, "");
    assert_eq!((records.len(), &summary["partial"]), ((SPLITS - 1) * ROWS, &Value::Bool(false)));
    assert_eq!(server.stop(), Some(0));
}
