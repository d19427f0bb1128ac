//! Clients of StatsD that are not ours, in three languages: what each sends is stored exactly, and nothing else.
//!
//! `make test` installs them (tests/prepare.sh): PyPI's `statsd`, `datadog` and `aiodogstatsd`, npm's `hot-shots`, `statsd-client` and
//! `node-statsd`; the crate `cadence` is a dependency. One that the registry did not supply is skipped, and says so. All send to one
//! server, each under a prefix of its own, so that they wait for one window together.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cadence::prelude::*;
use cadence::{BufferedUdpMetricSink, StatsdClient};
use serde_json::Value;

use crate::server::{SOON, Server, encode};

/// What a client of another language sends, and what must be there afterwards.
struct Client {
    package: &'static str,
    script: &'static str,
    /// What its names begin with.
    prefix: &'static str,
    stored: &'static [(&'static str, f64)],
}

const PYTHON: &[Client] = &[
    Client {
        package: "statsd",
        prefix: "py.",
        script: r#"
import sys, statsd
c = statsd.StatsClient("127.0.0.1", int(sys.argv[1]), prefix="py")
for _ in range(10): c.incr("hits")
c.decr("hits", 3)
c.gauge("level", 12); c.gauge("level", -3, delta=True); c.gauge("level", 1, delta=True)
c.gauge("below", -3)
c.timing("took", 320); c.timing("took", 20.5)
for one in ("ada", "bob", "ada"): c.set("people", one)
with c.pipeline() as pipe:
    pipe.incr("piped"); pipe.incr("piped", 2); pipe.gauge("piped_level", 7); pipe.timing("piped_took", 5)
t = statsd.TCPStatsClient("127.0.0.1", int(sys.argv[1]), prefix="py.tcp")
t.incr("hits", 7); t.gauge("below", -3)
with t.pipeline() as pipe:
    pipe.incr("hits", 4); pipe.set("people", "ada")
t.close()
"#,
        stored: &[
            (r#"{"py.hits"}"#, 7.0),
            (r#"{"py.level"}"#, 10.0),
            (r#"{"py.below"}"#, -3.0),
            (r#"{"py.took_count"}"#, 2.0),
            (r#"{"py.took_sum"}"#, 340.5),
            (r#"{"py.people"}"#, 2.0),
            (r#"{"py.piped"}"#, 3.0),
            (r#"{"py.piped_level"}"#, 7.0),
            (r#"{"py.piped_took_sum"}"#, 5.0),
            (r#"{"py.tcp.hits"}"#, 11.0),
            (r#"{"py.tcp.below"}"#, -3.0),
            (r#"{"py.tcp.people"}"#, 1.0),
        ],
    },
    Client {
        package: "datadog",
        prefix: "dd.",
        script: r#"
import sys
from datadog.dogstatsd import DogStatsd
d = DogStatsd(host="127.0.0.1", port=int(sys.argv[1]), namespace="dd", constant_tags=["env:test"], disable_buffering=False, disable_telemetry=True)
d.increment("orders", 3, tags=["region:eu"]); d.decrement("orders", 1, tags=["region:eu"])
d.gauge("stock", 41.5)
for ms in (10, 20, 30): d.distribution("pay", ms)
d.histogram("size", 5)
d.timing("render", 12)
for one in ("u1", "u2", "u1"): d.set("users", one)
d.event("deploy finished", "version 2\nis out", alert_type="success", tags=["version:2"])
d.service_check("dd.db", 2, message="all is lost")
d.flush()
"#,
        stored: &[
            (r#"{"dd.orders", env="test", region="eu"}"#, 2.0),
            (r#"{"dd.stock", env="test"}"#, 41.5),
            (r#"{"dd.pay_count", env="test"}"#, 3.0),
            (r#"{"dd.pay_sum", env="test"}"#, 60.0),
            (r#"{"dd.size_sum", env="test"}"#, 5.0),
            (r#"{"dd.render_sum", env="test"}"#, 12.0),
            (r#"{"dd.users", env="test"}"#, 2.0),
        ],
    },
    Client {
        package: "aiodogstatsd",
        prefix: "aio.",
        script: r#"
import asyncio, sys, aiodogstatsd
async def main():
    c = aiodogstatsd.Client(host="127.0.0.1", port=int(sys.argv[1]), namespace="aio", constant_tags={"env": "test"})
    await c.connect()
    c.increment("hits", value=3); c.decrement("hits", value=1)
    c.gauge("level", value=41.5)
    c.histogram("size", value=5); c.distribution("pay", value=10); c.timing("took", value=320, tags={"region": "eu"})
    await c.close()
asyncio.run(main())
"#,
        stored: &[
            (r#"{"aio.hits", env="test"}"#, 2.0),
            (r#"{"aio.level", env="test"}"#, 41.5),
            (r#"{"aio.size_sum", env="test"}"#, 5.0),
            (r#"{"aio.pay_sum", env="test"}"#, 10.0),
            (r#"{"aio.took_sum", env="test", region="eu"}"#, 320.0),
        ],
    },
];

const NODE: &[Client] = &[
    Client {
        package: "hot-shots",
        prefix: "hot.",
        script: r#"
const StatsD = require("hot-shots");
const c = new StatsD({host: "127.0.0.1", port: +process.argv[1], prefix: "hot.", globalTags: {env: "test"}, includeDatadogTags: false});
c.increment("hits"); c.increment("hits", 4); c.decrement("hits");
c.gauge("level", 41.5); c.gaugeDelta("level", -1.5); c.gaugeDelta("level", 2);
c.timing("took", 320); c.histogram("size", 5); c.distribution("pay", 10); c.distribution("pay", 20, {region: "eu"});
c.set("people", "ada"); c.unique("people", "bob"); c.set("people", "ada");
c.increment(["one", "two"], 2);
c.event("deploy", "of hotshots", {alert_type: "warning"}); c.check("db", c.CHECKS.CRITICAL, {message: "hotshots lost it"});
c.close(error => { if (error) throw error; });
"#,
        stored: &[
            (r#"{"hot.hits", env="test"}"#, 4.0),
            (r#"{"hot.level", env="test"}"#, 42.0),
            (r#"{"hot.took_sum", env="test"}"#, 320.0),
            (r#"{"hot.size_sum", env="test"}"#, 5.0),
            (r#"{"hot.pay_sum", env="test", region=""}"#, 10.0),
            (r#"{"hot.pay_sum", env="test", region="eu"}"#, 20.0),
            (r#"{"hot.people", env="test"}"#, 2.0),
            (r#"{"hot.one", env="test"}"#, 2.0),
            (r#"{"hot.two", env="test"}"#, 2.0),
        ],
    },
    Client {
        package: "statsd-client",
        prefix: "sdc.",
        script: r#"
const Client = require("statsd-client");
const send = (c) => {
  c.increment("hits", 5); c.decrement("hits", 2); c.counter("tagged", 3, {env: "test"});
  c.gauge("level", 100); c.gaugeDelta("level", 20); c.gaugeDelta("level", -70);
  c.timing("took", 320); c.histogram("size", 5, {env: "test"}); c.distribution("pay", 10);
  c.set("people", "ada"); c.set("people", "bob");
};
const udp = new Client({host: "127.0.0.1", port: +process.argv[1], prefix: "sdc"});
const tcp = new Client({tcp: true, host: "127.0.0.1", port: +process.argv[1], prefix: "sdc.tcp"});
send(udp); send(tcp);
// Its TCP socket flushes after a second, and keeps the process alive for ten.
setTimeout(() => { udp.close(); tcp.close(); process.exit(0); }, 1500);
"#,
        stored: &[
            (r#"{"sdc.hits"}"#, 3.0),
            (r#"{"sdc.tagged", env="test"}"#, 3.0),
            (r#"{"sdc.level"}"#, 50.0),
            (r#"{"sdc.took_sum"}"#, 320.0),
            (r#"{"sdc.size_sum", env="test"}"#, 5.0),
            (r#"{"sdc.pay_sum"}"#, 10.0),
            (r#"{"sdc.people"}"#, 2.0),
            (r#"{"sdc.tcp.hits"}"#, 3.0),
            (r#"{"sdc.tcp.tagged", env="test"}"#, 3.0),
            (r#"{"sdc.tcp.level"}"#, 50.0),
            (r#"{"sdc.tcp.took_sum"}"#, 320.0),
            (r#"{"sdc.tcp.size_sum", env="test"}"#, 5.0),
            (r#"{"sdc.tcp.pay_sum"}"#, 10.0),
            (r#"{"sdc.tcp.people"}"#, 2.0),
        ],
    },
    Client {
        package: "node-statsd",
        prefix: "ns.",
        script: r#"
const {StatsD} = require("node-statsd");
const c = new StatsD({host: "127.0.0.1", port: +process.argv[1], prefix: "ns."});
c.increment("hits"); c.increment("hits", 4); c.decrement("hits", 2); c.increment("tagged", 3, ["env:test", "bare"]);
c.gauge("level", 12.5); c.timing("took", 320); c.histogram("size", 5);
c.set("people", "ada"); c.unique("people", "bob"); c.increment(["one", "two"], 2);
setTimeout(() => c.close(), 300);
"#,
        stored: &[
            (r#"{"ns.hits"}"#, 3.0),
            (r#"{"ns.tagged", env="test", bare="true"}"#, 3.0),
            (r#"{"ns.level"}"#, 12.5),
            (r#"{"ns.took_sum"}"#, 320.0),
            (r#"{"ns.size_sum"}"#, 5.0),
            (r#"{"ns.people"}"#, 2.0),
            (r#"{"ns.one"}"#, 2.0),
            (r#"{"ns.two"}"#, 2.0),
        ],
    },
];

const CADENCE: &[(&str, f64)] = &[
    (r#"{"cad.hits", env="test"}"#, 5.0),
    (r#"{"cad.level", env="test"}"#, 41.5),
    (r#"{"cad.took_sum", env="test"}"#, 320.0),
    (r#"{"cad.took_count", env="test"}"#, 3.0),
    (r#"{"cad.size_sum", env="test", region="eu"}"#, 5.0),
    (r#"{"cad.pay_sum", env="test"}"#, 10.0),
    (r#"{"cad.rate", env="test"}"#, 3.0),
    (r#"{"cad.people", env="test"}"#, 2.0),
];

fn send_with_cadence(server: &Server) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sink = BufferedUdpMetricSink::from(server.statsd, socket).unwrap();
    let client = StatsdClient::builder("cad", sink).with_tag("env", "test").build();
    client.count("hits", 4_i64).unwrap();
    client.incr("hits").unwrap();
    client.incr("hits").unwrap();
    client.decr("hits").unwrap();
    client.gauge("level", 41.5).unwrap();
    client.time("took", vec![100_u64, 200, 20]).unwrap();
    client.histogram_with_tags("size", 5_u64).with_tag("region", "eu").try_send().unwrap();
    client.distribution("pay", 10_u64).unwrap();
    client.meter("rate", 3_u64).unwrap();
    client.set("people", 7_i64).unwrap();
    client.set("people", 9_i64).unwrap();
    client.flush().unwrap();
}

fn test_clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients")
}

/// Runs a client's script; false when the client is not there.
fn sends(interpreter: &Path, client: &Client, look: &str, server: &Server) -> bool {
    let command = || {
        let mut command = Command::new(interpreter);
        command.env("NODE_PATH", test_clients().join("node/node_modules"));
        command
    };
    let flag = if interpreter.ends_with("node") { "-e" } else { "-c" };
    let is_there = command().args([flag, look]).output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("SKIPPED: {} is not in target/test-clients; tests/prepare.sh installs it", client.package);
        return false;
    }
    let output = command().args([flag, client.script, &server.statsd.port().to_string()]).output().unwrap();
    assert!(output.status.success(), "{}: {}", client.package, String::from_utf8_lossy(&output.stderr));
    true
}

/// Names that begin with this, and in how many series each stands.
fn names(server: &Server, prefix: &str) -> BTreeMap<String, usize> {
    let pattern = format!(r#"{{__name__=~"{}.*"}}"#, prefix.replace('.', r"\\."));
    let (status, body) = server.get(&format!("/api/v1/series?match[]={}", encode(&pattern)));
    assert_eq!(status, 200, "{body}");
    let mut names = BTreeMap::new();
    for series in body["data"].as_array().unwrap() {
        *names.entry(series["__name__"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    names
}

fn check(server: &Server, package: &str, prefix: &str, stored: &[(&str, f64)]) {
    for (question, expected) in stored {
        // What a client sent may have fallen into two windows, of which the first is seen first.
        let deadline = Instant::now() + SOON;
        loop {
            let values: Vec<f64> = server.promql(question).iter().map(|(_, value)| *value).collect();
            if values == [*expected] {
                break;
            }
            assert!(Instant::now() < deadline, "{package}: {question} is {values:?}, not {expected}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let asked: Vec<String> = stored.iter().map(|(question, _)| plain_name(question)).collect();
    let surprises: Vec<String> =
        names(server, prefix).into_keys().filter(|name| !asked.contains(&plain_name(name))).collect();
    assert!(surprises.is_empty(), "{package} stored what nobody sent: {surprises:?}");
}

/// The name that a client sent, of a question or of a name with a distribution's suffix.
fn plain_name(text: &str) -> String {
    let name = text.trim_start_matches("{\"");
    let name = name.split('"').next().unwrap_or_default();
    ["_count", "_sum", "_bucket", "_min", "_max"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
        .to_owned()
}

#[test]
fn what_clients_of_three_languages_send_is_stored_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    wait_for_the_start_of_a_window();
    send_with_cadence(&server);
    let python = test_clients().join("bin/python");
    let node = PathBuf::from("node");
    let of_python =
        PYTHON.iter().filter(|client| sends(&python, client, &format!("import {}", client.package), &server));
    let sent: Vec<&Client> = of_python
        .chain(NODE.iter().filter(|client| sends(&node, client, &format!("require('{}')", client.package), &server)))
        .collect();
    check(&server, "cadence", "cad.", CADENCE);
    for client in &sent {
        check(&server, client.package, client.prefix, client.stored);
    }
    let came = |package: &str| sent.iter().any(|client| client.package == package);
    if came("datadog") {
        let event = &server.wait_for_records("\"deploy finished\"", 1)[0];
        assert_eq!(
            (&event["message"], &event["level"]),
            (&Value::from("deploy finished: version 2\nis out"), &Value::from("info"))
        );
        let check = &server.wait_for_records("\"all is lost\"", 1)[0];
        assert_eq!(check["level"], "error", "{check}");
    }
    if came("hot-shots") {
        let event = &server.wait_for_records("\"of hotshots\"", 1)[0];
        assert_eq!(
            (&event["message"], &event["level"]),
            (&Value::from("hot.deploy: of hotshots"), &Value::from("warn"))
        );
        server.wait_for_records("\"hotshots lost it\"", 1);
    }
    if std::env::var_os("CI").is_some() {
        assert!(sent.len() >= 3, "in CI the clients of one language at least must be there");
    }
    assert_problems(&server);
}

/// All clients together send for some seconds: with luck within one window, so that sets are whole.
fn wait_for_the_start_of_a_window() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let into_window = now.as_millis() % 10_000;
    if into_window > 2_000 {
        std::thread::sleep(Duration::from_millis(10_000 - into_window as u64));
    }
}

/// Nothing that these clients sent was refused.
fn assert_problems(server: &Server) {
    let (_, status) = server.get("/api/v1/ingest");
    let sources = status["sources"].as_array().cloned().unwrap_or_default();
    for source in sources.iter().filter(|source| source["kind"] == "statsd") {
        assert_eq!(source["problems"].as_array().map(Vec::len), Some(0), "{source}");
    }
}
