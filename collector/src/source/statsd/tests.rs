//! The whole source over real sockets, from a packet to a delivered batch.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::delivery::{self, Delivery, Outcome, Refusal, RefusalReason};
use crate::model::{Batch, Resource, SampleValue};
use crate::source::Tallies;

struct Server {
    running: Running,
    batches: tokio::task::JoinHandle<Vec<Batch>>,
    stop: CancellationToken,
    tallies: Arc<Tallies>,
}

/// Starts the source, with a taker that keeps its batches.
fn serve(config: Config) -> Server {
    let (outlet, mut deliveries) = delivery::channel(4);
    let context = SourceContext {
        outlet,
        tallies: Arc::default(),
        enricher: Default::default(),
        resource: Arc::new(Resource { host: "h".into(), ..Resource::default() }),
        checkpoints: Arc::default(),
        stop: CancellationToken::new(),
    };
    let (stop, tallies) = (context.stop.clone(), Arc::clone(&context.tallies));
    let running = start(config, context).unwrap();
    let batches = tokio::spawn(async move {
        let mut batches = Vec::new();
        while let Some(delivery) = deliveries.recv().await {
            batches.push(delivery.batch);
            delivery.receipt.answer(Outcome::Stored { acked_through: None });
        }
        batches
    });
    Server { running, batches, stop, tallies }
}

impl Server {
    /// Waits until this many lines were taken in, stops, and sums the counters by name.
    async fn sums_after(self, lines: u64) -> Vec<(String, f64)> {
        let taken = || self.tallies.snapshot().iter().map(|tally| tally.records).sum::<u64>();
        while taken() < lines {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.stop.cancel();
        self.running.task.await.unwrap();
        let mut sums = std::collections::BTreeMap::new();
        for sample in self.batches.await.unwrap().into_iter().flat_map(|batch| batch.samples) {
            let SampleValue::Counter { sum } = sample.value else { panic!("{sample:?}") };
            *sums.entry(sample.labels.to_string()).or_insert(0.0) += sum;
        }
        sums.into_iter().collect()
    }
}

fn local() -> Config {
    Config { address: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
}

#[tokio::test]
async fn lines_of_all_transports_meet_in_one_series_and_are_delivered_at_the_stop() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("statsd.sock");
    let server = serve(Config { unix_path: Some(path.clone()), ..local() });
    let address = server.running.address.unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..50 {
        udp.send_to(b"a:1|c\na:1|c", address).unwrap();
    }
    UnixDatagram::unbound().unwrap().send_to(b"a:1000|c", &path).unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.write_all(b"a:10000|c\na:100").unwrap();
    tcp.write_all(b"00|c").unwrap();
    drop(tcp);
    assert_eq!(server.sums_after(103).await, [(r#"a{host="h"}"#.to_owned(), 21_100.0)]);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_line_that_never_ends_over_tcp_costs_only_itself() {
    let server = serve(local());
    let tallies = Arc::clone(&server.tallies);
    let mut tcp = TcpStream::connect(server.running.address.unwrap()).unwrap();
    tcp.write_all(b"a:1|c\nlong").unwrap();
    tcp.write_all(&vec![b'x'; 4 * listener::LINE_BYTES_MAX]).unwrap();
    tcp.write_all(b":5|c\na:2|c\n").unwrap();
    assert_eq!(server.sums_after(2).await, [(r#"a{host="h"}"#.to_owned(), 3.0)]);
    let problems: Vec<_> = tallies.snapshot().into_iter().flat_map(|tally| tally.problems).collect();
    assert_eq!(problems.iter().map(|p| (p.reason, p.count)).collect::<Vec<_>>(), [("line_too_long", 1)]);
}

#[tokio::test]
async fn a_line_that_the_stop_cuts_off_is_not_taken_for_whole() {
    let server = serve(local());
    let tallies = Arc::clone(&server.tallies);
    let mut tcp = TcpStream::connect(server.running.address.unwrap()).unwrap();
    tcp.write_all(b"a:1|c\na:10|c").unwrap();
    assert_eq!(server.sums_after(1).await, [(r#"a{host="h"}"#.to_owned(), 1.0)]);
    let problems: Vec<_> = tallies.snapshot().into_iter().flat_map(|tally| tally.problems).collect();
    assert_eq!(problems.iter().map(|p| (p.reason, p.count)).collect::<Vec<_>>(), [("unfinished_line", 1)]);
}

#[tokio::test]
async fn a_batch_that_is_too_large_goes_in_pieces() {
    let (outlet, mut deliveries) = delivery::channel(4);
    let context = SourceContext {
        outlet,
        tallies: Arc::default(),
        enricher: Default::default(),
        resource: Arc::default(),
        checkpoints: Arc::default(),
        stop: CancellationToken::new(),
    };
    let (stop, tallies) = (context.stop.clone(), Arc::clone(&context.tallies));
    let running = start(local(), context).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"a:1|c\nb:1|c\nc:1|c\nd:1|c\ne:1|c", running.address.unwrap()).unwrap();
    stop.cancel();
    let mut stored = 0;
    while let Some(Delivery { batch, receipt, .. }) = deliveries.recv().await {
        if batch.len() > 1 {
            let message = "one at a time".to_owned();
            let refusal = Refusal { reason: RefusalReason::BatchTooLarge, message, retry_after: None };
            receipt.answer(Outcome::Refused(refusal));
        } else {
            stored += batch.len();
            receipt.answer(Outcome::Stored { acked_through: None });
        }
    }
    running.task.await.unwrap();
    assert_eq!(stored, 5);
    assert!(tallies.snapshot().iter().all(|tally| tally.problems.is_empty()));
}

#[tokio::test]
async fn an_event_does_not_wait_for_the_end_of_its_window() {
    let mut config = local();
    config.flush_interval = Duration::from_secs(86_400);
    let (outlet, mut deliveries) = delivery::channel(4);
    let context = SourceContext {
        outlet,
        tallies: Arc::default(),
        enricher: Default::default(),
        resource: Arc::default(),
        checkpoints: Arc::default(),
        stop: CancellationToken::new(),
    };
    let stop = context.stop.clone();
    let running = start(config, context).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"_e{6,5}:deploy|1.4.2|t:success|#service:web", running.address.unwrap()).unwrap();
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!(delivery.batch.logs[0].body, "deploy: 1.4.2");
    delivery.receipt.answer(Outcome::Stored { acked_through: None });
    stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = listener::bind(address, 4_096).unwrap_err().to_string();
    assert!(error.starts_with(&format!("collector.statsd.address: cannot listen on {address}")), "{error}");
}

#[tokio::test]
async fn switched_off_it_listens_nowhere_and_ends() {
    let server = serve(Config { address: ListenAddress::Off, ..Config::default() });
    assert_eq!(server.running.address, None);
    server.running.task.await.unwrap();
    drop(server.stop);
}
