//! Threads that read datagrams, each from a socket of its own, many with one system call.
//!
//! Datagrams are read, parsed and aggregated on one thread without a queue between, so that the kernel's buffer is the only
//! place where they can be lost, and the kernel counts what it drops there ([`KernelDrops`]).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg};
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use crate::model::Timestamp;
use crate::source::Tally;
use crate::source::kernel_drops::KernelDrops;

/// The longest datagram there is: nothing is ever cut.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// Room for one datagram. A round number would put the starts of all datagrams into the same few places of the processor's cache.
const STRIDE: usize = DATAGRAM_BYTES_MAX + 2_112;

/// Datagrams read with one system call. More saves hardly anything.
const DATAGRAMS_AT_ONCE: usize = 64;

/// How long a thread rests that has read all there was, when datagrams come one after another: to be woken for each would cost more
/// than to read it. The kernel's buffer holds what comes in a time twenty times as long at half a million datagrams a second.
const REST: Duration = Duration::from_micros(500);

/// Datagrams come one after another when the last ones came no longer ago than this.
const DENSE: Duration = Duration::from_millis(2);

/// How often a reading thread looks whether it is to stop.
pub const STOP_CHECK: Duration = Duration::from_millis(200);

/// How often drops are asked for.
const DROPS_CHECK: Duration = Duration::from_secs(1);

/// Datagrams read after the stop from what the kernel still holds; a sender that never pauses must not hold us up.
const DRAIN_DATAGRAMS_MAX: usize = 100_000;

/// A socket that datagrams come from, read by a blocking thread.
#[derive(Debug)]
pub struct Reader<S> {
    /// The socket.
    pub socket: S,
    /// The kernel's count of what it dropped there; none where senders wait instead.
    pub drops: Option<KernelDrops>,
    /// What the merger was asked.
    pub question: std::sync::Arc<AtomicU64>,
}

impl<S: AsFd> Reader<S> {
    /// Reads datagrams until `stop`, then what the kernel still holds. Blocks its thread all the while.
    pub fn run(mut self, mut intake: Intake, tally: &Tally, stop: &CancellationToken) {
        let mut received = Received::new();
        let mut drops_checked = Timestamp::now();
        let mut last = drops_checked;
        if let Err(error) = socket2::SockRef::from(&self.socket).set_read_timeout(Some(STOP_CHECK)) {
            tally.problem("receive_failed", 1, error.to_string().as_bytes());
        }
        while !stop.is_cancelled() {
            let outcome = received.receive(&self.socket, MsgFlags::MSG_WAITFORONE);
            let now = Timestamp::now();
            intake.tick(now, self.question.load(Relaxed));
            match outcome {
                Ok(()) => {
                    take(&received, &mut intake, now, tally);
                    if received.lengths.len() < DATAGRAMS_AT_ONCE && now.saturating_since(last) < DENSE {
                        std::thread::sleep(REST);
                    }
                    last = now;
                }
                Err(error) if would_block(&error) => {}
                Err(error) => {
                    tally.problem("receive_failed", 1, error.to_string().as_bytes());
                    std::thread::sleep(STOP_CHECK);
                }
            }
            if now.saturating_since(drops_checked) >= DROPS_CHECK || now < drops_checked {
                drops_checked = now;
                self.report_drops(tally);
            }
        }
        let mut left = DRAIN_DATAGRAMS_MAX;
        while left > 0 && received.receive(&self.socket, MsgFlags::MSG_DONTWAIT).is_ok() {
            left = left.saturating_sub(received.lengths.len());
            let now = Timestamp::now();
            intake.tick(now, self.question.load(Relaxed));
            take(&received, &mut intake, now, tally);
        }
        self.report_drops(tally);
    }

    fn report_drops(&mut self, tally: &Tally) {
        let dropped = self.drops.as_mut().map_or(0, KernelDrops::since_last);
        if dropped > 0 {
            tally.shed("kernel_drop", dropped, b"raise collector.statsd.receive_buffer_bytes and net.core.rmem_max");
        }
    }
}

fn take(received: &Received, intake: &mut Intake, now: Timestamp, tally: &Tally) {
    intake.take(received.datagrams(), now, tally);
    intake.count(tally);
}

/// The datagrams of one system call.
struct Received {
    buffer: Box<[u8]>,
    headers: MultiHeaders<()>,
    lengths: Vec<usize>,
}

impl Received {
    fn new() -> Received {
        Received {
            buffer: vec![0; STRIDE * DATAGRAMS_AT_ONCE].into(),
            headers: MultiHeaders::preallocate(DATAGRAMS_AT_ONCE, None),
            lengths: Vec::with_capacity(DATAGRAMS_AT_ONCE),
        }
    }

    /// Reads what has come, at least one datagram unless the socket's time limit is over first.
    fn receive(&mut self, socket: &impl AsFd, flags: MsgFlags) -> io::Result<()> {
        let rooms = self.buffer.chunks_exact_mut(STRIDE);
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            rooms.map(|room| [IoSliceMut::new(&mut room[..DATAGRAM_BYTES_MAX])]).collect();
        self.lengths.clear();
        let received = recvmmsg(socket.as_fd().as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None)?;
        self.lengths.extend(received.map(|datagram| datagram.bytes));
        Ok(())
    }

    fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.buffer.chunks_exact(STRIDE).zip(&self.lengths).map(|(room, &length)| &room[..length])
    }
}

/// Whether there was nothing to read.
pub fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
