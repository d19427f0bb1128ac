//! The sockets: UDP and TCP on one port, their limits, and what they count.
//!
//! Nothing is answered, so the only back-pressure is to stop reading: TCP senders then wait, and of UDP the kernel keeps what its
//! buffer holds and drops the rest, which is counted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::line::LineReader;
use crate::model::Timestamp;
use crate::source::kernel_drops::KernelDrops;
use crate::source::line_splitter::{Line, LineSplitter};
use crate::source::sample_feeder::{self, SampleFeed, SamplePortion};
use crate::source::{Running, SourceContext, StartError, Tally};

const KIND: &str = "graphite";
/// A free port of one protocol may be taken in the other; so many are tried.
const FREE_PORT_ATTEMPTS: usize = 50;
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
const READ_BYTES: usize = 64 << 10;
const DROPS_INTERVAL: Duration = Duration::from_secs(5);
/// After a stop so long is read on: what the kernel holds by then was sent before.
const DRAIN: Duration = Duration::from_millis(50);
/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds both sockets and starts to listen; where the address is `off`, the task ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    let Some(address) = config.address.address() else {
        return Ok(Running { kind: KIND, address: None, task: tokio::spawn(async {}) });
    };
    let (udp, tcp, address) = bind_both(address).map_err(|error| StartError {
        setting: "collector.graphite.address",
        message: format!("cannot listen on {address}: {error}; choose another port, or off"),
    })?;
    // What the kernel grants is its own affair; what it drops is counted.
    let _ = socket2::SockRef::from(&udp).set_recv_buffer_size(config.udp_buffer_bytes);
    Ok(Running { kind: KIND, address: Some(address), task: tokio::spawn(run(config, context, address, udp, tcp)) })
}

fn bind_both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    for _ in 0..FREE_PORT_ATTEMPTS {
        let tcp = std::net::TcpListener::bind(address)?;
        let taken = tcp.local_addr()?;
        match std::net::UdpSocket::bind(taken) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok((UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?, taken));
            }
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free for both UDP and TCP"))
}

async fn run(config: Config, context: SourceContext, address: SocketAddr, udp: UdpSocket, tcp: TcpListener) {
    let udp_tally = context.tallies.of(KIND, &format!("udp {address}"));
    let tcp_tally = context.tallies.of(KIND, &format!("tcp {address}"));
    let (udp_feed, udp_feeder) = sample_feeder::start(&context, Arc::clone(&udp_tally));
    let (tcp_feed, tcp_feeder) = sample_feeder::start(&context, Arc::clone(&tcp_tally));
    let lines = Arc::new(LineReader::new(config.series_max, config.line_bytes_max));
    let intake = |tally, feed| Intake { lines: Arc::clone(&lines), tally, feed, line_bytes_max: config.line_bytes_max };
    let stop = context.stop.clone();
    tokio::join!(
        take_datagrams(udp, intake(udp_tally, udp_feed), stop.clone()),
        take_connections(tcp, intake(tcp_tally, tcp_feed), config.clone(), stop),
    );
    // The feeds are gone with their intakes: the feeders deliver what they hold and end.
    let _ = tokio::join!(udp_feeder, tcp_feeder);
}

/// Lines to samples, and what is wrong with them.
#[derive(Clone)]
struct Intake {
    lines: Arc<LineReader>,
    tally: Arc<Tally>,
    feed: SampleFeed,
    line_bytes_max: usize,
}

impl Intake {
    fn take(&self, line: Line<'_>, into: &mut SamplePortion) {
        if line.truncated {
            self.tally.problem("line_too_long", 1, line.bytes);
            return;
        }
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match self.lines.read(line.bytes, Timestamp::now()) {
            Ok(sample) => into.samples.push(sample),
            Err(reason) => self.tally.problem(reason, 1, line.bytes),
        }
    }

    async fn take_datagram(&self, received: io::Result<&[u8]>) {
        match received {
            Ok(datagram) => {
                let mut portion = SamplePortion { bytes: datagram.len() as u64, ..SamplePortion::default() };
                let mut splitter = LineSplitter::new(self.line_bytes_max);
                splitter.push(datagram, |line| self.take(line, &mut portion));
                splitter.finish(|line| self.take(line, &mut portion));
                self.feed.send(portion).await;
            }
            Err(error) => self.tally.problem("receive_failed", 1, error.to_string().as_bytes()),
        }
    }
}

async fn take_datagrams(socket: UdpSocket, intake: Intake, stop: CancellationToken) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut drops = KernelDrops::of(&socket);
    let mut drops_due = tokio::time::interval(DROPS_INTERVAL);
    let mut count_drops = || match drops.since_last() {
        0 => {}
        count => intake.tally.shed("kernel_drop", count, b"raise collector.graphite.udp_buffer_bytes"),
    };
    loop {
        // All branches are cancel-safe (tokio documents it of `recv`, `tick` and `cancelled`).
        tokio::select! {
            received = socket.recv(&mut buffer) => intake.take_datagram(received.map(|length| &buffer[..length])).await,
            _ = drops_due.tick() => count_drops(),
            () = stop.cancelled() => break,
        }
    }
    let end = tokio::time::Instant::now() + DRAIN;
    while let Ok(received) = tokio::time::timeout_at(end, socket.recv(&mut buffer)).await {
        intake.take_datagram(received.map(|length| &buffer[..length])).await;
    }
    count_drops();
}

async fn take_connections(listener: TcpListener, intake: Intake, config: Config, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(config.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
        };
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let (intake, stop, idle_timeout) = (intake.clone(), stop.clone(), config.idle_timeout);
                connections.spawn(async move {
                    take_stream(stream, intake, idle_timeout, stop).await;
                    drop(place);
                });
            }
            (Ok((_, peer)), Err(_)) => intake.tally.problem("connection_limit", 1, peer.to_string().as_bytes()),
            (Err(error), _) => {
                intake.tally.problem("accept_failed", 1, error.to_string().as_bytes());
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(intake);
    while connections.join_next().await.is_some() {}
}

/// Takes the lines of one connection; the last one needs no line end.
async fn take_stream(mut stream: TcpStream, intake: Intake, idle_timeout: Duration, stop: CancellationToken) {
    let mut buffer = vec![0; READ_BYTES];
    let mut splitter = LineSplitter::new(intake.line_bytes_max);
    let mut ends_at = None;
    loop {
        // After the stop what is under way is read on for a moment. `read` is cancel-safe.
        let read = match ends_at {
            Some(end) => tokio::time::timeout_at(end, stream.read(&mut buffer)).await,
            None => tokio::select! {
                read = tokio::time::timeout(idle_timeout, stream.read(&mut buffer)) => read,
                () = stop.cancelled() => {
                    ends_at = Some(tokio::time::Instant::now() + DRAIN);
                    continue;
                }
            },
        };
        let mut portion = SamplePortion::default();
        let goes_on = match read {
            Ok(Ok(length)) if length > 0 => {
                portion.bytes = length as u64;
                splitter.push(&buffer[..length], |line| intake.take(line, &mut portion));
                true
            }
            Ok(Ok(_)) => false,
            Ok(Err(error)) => {
                intake.tally.problem("connection_failed", 1, error.to_string().as_bytes());
                false
            }
            Err(_) => {
                if ends_at.is_none() {
                    intake.tally.problem("idle_connection", 1, b"");
                }
                false
            }
        };
        if !goes_on {
            splitter.finish(|line| intake.take(line, &mut portion));
        }
        intake.feed.send(portion).await;
        if !goes_on {
            return;
        }
    }
}
