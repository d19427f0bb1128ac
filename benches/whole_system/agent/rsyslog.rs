//! rsyslog beside it, where it is installed (`apt-get install rsyslog`): the same files by `imfile`, sent as they are over TCP to
//! somebody who only counts. It neither parses nor compresses, and nobody acknowledges anything.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::process::{Place, wait_until};
use super::{AGENT_CORE, lines};
use crate::server;
use crate::table::{Beside, Spread, Table};

const FILES: usize = 4;
const PROGRAM: &str = "/usr/sbin/rsyslogd";

/// Measures it, or says why not.
pub fn measure(table: &mut Table, lines: u64) {
    if !Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: rsyslog beside the agent ({PROGRAM} is not there: apt-get install rsyslog)");
        return;
    }
    eprintln!("rsyslog: the same backlog …");
    let place = Place::new();
    let each = lines / FILES as u64;
    let lines = each * FILES as u64;
    for (at, path) in place.log_files(FILES).iter().enumerate() {
        lines::write_file(path, at as u64 * each, each);
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let counted = &*Box::leak(Box::new(AtomicU64::new(0))); // the counting thread may outlive the measurement
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            count_lines(connection, counted);
        }
    });
    let work = place.logs().join("rsyslog");
    std::fs::create_dir(&work).expect("make a directory");
    let settings = work.join("rsyslog.conf");
    let text = format!(
        "global(workDirectory=\"{}\")\nmodule(load=\"imfile\")\ntemplate(name=\"line\" type=\"string\" string=\"%msg%\\n\")\n\
         input(type=\"imfile\" File=\"{}/*.log\" Tag=\"x\" readMode=\"0\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\" template=\"line\" queue.type=\"LinkedList\" \
         queue.size=\"100000\" queue.dequeueBatchSize=\"4096\")\n",
        work.display(),
        place.logs().display()
    );
    std::fs::write(&settings, text).expect("write the settings");
    let started = Instant::now();
    let mut process = Command::new("taskset")
        .args(["-c", AGENT_CORE, PROGRAM, "-n", "-iNONE", "-f"])
        .arg(&settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start rsyslogd with taskset (util-linux)");
    let complete = wait_until(Duration::from_secs(300), || counted.load(Relaxed) >= lines);
    let took = started.elapsed().as_secs_f64();
    let cpu = server::cpu_seconds(process.id());
    let resident = server::memory_mib(process.id(), "VmHWM:");
    let _ = process.kill();
    let _ = process.wait();
    if !complete || counted.load(Relaxed) != lines {
        let found = counted.load(Relaxed);
        eprintln!("rsyslog: {found} of {lines} lines arrived");
        return;
    }
    let remark = "imfile → omfwd by TCP: not parsed, not compressed, not acknowledged";
    let beside = Beside { remark, ..Beside::default() };
    table.row("rsyslog, by the clock", "lines/s", Spread::one(lines as f64 / took), beside);
    table.row("rsyslog, by its processor time", "lines/CPU-s", Spread::one(lines as f64 / cpu), beside);
    table.row("peak RSS of it", "MiB", Spread::one(resident), Beside::default());
}

fn count_lines(mut connection: impl Read, counted: &AtomicU64) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = connection.read(&mut buffer) {
        counted.fetch_add(buffer[..length].iter().filter(|byte| **byte == b'\n').count() as u64, Relaxed);
    }
}
