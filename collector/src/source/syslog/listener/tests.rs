//! Both sockets, spoken to over loopback, with a small store behind them.

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::*;
use crate::config::ListenAddress;
use crate::delivery::{self, Outcome};

struct Rig {
    address: SocketAddr,
    context: SourceContext,
    running: Running,
    stored: mpsc::UnboundedReceiver<LogRecord>,
}

async fn rig(config: Config) -> Rig {
    let (outlet, mut deliveries) = delivery::channel(4);
    let (sender, stored) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(delivery) = deliveries.recv().await {
            for record in delivery.batch.logs {
                let _ = sender.send(record);
            }
            delivery.receipt.answer(Outcome::Stored { acked_through: None });
        }
    });
    let context = SourceContext {
        resource: Arc::new(Resource { host: "here".into(), ..Resource::default() }),
        ..SourceContext::bare(outlet)
    };
    let config = Config { address: "127.0.0.1:0".parse().unwrap(), ..config };
    let running = start(config, context.clone()).unwrap();
    Rig { address: running.address.unwrap(), context, running, stored }
}

impl Rig {
    async fn next(&mut self) -> LogRecord {
        tokio::time::timeout(Duration::from_secs(20), self.stored.recv()).await.expect("a record arrives").unwrap()
    }

    async fn problems_after_stop(self) -> Vec<(&'static str, u64)> {
        self.context.stop.cancel();
        self.running.task.await.unwrap();
        let tallies = self.context.tallies.snapshot();
        tallies.iter().flat_map(|tally| &tally.problems).map(|problem| (problem.reason, problem.count)).collect()
    }
}

#[tokio::test]
async fn datagrams_and_streams_on_one_port_become_records() {
    let mut rig = rig(Config::default()).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"<11>hi 3164\0", rig.address).await.unwrap();
    let record = rig.next().await;
    assert_eq!((&*record.body, record.severity.name(), &*record.resource.host), ("hi 3164", "error", "here"));

    let mut client = TcpStream::connect(rig.address).await.unwrap();
    let counted = "<14>1 - web-1 shop 7 - [opentelemetry trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"] {\"level\":\"warn\",\"msg\":\"slow\"}";
    client.write_all(format!("{} {counted}<13>line one\nbad \u{1}\n", counted.len()).as_bytes()).await.unwrap();
    let record = rig.next().await;
    assert_eq!((&*record.body, record.severity.name()), ("slow", "warn"));
    assert_eq!((&*record.resource.host, &*record.resource.service), ("web-1", "shop"));
    assert_eq!(record.trace_id.unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(record.attribute("procid").unwrap().as_str(), Some("7"));
    assert_eq!(record.attribute("facility").unwrap().as_str(), Some("user"));
    assert_eq!(rig.next().await.body, "line one");
    assert_eq!(rig.next().await.body, "bad \u{1}");
    client.write_all(b"<13>no end").await.unwrap();
    drop(client);
    assert_eq!(rig.next().await.body, "no end");
    assert_eq!(rig.problems_after_stop().await, []);
}

#[tokio::test]
async fn what_is_too_long_is_cut_and_the_connection_goes_on() {
    let mut rig = rig(Config { message_bytes_max: 10, ..Config::default() }).await;
    let mut client = TcpStream::connect(rig.address).await.unwrap();
    client.write_all(b"<13>1234567890\n<13>next\n").await.unwrap();
    let record = rig.next().await;
    assert_eq!((&*record.body, record.attribute(crate::enrich::TRUNCATED_ATTRIBUTE).is_some()), ("123456", true));
    assert_eq!(rig.next().await.body, "next");
    drop(client);
    assert_eq!(rig.problems_after_stop().await, [("line_too_long", 1)]);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted() {
    let mut rig = rig(Config { connections_max: 1, ..Config::default() }).await;
    let mut first = TcpStream::connect(rig.address).await.unwrap();
    first.write_all(b"<13>one\n").await.unwrap();
    assert_eq!(rig.next().await.body, "one");
    let mut second = TcpStream::connect(rig.address).await.unwrap();
    let closed = second.read(&mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)));
    first.write_all(b"<13>two\n").await.unwrap();
    assert_eq!(rig.next().await.body, "two");
    assert_eq!(rig.problems_after_stop().await, [("too_many_connections", 1)]);
}

#[tokio::test]
async fn what_was_sent_before_the_stop_is_stored() {
    let mut rig = rig(Config::default()).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"<13>first", rig.address).await.unwrap();
    assert_eq!(rig.next().await.body, "first");
    client.send_to(b"<13>last", rig.address).await.unwrap();
    rig.context.stop.cancel();
    assert_eq!(rig.next().await.body, "last");
    rig.running.task.await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_setting_and_off_listens_nowhere() {
    let rig = rig(Config::default()).await;
    let taken = Config { address: ListenAddress::At(rig.address), ..Config::default() };
    let error = start(taken, rig.context.clone()).unwrap_err().to_string();
    assert!(error.starts_with("collector.syslog.address: ") && error.contains("in use"), "{error}");
    let off = start(Config { address: ListenAddress::Off, ..Config::default() }, rig.context.clone()).unwrap();
    assert_eq!(off.address, None);
    off.task.await.unwrap();
}
