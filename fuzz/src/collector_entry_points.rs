//! Everything in the collector room that reads bytes from outside: any bytes may come, and nothing may panic.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use taffrail_collector::config::Config;
use taffrail_collector::enrich::{Enricher, Parse, ReceivedLine, Zone};
use taffrail_collector::file_system::{Append, FileSystem};
use taffrail_collector::frame::{self, FrameError, HEADER_BYTES};
use taffrail_collector::journal::{JournalConfig, JournalReader, JournalWriter};
use taffrail_collector::model::{Batch, LogRecord, Resource, SampleKind, Severity, Timestamp, Value};
use taffrail_collector::simulated_file_system::SimulatedFileSystem;
use taffrail_collector::source::{
    Tallies, graphite, json_lines, otlp, prometheus_scrape, prometheus_write, statsd, syslog,
};

const ARRIVAL: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

/// Bytes as a frame; and as the body of one with sound checksums, since those keep random bytes away from the decoder.
pub fn frame(bytes: &[u8]) {
    check_frame(bytes);
    if let Some((counts, raw)) = bytes.split_first_chunk::<3>() {
        check_frame(&sealed(counts.map(u32::from), raw));
    }
}

fn check_frame(bytes: &[u8]) {
    match frame::decode(bytes) {
        Ok((batch, length)) => {
            assert!(length <= bytes.len());
            let mut again = Vec::new();
            frame::encode(&batch, &mut again).expect("what was within the limits still is");
            let (decoded, _) = frame::decode(&again).expect("what we write we read");
            assert_eq!(decoded.len(), batch.len());
        }
        Err(FrameError::Incomplete { needed, found }) => assert!(needed > found),
        Err(_) => {}
    }
}

/// A frame around a raw body: records, samples, checkpoints; as drawn in `frame/mod.rs`.
fn sealed(counts: [u32; 3], raw: &[u8]) -> Vec<u8> {
    let body = zstd::bulk::compress(raw, 1).expect("zstd compresses anything");
    let mut frame = vec![0; HEADER_BYTES];
    frame[..5].copy_from_slice(b"TFRM\x01");
    let words = [
        counts[0],
        counts[1],
        counts[2],
        u32::try_from(raw.len()).expect("inputs are small"),
        u32::try_from(body.len()).expect("inputs are small"),
        crc32c::crc32c(&body),
    ];
    for (at, word) in words.into_iter().enumerate() {
        frame[44 + 4 * at..48 + 4 * at].copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32c::crc32c(&frame[..68]);
    frame[68..72].copy_from_slice(&crc.to_le_bytes());
    frame.extend(body);
    frame
}

/// Bytes as a journal's only segment: read, recovered, written on, read again.
pub fn journal(bytes: &[u8]) {
    let disk = SimulatedFileSystem::new(1);
    let directory = Path::new("/journal");
    let path = directory.join("00000000000000000000.tfj");
    let mut file = disk.create(&path).expect("the disk is empty");
    file.append(bytes).expect("the disk has no end");
    let read = || {
        let mut reader = JournalReader::open(disk.clone(), directory, 0)?;
        let mut records = Vec::new();
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
        Ok::<_, taffrail_collector::journal::JournalError>(records)
    };
    let config = JournalConfig { directory: PathBuf::from(directory), segment_bytes_max: 1000 };
    // A segment of a newer release is refused by both, and nothing else is.
    let (Ok(before), Ok(mut journal)) = (read(), JournalWriter::open(disk.clone(), config, 0)) else {
        return assert!(read().is_err());
    };
    assert!(before.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    if journal.next_seq() < u64::MAX - 1 {
        journal.append(1, b"goes on").expect("the disk is sound");
        journal.sync().expect("the disk is sound");
        let after = read().expect("it was read before");
        assert_eq!(after[..before.len()], before);
        assert_eq!(after.len(), before.len() + 1);
    }
}

/// Bytes as a packet of StatsD lines, up to the windows they give.
pub fn statsd(bytes: &[u8]) {
    let tallies = Tallies::default();
    let mut aggregator = statsd::aggregate::Aggregator::new(&statsd_settings(), 2, ARRIVAL);
    for (thread, bytes) in bytes.splitn(2, |&byte| byte == 0).enumerate() {
        aggregator.take(thread, bytes, ARRIVAL, &tallies.of("statsd", "fuzz"));
    }
    aggregator.finish();
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Ok(line) = str::from_utf8(line) {
            let _ = statsd::event::parse(line, ARRIVAL, &Arc::default());
        }
    }
}

/// Bytes as a mapping file: refused with its place, or a map of any name.
pub fn statsd_mapping(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match statsd::mapping::file::parse("fuzz.yml", text) {
        Ok(mapping) => {
            for name in text.lines().chain(["", ".", "a.b.c", "shop.berlin.orders.paid", "größe"]) {
                for kind in [SampleKind::Counter, SampleKind::Gauge, SampleKind::Distribution, SampleKind::Set] {
                    if let Ok(found) = mapping.identify(name, [("env", "prod")].into_iter(), kind) {
                        assert!(name.is_empty() || !found.labels.name().is_empty(), "a series has a name");
                    }
                }
            }
        }
        Err(mistakes) => assert!(mistakes.to_string().lines().all(|mistake| mistake.starts_with("fuzz.yml:"))),
    }
}

fn statsd_settings() -> statsd::aggregate::Settings {
    statsd::aggregate::Settings {
        interval: Duration::from_secs(10),
        signed_is_delta: true,
        dialects: statsd::line::Dialects { implied_value: true, ..Default::default() },
        series_max: 50,
        gauge_ttl: Duration::from_secs(60),
        host: "web-1".into(),
        mapper: Arc::default(),
        etsy: None,
    }
}

/// Bytes as a request of remote write in both versions, decompressed, up to the samples it gives.
pub fn prometheus_write(bytes: &[u8]) {
    use prometheus_write::{Config, Intake, Version};
    let intake =
        Intake::new(&Config { samples_max: 10_000, labels_bytes_max: 300, series_max: 20, ..Config::default() });
    for version in [Version::One, Version::Two] {
        // What is sent again meets the series of before.
        for _ in 0..2 {
            if let Ok(mut taken) = intake.read(bytes, version) {
                assert!(taken.samples.len() <= 10_000);
                intake.stored(&mut taken);
            }
        }
    }
}

/// Bytes as an export request of OpenTelemetry in both forms, up to the samples it gives.
pub fn otlp(bytes: &[u8]) {
    use otlp::{Config, Intake, MessageForm};
    let intake = Intake::new(Config { samples_max: 10_000, labels_bytes_max: 300, ..Config::default() });
    for form in [MessageForm::Protobuf, MessageForm::Json] {
        for _ in 0..2 {
            if let Ok(taken) = intake.read(bytes, form, ARRIVAL) {
                // The series of a resource comes beside those of its points.
                assert!(taken.samples.len() <= 20_000);
                intake.stored(taken);
            }
        }
    }
}

/// Bytes as export requests of OpenTelemetry's logs and spans in both forms, up to the records they give.
pub fn otlp_records(bytes: &[u8]) {
    use otlp::{MessageForm, Signal};
    let mut enricher = Enricher::default();
    for signal in [Signal::Logs, Signal::Traces] {
        for form in [MessageForm::Protobuf, MessageForm::Json] {
            if let Ok(taken) = otlp::read_records(signal, bytes, form, &mut enricher, ARRIVAL) {
                taken.batches.into_iter().for_each(check_records);
            }
        }
    }
}

/// Bytes as lines of Graphite.
pub fn graphite(bytes: &[u8]) {
    let lines = graphite::line::LineReader::new(20, 300);
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Ok(sample) = lines.read(line, ARRIVAL) {
            assert!(!sample.labels.name().is_empty());
        }
    }
}

/// Bytes as a scraped target's answer in both formats, and as the one after it.
pub fn prometheus_scrape(bytes: &[u8]) {
    use prometheus_scrape::{Config, exposition::Format, target_series::TargetSeries};
    let Ok(text) = str::from_utf8(bytes) else { return };
    let config = Config { samples_max: 1_000, labels_bytes_max: 300, ..Config::default() };
    let mut series = TargetSeries::new(&config, "fuzz", Default::default());
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
        for part in [text, first, second] {
            let _ = series.read(part, format, ARRIVAL);
        }
    }
    series.end(ARRIVAL);
}

/// Bytes as one datagram, and as a stream that comes in pieces.
pub fn syslog(bytes: &[u8]) {
    let check = |message: &[u8]| {
        let parsed = syslog::parse(message, &Zone::UTC, ARRIVAL);
        assert!(parsed.text.len() <= message.len());
    };
    check(bytes);
    let mut framer = syslog::Framer::new(64);
    for piece in bytes.chunks(7) {
        framer.push(piece);
        while let Some(frame) = framer.next() {
            check(frame.bytes);
        }
    }
    while let Some(frame) = framer.finish() {
        check(frame.bytes);
    }
}

/// Bytes as the body of `POST /api/v1/logs`, plain or compressed, whole and in two pieces.
pub fn json_lines(bytes: &[u8]) {
    for encoding in ["", "gzip", "zstd"] {
        let Ok(decoded) = json_lines::body::decoded(bytes, encoding, 1 << 20) else { continue };
        for cut in [0, decoded.len() / 2] {
            let mut reader = json_lines::BodyReader::new(Enricher::default(), 1 << 16);
            reader.begin(Arc::default(), ARRIVAL);
            reader.feed(decoded[..cut].to_vec());
            reader.feed(decoded[cut..].to_vec());
            check_records(reader.finish().batches.concat());
        }
    }
}

/// Bytes as lines of a file, in every way of reading them.
pub fn enrich(bytes: &[u8]) {
    // Compiling the patterns takes a thousand times as long as reading a line with them.
    static ENRICHERS: LazyLock<Vec<Enricher>> = LazyLock::new(|| {
        let own =
            [Parse::Grok("%{COMBINEDAPACHELOG}|%{SYSLOGLINE}".to_owned()), Parse::Regex("(?<message>.*)=".to_owned())];
        let formats =
            [Parse::Auto, Parse::Json, Parse::Logfmt, Parse::None, Parse::Nginx, Parse::Apache, Parse::Syslog];
        let with_parse = |parse| Enricher::new(Zone::UTC).with_parse(&parse, "parse").expect("these patterns compile");
        formats.into_iter().chain(own).map(with_parse).collect()
    });
    let resource = Arc::new(Resource::default());
    for mut enricher in ENRICHERS.iter().cloned() {
        let lines = bytes.split(|&byte| byte == b'\n');
        check_records(
            lines.filter_map(|line| enricher.enrich(ReceivedLine::plain(line, ARRIVAL, &resource))).collect(),
        );
    }
}

/// Bytes as a line, in the formats of web servers, with everything on that changes lines; what is redacted once stays so.
pub fn shape(bytes: &[u8]) {
    static ENRICHERS: LazyLock<Vec<Enricher>> = LazyLock::new(|| {
        let rules = r#"[{"where":{"level":"<info","message":"*a*"},"sample":0.5},{"copy":{"m":"message"},"rename":{"a":"level","b":"trace_id"},"drop":"c*","add":{"service":"x"}}]"#;
        let rules = serde_json::from_str(rules).expect("good rules");
        let config = Config { shape: rules, ..Config::default() };
        let with_parse =
            |parse| config.enricher().and_then(|enricher| enricher.with_parse(&parse, "parse")).expect("good settings");
        [Parse::Auto, Parse::Nginx, Parse::Apache].map(with_parse).into()
    });
    let resource = Arc::new(Resource::default());
    for mut enricher in ENRICHERS.iter().cloned() {
        let mut read = |line: &[u8]| enricher.enrich(ReceivedLine::plain(line, ARRIVAL, &resource));
        let records: Vec<_> = bytes.split(|&byte| byte == b'\n').filter_map(&mut read).collect();
        for record in &records {
            if let Some(again) = read(record.body.as_bytes()).filter(|_| !record.body.starts_with('{')) {
                assert_eq!(again.body, record.body);
            }
        }
        check_records(records);
    }
}

/// Bytes as a grok pattern and a line for it: the pattern compiles or says where it is wrong.
pub fn grok(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, line) = text.split_once('\n').unwrap_or((&text, ""));
    for parse in [Parse::Grok(pattern.to_owned()), Parse::Regex(pattern.to_owned())] {
        match Enricher::default().with_parse(&parse, "parse") {
            Ok(mut enricher) => {
                let resource = Arc::new(Resource::default());
                check_records(
                    enricher.enrich(ReceivedLine::plain(line.as_bytes(), ARRIVAL, &resource)).into_iter().collect(),
                );
            }
            Err(error) => assert!(error.message.contains("at character "), "{error}"),
        }
    }
}

/// Whatever a source makes, a frame can hold.
fn check_records(logs: Vec<LogRecord>) {
    let count = logs.len();
    let mut frame = Vec::new();
    frame::encode(&Batch { logs, ..Batch::local() }, &mut frame).expect("a small input gives a small batch");
    assert_eq!(frame::decode(&frame).expect("what we write we read").0.logs.len(), count);
}

/// Good inputs of each entry point, to start from.
pub fn seeds(entry_point: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match entry_point {
        "frame" => return vec![frame_seed(), raw_seed()],
        "journal" => return vec![journal_seed()],
        "statsd" => &[
            "web.hits:1|c|@0.1|#env:prod,host:a\nweb.time:12.5:13|ms\nusers:alice|s\ntemp:-3|g\nload:+2|g",
            "_e{5,4}:title|text|t:warning|#k:v\n_sc|db|1|m:down\na;k=v:1|d|#trace_id:4bf92f3577b34da6a3ce929d0e0e4736",
            "a:1|c:2|c|@0.1:320|ms\na.[k=v,l=w]b:1|c\na,k=v:1|g|T1656581400|c:ci-1|e:it-false|card:low\na#k=v:1:2|h\na|C|#k:v",
        ],
        "statsd_mapping" => &[
            "defaults: {match_type: glob, ttl: 1m, glob_disable_ordering: false}\nmappings:\n- match: shop.*.orders.*\n  name: orders_${2}\n  labels: {shop: $1}\n  honor_labels: true\n- match: '^a\\.(?<x>.+)$'\n  match_type: regex\n  match_metric_type: observer\n  name: $x\n  ttl: 5s\n",
            "mappings:\n- match: .\n  match_type: regex\n  action: drop\n- {match: '*', name: $1, labels: {a: b}, observer_type: histogram, help: x}\n",
        ],
        "prometheus_write" => {
            return vec![
                // A series of version 1.0: labels, a sample, an exemplar, a native histogram of two buckets.
                [
                    &b"\x0a\x4f\x0a\x0e\x0a\x08__name__\x12\x02up\x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xe8\x07"[..],
                    b"\x1a\x15\x0a\x08\x0a\x03k.x\x12\x01v\x11\0\0\0\0\0\0\xf0\x3f",
                    b"\x22\x14\x08\x03\x20\x06\x30\x01\x5a\x04\x08\x02\x10\x02\x62\x02\x02\x02\x70\x00\x78\x90\x4e",
                ]
                .concat(),
                // Version 2.0: four symbols, a series with a sample and metadata.
                [
                    &b"\x22\0\x22\x08__name__\x22\x01a\x22\x01s\x2a\x16\x0a\x02\x01\x02"[..],
                    b"\x12\x0a\x09\0\0\0\0\0\0\xf0\x3f\x10\x07\x2a\x04\x08\x01\x20\x03",
                ]
                .concat(),
            ];
        }
        "otlp" => &[
            "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]},\"scopeMetrics\":[{\"metrics\":[{\"name\":\"took\",\"exponentialHistogram\":{\"aggregationTemporality\":2,\"dataPoints\":[{\"timeUnixNano\":\"20\",\"count\":\"3\",\"scale\":3,\"positive\":{\"offset\":-1,\"bucketCounts\":[\"1\",\"2\"]}}]}}]}]}]}",
            "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"h\",\"histogram\":{\"aggregationTemporality\":1,\"dataPoints\":[{\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"count\":\"1\",\"sum\":2.5,\"bucketCounts\":[\"1\",\"0\"],\"explicitBounds\":[0.5]}]}},{\"name\":\"s\",\"sum\":{\"aggregationTemporality\":2,\"isMonotonic\":true,\"dataPoints\":[{\"asInt\":\"7\",\"flags\":1}]}}]}]}]}",
            "\n\x1d\x12\x1b\x12\x19\n\x01g*\x14\n\x12\x19\0\0\0\0\0\0\0\x011\x07\0\0\0\0\0\0\0",
        ],
        "otlp_records" => &[
            "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]},\"scopeLogs\":[{\"scope\":{\"name\":\"l\"},\"logRecords\":[{\"timeUnixNano\":\"20\",\"severityNumber\":17,\"body\":{\"stringValue\":\"a b\"},\"attributes\":[{\"key\":\"m\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"n\",\"value\":{\"intValue\":\"1\"}}]}}}],\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"spanId\":\"00f067aa0ba902b7\"},{\"body\":{\"stringValue\":\"level=info a=1\"}}]}]}]}",
            "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"spanId\":\"00f067aa0ba902b7\",\"parentSpanId\":\"00f067aa0ba902b8\",\"name\":\"GET /\",\"kind\":2,\"startTimeUnixNano\":\"5\",\"endTimeUnixNano\":\"9\",\"status\":{\"code\":2,\"message\":\"no\"},\"events\":[{\"name\":\"exception\",\"timeUnixNano\":\"6\",\"attributes\":[{\"key\":\"exception.type\",\"value\":{\"stringValue\":\"E\"}}]}],\"links\":[{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}]}]}]}]}",
            "\n\x19\x12\x17\x12\x15\x09\x01\0\0\0\0\0\0\0\x10\x09\x1a\x01i*\x05\n\x03a=b",
        ],
        "graphite" => &[
            "a.b.c;dc=x;rack=1 1.5 1700000000\na.b -1 N\nup +Inf -1\nt;trace_id=4bf92f3577b34da6a3ce929d0e0e4736 1e3 1.5",
        ],
        "prometheus_scrape" => &[
            "# TYPE a counter\n# UNIT a seconds\na_total{x=\"1\\n\",job=\"j\"} 3 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.5 1.25\n# EOF\n",
            "h_bucket{le=\"+Inf\"} 3 1395066363000\n{\"a.b\",\"k.x\"=\"}\"} NaN\nup 1\n",
        ],
        "syslog" => &[
            "<34>1 2026-10-11T22:14:15.003Z host su - ID47 [ex@1 iut=\"3\" a=\"q\\\"\"] \u{feff}'su root' failed",
            "<13>Oct 11 22:14:15 host app[12]: hello\n23 <13>Oct  1 02:14:15 a b\n<1>x",
        ],
        "shape" => &[
            "10.0.0.1 - ann [10/Oct/2026:13:55:36 +0200] \"GET /a?token=a1b2c3d4e5 HTTP/1.1\" 200 2326 \"-\" \"x\" rt=0.1\nA: Bearer a1b2c3d4e5f6a7b8c9",
            "2026/11/21 07:33:00 [error] 1#2: *3 no, client: ::1, request: \"GET / HTTP/1.1\"\npassword=\"a\\\"b\" postgres://u:p@h/d 4111 1111 1111 1111",
            "{\"a\":\"WARN\",\"b\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"password\":[\"x\",4111111111111111]}\n-----BEGIN RSA PRIVATE KEY-----",
            "[Sat Nov 21 07:33:00.1 2026] [core:error] [pid 1:tid 2] [client ::1:5] AH00126: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP",
        ],
        "grok" => &[
            "%{IP:client} \\[%{HTTPDATE:timestamp}\\] %{QS:[a][b]} %{NUMBER:took:float}\n10.0.0.1 [10/Oct/2026:13:55:36 +0200] \"x\" 1.5",
            "^(?<a>[0-9]+)(?:%{WORD:w}|%{DATA})%{INT:n:int}$\n12ab3",
        ],
        "json_lines" => &[
            "{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"warn\",\"msg\":\"a\",\"a\":{\"b\":[1,2.5,null,{\"c\":true}]}}\n{\"msg\":\"\\ud83d\\ude00\"}",
            "[{\"message\":\"x\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"},{\"ts\":1790000000123}]",
        ],
        _ => &[
            "2026-01-01 10:00:00,123 ERROR [main] traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 died",
            "level=info msg=\"a \\\"b\\\"\" dur=1.5ms ok=true trace_id=1\n{\"level\":\"E\",\"msg\":\"x\",\"dd.trace_id\":\"123\"}",
            "10.0.0.1 - - [10/Oct/2026:13:55:36 +0200] \"GET / HTTP/1.1\" 200 2326\nE0102 03:04:05.678 1 a.go:1] text",
        ],
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn frame_seed() -> Vec<u8> {
    let resource = Arc::new(Resource { host: "web-1".into(), service: "shop".into(), attributes: Vec::new() });
    let record = |n: i64| LogRecord {
        timestamp: ARRIVAL,
        observed_timestamp: ARRIVAL,
        severity: Severity::WARN,
        severity_text: "WARN".into(),
        body: format!("order {n} failed"),
        trace_id: taffrail_collector::model::TraceId::new(7),
        span_id: None,
        resource: Arc::clone(&resource),
        attributes: vec![
            ("n".into(), Value::Int(n)),
            ("list".into(), Value::Array(vec![Value::Null, Value::from("x")])),
        ],
    };
    let batch = Batch { logs: (0..3).map(record).collect(), ..Batch::local() };
    let mut frame = Vec::new();
    frame::encode(&batch, &mut frame).expect("a small batch");
    frame
}

/// The body of [`frame_seed`], as [`frame`] takes it: three counts and the raw bytes.
fn raw_seed() -> Vec<u8> {
    let raw = zstd::bulk::decompress(&frame_seed()[HEADER_BYTES..], 1 << 20).expect("we compressed it");
    [&[3, 0, 0][..], &raw].concat()
}

fn journal_seed() -> Vec<u8> {
    let (disk, directory) = (SimulatedFileSystem::new(1), PathBuf::from("/journal"));
    let config = JournalConfig { directory: directory.clone(), segment_bytes_max: u64::MAX };
    let mut journal = JournalWriter::open(disk.clone(), config, 0).expect("an empty disk");
    for n in 0..5u8 {
        journal.append(u32::from(n), &vec![n; usize::from(n) * 9]).expect("the disk is sound");
    }
    disk.read(&directory.join("00000000000000000000.tfj")).expect("it was written just now")
}
