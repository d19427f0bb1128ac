//! A file rotated while it is written, tailed by the server itself and shipped by an agent.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::server::{Random, Server, taffrail, wait_for};

/// Ends a process of ours when the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns how often it rotated the file: so many lines came late, and so many ended a rotated file.
fn write_with_rotations(file: &Path, lines: u64, random: &mut Random) -> u64 {
    let mut open = OpenOptions::new().create(true).append(true).open(file).unwrap();
    let mut rotations = 0;
    for line in 0..lines {
        writeln!(open, "rotating line {line}").unwrap();
        if random.below(150) == 0 {
            rotations += 1;
            std::fs::rename(file, file.with_extension(format!("log.{rotations}"))).unwrap();
            writeln!(open, "rotating line late{rotations}").unwrap(); // a writer that has not noticed yet
            open = File::create_new(file).unwrap();
        }
        if random.below(100) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(random.below(80)));
        }
    }
    for rotation in 1..=rotations {
        writeln!(OpenOptions::new().append(true).open(file).unwrap(), "rotating line end{rotation}").unwrap();
    }
    println!("{lines} lines, {rotations} rotations");
    rotations
}

/// Writes a first line and waits until it is stored: what was rotated away before a tailer first looked is nothing it could
/// have known of.
fn begin(file: &Path, server: &Server) {
    std::fs::write(file, "rotating line first\n").unwrap();
    server.wait_for_records("\"rotating line first\"", 1);
}

fn each_once(server: &Server, lines: u64, rotations: u64) {
    let numbered = (0..lines).map(|line| line.to_string());
    let of_rotations = (1..=rotations).flat_map(|rotation| [format!("late{rotation}"), format!("end{rotation}")]);
    let expected: Vec<_> = numbered.chain(of_rotations).map(|line| format!("rotating line {line}")).collect();
    let found = wait_for("every line", || {
        let mut counts = BTreeMap::new();
        for record in server.search("\"rotating line\"") {
            *counts.entry(record["message"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
        expected.iter().all(|line| counts.contains_key(line)).then_some(counts)
    });
    let repeated: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[test]
fn the_server_reads_a_rotating_file_exactly_once() {
    let mut random = Random::from_environment("the_server_reads_a_rotating_file_exactly_once");
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = (directory.path().join("taffrail.toml"), directory.path().join("app.log"));
    std::fs::write(&config, format!("[[collector.files]]\ninclude = [{file:?}]\nstart_at = \"beginning\"\n")).unwrap();
    let server = Server::start_with(&directory.path().join("data"), &["--config", config.to_str().unwrap()]);
    begin(&file, &server);
    let rotations = write_with_rotations(&file, 2_000, &mut random);
    each_once(&server, 2_000, rotations);
}

#[test]
fn an_agent_ships_a_rotating_file_exactly_once_through_kills_of_both_sides() {
    let mut random =
        Random::from_environment("an_agent_ships_a_rotating_file_exactly_once_through_kills_of_both_sides");
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = (directory.path().join("agent.toml"), directory.path().join("app.log"));
    let data = directory.path().join("data");
    std::fs::write(&config, format!("[[collector.files]]\ninclude = [{file:?}]\nstart_at = \"beginning\"\n")).unwrap();
    let mut server = Server::start(&data);
    let http = server.http.to_string();
    let start_agent = || {
        let log = OpenOptions::new().create(true).append(true).open(directory.path().join("agent.log")).unwrap();
        let child = taffrail()
            .args(["collect", "--no-host", "--statsd", "off", "--syslog", "off", "--to", &format!("http://{http}")])
            .arg("--config")
            .arg(&config)
            .arg("--state-dir")
            .arg(directory.path().join("agent"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start the agent");
        Ended(child)
    };
    let mut agent = start_agent();
    begin(&file, &server);
    let writer = {
        let file = file.clone();
        let mut random = Random::from_environment("writer");
        std::thread::spawn(move || write_with_rotations(&file, 3_000, &mut random))
    };
    for _ in 0..6 {
        std::thread::sleep(std::time::Duration::from_millis(100 + random.below(300)));
        if random.below(2) == 0 {
            drop(agent);
            agent = start_agent();
        } else {
            server.kill();
            server = Server::start_with(&data, &["--http", &http]);
        }
    }
    let rotations = writer.join().unwrap();
    each_once(&server, 3_000, rotations);
    drop(agent);
}
