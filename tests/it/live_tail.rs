//! `taffrail tail` against a server that is killed under it: every record once, in order, and no word of a gap, because there is none.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::{Random, Server, agent, taffrail, wait_for};

/// `taffrail tail` with what it wrote.
struct Tail {
    process: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Tail {
    fn start(server: &str, arguments: &[&str]) -> Tail {
        let mut process = taffrail()
            .args(["tail", "--server", server])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run taffrail tail");
        let stdout = lines(process.stdout.take().expect("piped"));
        let stderr = lines(process.stderr.take().expect("piped"));
        Tail { process, stdout, stderr }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (found, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| found.send(line).map_err(drop))
    });
    lines
}

#[test]
fn a_follower_sees_every_record_once_though_its_server_is_killed_and_comes_back() {
    let mut random = Random::from_environment("live tail");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut server = Server::start(&data);
    let (address, url) = (server.http.to_string(), server.url(""));
    let tail = Tail::start(&url, &["--since", "1h", "-o", "json"]);
    let done = AtomicBool::new(false);
    let deaths = 2;
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (done, url) = (&done, &url);
            scope.spawn(move || {
                let mut number = 0;
                while !done.load(Relaxed) {
                    number += 1;
                    let record = format!(r#"{{"message":"record {number} of {writer}","service":"web"}}"#);
                    // While the server is dead nobody takes it: it is not part of the test then.
                    let _ = agent().post(&format!("{url}/api/v1/logs")).send(record.repeat(3).replace("}{", "}\n{"));
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        for _ in 0..deaths {
            let stored = server.search("").len();
            let more = stored + 20 + random.below(200) as usize;
            server.wait_for_records("", more);
            if random.below(2) == 0 {
                assert_eq!(server.post("/-/seal", b"").0, 200);
            }
            server.kill();
            std::thread::sleep(Duration::from_millis(random.below(300)));
            server = Server::start_with(&data, &["--http", &address]);
        }
        server.wait_for_records("", server.search("").len() + 20);
        done.store(true, Relaxed);
    });
    server.post("/api/v1/logs", br#"{"message":"the end"}"#);
    let mut shown = Vec::new();
    wait_for("the last record to be shown", || {
        shown.extend(tail.stdout.try_iter());
        shown.last().filter(|line| line.contains("the end")).map(drop)
    });
    let shown: Vec<u64> = shown
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect(line)["seq"].as_u64().expect(line))
        .collect();
    let mut stored: Vec<u64> = server.search("").iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    stored.sort_unstable();
    assert_eq!(shown, stored);
    let remarks: Vec<String> = tail.stderr.try_iter().collect();
    let said = |what: &str| remarks.iter().filter(|remark| remark.contains(what)).count();
    // A second death may come before the tail has noticed that the first is over.
    assert!(said("trying again") > 0 && said("connected again") > 0, "{remarks:?}");
    assert_eq!(said("not shown"), 0, "{remarks:?}");
}

#[test]
fn an_interrupted_tail_ends_as_interrupted_commands_do() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    server.post("/api/v1/logs", br#"{"message":"seen"}"#);
    let mut tail = Tail::start(&server.url(""), &["--last", "1", "-o", "raw"]);
    assert_eq!(tail.stdout.recv_timeout(Duration::from_secs(60)).expect("a line"), "seen");
    kill_process(Pid::from_child(&tail.process), Signal::INT).expect("interrupt it");
    let status = wait_for("the tail to end", || tail.process.try_wait().expect("wait for it"));
    assert_eq!(status.code(), Some(130));
}
