//! Connections over TCP and Unix sockets, each a task. Their lines go to one thread over a bounded channel, which slows the
//! senders down when it is full.
//!
//! Lines end with a line end; or, where a Unix socket's setting says so, packets of lines come as DogStatsD sends them:
//! ```text
//! frame = length u32, little-endian; so many bytes, which are a packet
//! ```

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memrchr};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::datagrams::STOP_CHECK;
use super::intake::Intake;
use crate::model::Timestamp;
use crate::source::Tally;

/// The longest line or frame over a connection; the rest of a longer one is skipped and counted. Etsy's server has no limit, and
/// grows.
pub const LINE_BYTES_MAX: usize = 65_536;

/// Open connections of one listener; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;

/// Pieces that wait for the thread that takes them.
const PIECES_WAITING: usize = 64;

/// How packets follow one another in a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Each line ends with a line end, as in etsy's StatsD.
    #[default]
    Newline,
    /// Each packet is led by its length, as in DogStatsD.
    Length,
}

/// Whole lines, and who counts them.
pub type Piece = (Bytes, Arc<Tally>);

/// The channel to the thread that takes lines of connections.
pub fn channel() -> (mpsc::Sender<Piece>, mpsc::Receiver<Piece>) {
    mpsc::channel(PIECES_WAITING)
}

/// Takes lines until no connection is left and nobody listens. Blocks its thread all the while.
pub fn take_pieces(mut intake: Intake, mut pieces: mpsc::Receiver<Piece>, question: &AtomicU64) {
    let runtime = tokio::runtime::Handle::current();
    loop {
        let came = runtime.block_on(async { tokio::time::timeout(STOP_CHECK, pieces.recv()).await });
        let now = Timestamp::now();
        intake.tick(now, question.load(Relaxed));
        match came {
            Ok(Some((bytes, tally))) => {
                intake.take([&bytes[..]], now, &tally);
                intake.count(&tally);
            }
            Ok(None) => return,
            Err(_) => {}
        }
    }
}

/// What connections come from.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + Unpin + Send + 'static;
    /// Waits for the next one. Cancel-safe.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Serves connections until `stop`.
pub async fn serve(
    listener: impl Listener,
    framing: Framing,
    pieces: mpsc::Sender<Piece>,
    tally: Arc<Tally>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok(stream) => {
                let connection = Connection {
                    pieces: pieces.clone(),
                    tally: Arc::clone(&tally),
                    held: BytesMut::with_capacity(8 * 1024),
                    skipping: 0,
                };
                let stop = stop.clone();
                tokio::spawn(async move {
                    let _place = place;
                    connection.read(stream, framing, &stop).await;
                });
            }
            Err(error) => {
                tally.problem("accept_failed", 1, error.to_string().as_bytes());
                tokio::time::sleep(STOP_CHECK).await;
            }
        }
    }
}

struct Connection {
    pieces: mpsc::Sender<Piece>,
    tally: Arc<Tally>,
    held: BytesMut,
    /// Bytes of a frame that is too long and was not read to its end; of lines, whether one is skipped.
    skipping: usize,
}

impl Connection {
    /// Hands on the lines of the connection until it ends or `stop`. Its last line needs no line end when the sender has closed
    /// it; a line that a stop or a reset cuts off may have lost its end, and is counted instead.
    async fn read(mut self, mut stream: impl AsyncRead + Unpin, framing: Framing, stop: &CancellationToken) {
        loop {
            let read = tokio::select! {
                read = stream.read_buf(&mut self.held) => read.ok(),
                () = stop.cancelled() => None,
            };
            let whole = match framing {
                Framing::Newline => self.whole_lines(read == Some(0)),
                Framing::Length => self.whole_frames(),
            };
            if let Some(whole) = whole
                && self.pieces.send((whole, Arc::clone(&self.tally))).await.is_err()
            {
                return;
            }
            if read.is_none_or(|bytes| bytes == 0) {
                if !self.held.is_empty() {
                    self.tally.problem("unfinished_line", 1, &self.held);
                }
                return;
            }
        }
    }

    /// All lines that are whole, with what follows the last line end when the sender has said all.
    fn whole_lines(&mut self, is_end: bool) -> Option<Bytes> {
        if self.skipping > 0 {
            match memchr(b'\n', &self.held) {
                Some(end) => {
                    self.held.advance(end + 1);
                    self.skipping = 0;
                }
                None => self.held.clear(),
            }
        }
        let whole = if is_end { self.held.len() } else { memrchr(b'\n', &self.held).map_or(0, |end| end + 1) };
        let lines = self.held.split_to(whole).freeze();
        if self.held.len() > LINE_BYTES_MAX {
            self.tally.problem("line_too_long", 1, &self.held);
            self.held.clear();
            self.skipping = 1;
        }
        (!lines.is_empty()).then_some(lines)
    }

    /// The packets of all frames that are whole, a line end between them.
    fn whole_frames(&mut self) -> Option<Bytes> {
        let mut lines = BytesMut::new();
        loop {
            let skipped = self.skipping.min(self.held.len());
            self.held.advance(skipped);
            self.skipping -= skipped;
            let Some((&header, rest)) = self.held.split_first_chunk::<4>() else { break };
            let length = u32::from_le_bytes(header) as usize;
            if length > LINE_BYTES_MAX {
                self.tally.problem("frame_too_long", 1, rest);
                self.skipping = length;
                self.held.advance(4);
            } else if rest.len() >= length {
                lines.extend_from_slice(&rest[..length]);
                lines.extend_from_slice(b"\n");
                self.held.advance(4 + length);
            } else {
                break;
            }
        }
        (!lines.is_empty()).then(|| lines.freeze())
    }
}
