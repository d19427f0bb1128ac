//! Notifications against a real HTTP server on the loopback.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::Value as Json;
use taffrail_collector::delivery::{self, Outcome};
use taffrail_collector::model::{LogRecord, Resource, Severity, Timestamp};
use taffrail_query::alert::saved_state::StateStore;
use taffrail_query::alert::snapshot::NamedAlert;
use taffrail_query::alert::state::{Alert, AlertState, Labels};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::webhook::{Failure, Webhook};
use super::{Config, Notifier, Surroundings};

/// Everything a notifier needs, and what comes out of it.
struct World {
    alerts: Arc<Mutex<Vec<NamedAlert>>>,
    changes: watch::Sender<u64>,
    document: Arc<Document>,
    /// What the webhook got.
    posts: mpsc::UnboundedReceiver<Json>,
    /// What the webhook answers, next first; 200 when nothing is planned.
    answers: Arc<Mutex<Vec<u16>>>,
    records: mpsc::UnboundedReceiver<LogRecord>,
    url: String,
    outlet: delivery::Outlet,
}

#[derive(Default)]
struct Document(Mutex<Option<String>>);

impl StateStore for Document {
    fn load(&self) -> Option<String> {
        self.0.lock().clone()
    }
    fn save(&self, document: &str) {
        *self.0.lock() = Some(document.to_owned());
    }
}

type Hook = (mpsc::UnboundedSender<Json>, Arc<Mutex<Vec<u16>>>);

async fn hook(State((posts, answers)): State<Hook>, body: axum::body::Bytes) -> (StatusCode, &'static str) {
    let _ = posts.send(serde_json::from_slice(&body).unwrap());
    let mut answers = answers.lock();
    let answer = if answers.is_empty() { 200 } else { answers.remove(0) };
    (StatusCode::from_u16(answer).unwrap(), "said the hook")
}

impl World {
    async fn new() -> World {
        let (post_sender, posts) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().route("/hook", post(hook)).with_state((post_sender, answers.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (outlet, mut batches) = delivery::channel(16);
        let (record_sender, records) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(delivery) = batches.recv().await {
                delivery.batch.logs.into_iter().for_each(|record| drop(record_sender.send(record)));
                delivery.receipt.answer(Outcome::Stored { acked_through: None });
            }
        });
        let (changes, _) = watch::channel(0);
        World { alerts: Arc::default(), changes, document: Arc::default(), posts, answers, records, url, outlet }
    }

    fn start(&self, webhooks: Vec<String>, stop: &CancellationToken) -> Notifier {
        let alerts = self.alerts.clone();
        let surroundings = Surroundings {
            alerts: Arc::new(move || alerts.lock().clone()),
            changes: self.changes.subscribe(),
            store: self.document.clone(),
            outlet: self.outlet.clone(),
            resource: Arc::new(Resource { host: "h".into(), service: "taffrail".into(), attributes: Vec::new() }),
        };
        let config = Config {
            webhooks,
            external_url: "http://127.0.0.1:6464".to_owned(),
            repeat_interval: Duration::from_secs(3600),
            timeout: Duration::from_secs(5),
        };
        Notifier::start(&config, surroundings, stop).unwrap()
    }

    fn set(&self, alerts: Vec<NamedAlert>) {
        *self.alerts.lock() = alerts;
        self.changes.send_modify(|count| *count += 1);
    }

    async fn posted(&mut self) -> Json {
        tokio::time::timeout(Duration::from_secs(20), self.posts.recv()).await.expect("a notification").unwrap()
    }

    async fn recorded(&mut self) -> LogRecord {
        tokio::time::timeout(Duration::from_secs(20), self.records.recv()).await.expect("a record").unwrap()
    }
}

fn alert(state: AlertState) -> NamedAlert {
    let labels = [("alertname", "Slow"), ("severity", "critical"), ("i", "a")];
    let since = Timestamp::from_unix_seconds(1_795_256_430);
    let alert = Alert {
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        annotations: Labels::from([("summary".to_owned(), "a is slow".to_owned())]),
        state,
        active_at: since,
        fired_at: Some(since),
        resolved_at: (state == AlertState::Resolved).then_some(since),
        kept_since: None,
        restored_at: None,
        no_data_since: None,
        log_lines: None,
        value: 0.75,
    };
    NamedAlert {
        file: "r.yml".into(),
        group: "g".into(),
        rule: "Slow".into(),
        expr: "slow > 0.5".into(),
        is_logs: false,
        alert,
    }
}

fn attribute(record: &LogRecord, name: &str) -> String {
    record.attribute(name).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn firing_and_resolved_are_told_once_each_and_written_down_even_over_a_restart() {
    let mut world = World::new().await;
    let stop = CancellationToken::new();
    let notifier = world.start(vec![world.url.clone()], &stop);
    world.set(vec![alert(AlertState::Firing)]);
    let told = world.posted().await;
    assert_eq!((told["status"].as_str(), told["alerts"][0]["labels"]["i"].as_str()), (Some("firing"), Some("a")));
    let record = world.recorded().await;
    assert_eq!(record.severity, Severity::CRITICAL);
    assert!(
        record.body.starts_with("alert Slow firing (1 firing): a is slow; told http://127.0.0.1:"),
        "{}",
        record.body
    );
    assert!(!record.body.contains("/hook"), "a path may hold a secret: {}", record.body);
    for (name, expected) in [
        ("alert.name", "Slow"),
        ("alert.status", "firing"),
        ("alert.reason", "new"),
        ("alert.delivery", "delivered"),
        ("alert.value", "0.75"),
        ("alert.labels.i", "a"),
        ("alert.annotations.summary", "a is slow"),
    ] {
        assert_eq!(attribute(&record, name), expected, "{name}");
    }
    stop.cancel();
    notifier.stopped().await;

    let stop = CancellationToken::new();
    let notifier = world.start(vec![world.url.clone()], &stop);
    world.set(vec![alert(AlertState::Resolved)]);
    // The next thing told is the end: the restart repeated nothing.
    let told = world.posted().await;
    assert_eq!((told["status"].as_str(), told["alerts"][0]["status"].as_str()), (Some("resolved"), Some("resolved")));
    assert_eq!(told["alerts"][0]["endsAt"], "2026-11-21T10:20:30.000Z");
    assert_eq!(world.recorded().await.severity, Severity::INFO);
    stop.cancel();
    notifier.stopped().await;
    assert!(world.posts.try_recv().is_err());
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_and_its_failure_written_down_once() {
    let mut world = World::new().await;
    world.answers.lock().extend([503, 500]);
    let stop = CancellationToken::new();
    let notifier = world.start(vec![world.url.clone()], &stop);
    world.set(vec![alert(AlertState::Firing)]);
    for _ in 0..3 {
        assert_eq!(world.posted().await["status"], "firing");
    }
    let failed = world.recorded().await;
    assert_eq!((failed.severity, attribute(&failed, "alert.delivery").as_str()), (Severity::ERROR, "failed"));
    assert_eq!(attribute(&failed, "alert.error"), "it answered 503 Service Unavailable: said the hook");
    assert_eq!(attribute(&world.recorded().await, "alert.delivery"), "delivered");
    stop.cancel();
    notifier.stopped().await;
}

#[tokio::test]
async fn people_are_told_while_the_store_takes_nothing() {
    let refused = Outcome::Refused(delivery::Refusal {
        reason: delivery::RefusalReason::DiskFull,
        message: "the disk is full".to_owned(),
        retry_after: Some(Duration::from_secs(5)),
    });
    for answer in [Some(refused), None] {
        let mut world = World::new().await;
        let (outlet, mut batches) = delivery::channel(1);
        world.outlet = outlet;
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some(delivery) = batches.recv().await {
                match &answer {
                    Some(outcome) => delivery.receipt.answer(outcome.clone()),
                    None => unanswered.push(delivery),
                }
            }
        });
        let stop = CancellationToken::new();
        let notifier = world.start(vec![world.url.clone()], &stop);
        world.set(vec![alert(AlertState::Firing)]);
        assert_eq!(world.posted().await["status"], "firing");
        world.set(vec![alert(AlertState::Resolved)]);
        assert_eq!(world.posted().await["status"], "resolved");
        stop.cancel();
        notifier.stopped().await;
    }
}

#[tokio::test]
async fn without_webhooks_notifications_are_still_log_records() {
    let mut world = World::new().await;
    let stop = CancellationToken::new();
    let notifier = world.start(Vec::new(), &stop);
    world.set(vec![alert(AlertState::Firing)]);
    assert_eq!(world.recorded().await.body, "alert Slow firing (1 firing): a is slow");
    stop.cancel();
    notifier.stopped().await;
}

#[tokio::test]
async fn an_answer_says_whether_to_come_back() {
    let world = World::new().await;
    let post =
        |url: String| async move { Webhook::new(&url, Duration::from_secs(5)).unwrap().post(b"{}".to_vec()).await };
    for (answer, expected) in [
        (204, Ok(())),
        (400, Err(Failure::Refused("it answered 400 Bad Request: said the hook".to_owned()))),
        (302, Err(Failure::Refused("it answered 302 Found: said the hook".to_owned()))),
        (429, Err(Failure::Later("it answered 429 Too Many Requests: said the hook".to_owned(), None))),
    ] {
        world.answers.lock().push(answer);
        assert_eq!(post(world.url.clone()).await, expected, "{answer}");
    }
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(post(gone).await, Err(Failure::Away(_))));
    // One that takes the connection and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", listener.local_addr().unwrap());
    let silent = Webhook::new(&silent, Duration::from_millis(200)).unwrap().post(Vec::new()).await;
    assert!(matches!(silent, Err(Failure::Away(_))), "{silent:?}");
    for url in ["ftp://host/", "host:80", "", "http://"] {
        assert!(Webhook::new(url, Duration::from_secs(1)).is_err(), "{url}");
    }
}
