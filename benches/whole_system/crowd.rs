//! Many at once: questions over long ranges and very many names, people who ask while lines arrive, people who follow them.
//!
//! The users, the followers and the sender share the machine with the server, so these figures are lower bounds.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use taffrail_collector::model::Timestamp;

use crate::corpus::Corpus;
use crate::remote_write::{WriteRequest, labels};
use crate::server::{self, Server};
use crate::table::{Beside, Spread, Table};

/// Series and days of the long range, a sample every fifteen seconds.
const LONG_SERIES: usize = 100;
const LONG_DAYS: i64 = 7;
const LONG_STEP_SECONDS: i64 = 15;

/// Metric names that completion chooses from.
const NAMES: usize = 1_000_000;

/// Who asks, for how long, and the longest that each rests between two questions (half of it on average).
const USERS: usize = 50;
const CROWD_SPAN: Duration = Duration::from_secs(30);
const REST_MOST: Duration = Duration::from_secs(2);
/// Lines that arrive meanwhile, a second, in so many requests.
const ARRIVING: usize = 50_000;
const REQUESTS: usize = 10;

/// Who follows, what arrives a second, and for how long.
const FOLLOWERS: usize = 100;
const FOLLOWED: usize = 10_000;
const FOLLOW_SPAN: Duration = Duration::from_secs(20);

/// All of it.
pub fn measure(table: &mut Table, corpus: Option<&Corpus>) {
    measure_long_range(table);
    measure_names(table);
    if let Some(corpus) = corpus {
        measure_users(table, corpus);
        measure_followers(table, corpus);
    }
}

fn measure_long_range(table: &mut Table) {
    eprintln!("writing {LONG_SERIES} series of {LONG_DAYS} days …");
    let directory = crate::new_directory();
    let server = Server::start(directory.path());
    let (start, end) = write_totals(&server, LONG_DAYS * 86_400);
    server.post("/-/seal", b"");
    server.settle();
    for (what, query, target) in [
        ("`sum by (service)(rate(x[5m]))`", "sum by (service)(rate(long_total[5m]))", Some(100.0)),
        ("`rate(x[5m])` of each", "rate(long_total[5m])", None),
    ] {
        let mut lines = 0;
        let times = (0..7).map(|nth| {
            // Another range each time: no answer is given twice.
            let (from, to) = (start + 600 + nth, end - 60 + nth);
            let (from, to) = (from.to_string(), to.to_string());
            let answer =
                server.ask("/api/v1/query_range", &[("query", query), ("start", &from), ("end", &to), ("step", "60")]);
            let found = answer.json().expect("an answer")["data"]["result"].as_array().expect("series").len();
            lines = found;
            answer.took.as_secs_f64() * 1e3
        });
        let times: Vec<f64> = times.collect();
        assert!(lines >= 10, "{lines} series");
        let what = format!("{LONG_SERIES} series × {LONG_DAYS} days, 1 m: {what}");
        let remark = format!("{lines} lines; over HTTP, with its JSON");
        table.row(
            &what,
            "ms",
            Spread::of(times[2..].to_vec()),
            Beside { target, remark: &remark, ..Beside::default() },
        );
    }
}

/// Writes the series of the last so many seconds; from when to when they reach, in Unix seconds.
fn write_totals(server: &Server, seconds: i64) -> (i64, i64) {
    let end = Timestamp::now().unix_millis() / 1_000 / LONG_STEP_SECONDS * LONG_STEP_SECONDS;
    let start = end - seconds;
    let names: Vec<Vec<u8>> = (0..LONG_SERIES)
        .map(|n| {
            let (host, service) = (format!("h{n:03}"), format!("s{}", n % 10));
            labels([("__name__", "long_total"), ("host", &*host), ("service", &*service)])
        })
        .collect();
    let mut totals = vec![0.0; LONG_SERIES];
    let mut state = 1_u64;
    for hour in (start..end).step_by(3_600) {
        let mut request = WriteRequest::default();
        for (labels, total) in names.iter().zip(&mut totals) {
            let times = (hour..(hour + 3_600).min(end)).step_by(LONG_STEP_SECONDS as usize);
            let samples = times.map(|second| {
                state = next_random(state);
                *total += (state >> 60) as f64;
                (second * 1_000, *total)
            });
            request.add(labels, samples);
        }
        write(server, request);
    }
    (start, end)
}

/// The next state of a linear congruential generator (Knuth's MMIX).
fn next_random(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

fn measure_names(table: &mut Table) {
    eprintln!("writing {NAMES} metric names …");
    let directory = crate::new_directory();
    let server = Server::start(directory.path());
    let now = Timestamp::now().unix_millis();
    let words = ["http", "shop", "queue", "disk", "cache", "auth", "mail", "search"];
    for from in (0..NAMES).step_by(20_000) {
        let mut request = WriteRequest::default();
        for number in from..from + 20_000 {
            let name = format!("{}_{}_{number:06}_total", words[number % 8], words[number / 8 % 8]);
            request.add(&labels([("__name__", &*name), ("job", "bench")]), [(now, 1.0)]);
        }
        write(&server, request);
    }
    server.post("/-/seal", b"");
    server.settle();
    let remark = |found: usize| format!("{found} names found");
    let mut row = |what: &str, path: &str, parameters: &[(&str, &str)], key: &str| {
        let mut found = 0;
        let times: Vec<f64> = (0..7)
            .map(|_| {
                let answer = server.ask(path, parameters);
                found = answer.json().expect("an answer")[key].as_array().map_or(0, Vec::len);
                answer.took.as_secs_f64() * 1e3
            })
            .collect();
        assert!(found > 0, "{what} finds names");
        let beside = Beside { target: Some(20.0), remark: &remark(found), ..Beside::default() };
        table.row(what, "ms", Spread::of(times[2..].to_vec()), beside);
    };
    let values = "/api/v1/label/__name__/values";
    row("1,000,000 names: the first hundred", values, &[("limit", "100")], "data");
    row(
        "the same: those that begin so",
        values,
        &[("match[]", "{__name__=~\"shop_disk_12.*\"}"), ("limit", "100")],
        "data",
    );
    row(
        "the same: a part of the name, as the page asks",
        "/api/v1/metrics",
        &[("search", "disk_1234"), ("limit", "100")],
        "metrics",
    );
    table.row("RSS with a million names", "MiB", Spread::one(server.resident_mib()), Beside::default());
}

fn write(server: &Server, request: WriteRequest) {
    let agent = server::new_agent();
    let body = request.finish();
    loop {
        let post = agent.post(server.url("/api/v1/write")).header("content-encoding", "snappy");
        let post = post.header("content-type", "application/x-protobuf");
        let mut answer =
            post.header("x-prometheus-remote-write-version", "0.1.0").send(&body[..]).expect("write samples");
        let text = answer.body_mut().read_to_string().expect("read the answer");
        match answer.status().as_u16() {
            200 | 204 => return,
            429 | 503 => sleep(Duration::from_millis(100)),
            status => panic!("refused with {status}: {text}"),
        }
    }
}

/// Lines of the corpus as if they were written now, sent at a steady rate until told to end. Returns how many went out, how late the
/// last was, and how long each request took.
fn send_steadily(server: &Server, corpus: &Corpus, rate: usize, is_over: &AtomicBool) -> (u64, Duration, Vec<f64>) {
    const TIME_AT: usize = br#"{"timestamp":""#.len();
    const TIME_BYTES: usize = "2026-11-20T00:00:00.000Z".len();
    let per_request = rate / REQUESTS;
    let agent = server::new_agent();
    let mut lines = Vec::new();
    for piece in corpus.pieces(8 << 20).take(2) {
        lines.extend(piece.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec));
    }
    let mut lines = lines.iter().cycle();
    let (started, mut sent, mut times, mut late) = (Instant::now(), 0, Vec::new(), Duration::ZERO);
    for request in 0.. {
        let due = started + Duration::from_secs(1) * request / REQUESTS as u32;
        sleep(due.saturating_duration_since(Instant::now()));
        late = due.elapsed();
        if is_over.load(Relaxed) {
            break;
        }
        let now = Timestamp::now().to_string();
        let now = format!("{}Z", &now.trim_end_matches('Z')[..23]);
        assert_eq!(now.len(), TIME_BYTES);
        let mut body = Vec::new();
        for line in lines.by_ref().take(per_request) {
            body.extend_from_slice(&line[..TIME_AT]);
            body.extend_from_slice(now.as_bytes());
            body.extend_from_slice(&line[TIME_AT + TIME_BYTES..]);
        }
        let posted = Instant::now();
        let mut answer = agent.post(server.url("/api/v1/logs")).send(&body[..]).expect("post lines");
        let text = answer.body_mut().read_to_string().expect("read the answer");
        match answer.status().as_u16() {
            200 => sent += per_request as u64,
            429 | 503 => {}
            status => panic!("refused with {status}: {text}"),
        }
        times.push(posted.elapsed().as_secs_f64() * 1e3);
    }
    (sent, late, times)
}

fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share) as usize]
}

fn measure_users(table: &mut Table, corpus: &Corpus) {
    eprintln!("{USERS} users while {ARRIVING} lines/s arrive …");
    let stored = crate::ingest::store(corpus);
    let server = &stored.server;
    let (metrics_from, metrics_to) = write_totals(server, 3_600);
    let (metrics_from, metrics_to) = (metrics_from.to_string(), metrics_to.to_string());
    let over = AtomicBool::new(false);
    let alone = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send_steadily(server, corpus, ARRIVING, &over));
        sleep(CROWD_SPAN / 2);
        over.store(true, Relaxed);
        sending.join().expect("the sender")
    });
    let alone_rate = alone.0 as f64 / (CROWD_SPAN / 2).as_secs_f64();
    over.store(false, Relaxed);
    let (asked, failed) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    let (day_from, day_to, hour_from, hour_to) = (&corpus.day.from, &corpus.day.to, &corpus.hour.from, &corpus.hour.to);
    let questions: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("/api/v1/logs/search", vec![("q", "error"), ("from", "15m"), ("limit", "100")]),
        (
            "/api/v1/logs/search",
            vec![("q", "service:hdfs level:warn"), ("from", day_from), ("to", day_to), ("limit", "100")],
        ),
        ("/api/v1/logs/search", vec![("q", &corpus.trace_id), ("from", day_from), ("to", day_to), ("limit", "100")]),
        (
            "/api/v1/logs/histogram",
            vec![("q", "error"), ("from", day_from), ("to", day_to), ("interval", "5m"), ("by", "level")],
        ),
        ("/api/v1/logs/histogram", vec![("q", ""), ("from", "1h"), ("interval", "1m"), ("by", "level")]),
        (
            "/api/v1/logs/facets",
            vec![("q", "error"), ("from", hour_from), ("to", hour_to), ("fields", "host,service"), ("limit", "10")],
        ),
        ("/api/v1/logs/search", vec![("q", "/blk_-?\\d{3}/"), ("from", hour_from), ("to", hour_to), ("limit", "100")]),
        (
            "/api/v1/query_range",
            vec![
                ("query", "sum by (service)(rate(long_total[5m]))"),
                ("start", &metrics_from),
                ("end", &metrics_to),
                ("step", "15"),
            ],
        ),
    ];
    let (sent, late, mut posts) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send_steadily(server, corpus, ARRIVING, &over));
        for user in 0..USERS {
            let (asked, failed, questions, over) = (&asked, &failed, &questions, &over);
            scope.spawn(move || {
                let agent = server::new_agent();
                let mut state = user as u64 + 1;
                while !over.load(Relaxed) {
                    state = next_random(state);
                    sleep(REST_MOST.mul_f64((state >> 40) as f64 / (1_u64 << 24) as f64));
                    let (path, parameters) = &questions[(state >> 33) as usize % questions.len()];
                    let request = parameters
                        .iter()
                        .fold(agent.get(server.url(path)), |request, (name, value)| request.query(*name, *value));
                    let started = Instant::now();
                    let mut answer = request.header("accept", "application/json").call().expect(path);
                    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec();
                    let is_right = answer.status().as_u16() == 200 && body.is_ok_and(|body| !body.is_empty());
                    asked.lock().expect("times").push(started.elapsed().as_secs_f64() * 1e3);
                    failed.fetch_add(u64::from(!is_right), Relaxed);
                }
            });
        }
        sleep(CROWD_SPAN);
        over.store(true, Relaxed);
        sending.join().expect("the sender")
    });
    let mut asked = asked.into_inner().expect("times");
    if failed.load(Relaxed) > 0 {
        table.wrong("50 users", &format!("{} of {} questions failed", failed.load(Relaxed), asked.len()));
    }
    let rate = sent as f64 / CROWD_SPAN.as_secs_f64();
    let remark =
        format!("{} questions, each user rests 1 s on average; p50 {:.1} ms", asked.len(), percentile(&mut asked, 0.5));
    let p99 = Spread::one(percentile(&mut asked, 0.99));
    table.row(
        "50 users, 50,000 lines/s arriving: p99",
        "ms",
        p99,
        Beside { target: Some(500.0), remark: &remark, ..Beside::default() },
    );
    let remark = format!(
        "of {alone_rate:.0} without users; the last {:.0} ms late; p99 of a request {:.0} ms",
        late.as_secs_f64() * 1e3,
        percentile(&mut posts, 0.99)
    );
    let beside = Beside { least: Some(alone_rate * 0.9), remark: &remark, ..Beside::default() };
    table.row("the same: taken", "lines/s", Spread::one(rate), beside);
    let beside = Beside { target: Some(600.0), ..Beside::default() };
    table.row("the same: peak RSS", "MiB", Spread::one(server.resident_peak_mib()), beside);
}

fn measure_followers(table: &mut Table, corpus: &Corpus) {
    eprintln!("{FOLLOWERS} followers of {FOLLOWED} lines/s …");
    let directory = crate::new_directory();
    let server = Server::start(directory.path());
    let over = AtomicBool::new(false);
    let send = |followers: usize| {
        let (seen, told) = (AtomicU64::new(0), AtomicU64::new(0));
        over.store(false, Relaxed);
        let cpu = server.cpu_seconds();
        let (sent, late, posts) = std::thread::scope(|scope| {
            for _ in 0..followers {
                let connection = follow(&server);
                let (seen, told) = (&seen, &told);
                scope.spawn(move || read_lines(connection, seen, told));
            }
            let sending = scope.spawn(|| send_steadily(&server, corpus, FOLLOWED, &over));
            sleep(FOLLOW_SPAN);
            over.store(true, Relaxed);
            sending.join().expect("the sender")
        });
        (sent, late, posts, server.cpu_seconds() - cpu, seen.into_inner(), told.into_inner())
    };
    let (alone, .., alone_cpu, _, _) = send(0);
    let (sent, late, mut posts, cpu, seen, told) = send(FOLLOWERS);
    let (alone, rate) = (alone as f64 / FOLLOW_SPAN.as_secs_f64(), sent as f64 / FOLLOW_SPAN.as_secs_f64());
    let remark = format!(
        "of {alone:.0} without; the last {:.0} ms late; p99 of a request {:.0} ms; {:.2} core, {:.2} without",
        late.as_secs_f64() * 1e3,
        percentile(&mut posts, 0.99),
        cpu / FOLLOW_SPAN.as_secs_f64(),
        alone_cpu / FOLLOW_SPAN.as_secs_f64(),
    );
    let beside = Beside { least: Some(alone * 0.9), remark: &remark, ..Beside::default() };
    table.row("100 followers of 10,000 lines/s: taken", "lines/s", Spread::one(rate), beside);
    let all = sent as f64 * FOLLOWERS as f64;
    let remark = format!("{seen} lines came, {told} more were said to be left out, of {all:.0}");
    let share = Spread::one(seen as f64 / all * 100.0);
    table.row(
        "the same: lines that came to the followers",
        "%",
        share,
        Beside { remark: &remark, ..Beside::default() },
    );
}

/// A connection that follows everything.
fn follow(server: &Server) -> BufReader<TcpStream> {
    use std::io::Write;
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
    connection.write_all(b"GET /api/v1/logs/tail?q= HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("ask");
    connection.set_read_timeout(Some(Duration::from_secs(3))).expect("a time limit");
    let mut reader = BufReader::with_capacity(256 << 10, connection);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status");
    assert!(line.contains(" 200 "), "{line}");
    reader
}

/// Counts records, and rows that gaps say were left out, until nothing but heartbeats comes for a while.
fn read_lines(mut connection: BufReader<TcpStream>, seen: &AtomicU64, told: &AtomicU64) {
    let (mut line, mut beats) = (Vec::new(), 0);
    while beats < 3 {
        line.clear();
        match connection.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.starts_with(b"{\"record\"") {
            seen.fetch_add(1, Relaxed);
            beats = 0;
        } else if line.starts_with(b"{\"gap\"") {
            let gap: serde_json::Value = serde_json::from_slice(&line).expect("a gap");
            told.fetch_add(gap["gap"]["rows"].as_u64().expect("rows"), Relaxed);
        } else if line.starts_with(b"{\"heartbeat\"") {
            beats += 1;
        }
    }
}
