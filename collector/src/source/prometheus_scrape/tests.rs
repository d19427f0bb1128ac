//! Real rounds over HTTP, with a target that says what it is told to.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use tokio::sync::mpsc::Receiver;

use super::{Config, start};
use crate::delivery::{self, Delivery, Outcome};
use crate::model::{Sample, SampleValue, is_stale};
use crate::source::descriptions::DESCRIPTION_SERIES;
use crate::source::{Running, SourceContext};

/// What a target answers: status, content type, body.
type Answer = Arc<Mutex<(StatusCode, &'static str, String)>>;

async fn target(answer: Answer) -> String {
    async fn tell(State(answer): State<Answer>, headers: HeaderMap) -> Response {
        let said = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert!(said("accept").starts_with("application/openmetrics-text;version=1.0.0,text/plain"));
        assert_eq!(said("authorization"), "Bearer secret");
        let (status, content_type, body) = answer.lock().clone();
        (status, [(header::CONTENT_TYPE, content_type), (header::LOCATION, "http://127.0.0.1:1/")], body)
            .into_response()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/metrics", get(tell)).with_state(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn source(config: Config) -> (Result<Running, crate::source::StartError>, SourceContext, Receiver<Delivery>) {
    let (outlet, receiver) = delivery::channel(4);
    let context = SourceContext::bare(outlet);
    (start(&[config], context.clone()), context, receiver)
}

/// The samples of the next round.
async fn round(receiver: &mut Receiver<Delivery>) -> Vec<Sample> {
    let delivery = tokio::time::timeout(Duration::from_secs(30), receiver.recv()).await.unwrap().unwrap();
    let samples = delivery.batch.samples;
    delivery.receipt.answer(Outcome::Stored { acked_through: None });
    samples
}

/// Name and value of all but how long it took, and descriptions.
fn said(samples: &[Sample]) -> Vec<String> {
    let line = |sample: &Sample| {
        let value = match sample.value {
            SampleValue::Gauge { last, .. } => last,
            SampleValue::Cumulative { total } => total,
            _ => unreachable!(),
        };
        format!("{} {}", sample.labels.name(), if is_stale(value) { "stale".to_owned() } else { value.to_string() })
    };
    let is_said =
        |line: &String| !["scrape_duration_seconds", DESCRIPTION_SERIES].iter().any(|left| line.starts_with(left));
    samples.iter().map(line).filter(is_said).collect()
}

#[tokio::test]
async fn a_target_is_read_round_by_round_and_said_to_be_down_when_it_is() {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let body = "# TYPE hits counter\nhits_total 3 # {trace_id=\"0000000000000000000000000000000a\"} 1\nbad\n# EOF\n";
    let answer: Answer = Arc::new(Mutex::new((StatusCode::OK, OPENMETRICS, body.to_owned())));
    let address = target(Arc::clone(&answer)).await;
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "secret\n").unwrap();
    let (running, context, mut receiver) = source(Config {
        targets: vec![address.clone()],
        job: "test".to_owned(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        token_file: Some(token_file),
        ..Config::default()
    });
    let running = running.unwrap();
    let first = round(&mut receiver).await;
    assert_eq!(said(&first), ["hits_total 3", "up 1", "scrape_samples_scraped 1"]);
    assert_eq!(first[0].labels.to_string(), format!(r#"hits_total{{instance="{address}", job="test"}}"#));
    assert_eq!(first[0].exemplars.len(), 1);
    assert!(first.iter().all(|sample| sample.timestamp == first[0].timestamp));
    let down = ["hits_total stale", "up 0", "scrape_samples_scraped 0"];
    *answer.lock() = (StatusCode::FOUND, "text/plain", String::new());
    assert_eq!(said(&round(&mut receiver).await), down);
    *answer.lock() = (StatusCode::OK, "text/plain; version=0.0.4", "level 7\n".to_owned());
    assert_eq!(said(&round(&mut receiver).await), ["level 7", "up 1", "scrape_samples_scraped 1"]);
    *answer.lock() = (StatusCode::OK, OPENMETRICS, "level 7\n".to_owned());
    assert_eq!(said(&round(&mut receiver).await), ["level stale", "up 0", "scrape_samples_scraped 0"]);
    context.stop.cancel();
    running.task.await.unwrap();
    let tally = &context.tallies.snapshot()[0];
    let problems: Vec<_> = tally.problems.iter().map(|one| (one.reason, one.count)).collect();
    assert_eq!(problems, [("body_cut", 1), ("malformed_line", 1), ("unexpected_status", 1)]);
    assert_eq!(tally.name, format!("http://{address}/metrics"));
}

#[tokio::test]
async fn a_wrong_setting_is_named() {
    let check = |config: Config, expected: &str| {
        let (running, _, _) = source(Config { targets: vec!["127.0.0.1:1".to_owned()], ..config });
        let error = running.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(Config { interval: Duration::from_millis(10), ..Config::default() }, "collector.scrape.interval: ");
    check(Config { timeout: Duration::from_secs(20), ..Config::default() }, "collector.scrape.timeout: ");
    check(Config { path: "metrics".to_owned(), ..Config::default() }, "collector.scrape.path: ");
    let tls = crate::ship::config::TlsConfig { ca_file: Some("/no/such".into()), ..Default::default() };
    let https = super::config::Scheme::Https;
    check(Config { scheme: https, tls, ..Config::default() }, "collector.scrape.tls: collector.scrape.tls.ca_file: ");
    let (running, _, _) = source(Config { targets: vec!["not a host".to_owned()], ..Config::default() });
    assert!(running.unwrap_err().to_string().contains("`not a host` is not a host with a port"));
}
