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
    tcp.write_all(&vec![b'x'; 4 * streams::LINE_BYTES_MAX]).unwrap();
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
async fn connections_of_unix_sockets_are_framed_as_the_setting_says() {
    let frames = |packets: &[&str]| -> Vec<u8> {
        packets
            .iter()
            .flat_map(|packet| [&(packet.len() as u32).to_le_bytes()[..], packet.as_bytes()].concat())
            .collect()
    };
    let too_long = "x".repeat(streams::LINE_BYTES_MAX + 1);
    for (framing, sent, expected, problem) in [
        (Framing::Newline, b"a:1|c\na:2|c".to_vec(), 3.0, None),
        (Framing::Length, frames(&["a:1|c\na:2|c", &too_long, "a:4|c"]), 7.0, Some("frame_too_long")),
        (Framing::Length, frames(&["a:1|c", "a:2|c"])[..17].to_vec(), 1.0, Some("unfinished_line")),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stream.sock");
        let address = ListenAddress::Off;
        let unix_stream_path = Some(path.clone());
        let server = serve(Config { address, unix_stream_path, unix_stream_framing: framing, ..Config::default() });
        let tallies = Arc::clone(&server.tallies);
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        for piece in sent.chunks(5_000) {
            stream.write_all(piece).unwrap();
        }
        drop(stream);
        let problems = || -> Vec<_> {
            tallies
                .snapshot()
                .iter()
                .flat_map(|tally| &tally.problems)
                .map(|problem| problem.reason)
                .collect::<Vec<_>>()
        };
        while problems() != problem.into_iter().collect::<Vec<_>>() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let lines = if framing == Framing::Newline || expected == 7.0 { 2 } else { 1 };
        assert_eq!(server.sums_after(lines).await, [(r#"a{host="h"}"#.to_owned(), expected)], "{sent:?}");
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn many_senders_over_many_sockets_and_windows_lose_nothing() {
    let server = serve(Config { udp_sockets: 3, flush_interval: Duration::from_millis(100), ..local() });
    let address = server.running.address.unwrap();
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            std::thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                for n in 0..500 {
                    socket.send_to(format!("a:1|c\nb{sender}:{n}|c\n").as_bytes(), address).unwrap();
                    std::thread::sleep(Duration::from_micros(700));
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let mut expected = vec![(r#"a{host="h"}"#.to_owned(), 4_000.0)];
    expected.extend((0..8).map(|sender| (format!(r#"b{sender}{{host="h"}}"#), 124_750.0)));
    assert_eq!(server.sums_after(8_000).await, expected);
}

#[tokio::test]
async fn a_port_that_another_program_shares_with_everyone_is_taken() {
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let address = other.local_addr().unwrap().as_socket().unwrap();
    assert!(sockets::bind(address, 2, 4_096).is_err());
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = sockets::bind(address, 2, 4_096).unwrap_err().to_string();
    assert!(error.starts_with(&format!("collector.statsd.address: cannot listen on {address}")), "{error}");
}

#[tokio::test]
async fn switched_off_it_listens_nowhere_and_ends() {
    let server = serve(Config { address: ListenAddress::Off, ..Config::default() });
    assert_eq!(server.running.address, None);
    server.running.task.await.unwrap();
    drop(server.stop);
}
