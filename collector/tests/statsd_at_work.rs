//! The StatsD receiver while it works: an administrator's session, a mapping file that changes, and floods of bad input.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::delivery::{self, Outcome};
use taffrail_collector::model::{Resource, Sample, SampleValue, Timestamp, is_stale};
use taffrail_collector::source::statsd::aggregate::{Aggregator, Settings};
use taffrail_collector::source::statsd::mapping::mapper::Mapper;
use taffrail_collector::source::{Running, SourceContext, Tallies, Tally, statsd};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Receiver {
    running: Running,
    samples: JoinHandle<Vec<Sample>>,
    stop: CancellationToken,
    tallies: Arc<Tallies>,
    socket: UdpSocket,
}

impl Receiver {
    fn start(config: statsd::Config) -> Receiver {
        let (outlet, mut deliveries) = delivery::channel(4);
        let context = SourceContext {
            outlet,
            tallies: Arc::default(),
            enricher: Default::default(),
            resource: Arc::new(Resource { host: "h".into(), ..Resource::default() }),
            checkpoints: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (stop, tallies) = (context.stop.clone(), Arc::clone(&context.tallies));
        let running = statsd::start(config, context).unwrap();
        let samples = tokio::spawn(async move {
            let mut samples = Vec::new();
            while let Some(delivery) = deliveries.recv().await {
                samples.extend(delivery.batch.samples);
                delivery.receipt.answer(Outcome::Stored { acked_through: None });
            }
            samples
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(running.address.unwrap()).unwrap();
        Receiver { running, samples, stop, tallies, socket }
    }

    /// Sends a packet and waits until it is taken.
    async fn send(&self, packet: &str) {
        let taken =
            || self.tallies.snapshot().iter().map(|tally| tally.records + problems(&tally.problems)).sum::<u64>();
        let before = taken();
        self.socket.send(packet.as_bytes()).unwrap();
        while taken() < before + packet.lines().count() as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) -> Vec<Sample> {
        self.stop.cancel();
        self.running.task.await.unwrap();
        self.samples.await.unwrap()
    }
}

fn problems(problems: &[taffrail_collector::source::ProblemSnapshot]) -> u64 {
    problems.iter().map(|problem| problem.count).sum()
}

fn day_long() -> statsd::Config {
    let flush_interval = Duration::from_secs(86_400);
    statsd::Config { address: "127.0.0.1:0".parse().unwrap(), flush_interval, ..statsd::Config::default() }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What an administrator reads who sends these lines and hangs up.
fn session(address: SocketAddr, lines: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(lines.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sees_and_deletes_what_is_held() {
    let admin = free_address();
    let receiver = Receiver::start(statsd::Config { admin_address: admin.to_string().parse().unwrap(), ..day_long() });
    receiver
        .send("a.b:3|c\na.c:4|c|#env:prod\na:5|c\nlevel:7|g\nlevel.x:-1.5|g\ntook:10|ms\ntook:30|ms|@0.5\nbad")
        .await;
    let check = |lines: &'static str, expected: &'static str| async move {
        let answer = tokio::task::spawn_blocking(move || session(admin, lines)).await.unwrap();
        assert_eq!(answer, expected, "{lines}");
    };
    let help = "Commands: stats, counters, timers, gauges, delcounters, deltimers, delgauges, health, config, quit\n\n";
    check("help\r\n", help).await;
    check("counters\n", "{\n  'a': 5,\n  'a.b': 3,\n  'a.c;env=prod': 4\n}\nEND\n\n").await;
    check("gauges", "{\n  'level': 7,\n  'level.x': -1.5\n}\nEND\n\n").await;
    check("timers\n", "{\n  'took': { count: 3, sum: 70, lower: 10, upper: 30 }\n}\nEND\n\n").await;
    check("health\nhealth down\nhealth\nhealth up\n", "health: up\nhealth: down\nhealth: down\nhealth: up\n").await;
    check("nonsense\n\nquit\nhelp\n", "ERROR\nERROR\n").await;
    check("delcounters a.* b\n", "deleted: a.b\ndeleted: a.c;env=prod\nmetric b not found\nEND\n\n").await;
    check("delgauges level\n", "deleted: level\nEND\n\n").await;
    check("deltimers took\ntimers\n", "deleted: took\nEND\n\n{}\nEND\n\n").await;
    check("counters\n", "{\n  'a': 5\n}\nEND\n\n").await;
    let stats = tokio::task::spawn_blocking(move || session(admin, "stats\n")).await.unwrap();
    let fields: BTreeMap<&str, &str> = stats.lines().filter_map(|line| line.split_once(": ")).collect();
    let names = ["graphite.flush_length", "graphite.flush_time", "graphite.last_exception", "graphite.last_flush"];
    let more = ["messages.bad_lines_seen", "messages.last_msg_seen", "uptime"];
    assert_eq!(fields.keys().copied().collect::<Vec<_>>(), [&names[..], &more[..]].concat());
    assert_eq!(fields["messages.bad_lines_seen"], "1");
    assert!(fields["messages.last_msg_seen"].parse::<u64>().unwrap() < 60 && stats.ends_with("END\n\n"), "{stats}");
    let config = tokio::task::spawn_blocking(move || session(admin, "config\n")).await.unwrap();
    assert!(config.contains("gauge_sign: delta\n"), "{config}");
    receiver.send("a.b:1|c").await;
    let counters = receiver.stop().await.into_iter().filter_map(|sample| match sample.value {
        SampleValue::Counter { sum } => Some((sample.labels.name().to_owned(), sum)),
        _ => None,
    });
    assert_eq!(counters.collect::<BTreeMap<_, _>>(), BTreeMap::from([("a".into(), 5.0), ("a.b".into(), 1.0)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_mapping_names_the_series_that_are_known_already_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mapping.yml");
    let write = |text: &str| std::fs::write(&path, format!("mappings:\n{text}")).unwrap();
    write("- {match: web.*, name: hits, labels: {page: $1}}\n");
    let flush_interval = Duration::from_millis(500);
    let config = statsd::Config { mapping_file: Some(path.clone()), flush_interval, ..day_long() };
    let receiver = Receiver::start(config);
    let send_until = async |log: &dyn Fn() -> bool| {
        while !log() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    receiver.send("web.a:1|c\nweb.a:1|c\ndropped:1|c").await;
    // What is new in a window gets its name at the window's end.
    tokio::time::sleep(flush_interval * 3).await;
    write("- {match: web.*, name: }\n");
    let bad = || {
        let tallies = receiver.tallies.snapshot();
        tallies.iter().flat_map(|tally| &tally.problems).any(|problem| problem.reason == "bad_mapping_file")
    };
    send_until(&bad).await;
    receiver.send("web.a:1|c").await;
    write("- {match: web.*, name: page_hits, labels: {page: $1}}\n- {match: dropped, action: drop}\n");
    // Until the change is seen lines go to the old name; afterwards every one goes to the new.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    receiver.send("web.a:10|c\nweb.b:10|c\ndropped:7|c\ndropped:8|c").await;
    let tallies = Arc::clone(&receiver.tallies);
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for sample in receiver.stop().await {
        let SampleValue::Counter { sum } = sample.value else { panic!("{sample:?}") };
        *sums.entry(sample.labels.to_string()).or_default() += sum;
    }
    let expected = [
        (r#"dropped{host="h"}"#, 1.0),
        (r#"hits{host="h", page="a"}"#, 3.0),
        (r#"page_hits{host="h", page="a"}"#, 10.0),
        (r#"page_hits{host="h", page="b"}"#, 10.0),
    ];
    assert_eq!(sums, expected.map(|(name, sum)| (name.to_owned(), sum)).into());
    let dropped: Vec<_> = tallies.snapshot().into_iter().flat_map(|tally| tally.rules).collect();
    let dropped: Vec<_> = dropped.iter().map(|rule| (&*rule.rule, rule.effect, rule.count)).collect();
    assert_eq!(dropped, [("collector.statsd.mapping_file", "dropped", 2)]);
}

#[test]
fn a_bad_mapping_file_stops_the_start_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mapping.yml");
    std::fs::write(&path, "mappings:\n- match: a.*\n  name: $2\n").unwrap();
    let config = statsd::Config { mapping_file: Some(path.clone()), ..day_long() };
    let expected =
        format!("collector.statsd.mapping_file: {}:3:9: `$2` names no capture: the pattern has 1", path.display());
    assert_eq!(config.check().unwrap_err().to_string(), expected);
    let missing = statsd::Config { mapping_file: Some(Path::new("/nowhere.yml").into()), ..day_long() };
    assert!(missing.check().unwrap_err().to_string().contains("/nowhere.yml: No such file"));
}

/// A line of bad input, and the reason under which it is counted; none when it is taken.
fn bad_lines() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let day = |sign: i64| Timestamp::now().unix_nanos() / 1_000_000_000 + sign * 86_400;
    let line = |text: &str, reason| (text.as_bytes().to_vec(), reason);
    vec![
        line(&format!("{}:1|c", "n".repeat(10_240)), Some("key_too_long")),
        line("bad:NaN|g", Some("bad_value")),
        line("bad:inf|c", Some("bad_value")),
        line("bad:-Infinity|ms", Some("bad_value")),
        line("bad:1e300|h", Some("bad_value")),
        line("bad:1|c|@0", Some("bad_sample_rate")),
        line("rare:1|c|@1e-3", None),
        line("fell:-5|c", None),
        (b"\xFF\xFE\x01\x00\x80".to_vec(), Some("invalid_utf8")),
        (b"a\x01b:1|c".to_vec(), Some("control_character")),
        line("half.a.li", Some("missing_value")),
        line("half:32", Some("missing_type")),
        line("half:320|m", None), // of `ms`, and a meter
        line("half:320|", Some("unknown_type")),
        line(&format!("late:1|c|T{}", day(-1)), None),
        line(&format!("early:1|c|T{}", day(1)), Some("future_timestamp")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_of_every_kind_through_every_door_is_counted_by_its_reason_and_harms_no_neighbour() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| Some(directory.path().join(name));
    let config = statsd::Config { unix_path: path("d"), unix_stream_path: path("s"), ..day_long() };
    let receiver = Receiver::start(config);
    let mut stream = TcpStream::connect(receiver.running.address.unwrap()).unwrap();
    let unix = std::os::unix::net::UnixDatagram::unbound().unwrap();
    unix.connect(path("d").unwrap()).unwrap();
    let mut unix_stream = std::os::unix::net::UnixStream::connect(path("s").unwrap()).unwrap();
    let lines = bad_lines();
    for (line, _) in &lines {
        let packet = [line, &b"\ngood:1|c"[..]].concat();
        assert_eq!(receiver.socket.send(&packet).unwrap(), packet.len());
        assert_eq!(unix.send(&packet).unwrap(), packet.len());
        for door in [&mut stream as &mut dyn Write, &mut unix_stream] {
            door.write_all(&packet).unwrap();
            door.write_all(b"\n").unwrap();
        }
    }
    drop((stream, unix_stream));

    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    lines.iter().filter_map(|(_, reason)| *reason).for_each(|reason| *expected.entry(reason).or_default() += 1);
    let taken = lines.len() as u64 * 2 - expected.values().sum::<u64>();
    let counted = || -> Vec<(u64, BTreeMap<&str, u64>)> {
        let of_door = |tally: taffrail_collector::source::TallySnapshot| {
            (tally.records, tally.problems.iter().map(|problem| (problem.reason, problem.count)).collect())
        };
        receiver.tallies.snapshot().into_iter().map(of_door).collect()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while counted() != vec![(taken, expected.clone()); 4] {
        assert!(std::time::Instant::now() < deadline, "{:?} for {taken} and {expected:?}", counted());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for sample in receiver.stop().await {
        let SampleValue::Counter { sum } = sample.value else { panic!("{sample:?}") };
        *sums.entry(sample.labels.name().to_owned()).or_default() += sum;
    }
    let good = lines.len() as f64 * 4.0;
    let expected = [("fell", -20.0), ("good", good), ("half", 1_280.0), ("late", 4.0), ("rare", 4_000.0)];
    assert_eq!(sums, expected.map(|(name, sum)| (name.to_owned(), sum)).into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_bomb_through_a_connection_is_stored_or_counted_to_the_last_line() {
    const LINES: u64 = 50_000;
    let receiver = Receiver::start(statsd::Config { series_max: 500, ..day_long() });
    let address = receiver.running.address.unwrap();
    let sending = tokio::task::spawn_blocking(move || {
        let mut stream = std::io::BufWriter::new(TcpStream::connect(address).unwrap());
        for value in 0..LINES {
            writeln!(stream, "bomb:1|c|#user:{value}\ngood:1|c").unwrap();
        }
        stream.flush().unwrap();
    });
    sending.await.unwrap();
    let seen = || receiver.tallies.snapshot().iter().map(|tally| tally.bytes).sum::<u64>();
    let bytes: u64 = (0..LINES).map(|value| format!("bomb:1|c|#user:{value}\ngood:1|c\n").len() as u64).sum();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while seen() < bytes {
        assert!(std::time::Instant::now() < deadline, "{} of {bytes} bytes", seen());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let samples = receiver.stop().await;
    let sum_of = |name: &str| -> f64 {
        let of_name = samples.iter().filter(|sample| sample.labels.name() == name);
        of_name.map(|sample| if let SampleValue::Counter { sum } = sample.value { sum } else { 0.0 }).sum()
    };
    assert_eq!(sum_of("good"), LINES as f64, "the neighbour is unharmed");
    assert_eq!(sum_of("bomb") + sum_of("taffrail.statsd.overflow"), LINES as f64, "sent = stored + counted");
    assert!(sum_of("taffrail.statsd.overflow") > 0.0 && samples.len() < 1_000, "{} samples", samples.len());
}

fn aggregator(series_max: usize) -> (Aggregator, Arc<Tally>, Timestamp) {
    let (settings, tally, now) = settings(series_max);
    (Aggregator::new(&settings, 1, now), tally, now)
}

fn settings(series_max: usize) -> (Settings, Arc<Tally>, Timestamp) {
    let settings = Settings {
        interval: Duration::from_secs(10),
        signed_is_delta: true,
        dialects: Default::default(),
        series_max,
        gauge_ttl: Duration::from_secs(60),
        host: "h".into(),
        mapper: Arc::default(),
        etsy: None,
    };
    (settings, Tallies::default().of("statsd", "test"), Timestamp::from_unix_seconds(1_790_000_000))
}

#[test]
fn the_ttl_of_a_rule_ends_a_silent_gauge_before_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mapping.yml");
    std::fs::write(&path, "mappings:\n- {match: level.*, name: level, labels: {of: $1}, ttl: 20s}\n").unwrap();
    let (settings, tally, start) = settings(1_000);
    let settings = Settings { mapper: Arc::new(Mapper::open(Some(&path)).unwrap()), ..settings };
    let mut aggregator = Aggregator::new(&settings, 1, start);
    aggregator.take(0, b"level.a:5|g\nother:5|g", start, &tally);
    (0..6).for_each(|window| aggregator.tick(start.saturating_add(Duration::from_secs(10 * window))));
    let ended = aggregator.ready().samples.into_iter().filter(|sample| match sample.value {
        SampleValue::Gauge { last, .. } => is_stale(last),
        _ => false,
    });
    let ended: Vec<String> = ended.map(|sample| sample.labels.to_string()).collect();
    assert_eq!(ended, [r#"level{host="h", of="a"}"#]);
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[test]
fn a_tag_bomb_of_a_million_values_is_counted_and_costs_bounded_memory() {
    let (mut aggregator, tally, start) = aggregator(1_000);
    aggregator.take(0, b"good:1|c", start, &tally);
    let before = resident_bytes();
    let mut now = start;
    let mut value = 0;
    let mut packet = String::new();
    while value < 1_000_000 {
        packet.clear();
        for _ in 0..1_000 {
            use std::fmt::Write as _;
            writeln!(packet, "bomb:1|c|#user:{value}").unwrap();
            value += 1;
        }
        packet.push_str("good:1|c");
        now = now.saturating_add(Duration::from_millis(25)); // three windows in all
        aggregator.take(0, packet.as_bytes(), now, &tally);
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for a thousand series");
    let samples = aggregator.finish().samples;
    let sum_of = |name: &str| -> f64 {
        let of_name = samples.iter().filter(|sample| sample.labels.name() == name);
        of_name.map(|sample| if let SampleValue::Counter { sum } = sample.value { sum } else { 0.0 }).sum()
    };
    assert_eq!(sum_of("good"), 1_001.0, "the neighbour is unharmed");
    assert_eq!(sum_of("bomb") + sum_of("taffrail.statsd.overflow"), 1_000_000.0, "sent = stored + counted");
    assert!(samples.len() < 5_000, "{} samples", samples.len());
}

#[test]
fn names_of_ten_kilobytes_binary_and_halves_of_datagrams_are_counted_by_reason() {
    let (mut aggregator, tally, now) = aggregator(1_000);
    let long = format!("{}:1|c\n{}", "n".repeat(10_240), "good:1|c");
    let binary: Vec<u8> = (0..=255).cycle().take(8_192).collect();
    let whole = b"good:1|c\nhalf.a.line:320|ms|#env:prod\ngood:1|c";
    let mut sent = 0;
    aggregator.take(0, long.as_bytes(), now, &tally);
    aggregator.take(0, &binary, now, &tally);
    for end in 9..whole.len() {
        aggregator.take(0, &whole[..end], now, &tally);
        sent += 1;
    }
    let good = aggregator.finish().samples.into_iter().find(|sample| sample.labels.name() == "good").unwrap();
    assert!(matches!(good.value, SampleValue::Counter { sum } if sum == 1.0 + f64::from(sent)), "{good:?}");
    let reasons: Vec<&str> = tally.snapshot().problems.iter().map(|problem| problem.reason).collect();
    for reason in ["key_too_long", "invalid_utf8", "missing_value", "missing_type", "unknown_type"] {
        assert!(reasons.contains(&reason), "{reason} is not in {reasons:?}");
    }
}

#[test]
fn clocks_a_day_off_are_taken_when_they_are_late_and_refused_when_they_are_early() {
    let (mut aggregator, tally, now) = aggregator(1_000);
    let seconds = 1_790_000_000_i64;
    for off in [-86_400, -3_600, 3_600, 86_400] {
        aggregator.take(0, format!("a:1|c|T{}", seconds + off).as_bytes(), now, &tally);
    }
    let mut moments: Vec<Timestamp> = aggregator.finish().samples.iter().map(|sample| sample.timestamp).collect();
    moments.sort();
    assert_eq!(moments, [-86_400, -3_600].map(|off| Timestamp::from_unix_seconds(seconds + off)));
    let problems = tally.snapshot().problems;
    assert_eq!(problems.iter().map(|one| (one.reason, one.count)).collect::<Vec<_>>(), [("future_timestamp", 2)]);
}
