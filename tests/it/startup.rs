//! What stops a start is said in a sentence that names the setting; what stops a run ends it cleanly.

use std::net::TcpListener;

use crate::server::{Server, taffrail};

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
    let (code, message) =
        fails(&["serve", "--data-dir", data, "--http", "0.0.0.0:0", "--statsd", "off", "--syslog", "off", "--no-host"]);
    assert_ne!(code, Some(0));
    assert!(message.contains("--insecure"), "{message}");
}

#[test]
fn usage_errors_exit_with_two() {
    assert_eq!(fails(&["serve", "--no-such-flag"]).0, Some(2));
}
