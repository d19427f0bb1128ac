//! The sockets: UDP and TCP on one port, their limits, and what they count.
//!
//! Nothing of a message is answered, so the only back-pressure is to stop reading: TCP senders then wait, and of UDP the kernel
//! keeps what its buffer holds and drops the rest, which is counted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::config::Config;
use super::framing::Framer;
use super::message;
use crate::enrich::{Enricher, ReceivedLine, cut_at_character};
use crate::model::{LogRecord, Resource, Severity, Timestamp, Value};
use crate::source::feeder::{self, Ended, Feed, Portion};
use crate::source::kernel_drops::KernelDrops;
use crate::source::multiline::{Group, Limits, Rules, SENDER_TIMEOUT, Senders, wait_until};
use crate::source::{Running, SourceContext, StartError, Tally};

const KIND: &str = "syslog";
const SETTING: &str = "collector.syslog.address";
/// A free port of one protocol may be taken in the other; so many are tried.
const FREE_PORT_ATTEMPTS: usize = 50;
/// Datagrams that are parsed before they are handed on, when so many wait.
const DATAGRAMS_MAX: usize = 512;
/// Programs of which lines are held at a time.
const PROGRAMS_MAX: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
const DROPS_INTERVAL: Duration = Duration::from_secs(5);
/// After a stop so long is read on: what the kernel holds by then was sent before.
const DRAIN: Duration = Duration::from_millis(50);

/// Binds both sockets and starts to listen; where the address is `off`, the task ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    let Some(address) = config.address.address() else {
        return Ok(Running { kind: KIND, address: None, task: tokio::spawn(async {}) });
    };
    let (udp, tcp, address) = bind_both(address).map_err(|error| StartError {
        setting: SETTING,
        message: format!("cannot listen on {address}: {error}; choose another port, or off"),
    })?;
    enlarge_buffer(&udp, config.udp_buffer_bytes);
    let enricher = context.enricher.clone().of_source(KIND).with_parse(&config.parse, "collector.syslog.parse")?;
    let rules = config.multiline.rules("collector.syslog.multiline")?;
    let context = SourceContext { enricher, ..context };
    let task = tokio::spawn(run(config, rules, context, address, udp, tcp));
    Ok(Running { kind: KIND, address: Some(address), task })
}

fn bind_both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    for _ in 0..FREE_PORT_ATTEMPTS {
        let tcp = std::net::TcpListener::bind(address)?;
        let address_taken = tcp.local_addr()?;
        match std::net::UdpSocket::bind(address_taken) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok((UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?, address_taken));
            }
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free for both UDP and TCP"))
}

fn enlarge_buffer(udp: &UdpSocket, bytes: usize) {
    let socket = SockRef::from(udp);
    let granted = socket.set_recv_buffer_size(bytes).and_then(|()| socket.recv_buffer_size());
    match granted {
        // Linux reports twice what it grants, for its own bookkeeping (socket(7)).
        Ok(granted) if granted / 2 < bytes => info!(
            granted_bytes = granted / 2,
            asked_bytes = bytes,
            "the kernel grants a smaller UDP buffer; raise net.core.rmem_max, or lower collector.syslog.udp_buffer_bytes"
        ),
        Ok(_) => {}
        Err(error) => info!(%error, "the UDP buffer keeps its size"),
    }
}

async fn run(
    config: Config,
    rules: Rules,
    context: SourceContext,
    address: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
) {
    let udp_tally = context.tallies.of(KIND, &format!("udp {address}"));
    let tcp_tally = context.tallies.of(KIND, &format!("tcp {address}"));
    let (udp_feed, udp_feeder) = feeder::start(&context, Arc::clone(&udp_tally));
    let (tcp_feed, tcp_feeder) = feeder::start(&context, Arc::clone(&tcp_tally));
    let reader = |tally| Reader::new(&context, tally, rules.clone(), config.message_bytes_max);
    let datagrams = Datagrams { socket: udp, reader: reader(Arc::clone(&udp_tally)), tally: udp_tally };
    let connections = Connections { config: config.clone(), reader: reader(Arc::clone(&tcp_tally)), tally: tcp_tally };
    tokio::join!(datagrams.run(udp_feed, context.stop.clone()), connections.run(tcp, tcp_feed, context.stop.clone()));
    // The feeds are gone with their readers: the feeders deliver what they hold and end.
    let _ = tokio::join!(udp_feeder, tcp_feeder);
}

/// Turns messages into records.
struct Reader {
    enricher: Enricher,
    tally: Arc<Tally>,
    here: Arc<Resource>,
    last_peer: Option<(IpAddr, Arc<Resource>)>,
    message_bytes_max: usize,
    rules: Rules,
    /// Texts that others may go on with.
    held: Senders<Program, Head>,
}

/// Who sends a message: peer, host, application, process and severity.
type Program = (IpAddr, String, String, String, Option<Severity>);

/// What the first message of a group says beside its text.
struct Head {
    arrival: Timestamp,
    resource: Arc<Resource>,
    timestamp: Option<Timestamp>,
    severity: Option<Severity>,
    attributes: Vec<(String, Value)>,
}

impl Reader {
    fn new(context: &SourceContext, tally: Arc<Tally>, rules: Rules, message_bytes_max: usize) -> Reader {
        let (enricher, here) = (context.enricher.clone(), Arc::clone(&context.resource));
        let held = Senders::new(rules.clone(), Limits::new(message_bytes_max, SENDER_TIMEOUT), PROGRAMS_MAX);
        Reader { enricher, tally, here, last_peer: None, message_bytes_max, rules, held }
    }

    /// The same for another connection, which holds nothing yet.
    fn another(&self) -> Reader {
        let held = Senders::new(self.rules.clone(), Limits::new(self.message_bytes_max, SENDER_TIMEOUT), PROGRAMS_MAX);
        Reader {
            enricher: self.enricher.clone(),
            tally: Arc::clone(&self.tally),
            here: Arc::clone(&self.here),
            last_peer: None,
            message_bytes_max: self.message_bytes_max,
            rules: self.rules.clone(),
            held,
        }
    }

    /// Who a peer is, for messages that name no host: this host, or the peer's address.
    fn resource_of(&mut self, peer: IpAddr) -> Arc<Resource> {
        let peer = peer.to_canonical();
        if peer.is_loopback() {
            return Arc::clone(&self.here);
        }
        match &self.last_peer {
            Some((last, resource)) if *last == peer => Arc::clone(resource),
            _ => {
                let resource = Arc::new(Resource { host: peer.to_string().into(), ..Resource::default() });
                self.last_peer = Some((peer, Arc::clone(&resource)));
                resource
            }
        }
    }

    /// Takes a message, and adds the records of what it ends or is.
    fn take(&mut self, bytes: &[u8], truncated: bool, peer: IpAddr, logs: &mut Vec<LogRecord>) {
        let arrival = Timestamp::now();
        let kept = cut_at_character(bytes, self.message_bytes_max);
        let zone = self.enricher.zone().clone();
        let message = message::parse(kept, &zone, arrival);
        let base = self.resource_of(peer);
        let resource = self.enricher.resource(&base, message.host, message.application);
        let attributes = message.attributes().into_iter().map(|(name, value)| (name.into_owned(), value)).collect();
        let program = match self.held.last() {
            // A line of a stream that has no header goes on with the message before it, if with any.
            Some(last) if message.severity.is_none() && last.0 == peer => last.clone(),
            _ => {
                let [host, application, process] =
                    [message.host, message.application, message.process].map(str::to_owned);
                (peer, host, application, process, message.severity)
            }
        };
        let head = Head { arrival, resource, timestamp: message.timestamp, severity: message.severity, attributes };
        let truncated = truncated || kept.len() < bytes.len();
        if message.text.trim_ascii().is_empty() {
            // Its header is all it says.
            self.give(logs, Senders::finish);
            logs.extend(record(&mut self.enricher, head, message.text, truncated));
        } else {
            self.give(logs, |held, take| held.push(program, head, message.text, truncated, Instant::now(), take));
        }
    }

    /// Makes records of what is given.
    fn give(
        &mut self,
        logs: &mut Vec<LogRecord>,
        from: impl FnOnce(&mut Senders<Program, Head>, &mut dyn FnMut(Head, Group<'_>)),
    ) {
        let enricher = &mut self.enricher;
        from(&mut self.held, &mut |head, group| logs.extend(record(enricher, head, group.bytes, group.truncated)));
    }

    /// When something that is held is to be given at the latest.
    fn due(&self) -> Option<Instant> {
        self.held.due()
    }

    async fn hand_over(&mut self, portion: &mut Portion, feed: &Feed) -> Result<(), Ended> {
        self.enricher.notes().report(&self.tally);
        if portion.logs.is_empty() { Ok(()) } else { feed.send(std::mem::take(portion)).await }
    }
}

/// The record of a text, unless a rule drops it.
fn record(enricher: &mut Enricher, head: Head, bytes: &[u8], truncated: bool) -> Option<LogRecord> {
    let Head { arrival, resource, timestamp, severity, attributes } = head;
    let attributes = attributes.into_iter().map(|(name, value)| (name.into(), value)).collect();
    enricher.enrich(ReceivedLine { bytes, truncated, arrival, resource: &resource, timestamp, severity, attributes })
}

struct Datagrams {
    socket: UdpSocket,
    reader: Reader,
    tally: Arc<Tally>,
}

impl Datagrams {
    async fn run(mut self, feed: Feed, stop: CancellationToken) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let mut drops = KernelDrops::of(&self.socket);
        let mut drops_due = tokio::time::interval(DROPS_INTERVAL);
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    if self.take(received, &mut buffer, &feed).await.is_err() {
                        return;
                    }
                }
                _ = drops_due.tick() => self.count_drops(&mut drops),
                () = wait_until(self.reader.due()) => {
                    let mut portion = Portion::default();
                    self.reader.give(&mut portion.logs, |held, take| held.give_old(Instant::now(), take));
                    if self.reader.hand_over(&mut portion, &feed).await.is_err() {
                        return;
                    }
                }
                () = stop.cancelled() => break,
            }
        }
        let end = tokio::time::Instant::now() + DRAIN;
        while let Ok(received) = tokio::time::timeout_at(end, self.socket.recv_from(&mut buffer)).await {
            if self.take(received, &mut buffer, &feed).await.is_err() {
                return;
            }
        }
        self.count_drops(&mut drops);
        let mut portion = Portion::default();
        self.reader.give(&mut portion.logs, Senders::finish);
        let _ = self.reader.hand_over(&mut portion, &feed).await; // it ends as well
    }

    /// Takes one datagram and those that wait behind it.
    async fn take(
        &mut self,
        first: io::Result<(usize, SocketAddr)>,
        buffer: &mut [u8],
        feed: &Feed,
    ) -> Result<(), Ended> {
        let mut portion = Portion::default();
        let mut received = first;
        for _ in 0..DATAGRAMS_MAX {
            match received {
                Ok((length, peer)) => {
                    portion.bytes += length as u64;
                    self.reader.take(&buffer[..length], false, peer.ip(), &mut portion.logs);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.tally.problem("receive_failed", 1, error.to_string().as_bytes());
                    break;
                }
            }
            received = self.socket.try_recv_from(buffer);
        }
        self.reader.hand_over(&mut portion, feed).await
    }

    fn count_drops(&self, drops: &mut KernelDrops) {
        let new = drops.since_last();
        if new > 0 {
            self.tally.shed("kernel_drop", new, b"raise collector.syslog.udp_buffer_bytes and net.core.rmem_max");
        }
    }
}

struct Connections {
    config: Config,
    reader: Reader,
    tally: Arc<Tally>,
}

impl Connections {
    async fn run(self, listener: TcpListener, feed: Feed, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.config.connections_max));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                            self.tally.problem("too_many_connections", 1, b"raise collector.syslog.connections_max");
                            continue;
                        };
                        let connection = Connection {
                            reader: self.reader.another(),
                            framer: Framer::new(self.config.message_bytes_max),
                            idle: self.config.idle_timeout,
                            peer,
                        };
                        let (feed, stop) = (feed.clone(), stop.clone());
                        connections.spawn(async move {
                            connection.run(stream, &feed, &stop).await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        // Out of descriptors: waiting is all that helps.
                        self.tally.problem("accept_failed", 1, error.to_string().as_bytes());
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = stop.cancelled() => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

struct Connection {
    reader: Reader,
    framer: Framer,
    idle: Duration,
    peer: SocketAddr,
}

impl Connection {
    async fn run(mut self, mut stream: TcpStream, feed: &Feed, stop: &CancellationToken) {
        let mut buffer = vec![0; 64 << 10];
        let mut drained = None;
        loop {
            let end = drained.unwrap_or_else(|| tokio::time::Instant::now() + self.idle);
            // `read` loses nothing when another branch wins.
            let read = tokio::select! {
                read = tokio::time::timeout_at(end, stream.read(&mut buffer)) => read,
                () = wait_until(self.reader.due()) => {
                    let mut portion = Portion::default();
                    self.reader.give(&mut portion.logs, |held, take| held.give_old(Instant::now(), take));
                    if self.reader.hand_over(&mut portion, feed).await.is_err() {
                        return;
                    }
                    continue;
                }
                () = stop.cancelled(), if drained.is_none() => {
                    drained = Some(tokio::time::Instant::now() + DRAIN);
                    continue;
                }
            };
            match read {
                Ok(Ok(0)) => break,
                Ok(Ok(length)) => {
                    self.framer.push(&buffer[..length]);
                    if self.take(length, false, feed).await.is_err() {
                        return;
                    }
                }
                Ok(Err(error)) => {
                    debug!(peer = %self.peer, %error, "a syslog connection broke");
                    break;
                }
                Err(_) if drained.is_some() => break,
                Err(_) => {
                    self.reader.tally.problem("idle_connection_closed", 1, self.peer.to_string().as_bytes());
                    break;
                }
            }
        }
        let _ = self.take(0, true, feed).await;
    }

    /// Hands over the frames that are complete, and at the end of the stream what is left.
    async fn take(&mut self, bytes: usize, ended: bool, feed: &Feed) -> Result<(), Ended> {
        let mut portion = Portion { bytes: bytes as u64, ..Portion::default() };
        while let Some(frame) = self.framer.next() {
            self.reader.take(frame.bytes, frame.truncated, self.peer.ip(), &mut portion.logs);
        }
        if ended {
            if let Some(frame) = self.framer.finish() {
                self.reader.take(frame.bytes, frame.truncated, self.peer.ip(), &mut portion.logs);
            }
            self.reader.give(&mut portion.logs, Senders::finish);
        }
        self.reader.hand_over(&mut portion, feed).await
    }
}

#[cfg(test)]
mod tests;
