//! A proxy of the tests, which stands between an agent and servers and misbehaves as it is told: slow, thin, broken off,
//! answering for itself, leading nowhere, with certificates of its own.
//!
//! It reads whole HTTP/1.1 requests (ours have a length) on a thread per connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::server::Random;

/// What the proxy does with requests.
#[derive(Clone)]
pub enum Manner {
    /// Passes them on, and answers back.
    Forward,
    /// Passes them on, and the answer back so much later.
    Late(Duration),
    /// Answers by itself: status line, further header lines, body.
    Answer(&'static str, &'static str, &'static str),
    /// Answers by itself with our error form to bodies that this finds bad, and passes the others on.
    Reject(fn(&[u8]) -> bool),
    /// Passes them on and never answers.
    Swallow,
    /// Takes half of a body and resets the connection.
    ResetInBody,
    /// Passes half of a body on, closes that side, and resets the agent's connection.
    TruncateBody,
    /// Passes them on, and answers with half of the answer before it closes.
    TruncateAnswer,
    /// Passes them on, and the answer back byte by byte with a pause before each.
    Drip(Duration),
    /// A long thin line: bytes a second, delay each way, and now and then a stall as a lost packet makes.
    Thin {
        /// Bytes a second from the agent.
        bytes_per_second: u64,
        /// Delay each way.
        delay: Duration,
    },
}

/// A running proxy; it ends with the test.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    upstreams: Vec<SocketAddr>,
    manner: Mutex<Manner>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    connections: AtomicU64,
    requests: Vec<AtomicU64>,
    body_bytes: AtomicU64,
    /// When what is on the thin line has passed.
    busy_until: Mutex<Instant>,
    /// Connections of another generation are closed at their next request.
    generation: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    /// Listens there; each connection is passed on to the next of the servers.
    pub fn start(listen: SocketAddr, upstreams: &[SocketAddr]) -> Proxy {
        let listener = TcpListener::bind(listen).expect("bind the proxy");
        let shared = Arc::new(Shared {
            upstreams: upstreams.into(),
            manner: Mutex::new(Manner::Forward),
            tls: Mutex::new(None),
            connections: AtomicU64::new(0),
            requests: upstreams.iter().map(|_| AtomicU64::new(0)).collect(),
            body_bytes: AtomicU64::new(0),
            busy_until: Mutex::new(Instant::now()),
            generation: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.ended.load(Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || drop(shared.serve(stream))); // errors are what it is for
            }
        });
        Proxy { shared, address: SocketAddr::from(([127, 0, 0, 1], listen.port())) }
    }

    /// Behaves so from the next request on.
    pub fn set(&self, manner: Manner) {
        *self.shared.manner.lock().expect("the manner") = manner;
    }

    /// Speaks TLS with this certificate from the next connection on.
    pub fn set_tls(&self, config: ServerConfig) {
        *self.shared.tls.lock().expect("the certificate") = Some(Arc::new(config));
    }

    /// Resets every connection at its next request.
    pub fn close_connections(&self) {
        self.shared.generation.fetch_add(1, Relaxed);
    }

    /// Connections taken so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Relaxed)
    }

    /// Requests so far, by the server that their connection leads to.
    pub fn requests(&self) -> Vec<u64> {
        self.shared.requests.iter().map(|count| count.load(Relaxed)).collect()
    }

    /// Bytes of all bodies so far.
    pub fn body_bytes(&self) -> u64 {
        self.shared.body_bytes.load(Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Relaxed);
        let _ = TcpStream::connect(self.address); // wakes the listener
    }
}

struct Request {
    head: Vec<u8>,
    length: usize,
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let number = self.connections.fetch_add(1, Relaxed);
        let upstream = (number % self.upstreams.len() as u64) as usize;
        stream.set_nodelay(true)?;
        let raw = stream.try_clone()?;
        let tls = self.tls.lock().expect("the certificate").clone();
        match tls {
            None => self.exchange(BufReader::new(stream), &raw, upstream, number),
            Some(config) => {
                let connection = ServerConnection::new(config).map_err(io::Error::other)?;
                self.exchange(BufReader::new(StreamOwned::new(connection, stream)), &raw, upstream, number)
            }
        }
    }

    fn manner(&self) -> Manner {
        self.manner.lock().expect("the manner").clone()
    }

    fn exchange<S: Read + Write>(
        &self,
        mut agent: BufReader<S>,
        raw: &TcpStream,
        upstream: usize,
        seed: u64,
    ) -> io::Result<()> {
        let mut random = Random::from_seed(seed);
        let generation = self.generation.load(Relaxed);
        let mut server: Option<BufReader<TcpStream>> = None;
        loop {
            let Some(request) = read_head(&mut agent)? else { return Ok(()) };
            if self.generation.load(Relaxed) != generation {
                return reset(raw);
            }
            let manner = self.manner();
            self.requests[upstream].fetch_add(1, Relaxed);
            if let Manner::ResetInBody | Manner::TruncateBody = manner {
                let mut half = vec![0; request.length / 2];
                agent.read_exact(&mut half)?;
                if let Manner::TruncateBody = manner {
                    let mut server = TcpStream::connect(self.upstreams[upstream])?;
                    server.write_all(&request.head)?;
                    server.write_all(&half)?;
                }
                return reset(raw);
            }
            let body = self.read_body(&mut agent, request.length, &manner, &mut random)?;
            match manner {
                Manner::Answer(status, headers, text) => {
                    write_answer(agent.get_mut(), status, headers, text)?;
                    continue;
                }
                Manner::Reject(is_bad) if is_bad(&body) => {
                    let said = r#"{"error":{"message":"this batch holds what the store cannot take"}}"#;
                    write_answer(
                        agent.get_mut(),
                        "422 Unprocessable Content",
                        "content-type: application/json\r\n",
                        said,
                    )?;
                    continue;
                }
                _ => {}
            }
            let answer = match pass_on(&mut server, self.upstreams[upstream], &request.head, &body) {
                Ok(answer) => answer,
                Err(_) => {
                    server = None;
                    write_answer(
                        agent.get_mut(),
                        "502 Bad Gateway",
                        "content-type: text/html\r\n",
                        "<html>bad gateway</html>",
                    )?;
                    continue;
                }
            };
            let out = agent.get_mut();
            match manner {
                Manner::Late(late) => std::thread::sleep(late),
                Manner::Thin { delay, .. } => std::thread::sleep(delay),
                Manner::Swallow => {
                    while !self.ended.load(Relaxed) && matches!(self.manner(), Manner::Swallow) {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    return reset(raw);
                }
                Manner::TruncateAnswer => {
                    out.write_all(&answer[..answer.len() - 10])?;
                    out.flush()?;
                    return Ok(());
                }
                Manner::Drip(pause) => {
                    for byte in &answer {
                        std::thread::sleep(pause);
                        out.write_all(std::slice::from_ref(byte))?;
                        out.flush()?;
                        if !matches!(self.manner(), Manner::Drip(_)) {
                            return reset(raw);
                        }
                    }
                    continue;
                }
                _ => {}
            }
            out.write_all(&answer)?;
            out.flush()?;
        }
    }

    fn read_body(
        &self,
        from: &mut impl Read,
        length: usize,
        manner: &Manner,
        random: &mut Random,
    ) -> io::Result<Vec<u8>> {
        /// A few packets.
        const PIECE: usize = 4 << 10;
        /// What a lost packet costs: a retransmission timeout and a round trip.
        const STALL: Duration = Duration::from_millis(400);
        let mut body = vec![0; length];
        if let Manner::Thin { bytes_per_second, delay } = *manner {
            std::thread::sleep(delay);
            for piece in body.chunks_mut(PIECE) {
                from.read_exact(piece)?;
                // All connections share the line.
                let passed = {
                    let mut busy_until = self.busy_until.lock().expect("the line");
                    let start = (*busy_until).max(Instant::now());
                    *busy_until = start + Duration::from_secs_f64(piece.len() as f64 / bytes_per_second as f64);
                    *busy_until
                };
                std::thread::sleep(passed.saturating_duration_since(Instant::now()));
                if random.below(100) == 0 {
                    std::thread::sleep(STALL);
                }
            }
        } else {
            from.read_exact(&mut body)?;
        }
        self.body_bytes.fetch_add(length as u64, Relaxed);
        Ok(body)
    }
}

/// The request line and headers; nothing when the connection ends before.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let start = head.len();
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&head[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            return Ok(Some(Request { head, length }));
        }
    }
}

/// A whole exchange with the server; its answer as it came.
fn pass_on(
    server: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    head: &[u8],
    body: &[u8],
) -> io::Result<Vec<u8>> {
    let stream = match server {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            server.insert(BufReader::new(stream))
        }
    };
    stream.get_mut().write_all(head)?;
    stream.get_mut().write_all(body)?;
    let answer = read_head(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut bytes = answer.head;
    let start = bytes.len();
    bytes.resize(start + answer.length, 0);
    stream.read_exact(&mut bytes[start..])?;
    Ok(bytes)
}

fn write_answer(to: &mut impl Write, status: &str, headers: &str, body: &str) -> io::Result<()> {
    write!(to, "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())?;
    to.flush()
}

/// Closes so that the other side gets a reset.
fn reset(stream: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    stream.shutdown(std::net::Shutdown::Read)?;
    Ok(())
}
