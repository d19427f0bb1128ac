//! StatsD as fast as one thread can send it, and what a server costs that has nothing to do.

use std::net::UdpSocket;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::server::Server;
use crate::table::{Beside, Spread, Table};

/// Lines in a packet.
const PACKET_LINES: u64 = 20;

/// How long idleness is watched.
const IDLE_SPAN: Duration = Duration::from_secs(20);

/// Sends so many lines to a new server, many of them to the same series.
pub fn measure_statsd(table: &mut Table, lines: u64) {
    eprintln!("sending {lines} StatsD lines …");
    let directory = crate::new_directory();
    let server = Server::start(directory.path());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind a UDP socket");
    let packet = |n: u32| -> String {
        (0..PACKET_LINES).map(|k| format!("shop.route{}.hits:1|c|#env:prod,host:h{},k:{k}\n", n % 50, n % 7)).collect()
    };
    let packets: Vec<String> = (0..500).map(packet).collect();
    let (cpu, started) = (server.cpu_seconds(), Instant::now());
    for packet in packets.iter().cycle().take((lines / PACKET_LINES) as usize) {
        socket.send_to(packet.as_bytes(), &server.statsd).expect("send a packet");
    }
    let sending = started.elapsed().as_secs_f64();
    let mut seen = statsd_lines(&server);
    loop {
        sleep(Duration::from_millis(300));
        let now = statsd_lines(&server);
        if now == seen {
            break;
        }
        seen = now;
    }
    let busy = server.cpu_seconds() - cpu;
    let (sent, got) = (lines as f64, seen as f64);
    let lost = format!("{:.2} % lost in the kernel", (sent - got) / sent * 100.0);
    let mut row = |what, unit, figure, remark| {
        table.row(what, unit, Spread::one(figure), Beside { target: None, remark, ..Beside::default() })
    };
    row("StatsD, sent by one thread", "M lines/s", sent / sending / 1e6, "");
    row("StatsD, aggregated", "M lines", got / 1e6, lost.as_str());
    row("StatsD, cost", "M lines per CPU-s", got / busy / 1e6, "sockets included");
}

/// Starts a server over data that is there and leaves it alone.
pub fn measure_idle(table: &mut Table, directory: &Path) {
    eprintln!("watching a server that has nothing to do …");
    let server = Server::start(directory);
    sleep(Duration::from_secs(3));
    let cpu = server.cpu_seconds();
    sleep(IDLE_SPAN);
    let share = (server.cpu_seconds() - cpu) / IDLE_SPAN.as_secs_f64() * 100.0;
    table.row("idle: CPU", "% of a core", Spread::one(share), Beside::default());
    table.row("idle: RSS", "MiB", Spread::one(server.resident_mib()), Beside::default());
}

fn statsd_lines(server: &Server) -> u64 {
    let ingest = server.ask("/api/v1/ingest", &[]).json().expect("the ingest status");
    let sources = ingest["sources"].as_array().expect("sources").iter();
    sources.filter(|source| source["kind"] == "statsd").filter_map(|source| source["records"].as_u64()).sum()
}
