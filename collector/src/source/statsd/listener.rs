//! The sockets: UDP and Unix datagrams on a thread of their own each, TCP connections as tasks.
//!
//! Datagrams are read, parsed and aggregated on one thread without a queue between, so that the kernel's buffer is the only
//! place where they can be lost, and the kernel counts what it drops there ([`crate::source::kernel_drops`]). Bytes of a TCP
//! connection are cut after their last line end and handed to one thread over a bounded channel, which slows the senders
//! down when it is full.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memrchr};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use crate::source::{StartError, Tally};

/// The longest datagram there is: nothing is ever cut.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// The longest line over TCP; the rest of a longer one is skipped and counted. Etsy's server has no limit, and grows.
pub const LINE_BYTES_MAX: usize = 65_536;

/// Open TCP connections; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;

/// How often a reading thread looks whether it is to stop.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// Datagrams read after the stop from what the kernel still holds; a sender that never pauses must not hold us up.
const DRAIN_DATAGRAMS_MAX: usize = 100_000;

/// TCP and UDP sockets on one port.
#[derive(Debug)]
pub struct Sockets {
    /// Both listen here.
    pub address: SocketAddr,
    /// Datagrams.
    pub udp: UdpSocket,
    /// Connections.
    pub tcp: std::net::TcpListener,
}

/// Binds UDP and TCP to one address; port 0 takes a port that is free for both.
pub fn bind(address: SocketAddr, receive_buffer_bytes: usize) -> Result<Sockets, StartError> {
    let failed = |error: io::Error| StartError {
        setting: "collector.statsd.address",
        message: format!("cannot listen on {address}: {error}; choose another port or `off`"),
    };
    let mut attempts = if address.port() == 0 { 10 } else { 1 };
    loop {
        attempts -= 1;
        let tcp = std::net::TcpListener::bind(address).map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        match UdpSocket::bind(address) {
            Ok(udp) => {
                tcp.set_nonblocking(true).map_err(failed)?;
                widen(&udp, receive_buffer_bytes);
                return Ok(Sockets { address, udp, tcp });
            }
            Err(error) if attempts == 0 => return Err(failed(error)),
            Err(_) => {}
        }
    }
}

/// Binds a Unix datagram socket that every local user may write to, in place of one that a dead process left behind.
pub fn bind_unix(path: &Path) -> Result<UnixDatagram, StartError> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    let failed = |error: io::Error| StartError {
        setting: "collector.statsd.unix_path",
        message: format!("cannot listen on {}: {error}", path.display()),
    };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        let probe = UnixDatagram::unbound().map_err(failed)?;
        if probe.connect(path).is_ok() {
            return Err(failed(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let socket = UnixDatagram::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o722)).map_err(failed)?;
    Ok(socket)
}

/// A socket that datagrams come from, read by a blocking thread.
pub trait DatagramSocket {
    /// Waits for a datagram, at most as long as the time limit.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// How long `receive` waits; none makes it return at once.
    fn wait_at_most(&self, limit: Option<Duration>) -> io::Result<()>;
}

impl DatagramSocket for UdpSocket {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }

    fn wait_at_most(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_nonblocking(limit.is_none())?;
        self.set_read_timeout(limit)
    }
}

impl DatagramSocket for UnixDatagram {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }

    fn wait_at_most(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_nonblocking(limit.is_none())?;
        self.set_read_timeout(limit)
    }
}

/// Reads datagrams until `stop`, then what the kernel still holds. Blocks its thread all the while.
pub fn read_datagrams(socket: &impl DatagramSocket, intake: &Intake, tally: &Tally, stop: &CancellationToken) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut waiting = socket.wait_at_most(Some(STOP_CHECK));
    while !stop.is_cancelled() {
        match waiting.and_then(|()| socket.receive(&mut buffer)) {
            Ok(length) => intake.take(&buffer[..length], tally),
            Err(error) if would_block(&error) => {}
            Err(error) => {
                tally.problem("receive_failed", 1, error.to_string().as_bytes());
                std::thread::sleep(STOP_CHECK);
            }
        }
        waiting = Ok(());
    }
    if socket.wait_at_most(None).is_ok() {
        for _ in 0..DRAIN_DATAGRAMS_MAX {
            let Ok(length) = socket.receive(&mut buffer) else { break };
            intake.take(&buffer[..length], tally);
        }
    }
}

/// Serves TCP connections until `stop`; returns once the last line that was read is taken in.
pub async fn serve_tcp(
    listener: std::net::TcpListener,
    intake: Arc<Intake>,
    tally: Arc<Tally>,
    stop: CancellationToken,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tally.problem("accept_failed", 1, error.to_string().as_bytes()),
    };
    let (lines, mut received) = mpsc::channel::<Bytes>(64);
    let taker = {
        let tally = Arc::clone(&tally);
        tokio::task::spawn_blocking(move || {
            while let Some(bytes) = received.blocking_recv() {
                intake.take(&bytes, &tally);
            }
        })
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (lines, tally, stop) = (lines.clone(), Arc::clone(&tally), stop.clone());
                tokio::spawn(async move {
                    let _place = place;
                    read_connection(stream, &lines, &tally, &stop).await;
                });
            }
            Err(error) => {
                tally.problem("accept_failed", 1, error.to_string().as_bytes());
                tokio::time::sleep(STOP_CHECK).await;
            }
        }
    }
    drop(lines);
    if taker.await.is_err() {
        tracing::error!("the thread that reads StatsD lines of TCP connections failed");
    }
}

/// Hands on the lines of one connection until it ends or `stop`. Its last line needs no line end when the sender has closed it;
/// a line that a stop or a reset cuts off may have lost its end, and is counted instead.
async fn read_connection(mut stream: TcpStream, lines: &mpsc::Sender<Bytes>, tally: &Tally, stop: &CancellationToken) {
    let mut held = BytesMut::with_capacity(8 * 1024);
    let mut skipping = false;
    loop {
        let read = tokio::select! {
            read = stream.read_buf(&mut held) => read.ok(),
            () = stop.cancelled() => None,
        };
        if skipping {
            match memchr(b'\n', &held) {
                Some(end) => {
                    drop(held.split_to(end + 1));
                    skipping = false;
                }
                None => held.clear(),
            }
        }
        let whole = match read {
            Some(0) => Some(held.len()),
            _ => memrchr(b'\n', &held).map(|end| end + 1),
        };
        if let Some(whole) = whole.filter(|&whole| whole > 0)
            && lines.send(held.split_to(whole).freeze()).await.is_err()
        {
            return;
        }
        if read.is_none_or(|bytes| bytes == 0) {
            if !held.is_empty() {
                tally.problem("unfinished_line", 1, &held);
            }
            return;
        }
        if held.len() > LINE_BYTES_MAX {
            tally.problem("line_too_long", 1, &held);
            held.clear();
            skipping = true;
        }
    }
}

/// Asks for a receive buffer that holds bursts, and says so when the kernel gives less.
fn widen(socket: &UdpSocket, bytes: usize) {
    let socket = socket2::SockRef::from(socket);
    let asked = socket.set_recv_buffer_size(bytes);
    // Linux doubles what is asked for, to leave room for its own bookkeeping, and tells the doubled size.
    let given = socket.recv_buffer_size().map_or(0, |doubled| doubled / 2);
    if asked.is_err() || given < bytes {
        tracing::info!(
            asked = bytes,
            given,
            "the kernel gives the StatsD socket a smaller receive buffer; raise net.core.rmem_max if it drops datagrams"
        );
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
