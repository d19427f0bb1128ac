//! Senders of metrics that are not ours, as their users run them: OpenTelemetry's SDK, `graphyte`, `prometheus_client` as a
//! target that is read, and Debian's Prometheus writing what it scrapes to us. A machine without them skips these tests visibly.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::server::{Server, taffrail, wait_for};

/// A program of `target/test-clients`, where `tests/prepare.sh` puts them.
fn client(path: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients").join(path);
    if program.exists() {
        return Some(program);
    }
    println!("SKIPPED: no {}; run tests/prepare.sh", program.display());
    let may_be_missing = path.starts_with("prometheus/") || std::env::var_os("CI").is_none();
    assert!(may_be_missing, "in CI the Python clients must be there");
    None
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The value of the only series that the question finds.
fn value(server: &Server, question: &str) -> f64 {
    wait_for(question, || server.promql(question).first().map(|(_, value)| *value))
}

/// Type, help and unit of a metric, as its sender says them.
fn metadata(server: &Server, metric: &str) -> [String; 3] {
    wait_for(metric, || {
        let (_, answer) = server.get(&format!("/api/v1/metadata?metric={metric}"));
        let entry = answer["data"][metric].get(0)?.clone();
        let said = ["type", "help", "unit"].map(|of| entry[of].as_str().unwrap_or_default().to_owned());
        (!said[1].is_empty()).then_some(said)
    })
}

/// A program that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn opentelemetrys_python_sdk_is_understood() {
    let Some(python) = client("bin/python") else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let script = r#"
import sys
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
exporter = OTLPMetricExporter(endpoint=sys.argv[1], compression=Compression.Gzip)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
views = [View(instrument_name="slow", aggregation=ExponentialBucketHistogramAggregation())]
resource = Resource({"service.name": "shop", "service.instance.id": "i-1", "cloud.region": "eu"})
provider = MeterProvider([reader], resource, views=views)
meter = provider.get_meter("tests")
meter.create_counter("shop.orders", unit="1", description="Orders taken.").add(3, {"kind": "book"})
meter.create_up_down_counter("shop.open").add(-2)
meter.create_gauge("shop.level").set(1.5)
took = meter.create_histogram("shop.took", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
slow = meter.create_histogram("slow")
for seconds in (0.05, 0.5, 0.5, 7): took.record(seconds); slow.record(seconds)
provider.force_flush()
for seconds in (1, 2, 3): slow.record(seconds)
provider.force_flush()
provider.shutdown()
"#;
    run(Command::new(python).args(["-c", script, &server.url("/v1/metrics")]));
    let check = |question: &str, expected: f64| {
        let found = value(&server, question);
        assert!((found / expected - 1.0).abs() < 0.02, "{question}: {found}");
    };
    check(r#"{"shop.orders", service="shop", instance="i-1", kind="book"}"#, 3.0);
    assert_eq!(metadata(&server, "shop.orders"), ["counter", "Orders taken.", "1"]);
    check(r#"{"shop.open"}"#, -2.0);
    check(r#"{"shop.level"}"#, 1.5);
    check(r#"{"shop.took_bucket", le="1"}"#, 3.0);
    check(r#"{"shop.took_count"}"#, 4.0);
    check(r#"{"shop.took_sum"}"#, 8.05);
    check(r#"target_info{service="shop", "cloud.region"="eu"}"#, 1.0);
    check(r#"{"slow_count"}"#, 3.0);
    // Its buckets from 0.05 to 7 are 4 % wide, and the sketch adds its own hundredth.
    let median = value(&server, r#"{"slow", quantile="0.5"}"#);
    assert!((median / 2.0 - 1.0).abs() < 0.035, "{median}");
    let (_, ingest) = server.get("/api/v1/ingest");
    let otlp = ingest["sources"].as_array().unwrap().iter().find(|source| source["kind"] == "otlp").unwrap();
    assert_eq!(otlp["problems"], serde_json::json!([]));
}

#[test]
fn opentelemetrys_python_sdk_speaks_grpc_to_the_server_and_to_a_port_of_its_own() {
    let Some(python) = client("bin/python") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut command = taffrail();
    command.args(["serve", "--no-host"]).env("TAFFRAIL_COLLECTOR_OTLP_GRPC_ADDRESS", "127.0.0.1:0");
    let server = Server::start_command(&mut command, &directory.path().join("data"), &[]);
    let script = r#"
import logging, sys
from grpc import Compression
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
to = dict(endpoint=sys.argv[1], insecure=True, compression=Compression.Gzip)
resource = Resource({"service.name": "shop", "door": sys.argv[2]})
traces = TracerProvider(resource=resource)
traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(**to)))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(**to)))
log = logging.getLogger("cart")
log.addHandler(LoggingHandler(logger_provider=logs))
tracer = traces.get_tracer("tests")
with tracer.start_as_current_span("checkout") as span:
    span.set_attribute("order.id", 7)
    with tracer.start_as_current_span("pay"):
        log.warning("card %s declined", "4111")
    print(format(span.get_span_context().trace_id, "032x"))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(**to), export_interval_millis=3_600_000)
meters = MeterProvider([reader], resource)
meters.get_meter("tests").create_counter("orders." + sys.argv[2]).add(3)
for provider in (traces, logs, meters): provider.shutdown()
"#;
    for (door, address) in [("http", server.http), ("own", server.otlp_grpc.expect("it is switched on"))] {
        let output = Command::new(&python).args(["-c", script, &address.to_string(), door]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success() && said.len() == 32, "{said}: {}", String::from_utf8_lossy(&output.stderr));
        let trace = wait_for(door, || {
            let (status, trace) = server.get(&format!("/api/v1/traces/{said}"));
            (status == 200 && trace["records"].as_array().is_some_and(|records| records.len() == 3)).then_some(trace)
        });
        let spans: Vec<_> = trace["spans"].as_array().unwrap().iter().map(|span| &span["name"]).collect();
        assert_eq!(spans, ["checkout", "pay"], "{trace}");
        assert_eq!(trace["spans"][1]["parent_span_id"], trace["spans"][0]["span_id"]);
        assert_eq!(trace["spans"][0]["known_by"], "ends");
        let mut messages: Vec<_> =
            trace["records"].as_array().unwrap().iter().map(|record| &record["message"]).collect();
        messages.sort_by_key(|message| message.to_string());
        assert_eq!(messages, ["card 4111 declined", "checkout", "pay"]);
        assert_eq!(value(&server, &format!("{{\"orders.{door}\"}}")), 3.0);
    }
    let (_, ingest) = server.get("/api/v1/ingest");
    let otlp = ingest["sources"].as_array().unwrap().iter().filter(|source| source["kind"] == "otlp");
    let counts: Vec<_> = otlp.map(|source| (&source["name"], &source["records"], &source["problems"])).collect();
    let none = serde_json::json!([]);
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert!(counts.iter().all(|(_, _, problems)| **problems == none), "{counts:?}");
}

#[test]
fn graphyte_is_understood() {
    let Some(python) = client("bin/python") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut command = taffrail();
    command.args(["serve", "--no-host"]).env("TAFFRAIL_COLLECTOR_GRAPHITE_ADDRESS", "127.0.0.1:0");
    let server = Server::start_command(&mut command, &directory.path().join("data"), &[]);
    let script = r#"
import sys, graphyte
port = int(sys.argv[1])
tcp = graphyte.Sender("127.0.0.1", port=port, prefix="py")
tcp.send("a.level", 42, tags={"dc": "x"}); tcp.stop()
udp = graphyte.Sender("127.0.0.1", port=port, protocol="udp")
udp.send("b.level", 1.5); udp.stop()
"#;
    let graphite = server.graphite.expect("it is switched on");
    run(Command::new(python).args(["-c", script, &graphite.port().to_string()]));
    assert_eq!(value(&server, r#"{"py.a.level", dc="x"}"#), 42.0);
    assert_eq!(value(&server, r#"{"b.level"}"#), 1.5);
}

#[test]
fn pythons_prometheus_client_is_scraped() {
    let Some(python) = client("bin/python") else { return };
    let script = r#"
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, start_http_server
registry = CollectorRegistry()
Counter("orders", "Orders.", ["kind"], registry=registry).labels("book").inc(3, {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"})
Histogram("took_seconds", "Took.", registry=registry, buckets=[0.1, 1.0]).observe(0.5)
Info("build", "Build.", registry=registry).info({"version": "1"})
server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
print(server.server_port, flush=True)
thread.join()
"#;
    let mut target = Command::new(python).args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(target.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let target = Running(target);
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("taffrail.toml");
    let instance = format!("127.0.0.1:{}", port.trim());
    let text = format!(
        "[[collector.scrape]]\ntargets = [\"{instance}\"]\njob = \"py\"\ninterval = \"1s\"\ntimeout = \"1s\"\n"
    );
    std::fs::write(&settings, text).unwrap();
    let arguments = ["--config", settings.to_str().unwrap()];
    let server = Server::start_with(&directory.path().join("data"), &arguments);
    let check = |question: &str, expected: f64| assert_eq!(value(&server, question), expected, "{question}");
    check(&format!(r#"up{{job="py", instance="{instance}"}}"#), 1.0);
    check(r#"orders_total{kind="book"}"#, 3.0);
    check(r#"took_seconds_bucket{le="1.0"}"#, 1.0);
    check(r#"build_info{version="1"}"#, 1.0);
    assert_eq!(metadata(&server, "orders_total"), ["counter", "Orders.", ""]);
    assert_eq!(metadata(&server, "took_seconds"), ["histogram", "Took.", ""]);
    let (_, found) = server.get("/api/v1/query_exemplars?query=orders_total&start=0&end=4000000000");
    assert!(found.to_string().contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{found}");
    drop(target);
    wait_for("the target to be down, and its series to have ended", || {
        (value(&server, "up") == 0.0 && server.promql("orders_total").is_empty()).then_some(())
    });
}

#[test]
fn debians_prometheus_writes_what_it_scrapes() {
    let Some(prometheus) = client("prometheus/usr/bin/prometheus") else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    // It has to know its own address beforehand to scrape itself.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = directory.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{site: here}}}}\n\
         scrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n\
         remote_write: [{{url: '{}', metadata_config: {{send_interval: 1s}}, queue_config: {{batch_send_deadline: 200ms}}}}]\n",
        server.url("/api/v1/write")
    );
    std::fs::write(&settings, text).unwrap();
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", settings.display()))
        .arg(format!("--storage.tsdb.path={}", directory.path().join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running(command.spawn().unwrap());
    assert_eq!(value(&server, r#"up{job="self", site="here"}"#), 1.0);
    // Its first look at itself is from before it had any series.
    wait_for("many series", || (value(&server, "prometheus_tsdb_head_series") > 100.0).then_some(()));
    let rate = r#"rate(prometheus_tsdb_head_samples_appended_total{type="float"}[1m]) > 0"#;
    wait_for("a rate", || server.promql(rate).pop());
    assert_eq!(metadata(&server, "prometheus_tsdb_head_series")[0], "gauge");
    drop(running);
    let (_, ingest) = server.get("/api/v1/ingest");
    let sources = ingest["sources"].as_array().unwrap();
    let written = sources.iter().find(|source| source["kind"] == "prometheus_write").unwrap();
    assert_eq!(written["problems"], serde_json::json!([]));
    assert!(written["records"].as_u64().unwrap() > 1_000, "{written}");
}
