//! Debian's `promtool` asks the server as it asks Prometheus: queries, ranges, series, labels. One that is not installed is
//! skipped, and says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{Server, wait_for};

/// The one that `tests/prepare.sh` unpacked, or the one that is installed.
fn program() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients/prometheus/usr/bin/promtool");
    if unpacked.exists() { unpacked } else { "promtool".into() }
}

/// What `promtool query …` prints, or how it failed.
fn promtool(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program()).arg("query").args(arguments).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn promtool_asks_as_it_asks_prometheus() {
    if Command::new(program()).arg("--version").output().is_err() {
        println!("SKIPPED: promtool is not installed (Debian's package prometheus)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let url = server.url("");
    let url = url.trim_end_matches('/');
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"shop_orders:5|c|#env:prod\nshop_time:10:20:30|ms|#env:prod", server.statsd).unwrap();

    assert_eq!(promtool(&["instant", url, "1 + 1"]).unwrap().split(" @").next(), Some("scalar: 2"));
    let (start, end) = ((now - 60).to_string(), now.to_string());
    let ranged = promtool(&["range", "--start", &start, "--end", &end, "--step", "30s", url, "vector(7)"]).unwrap();
    assert_eq!(ranged.matches("7 @[").count(), 3, "{ranged}");
    let refused = promtool(&["instant", url, "sum("]).unwrap_err();
    assert!(refused.contains("bad_data") && refused.contains("parse error"), "{refused}");
    let selector = "{env=\"prod\"}";
    let series = wait_for("the series", || {
        let found = promtool(&["series", "--match", selector, url]).ok()?;
        (found.contains("shop_orders") && found.contains("shop_time_count")).then_some(found)
    });
    assert!(series.contains("env=\"prod\""), "{series}");
    let histogram = promtool(&["instant", url, "histogram_count(shop_time)"]).unwrap();
    assert!(histogram.starts_with("{env=\"prod\""), "{histogram}");
    let names = promtool(&["labels", url, "__name__"]).unwrap();
    assert!(names.lines().any(|name| name == "shop_orders"), "{names}");
}
