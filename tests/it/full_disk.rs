//! A disk that is full while splits are written or merged: nothing is lost, and once there is room it goes on by itself.
//!
//! The disk is a small `tmpfs`, which only root may mount; elsewhere these tests say so and pass.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{Server, taffrail, wait_for};

/// A mounted small disk.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<SmallDisk> {
        let directory = tempfile::tempdir().expect("a directory");
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(directory.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            println!("left out: only root can mount a small disk");
        }
        mounted.then_some(SmallDisk(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: u64) {
        let disk = rustix::fs::statvfs(self.path()).expect("measure the disk");
        let free = disk.f_bavail * disk.f_frsize;
        std::fs::write(self.path().join("ballast"), vec![0; free.saturating_sub(leave) as usize])
            .expect("fill the disk");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("ballast")).expect("make room");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn start(disk: &SmallDisk, variables: &[(&str, &str)]) -> Server {
    let mut command = taffrail();
    command.args(["serve", "--no-host"]).env("TAFFRAIL_STORE_DISK_RESERVE_BYTES", "0").envs(variables.iter().copied());
    Server::start_command(&mut command, &disk.path().join("data"), &[])
}

/// Records that hardly compress.
fn post(server: &Server, numbers: std::ops::Range<u64>) {
    let mut noise = numbers.start.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut letters = || -> String {
        (0..300)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                char::from(b'a' + (noise % 26) as u8)
            })
            .collect()
    };
    let body: String =
        numbers.map(|n| format!("{}\n", json!({ "service": "shop", "n": n, "message": letters() }))).collect();
    let (status, answer) = server.post("/api/v1/logs", body.as_bytes());
    assert_eq!(status, 200, "{answer}");
}

fn numbers(server: &Server) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        server.search("service:shop").iter().map(|record| record["attributes"]["n"].as_u64().expect("n")).collect();
    numbers.sort_unstable();
    numbers
}

fn store(server: &Server) -> Value {
    server.get("/api/v1/ingest").1["store"].clone()
}

#[test]
fn a_full_disk_stops_a_seal_and_room_lets_it_go_on() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let server = start(&disk, &[("TAFFRAIL_STORE_COMPACTION_CPU_PERCENT", "0")]);
    post(&server, 0..2000);
    disk.fill(100_000);
    let (status, answer) = server.post("/-/seal", b"");
    assert_eq!(status, 500, "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("data_dir")), "{answer}");
    assert_eq!(numbers(&server), (0..2000).collect::<Vec<_>>());
    disk.make_room();
    wait_for("the seal to be repeated", || (store(&server)["head_rows"] == 0).then_some(()));
    assert_eq!(numbers(&server), (0..2000).collect::<Vec<_>>());
    assert_eq!(store(&server)["splits"], 1);
    assert_eq!(server.stop(), Some(0));
    let server = start(&disk, &[]);
    assert_eq!(numbers(&server), (0..2000).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_puts_a_merge_off_and_room_lets_it_go_on() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let server = start(&disk, &[("TAFFRAIL_STORE_COMPACTION_CPU_PERCENT", "0")]);
    for part in 0..8 {
        post(&server, part * 250..part * 250 + 250);
        assert_eq!(server.post("/-/seal", b"").0, 200);
    }
    assert_eq!(server.stop(), Some(0));
    disk.fill(200_000);
    let server = start(&disk, &[("TAFFRAIL_STORE_COMPACTION_CPU_PERCENT", "100")]);
    wait_for("the merge to be put off", || {
        (store(&server)["compaction"]["postponed"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!((numbers(&server), store(&server)["splits"].clone()), ((0..2000).collect(), json!(8)));
    disk.make_room();
    wait_for("the splits to merge", || (store(&server)["splits"] == 1).then_some(()));
    assert_eq!(numbers(&server), (0..2000).collect::<Vec<_>>());
}
