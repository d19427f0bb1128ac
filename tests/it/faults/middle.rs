//! Rows 7 to 12, 15 and 20: what stands between agent and server, or the server itself, answers late, badly, wrongly or not at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use taffrail_collector::frame;

use super::Row;
use super::link::seconds;
use super::network::Network;
use super::proxy::{Manner, Proxy};
use super::scene::{PATIENCE, Scene};
use crate::field::within;
use crate::oracle::{Habits, Writer};

/// The rows.
pub const ROWS: &[Row] = &[
    ("7a", "answers come a second late", |network| slow(network, Duration::from_secs(1))),
    ("7b", "answers come later than any first deadline", |network| slow(network, Duration::from_millis(3500))),
    ("8a", "the answer drips", dripping),
    ("8b", "a client drips", slow_client),
    ("9a", "connections are reset in the middle of a body", |network| broken(network, Manner::ResetInBody)),
    ("9b", "half a body arrives", |network| broken(network, Manner::TruncateBody)),
    ("9c", "half an answer arrives", |network| broken(network, Manner::TruncateAnswer)),
    ("9d", "the answer never comes", |network| broken(network, Manner::Swallow)),
    ("10a", "429 with Retry-After, one server", |network| busy(network, "429 Too Many Requests", 1)),
    ("10b", "503 with Retry-After, two servers", |network| busy(network, "503 Service Unavailable", 2)),
    ("11a", "500 always", |network| {
        foreign(network, "500 Internal Server Error", "{\"error\":{\"message\":\"broken\"}}")
    }),
    ("11b", "one record that no server takes", poison),
    ("12a", "502 of a proxy, in HTML", |network| foreign(network, "502 Bad Gateway", "<html>bad gateway</html>")),
    ("12b", "200 of a captive portal", |network| foreign(network, "200 OK", "<html>welcome, please log in</html>")),
    ("15", "1 Mbit/s, 200 ms round trip, losses", thin),
    ("20", "a balancer that pins connections", pinned),
];

/// Where the proxy stands.
const PROXY: u8 = 4;

/// Everything goes through a proxy to the first server; others are reached directly.
fn begin_behind_a_proxy(network: &Network, servers: u8) -> (Scene, Proxy) {
    let mut scene = Scene::set(network, servers);
    let proxy = Proxy::start(network.listen(PROXY), &[scene.servers[0].address]);
    let direct = (1..servers).map(|number| network.address(number));
    let to: Vec<String> = [network.address(PROXY)].into_iter().chain(direct).map(|to| format!("http://{to}")).collect();
    scene.start_agent(&to);
    scene.start_writing();
    (scene, proxy)
}

fn slow(network: &Network, late: Duration) -> String {
    let (mut scene, proxy) = begin_behind_a_proxy(network, 1);
    proxy.set(Manner::Late(late));
    scene.goes_on(5);
    let requests = proxy.requests()[0];
    let flows = scene.until_it_is_acknowledged();
    scene.goes_on(5);
    let requests = proxy.requests()[0] - requests;
    // Those that are given up are sent again by and by, not all the time.
    assert!(requests < 100, "{requests} requests");
    proxy.set(Manner::Forward);
    format!("acknowledged after {}, {requests} requests meanwhile, {}", seconds(flows), scene.ends_clean())
}

fn dripping(network: &Network) -> String {
    let (mut scene, proxy) = begin_behind_a_proxy(network, 2);
    proxy.set(Manner::Drip(Duration::from_millis(500)));
    let moved = scene.until_it_flows_to(1);
    scene.goes_on(2);
    proxy.set(Manner::Forward);
    format!("moved on after {}, {}", seconds(moved), scene.ends_clean())
}

/// The server does not wait for ever on whoever sends a byte now and then.
fn slow_client(network: &Network) -> String {
    let mut scene = Scene::begin(network, 1);
    let mut stream = TcpStream::connect(scene.servers[0].address).expect("connect");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("set a timeout");
    let started = Instant::now();
    let closed = within(PATIENCE, || {
        let written = stream.write_all(b"G");
        let mut answer = [0; 1024];
        let read = stream.read(&mut answer);
        let is_open = read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        (written.is_err() || !is_open).then_some(())
    });
    assert!(closed.is_some(), "the server waits for ever");
    format!("closed after {}, {}", seconds(started.elapsed()), scene.ends_clean())
}

fn broken(network: &Network, manner: Manner) -> String {
    let (mut scene, proxy) = begin_behind_a_proxy(network, 1);
    proxy.set(manner);
    scene.goes_on(5);
    let ship = scene.ship();
    assert!(ship["waiting_batches"].as_u64() > Some(0), "what is not acknowledged waits: {ship}");
    proxy.set(Manner::Forward);
    scene.ends_clean()
}

fn busy(network: &Network, status: &'static str, servers: u8) -> String {
    let (mut scene, proxy) = begin_behind_a_proxy(network, servers);
    let said = "{\"error\":{\"message\":\"busy\"}}";
    proxy.set(Manner::Answer(status, "content-type: application/json\r\nretry-after: 3\r\n", said));
    let before = proxy.requests()[0];
    let moved = (servers > 1).then(|| scene.until_it_flows_to(1));
    scene.goes_on(9);
    let asked = proxy.requests()[0] - before;
    assert!(asked <= 16, "asked {asked} times in 9 s although it wants a pause of 3 s each time");
    proxy.set(Manner::Forward);
    let moved = moved.map_or(String::new(), |moved| format!("moved on after {}, ", seconds(moved)));
    let told = scene.ends_clean();
    assert_eq!(scene.agent.quarantined(), 0);
    format!("{moved}asked {asked} times in 9 s, {told}")
}

fn foreign(network: &Network, status: &'static str, body: &'static str) -> String {
    let (mut scene, proxy) = begin_behind_a_proxy(network, 1);
    proxy.set(Manner::Answer(status, "", body));
    let before = proxy.requests()[0];
    scene.goes_on(6);
    let asked = proxy.requests()[0] - before;
    let ship = scene.ship();
    assert!(ship["waiting_batches"].as_u64() > Some(0), "that is no acknowledgement: {ship}");
    assert!(asked < 100, "tried {asked} times in 6 s");
    proxy.set(Manner::Forward);
    let told = scene.ends_clean();
    assert_eq!(scene.agent.quarantined(), 0, "nothing is wrong with the batches");
    format!("tried {asked} times in 6 s, {told}")
}

/// Whether a frame holds the record that nobody takes.
fn holds_poison(body: &[u8]) -> bool {
    frame::decode(body).is_ok_and(|(batch, _)| batch.logs.iter().any(|record| record.body.contains("poison")))
}

fn poison(network: &Network) -> String {
    let (mut scene, proxy) = begin_behind_a_proxy(network, 1);
    proxy.set(Manner::Reject(holds_poison));
    std::fs::write(scene.directory.path().join("logs/poison.log"), "one pill of poison\n").expect("write poison");
    let put_aside = within(PATIENCE, || (scene.agent.quarantined() > 0).then_some(()));
    assert!(put_aside.is_some(), "it is not put aside: {}", scene.agent.host.log_text());
    // Were the pill stored, it would count as corrupt; were a neighbour put aside with it, that would be missing.
    let told = scene.ends_clean();
    assert_eq!(scene.ship()["quarantined_records"], Value::from(1));
    told
}

fn thin(network: &Network) -> String {
    /// 1 Mbit/s.
    const BYTES_PER_SECOND: u64 = 125_000;
    let (mut scene, proxy) = begin_behind_a_proxy(network, 1);
    proxy.set(Manner::Thin { bytes_per_second: BYTES_PER_SECOND, delay: Duration::from_millis(100) });
    let much =
        Habits { pause: Duration::from_millis(20), burst: 16, padding: 900, rotate_every: 0, remove_after: None };
    let path = scene.directory.path().join("logs/much.log");
    let writer = Writer::file(&scene.ledger, "much", &path, much, 5);
    // Until requests are as large as the line bears.
    scene.goes_on(8);
    let (started, before) = (Instant::now(), proxy.body_bytes());
    scene.goes_on(12);
    let endpoint = scene.ship()["endpoints"][0].clone();
    let bytes = (proxy.body_bytes() - before) as f64;
    let share = bytes / started.elapsed().as_secs_f64() / BYTES_PER_SECOND as f64;
    writer.stop();
    // Seven tenths are asserted where time is the test's own (`ship::thin_line_tests`).
    assert!(share > 0.2, "only {share:.2} of the line is used");
    proxy.set(Manner::Forward);
    let (concurrency, deadline) = (&endpoint["concurrency"], &endpoint["deadline_ms"]);
    let told =
        format!("{:.0} % of the line used, {concurrency} requests at a time, deadline {deadline} ms", share * 100.0);
    format!("{told}, {}", scene.ends_clean())
}

fn pinned(network: &Network) -> String {
    let mut scene = Scene::set(network, 1);
    // A server with two ways in, as two nodes over one store: each connection stays on its way.
    let server = scene.servers[0].address;
    let proxy = Proxy::start(network.listen(PROXY), &[server, server]);
    scene.start_agent(&[format!("http://{}", network.address(PROXY))]);
    scene.start_writing();
    let connections = proxy.connections();
    let aged = within(PATIENCE, || (proxy.connections() >= connections + 2).then_some(()));
    assert!(aged.is_some(), "connections are kept for ever");
    let requests = proxy.requests();
    assert!(requests.iter().all(|&count| count > 0), "one way is never taken: {requests:?}");
    format!("requests by way {requests:?}, {}", scene.ends_clean())
}
