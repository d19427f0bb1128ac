//! Real sockets with a small store behind them.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::{Config, start};
use crate::config::ListenAddress;
use crate::delivery::{self, Delivery, Outcome};
use crate::enrich::Enricher;
use crate::source::{Running, SourceContext};

fn source(config: Config) -> (Running, SourceContext, Receiver<Delivery>) {
    let (outlet, receiver) = delivery::channel(4);
    let context = SourceContext {
        outlet,
        tallies: Arc::default(),
        enricher: Enricher::default(),
        resource: Arc::default(),
        checkpoints: Arc::default(),
        stop: CancellationToken::new(),
    };
    let config = Config { address: ListenAddress::At(([127, 0, 0, 1], 0).into()), ..config };
    (start(config, context.clone()).unwrap(), context, receiver)
}

/// The names of so many samples, in the order in which they come.
async fn names(receiver: &mut Receiver<Delivery>, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    while names.len() < count {
        let delivery = tokio::time::timeout(Duration::from_secs(20), receiver.recv()).await.unwrap().unwrap();
        names.extend(delivery.batch.samples.iter().map(|sample| sample.labels.to_string()));
        delivery.receipt.answer(Outcome::Stored { acked_through: None });
    }
    names
}

#[tokio::test]
async fn lines_come_by_udp_and_tcp_and_bad_ones_are_counted() {
    let (running, context, mut receiver) = source(Config { line_bytes_max: 100, ..Config::default() });
    let address = running.address.unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"a.b;dc=x 1 1700000000\nbad\n\na.c 2 1700000000", address).unwrap();
    assert_eq!(names(&mut receiver, 2).await, [r#"{"a.b", dc="x"}"#, r#"{"a.c"}"#]);
    let mut tcp = std::net::TcpStream::connect(address).unwrap();
    tcp.write_all(b"one 1 17000").unwrap();
    tcp.flush().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    tcp.write_all(b"00000\r\n").unwrap();
    tcp.write_all(format!("{} 1\ntwo nan\nlast 3", "x".repeat(200)).as_bytes()).unwrap();
    drop(tcp);
    assert_eq!(names(&mut receiver, 2).await, ["one", "last"]);
    context.stop.cancel();
    running.task.await.unwrap();
    let mut problems = Vec::new();
    for tally in context.tallies.snapshot() {
        problems.extend(tally.problems.iter().map(|one| (tally.name[..3].to_owned(), one.reason, one.count)));
        assert_eq!(tally.records, 2);
    }
    let expected = [("tcp", "line_too_long", 1), ("tcp", "not_a_number", 1), ("udp", "malformed_line", 1)];
    assert_eq!(problems, expected.map(|(name, reason, count)| (name.to_owned(), reason, count)));
}

#[tokio::test]
async fn what_was_sent_before_the_stop_is_delivered_and_surplus_connections_are_closed() {
    let (running, context, mut receiver) = source(Config { connections_max: 1, ..Config::default() });
    let address = running.address.unwrap();
    let mut kept = std::net::TcpStream::connect(address).unwrap();
    kept.write_all(b"first 1\n").unwrap();
    assert_eq!(names(&mut receiver, 1).await, ["first"]);
    let surplus = tokio::net::TcpStream::connect(address).await.unwrap();
    surplus.readable().await.unwrap();
    kept.write_all(b"second 1\nunfinished 2").unwrap();
    context.stop.cancel();
    assert_eq!(names(&mut receiver, 2).await, ["second", "unfinished"]);
    running.task.await.unwrap();
    let tcp = context.tallies.snapshot().into_iter().find(|tally| tally.name.starts_with("tcp")).unwrap();
    assert_eq!((tcp.records, tcp.problems[0].reason), (3, "connection_limit"));
}

#[tokio::test]
async fn a_taken_port_names_the_setting() {
    let (running, context, _receiver) = source(Config::default());
    let taken = Config { address: ListenAddress::At(running.address.unwrap()), ..Config::default() };
    let error = start(taken, context.clone()).unwrap_err().to_string();
    assert!(error.starts_with("collector.graphite.address: cannot listen on"), "{error}");
    context.stop.cancel();
    running.task.await.unwrap();
}
