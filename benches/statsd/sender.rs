//! The sender: one socket, many datagrams with one system call, at a given rate.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use crate::lines::Workload;

/// Datagrams sent with one system call at most.
const AT_ONCE: usize = 32;

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Lines.
    pub lines: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Sends lines at a rate for some time, in a process of its own.
pub fn send(workload: &Workload, to: SocketAddr, lines_per_second: f64, span: Duration) -> Sent {
    let itself = std::env::current_exe().expect("this program");
    let Workload { names, datagram_bytes_max, tags } = workload;
    let output = Command::new(itself)
        .args(["send", &names.to_string(), &datagram_bytes_max.to_string(), &tags.to_string(), &to.to_string()])
        .args([lines_per_second.to_string(), span.as_secs_f64().to_string()])
        .output()
        .expect("start the sender");
    let text = String::from_utf8(output.stdout).expect("text");
    let (lines, seconds) = text.trim().split_once(' ').expect("lines and seconds");
    Sent { lines: lines.parse().expect("lines"), seconds: seconds.parse().expect("seconds") }
}

/// The sender's own process.
pub fn main(arguments: &[String]) -> ExitCode {
    let [names, datagram_bytes_max, tags, to, rate, span] = arguments else { return ExitCode::FAILURE };
    let workload = Workload {
        names: names.parse().expect("names"),
        datagram_bytes_max: datagram_bytes_max.parse().expect("bytes"),
        tags: tags.parse().expect("tags"),
    };
    let (rate, span): (f64, f64) = (rate.parse().expect("rate"), span.parse().expect("span"));
    let datagrams = workload.datagrams();
    let lines = workload.lines_per_datagram();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.connect(to).expect("connect");
    let slices: Vec<[IoSlice<'_>; 1]> = datagrams.iter().map(|datagram| [IoSlice::new(datagram)]).collect();
    let per_second = rate / lines as f64;
    let started = Instant::now();
    let (mut sent, mut at) = (0u64, 0usize);
    loop {
        let elapsed = started.elapsed().as_secs_f64();
        if elapsed >= span {
            println!("{} {elapsed}", sent * lines);
            return ExitCode::SUCCESS;
        }
        let due = ((elapsed * per_second) as u64).saturating_sub(sent) as usize;
        if due == 0 {
            std::thread::sleep(Duration::from_micros(50));
            continue;
        }
        let end = (at + due.min(AT_ONCE)).min(slices.len());
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            (at..end).map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> =
            slices[at..end].iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
        let went = sendmmsg(&socket, &mut messages, SendFlags::empty()).unwrap_or(0);
        sent += went as u64;
        at = (at + went) % slices.len();
    }
}
