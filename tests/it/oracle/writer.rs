//! The generator: threads that write numbered lines into files and sockets until they are stopped, and a ledger of what they
//! wrote.
//!
//! A line counts as written once its write has returned; every number below the count was written, and none above it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::line;
use crate::server::Random;

/// How many lines each source has written.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

/// One source's count in the ledger.
#[derive(Clone, Debug)]
pub struct Count(Arc<AtomicU64>);

impl Ledger {
    /// The count of a source, from 0.
    pub fn source(&self, name: &str) -> Count {
        Count(Arc::clone(self.0.lock().expect("the ledger").entry(name.to_owned()).or_default()))
    }

    /// Lines written by source.
    pub fn written(&self) -> BTreeMap<String, u64> {
        let sources = self.0.lock().expect("the ledger");
        sources.iter().map(|(name, count)| (name.clone(), count.load(Relaxed))).collect()
    }

    /// Lines written in all.
    pub fn sum(&self) -> u64 {
        self.written().values().sum()
    }
}

impl Count {
    /// The number of the next line.
    pub fn next(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Waits until there are some; on a busy machine even a thread starts late.
    pub fn wait_for_lines(&self) {
        while self.next() < 3 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sets how many there are.
    pub fn set(&self, written: u64) {
        self.0.store(written, Relaxed);
    }
}

/// How a writer of files behaves.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Pauses between bursts are random below twice this.
    pub pause: Duration,
    /// Lines of a burst are random below twice this.
    pub burst: u64,
    /// Longest padding of a line, in bytes.
    pub padding: u64,
    /// The file is rotated by renaming after about so many lines; 0 never rotates.
    pub rotate_every: u64,
    /// How long after its rotation a file is removed; never when there is nothing.
    pub remove_after: Option<Duration>,
}

impl Habits {
    /// So many lines a second, in small bursts, without rotation.
    pub fn steady(lines_per_second: u64) -> Habits {
        let burst = lines_per_second.div_ceil(20).max(1);
        let pause = Duration::from_secs_f64(burst as f64 / lines_per_second as f64);
        Habits { pause, burst, padding: 120, rotate_every: 0, remove_after: None }
    }

    /// The same with rotation.
    pub fn rotating(self, rotate_every: u64, remove_after: Option<Duration>) -> Habits {
        Habits { rotate_every, remove_after, ..self }
    }
}

/// A thread that writes until it is stopped.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes lines of `source` into the file at `path`.
    pub fn file(ledger: &Ledger, source: &str, path: &Path, habits: Habits, seed: u64) -> Writer {
        let (count, source, path) = (ledger.source(source), source.to_owned(), path.to_owned());
        Writer::spawn(move |stopped| write_file(&count, &source, &path, &habits, Random::from_seed(seed), stopped))
    }

    /// Lines as JSON, dated with each of these times (Unix seconds) in turn.
    pub fn dated_file(ledger: &Ledger, source: &str, path: &Path, times: Vec<u64>) -> Writer {
        let (count, source, path) = (ledger.source(source), source.to_owned(), path.to_owned());
        Writer::spawn(move |stopped| {
            let mut file = OpenOptions::new().create(true).append(true).open(path).expect("open a file to write");
            let mut random = Random::from_seed(1);
            for time in times.into_iter().cycle().take_while(|_| !stopped.load(Relaxed)) {
                let seq = count.next();
                let line = line::write(&source, seq, &padding(&mut random, 40));
                writeln!(file, "{{\"time\":{time},\"message\":\"{line}\"}}").expect("write a line");
                count.set(seq + 1);
                std::thread::sleep(Duration::from_millis(10));
            }
        })
    }

    /// Lines into a file that is truncated in place (`copytruncate`) after about `truncate_every` of them. A moment before that
    /// it writes nothing, as such files are: what is written in that moment nobody can save.
    pub fn truncated_file(ledger: &Ledger, source: &str, path: &Path, truncate_every: u64, seed: u64) -> Writer {
        let (count, source, path) = (ledger.source(source), source.to_owned(), path.to_owned());
        Writer::spawn(move |stopped| {
            write_truncated(&count, &source, &path, truncate_every, Random::from_seed(seed), stopped);
        })
    }

    /// Runs what writes until it is told to stop.
    pub fn spawn(write: impl FnOnce(&AtomicBool) + Send + 'static) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Writer { stop, thread: Some(std::thread::spawn(move || write(&stopped))) }
    }

    /// Stops after the line under way.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "a writer panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes lines of `source` to a syslog receiver, over TCP on one connection or over UDP.
pub fn syslog_writer(ledger: &Ledger, source: &str, to: SocketAddr, tcp: bool, lines_per_second: u64) -> Writer {
    let (count, source) = (ledger.source(source), source.to_owned());
    let pause = Duration::from_secs_f64(1.0 / lines_per_second as f64);
    Writer::spawn(move |stopped| {
        let mut stream = tcp.then(|| TcpStream::connect(to).expect("connect to syslog"));
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("bind a socket");
        let mut random = Random::from_seed(u64::from(to.port()));
        while !stopped.load(Relaxed) {
            let seq = count.next();
            let line = line::write(&source, seq, &padding(&mut random, 60));
            let message = format!("<14>1 - testhost oracle 77 - - {line}");
            match &mut stream {
                Some(stream) => writeln!(stream, "{message}").expect("write to syslog"),
                None => drop(datagrams.send_to(message.as_bytes(), to).expect("send to syslog")),
            }
            count.set(seq + 1);
            std::thread::sleep(pause);
        }
    })
}

/// Counts `oracle.increments` up by one, by StatsD, and the ledger's `increments` with it. The name must not be one of lines.
pub fn metrics_writer(increments: Arc<AtomicU64>, to: SocketAddr, per_second: u64) -> Writer {
    let pause = Duration::from_secs_f64(1.0 / per_second as f64);
    Writer::spawn(move |stopped| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind a socket");
        while !stopped.load(Relaxed) {
            socket.send_to(b"oracle.increments:1|c", to).expect("send to StatsD");
            increments.fetch_add(1, Relaxed);
            std::thread::sleep(pause);
        }
    })
}

fn write_file(count: &Count, source: &str, path: &Path, habits: &Habits, mut random: Random, stopped: &AtomicBool) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("open a file to write");
    let mut rotated: Vec<(PathBuf, Instant)> = Vec::new();
    let mut rotations = 0;
    while !stopped.load(Relaxed) {
        for _ in 0..random.below(2 * habits.burst) + 1 {
            append(&mut file, count, source, random.below(habits.padding + 1), &mut random);
            if habits.rotate_every > 0 && random.below(habits.rotate_every) == 0 {
                rotations += 1;
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".{rotations}"));
                fs::rename(path, &name).expect("rotate a file");
                rotated.push((name.into(), Instant::now()));
                // A writer notices its rotation late.
                append(&mut file, count, source, 10, &mut random);
                file = File::create_new(path).expect("create the next file");
            }
        }
        if let Some(age) = habits.remove_after {
            rotated.retain(|(path, since)| {
                let keep = since.elapsed() < age;
                if !keep {
                    fs::remove_file(path).expect("remove a rotated file");
                }
                keep
            });
        }
        std::thread::sleep(Duration::from_nanos(random.below(2 * habits.pause.as_nanos() as u64 + 1)));
    }
}

fn write_truncated(
    count: &Count,
    source: &str,
    path: &Path,
    truncate_every: u64,
    mut random: Random,
    stopped: &AtomicBool,
) {
    /// Long enough for a tailer that looks four times a second, on a busy machine.
    const QUIET: Duration = Duration::from_millis(1500);
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("open a file to write");
    while !stopped.load(Relaxed) {
        append(&mut file, count, source, 80, &mut random);
        std::thread::sleep(Duration::from_millis(random.below(60)));
        if random.below(truncate_every) == 0 {
            std::thread::sleep(QUIET);
            fs::copy(path, path.with_extension("copy")).expect("copy a file");
            file.set_len(0).expect("truncate a file");
            file.seek(SeekFrom::Start(0)).expect("go to the start");
        }
    }
}

fn append(file: &mut File, count: &Count, source: &str, padding_bytes: u64, random: &mut Random) {
    let seq = count.next();
    let mut line = line::write(source, seq, &padding(random, padding_bytes));
    line.push('\n');
    // Now and then a line comes in two pieces.
    if random.below(40) == 0 {
        let (head, tail) = line.split_at(line.len() / 2);
        file.write_all(head.as_bytes()).expect("write half a line");
        std::thread::sleep(Duration::from_millis(random.below(20)));
        file.write_all(tail.as_bytes()).expect("write the other half");
    } else {
        file.write_all(line.as_bytes()).expect("write a line");
    }
    count.set(seq + 1);
}

fn padding(random: &mut Random, bytes: u64) -> String {
    (0..=bytes).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}
