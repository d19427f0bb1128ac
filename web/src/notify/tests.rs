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
use taffrail_query::alert::snapshot::NamedAlert;
use taffrail_query::alert::state::{Alert, AlertState, Labels};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::channel::Failure;
use super::channel::http::{Address, Post};
use super::silences::tests::Memory;
use super::{Config, Notifier, Surroundings};

/// Everything a notifier needs, and what comes out of it.
struct World {
    alerts: Arc<Mutex<Vec<NamedAlert>>>,
    changes: watch::Sender<u64>,
    told: Arc<Memory>,
    silences: Arc<Memory>,
    /// What the webhook got.
    posts: mpsc::UnboundedReceiver<Json>,
    /// What the webhook answers, next first; 200 when nothing is planned.
    answers: Arc<Mutex<Vec<u16>>>,
    records: mpsc::UnboundedReceiver<LogRecord>,
    url: String,
    outlet: delivery::Outlet,
    routing: Option<std::path::PathBuf>,
    alertmanagers: Vec<String>,
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
        let router = Router::new()
            .route("/hook", post(hook))
            .route("/api/v2/alerts", post(hook))
            .with_state((post_sender, answers.clone()));
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
        World {
            alerts: Arc::default(),
            changes,
            told: Arc::default(),
            silences: Arc::default(),
            posts,
            answers,
            records,
            url,
            outlet,
            routing: None,
            alertmanagers: Vec::new(),
        }
    }

    fn start(&self, webhooks: Vec<String>, stop: &CancellationToken) -> Notifier {
        let alerts = self.alerts.clone();
        let surroundings = Surroundings {
            alerts: Arc::new(move || alerts.lock().clone()),
            changes: self.changes.subscribe(),
            told: self.told.clone(),
            silences: self.silences.clone(),
            explain: None,
            outlet: self.outlet.clone(),
            resource: Arc::new(Resource { host: "h".into(), service: "taffrail".into(), attributes: Vec::new() }),
        };
        let config = Config {
            webhooks,
            routing: self.routing.clone(),
            alertmanagers: self.alertmanagers.clone(),
            external_url: "http://127.0.0.1:6464".to_owned(),
            repeat_interval: Duration::from_secs(3600),
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
        interval: Duration::from_secs(15),
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
        record.body.starts_with("alert Slow firing (1 firing): a is slow; told webhooks/webhook/1 (http://127.0.0.1:"),
        "{}",
        record.body
    );
    assert!(!record.body.contains("/hook"), "a path may hold a secret: {}", record.body);
    for (name, expected) in [
        ("alert.name", "Slow"),
        ("alert.status", "firing"),
        ("notify.reason", "new"),
        ("notify.outcome", "delivered"),
        ("notify.attempt", "1"),
        ("notify.channel", "webhooks/webhook/1"),
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
async fn a_channel_that_fails_is_tried_again_and_every_attempt_written_down() {
    let mut world = World::new().await;
    world.answers.lock().extend([503, 500]);
    let stop = CancellationToken::new();
    let notifier = world.start(vec![world.url.clone()], &stop);
    world.set(vec![alert(AlertState::Firing)]);
    for _ in 0..3 {
        assert_eq!(world.posted().await["status"], "firing");
    }
    for (attempt, error) in [("1", "503 Service Unavailable"), ("2", "500 Internal Server Error")] {
        let failed = world.recorded().await;
        assert_eq!((failed.severity, attribute(&failed, "notify.outcome").as_str()), (Severity::ERROR, "retrying"));
        assert_eq!(attribute(&failed, "notify.attempt"), attempt);
        assert_eq!(attribute(&failed, "notify.error"), format!("it answered {error}: said the hook"));
    }
    let delivered = world.recorded().await;
    assert_eq!(
        (attribute(&delivered, "notify.outcome"), attribute(&delivered, "notify.attempt")),
        ("delivered".into(), "3".into())
    );
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
    let poster = Post::default();
    let post = async |url: &str| poster.json(&Address::new(url).unwrap(), None, &[], b"{}".to_vec()).await.map(drop);
    for (answer, expected) in [
        (204, Ok(())),
        (400, Err(Failure::Refused("it answered 400 Bad Request: said the hook".to_owned()))),
        (302, Err(Failure::Refused("it answered 302 Found: said the hook".to_owned()))),
        (429, Err(Failure::Later("it answered 429 Too Many Requests: said the hook".to_owned(), None))),
    ] {
        world.answers.lock().push(answer);
        assert_eq!(post(&world.url).await, expected, "{answer}");
    }
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(post(&gone).await, Err(Failure::Away(_))));
    for url in ["ftp://host/", "host:80", "", "http://"] {
        assert!(Address::new(url).is_err(), "{url}");
    }
}

/// A routing file with these channels for the receiver `all`, everything told at once.
fn routing(world: &mut World, directory: &tempfile::TempDir, channels: &str) {
    let path = directory.path().join("routing.yml");
    let text = format!(
        "route: {{ receiver: all, group_wait: 0s, group_interval: 100ms, repeat_interval: 1h }}\n\
         receivers:\n- name: all\n{channels}\n- name: nobody\n"
    );
    std::fs::write(&path, text).unwrap();
    world.routing = Some(path);
}

#[tokio::test]
async fn one_that_says_nothing_delays_no_other() {
    let mut world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    // One that takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (quick, slow) = (world.url.clone(), format!("http://{}/", silent.local_addr().unwrap()));
    let channels =
        format!("  webhook_configs: [{{ url: '{slow}', timeout: 300ms }}, {{ url: '{quick}', hmac_secret: k }}]");
    routing(&mut world, &directory, &channels);
    let stop = CancellationToken::new();
    let notifier = world.start(Vec::new(), &stop);
    world.set(vec![alert(AlertState::Firing)]);
    assert_eq!(world.posted().await["receiver"], "all");
    let (mut delivered, mut late) = (0, None);
    while delivered == 0 || late.is_none() {
        let record = world.recorded().await;
        match attribute(&record, "notify.channel").as_str() {
            "all/webhook/2" => delivered += 1,
            _ => late = Some(attribute(&record, "notify.error")),
        }
    }
    assert_eq!(late.as_deref(), Some("no answer within 0.3 s"));
    let counts = notifier.counts();
    assert_eq!(counts.get(&("all/webhook/2".to_owned(), "delivered")), Some(&1));
    stop.cancel();
    notifier.stopped().await;
}

#[tokio::test]
async fn a_silence_keeps_people_from_being_told_until_it_ends() {
    let mut world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let url = world.url.clone();
    routing(&mut world, &directory, &format!("  webhook_configs: [{{ url: '{url}' }}]"));
    let stop = CancellationToken::new();
    let notifier = world.start(Vec::new(), &stop);
    let now = Timestamp::now();
    let silence = super::routing::silence::Silence {
        id: String::new(),
        matchers: super::routing::matcher::parse_matchers("i=a").unwrap(),
        starts_at: now,
        ends_at: now.saturating_add(Duration::from_secs(3600)),
        updated_at: now,
        created_by: "ann".to_owned(),
        comment: "new disks".to_owned(),
        warned: false,
    };
    let id = notifier.silences().set(silence, now).unwrap();
    let mut other = alert(AlertState::Firing);
    other.alert.labels.insert("i".to_owned(), "b".to_owned());
    world.set(vec![alert(AlertState::Firing), other]);
    let told = world.posted().await;
    assert_eq!((told["alerts"].as_array().unwrap().len(), &told["alerts"][0]["labels"]["i"]), (1, &"b".into()));
    notifier.silences().expire(&id, Timestamp::now()).unwrap();
    assert_eq!(world.posted().await["alerts"].as_array().unwrap().len(), 2);
    stop.cancel();
    notifier.stopped().await;
}

#[tokio::test]
async fn a_bad_routing_file_keeps_the_last_good_one() {
    let mut world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let url = world.url.clone();
    routing(&mut world, &directory, &format!("  webhook_configs: [{{ url: '{url}' }}]"));
    let path = world.routing.clone().unwrap();
    let good = std::fs::read_to_string(&path).unwrap();
    let stop = CancellationToken::new();
    let notifier = world.start(Vec::new(), &stop);
    std::fs::write(&path, good.replace("receiver: all", "receiver: al")).unwrap();
    let problem = notifier.reload().unwrap_err();
    assert_eq!((problem.line, problem.message.as_str()), (1, "no receiver is named \"al\"; did you mean all?"));
    assert_eq!(notifier.problem(), Some(problem));
    world.set(vec![alert(AlertState::Firing)]);
    assert_eq!(world.posted().await["receiver"], "all");
    std::fs::write(&path, good.replace("receiver: all", "receiver: nobody")).unwrap();
    notifier.reload().unwrap();
    assert_eq!((notifier.problem(), notifier.routing().route.receiver.as_str()), (None, "nobody"));
    stop.cancel();
    notifier.stopped().await;
}

#[tokio::test]
async fn an_alertmanager_gets_the_alerts_as_prometheus_sends_them() {
    let mut world = World::new().await;
    world.alertmanagers = vec![world.url.replace("/hook", "")];
    world.answers.lock().push(503);
    let stop = CancellationToken::new();
    let notifier = world.start(Vec::new(), &stop);
    world.set(vec![alert(AlertState::Firing)]);
    // Refused once, and sent again.
    for _ in 0..2 {
        let sent = world.posted().await;
        assert_eq!(
            (&sent[0]["labels"]["alertname"], &sent[0]["startsAt"]),
            (&"Slow".into(), &"2026-11-21T10:20:30.000Z".into())
        );
    }
    stop.cancel();
    notifier.stopped().await;
}

#[tokio::test]
async fn a_command_gets_the_json_and_is_killed_with_its_children_when_it_takes_too_long() {
    let mut world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let (out, child) = (directory.path().join("out.json"), directory.path().join("child"));
    let channels = format!(
        "  command_configs:\n  - {{ command: [/bin/sh, -c, 'cat > {}'] }}\n  - {{ command: [/bin/sh, -c, 'echo oops >&2; exit 3'] }}\n  \
         - {{ command: [/bin/sh, -c, 'sleep 300 & echo $! > {}; wait'], timeout: 500ms }}",
        out.display(),
        child.display()
    );
    routing(&mut world, &directory, &channels);
    let stop = CancellationToken::new();
    let notifier = world.start(Vec::new(), &stop);
    let tested = notifier.test("all").await.unwrap();
    assert_eq!(tested.iter().map(|one| one.delivered).collect::<Vec<_>>(), [true, false, false], "{tested:?}");
    let told: Json = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!((&told["receiver"], &told["alerts"][0]["labels"]["alertname"]), (&"all".into(), &"TaffrailTest".into()));
    assert!(tested[1].error.as_ref().unwrap().contains("exit status: 3: oops"), "{tested:?}");
    assert_eq!(tested[2].error.as_deref(), Some("no answer within 0.5 s"));
    let sleeper: i32 = std::fs::read_to_string(&child).unwrap().trim().parse().unwrap();
    let gone = || {
        !std::path::Path::new(&format!("/proc/{sleeper}/cmdline")).exists()
            || std::fs::read(format!("/proc/{sleeper}/cmdline")).is_ok_and(|line| line.is_empty())
    };
    let began = std::time::Instant::now();
    while !gone() {
        assert!(began.elapsed() < Duration::from_secs(60), "the child of the command is killed too");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(notifier.test("none").await.is_none());
    stop.cancel();
    notifier.stopped().await;
}
