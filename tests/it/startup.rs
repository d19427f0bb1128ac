//! What stops a start is said in a sentence that names the setting; what stops a run ends it cleanly.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::server::{Server, taffrail, wait_for};

fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let output = taffrail().args(arguments).output().expect("run taffrail");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_taken_port_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let (code, message) =
        fails(&["serve", "--data-dir", data, "--http", &address, "--statsd", "off", "--syslog", "off", "--no-host"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains(&address) && message.contains("--http"), "{message}");
}

#[test]
fn a_directory_that_cannot_be_written_names_the_setting() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a-file");
    std::fs::write(&file, b"not a directory").unwrap();
    let (code, message) = fails(&[
        "serve",
        "--data-dir",
        file.to_str().unwrap(),
        "--http",
        "127.0.0.1:0",
        "--statsd",
        "off",
        "--syslog",
        "off",
        "--no-host",
    ]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("data-dir") || message.contains("data_dir"), "{message}");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("taffrail.toml");
    std::fs::write(&config, "[server]\nhtpp = \"127.0.0.1:6464\"\n").unwrap();
    let (code, message) = fails(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(78), "{message}");
    assert!(message.contains("htpp") && message.contains("http") && message.contains(":2:"), "{message}");
}

#[test]
fn a_second_server_over_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let (code, message) = fails(&[
        "serve",
        "--data-dir",
        data.to_str().unwrap(),
        "--http",
        "127.0.0.1:0",
        "--statsd",
        "off",
        "--syslog",
        "off",
        "--no-host",
    ]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("data"), "{message}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn binding_to_the_world_needs_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let check = |arguments: &[&str], setting: &str| {
        let (code, message) = fails(arguments);
        assert_eq!(code, Some(78), "{arguments:?}: {message}");
        assert!(message.contains(setting) && message.contains("--insecure"), "{arguments:?}: {message}");
    };
    for (http, statsd, syslog, setting) in [
        ("0.0.0.0:0", "off", "off", "server.http"),
        ("127.0.0.1:0", "0.0.0.0:0", "off", "collector.statsd.address"),
        ("127.0.0.1:0", "off", "[::]:0", "collector.syslog.address"),
    ] {
        check(
            &["serve", "--data-dir", data, "--http", http, "--statsd", statsd, "--syslog", syslog, "--no-host"],
            setting,
        );
    }
    let agent = ["collect", "--to", "http://127.0.0.1:1", "--state-dir", data, "--no-host"];
    check(&[&agent[..], &["--statsd", "0.0.0.0:0", "--syslog", "off"]].concat(), "collector.statsd.address");
}

#[test]
fn usage_errors_exit_with_two() {
    assert_eq!(fails(&["serve", "--no-such-flag"]).0, Some(2));
}

#[test]
fn ctrl_c_drains_and_exits_zero() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"<13>still on its way", server.syslog).unwrap();
    socket.send_to(b"last.window:4|c", server.statsd).unwrap();
    wait_for("both to be taken", || {
        let (_, ingest) = server.get("/api/v1/ingest");
        let sources = ingest["sources"].as_array()?.clone();
        let taken = |kind: &str| sources.iter().any(|s| s["kind"] == kind && s["records"].as_u64() > Some(0));
        (taken("syslog") && taken("statsd")).then_some(())
    });
    assert_eq!(server.stop_by(Signal::INT), Some(0));
    let server = Server::start(&data);
    assert_eq!(server.search("\"still on its way\"").len(), 1);
    let value = wait_for("the window that was open", || server.promql(r#"{"last.window"}"#).first().map(|(_, v)| *v));
    assert_eq!(value, 4.0);
}

#[test]
fn a_bare_start_shows_this_host() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_command(taffrail().arg("serve"), &directory.path().join("data"), &[]);
    wait_for("the load of this host", || server.promql(r#"{"host.load", over="1m"}"#).first().map(|_| ()));
    assert_eq!(server.stop(), Some(0));
}
