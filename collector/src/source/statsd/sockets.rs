//! Opens what the source listens on: UDP and TCP on one port, Unix sockets at their paths.
//!
//! Several UDP sockets share the port (`SO_REUSEPORT`), each read by a thread of its own: the kernel chooses one by the sender's
//! address and port, so what one sender's socket sends stays in order. All of one sender lands on one thread. Batches of a sender that
//! is faster than a thread are not handed to idle ones: a gauge that is set and changed by turns would then depend on which thread was
//! first, and what a sender's socket costs the kernel per datagram is about what a thread costs ([`super::datagrams`] reads 64 at once;
//! `benches/statsd` has the figures). A sender that outruns a thread all the same can send from two sockets.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, Socket, Type};

use crate::source::StartError;

/// UDP sockets that are opened when the setting does not say how many, unless there are fewer cores.
const UDP_SOCKETS_MAX: usize = 4;

/// TCP and UDP sockets on one port.
#[derive(Debug)]
pub struct Sockets {
    /// All listen here.
    pub address: SocketAddr,
    /// Datagrams.
    pub udp: Vec<UdpSocket>,
    /// Connections.
    pub tcp: TcpListener,
    /// The receive buffer that each UDP socket has.
    pub receive_buffer_bytes: usize,
}

/// Binds so many UDP sockets (0: one for each core, at most [`UDP_SOCKETS_MAX`]) and a TCP socket to one address; port 0 takes a
/// port that is free for both.
pub fn bind(address: SocketAddr, udp_sockets: usize, receive_buffer_bytes: usize) -> Result<Sockets, StartError> {
    let failed = |error: io::Error| StartError {
        setting: "collector.statsd.address",
        message: format!("cannot listen on {address}: {error}; choose another port or `off`"),
    };
    let udp_sockets = match udp_sockets {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(UDP_SOCKETS_MAX),
        more => more,
    };
    let mut attempts = if address.port() == 0 { 10 } else { 1 };
    loop {
        attempts -= 1;
        let tcp = TcpListener::bind(address).map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        match bind_udp(address, udp_sockets) {
            Ok(udp) => {
                tcp.set_nonblocking(true).map_err(failed)?;
                let receive_buffer_bytes = widen(&udp, receive_buffer_bytes);
                return Ok(Sockets { address, udp, tcp, receive_buffer_bytes });
            }
            Err(error) if attempts == 0 => return Err(failed(error)),
            Err(_) => {}
        }
    }
}

/// Binds a Unix datagram socket that every local user may write to, in place of one that a dead process left behind.
pub fn bind_unix_datagram(path: &Path) -> Result<UnixDatagram, StartError> {
    let setting = "collector.statsd.unix_path";
    prepare(path, setting, |path| UnixDatagram::unbound()?.connect(path))?;
    finish(path, setting, UnixDatagram::bind(path))
}

/// The same for connections.
pub fn bind_unix_stream(path: &Path) -> Result<UnixListener, StartError> {
    let setting = "collector.statsd.unix_stream_path";
    prepare(path, setting, |path| UnixStream::connect(path).map(drop))?;
    let listener = finish(path, setting, UnixListener::bind(path))?;
    listener.set_nonblocking(true).map_err(|error| unix_error(setting, path, &error))?;
    Ok(listener)
}

fn bind_udp(address: SocketAddr, sockets: usize) -> io::Result<Vec<UdpSocket>> {
    let bound = |shares: bool| -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM.cloexec(), None)?;
        if shares {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    // Alone first: another program that shares its port too would silently get half of what is sent.
    let alone = bound(false)?;
    if sockets == 1 {
        return Ok(vec![alone]);
    }
    drop(alone);
    (0..sockets).map(|_| bound(true)).collect()
}

fn prepare(path: &Path, setting: &'static str, reach: fn(&Path) -> io::Result<()>) -> Result<(), StartError> {
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        if reach(path).is_ok() {
            let in_use = io::Error::new(io::ErrorKind::AddrInUse, "another process listens there");
            return Err(unix_error(setting, path, &in_use));
        }
        std::fs::remove_file(path).map_err(|error| unix_error(setting, path, &error))?;
    }
    Ok(())
}

fn finish<S>(path: &Path, setting: &'static str, socket: io::Result<S>) -> Result<S, StartError> {
    let open_to_all = || std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o722));
    socket.and_then(|socket| open_to_all().map(|()| socket)).map_err(|error| unix_error(setting, path, &error))
}

fn unix_error(setting: &'static str, path: &Path, error: &io::Error) -> StartError {
    StartError { setting, message: format!("cannot listen on {}: {error}", path.display()) }
}

/// Asks for receive buffers that hold bursts, says so when the kernel gives less, and returns what it gives.
fn widen(sockets: &[UdpSocket], bytes: usize) -> usize {
    let widened = sockets.iter().map(|socket| {
        let socket = socket2::SockRef::from(socket);
        let _ = socket.set_recv_buffer_size(bytes); // what the kernel gives is read back
        // Linux doubles what is asked for, to leave room for its own bookkeeping, and tells the doubled size.
        socket.recv_buffer_size().map_or(0, |doubled| doubled / 2)
    });
    let given = widened.min().unwrap_or(0);
    if given < bytes {
        tracing::warn!(
            asked = bytes,
            given,
            "the kernel gives StatsD sockets a smaller receive buffer than collector.statsd.receive_buffer_bytes asks for; \
             raise net.core.rmem_max if it drops datagrams"
        );
    }
    given
}
