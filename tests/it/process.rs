//! A process that a test started: paused, killed, watched, and ended with the test. Only such processes are ever ended, by
//! their id.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A process of a test.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it, with what it says on standard error appended to `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Process {
        let stderr = OpenOptions::new().create(true).append(true).open(log).expect("open a log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
        Process { child: child.unwrap_or_else(|error| panic!("start {command:?}: {error}")) }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("look after a process")
    }

    /// Waits for it to end by itself.
    pub fn wait_for_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() > deadline {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill a process");
        self.child.wait().expect("wait for a killed process");
    }

    /// SIGSTOP: it keeps its sockets and does nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal); // it may just have ended
    }

    /// Resident memory in bytes, open files and threads; nothing once it has ended.
    pub fn footprint(&self) -> Option<(u64, usize, usize)> {
        let of = |name: &str| PathBuf::from(format!("/proc/{}/{name}", self.id()));
        let status = std::fs::read_to_string(of("status")).ok()?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = kilobytes.trim().trim_end_matches(" kB").parse().ok()?;
        Some((kilobytes << 10, std::fs::read_dir(of("fd")).ok()?.count(), std::fs::read_dir(of("task")).ok()?.count()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
