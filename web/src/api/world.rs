//! A small world for tests of the API: a real store in a temporary directory behind the real router.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{
    Batch, Distribution, Exemplar, LabelSet, LogRecord, Resource, Sample, SampleValue, Severity, Timestamp, TraceId,
};
use taffrail_collector::source::Tallies;
use taffrail_ingest::Ingest;
use taffrail_query::alert::saved_state::StateStore;
use taffrail_query::alert::schedule::{Config, Manager};
use taffrail_query::promql::StoreSource;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::question::Questions;
use super::{App, Listeners};
use crate::config::{Layers, QuerySettings};
use crate::dashboards::Library;
use crate::http_guard::Guard;
use crate::known_agents::KnownAgents;
use crate::notify::catalog_state::CatalogDocuments;
use crate::notify::{self, Notifier, Surroundings};
use crate::reload::Reload;
use crate::watch::Watch;

/// When the world's first record was said: 2024-11-21T07:00:00Z.
pub const START: i64 = 1_732_172_400;
/// The trace that ties the world together.
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

pub struct World {
    pub app: Arc<App>,
    pub router: Router,
    pub directory: tempfile::TempDir,
}

/// Keeps no alerts: a world has no second life.
struct Forgetful;

impl StateStore for Forgetful {
    fn load(&self) -> Option<String> {
        None
    }

    fn save(&self, _: &str) {}
}

impl World {
    /// A world without anything in it.
    pub async fn empty() -> World {
        World::with_rules("groups: []").await
    }

    /// A world with these alert rules and nothing else in it.
    pub async fn with_rules(text: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let layers = Layers::read(None, std::iter::empty(), Vec::new()).unwrap();
        let mut settings = layers.merged().unwrap().check().unwrap();
        settings.store.data_dir = directory.path().to_owned();
        settings.store.disk_reserve_bytes = 0;
        settings.store.retention_age = None;
        let rules_file = directory.path().join("rules.yml");
        std::fs::write(&rules_file, text).unwrap();
        let rules = Config {
            rules: vec![rules_file.to_str().unwrap().to_owned()],
            built_in: &[],
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(60),
            rows_max: u64::MAX,
            memory_bytes_max: 1 << 26,
            alerts_max: 10_000,
            external_labels: BTreeMap::new(),
            external_url: String::new(),
        };
        let ingest = tokio::task::spawn_blocking(move || Ingest::open(settings.store, &mut |_, _| {}).unwrap());
        let ingest = Arc::new(ingest.await.unwrap());
        let stopping = CancellationToken::new();
        let source = Arc::new(StoreSource::new(ingest.series().clone()).with_logs(ingest.logs().clone()));
        let alerts =
            Manager::start(rules, source, ingest.outlet().clone(), Arc::new(Forgetful), stopping.clone()).unwrap();
        let notifier = notifier(&ingest, &alerts, &stopping);
        let agents = Arc::new(KnownAgents::load(ingest.catalog().clone()));
        let watch = Watch::open(settings.watch, &ingest).unwrap();
        let dashboards = Arc::new(Library::new(Vec::new(), ingest.catalog().clone()));
        let app = Arc::new(App {
            agents,
            ingest,
            alerts,
            notifier,
            tallies: Arc::new(Tallies::default()),
            questions: Questions::new(QuerySettings::default()),
            audience: Arc::default(),
            answers: Arc::default(),
            listeners: Listeners { http: Some("127.0.0.1:1".to_owned()), ..Listeners::default() },
            started: Timestamp::now(),
            stopping,
            reload: Reload::new(None, Vec::new(), layers),
            watch,
            dashboards,
        });
        let router = super::router(app.clone(), Router::new(), Guard::new(&[]));
        World { app, router, directory }
    }

    /// Ten records a second apart (every third an error), a counter and a timer with an exemplar, all of one shop.
    pub async fn shop() -> World {
        let world = World::empty().await;
        let logs = (0..10).map(record).collect();
        let labels = |name| Arc::new(LabelSet::new([("__name__", name), ("env", "prod"), ("host", "h1")]));
        let at = Timestamp::from_unix_seconds(START);
        let trace_id = TraceId::from_hex(TRACE).unwrap();
        let mut latency = Distribution::new();
        latency.observe(100.0, 1.0);
        latency.observe(300.0, 1.0);
        let sample = |name, value, unit| Sample {
            labels: labels(name),
            timestamp: at,
            interval_ms: 10_000,
            value,
            unit,
            exemplars: Vec::new(),
        };
        let mut timer = sample("request.time", SampleValue::Distribution(Box::new(latency)), "ms");
        timer.exemplars = vec![Exemplar { timestamp: at, value: 100.0, trace_id, span_id: None }];
        let counter = sample("web.hits", SampleValue::Counter { sum: 5.0 }, "");
        world.deliver(Batch { logs, samples: vec![counter, timer], ..Batch::local() }).await;
        world
    }

    /// Stores a batch and waits until it is durable.
    pub async fn deliver(&self, batch: Batch) {
        let outcome = self.app.ingest.outlet().deliver(batch).await;
        assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
    }

    /// The answer to a request, as it comes.
    pub async fn ask(&self, method: &str, uri: &str) -> Response {
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The text of an answer.
    pub async fn text(&self, uri: &str) -> (StatusCode, String) {
        let response = self.ask("GET", uri).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// A good answer in JSON.
    pub async fn get(&self, uri: &str) -> Value {
        let (status, text) = self.text(uri).await;
        assert_eq!(status, StatusCode::OK, "{uri}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The lines of a stream.
    pub async fn lines(&self, uri: &str) -> Vec<Value> {
        let (status, text) = self.text(uri).await;
        assert_eq!(status, StatusCode::OK, "{uri}: {text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Notifications that are only written down.
fn notifier(ingest: &Ingest, alerts: &Manager, stop: &CancellationToken) -> Notifier {
    let catalog = ingest.catalog();
    let surroundings = Surroundings {
        alerts: Arc::new({
            let alerts = alerts.clone();
            move || alerts.alerts()
        }),
        changes: alerts.changes(),
        told: Arc::new(CatalogDocuments::of_told(catalog.clone())),
        silences: Arc::new(CatalogDocuments::of_silences(catalog.clone())),
        explain: None,
        outlet: ingest.outlet().clone(),
        resource: Arc::new(Resource { host: "h1".into(), service: "taffrail".into(), attributes: Vec::new() }),
    };
    let config = notify::Config {
        routing: None,
        webhooks: Vec::new(),
        repeat_interval: notify::REPEAT_INTERVAL,
        alertmanagers: Vec::new(),
        external_url: "http://127.0.0.1:1".to_owned(),
    };
    Notifier::start(&config, surroundings, stop).unwrap()
}

/// The world's record number `n`.
pub fn record(n: i64) -> LogRecord {
    let at = Timestamp::from_unix_seconds(START + n);
    let service = if n % 2 == 0 { "web" } else { "db" };
    LogRecord {
        timestamp: at,
        observed_timestamp: at,
        severity: if n % 3 == 0 { Severity::ERROR } else { Severity::INFO },
        severity_text: Default::default(),
        body: format!("line {n} of the shop"),
        trace_id: TraceId::from_hex(TRACE).filter(|_| n < 4),
        span_id: None,
        resource: Arc::new(Resource { host: "h1".into(), service: service.into(), attributes: Vec::new() }),
        attributes: vec![("n".into(), n.into())],
    }
}
