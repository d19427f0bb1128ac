//! The server: opens the store, starts the sources, serves HTTP, and stops in the order that loses nothing.
//!
//! Stopping: the doors first (sources and HTTP take no more), then what they hold is delivered, then the store makes it
//! durable. A second Ctrl-C ends the process at once; that too loses nothing that was acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use taffrail_collector::http_server;
use taffrail_collector::model::{AgentId, Resource, Timestamp};
use taffrail_collector::source::{Running, SourceContext, Tallies};
use taffrail_ingest::Ingest;
use taffrail_ingest::log_store::RetentionRules;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::alert_rules::{BadRules, Running as Alerting};
use crate::api::question::Questions;
use crate::api::{self, App, Listeners};
use crate::checks;
use crate::config::Settings;
use crate::dashboards::Library;
use crate::http_guard::Guard;
use crate::known_agents::KnownAgents;
use crate::local_sources;
use crate::own_metrics;
use crate::reload::Reload;
use crate::watch::{Running as Watching, Watch};

/// How long stopping waits for open requests before it cuts them.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// A server that runs.
pub struct Server {
    app: Arc<App>,
    http: http_server::Running,
    sources: Vec<Running>,
    alerting: Alerting,
    watching: Watching,
    checking: checks::Running,
    stop_sources: CancellationToken,
    keeping_agents: JoinHandle<()>,
    own_metrics: Option<JoinHandle<()>>,
    stop_keeping: CancellationToken,
}

impl Server {
    /// Opens the store, binds every address and starts everything. `progress` is told (done, total) bytes of the journal's
    /// replay.
    pub async fn start(
        settings: &Settings,
        reload: Reload,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> anyhow::Result<Server> {
        let started = Timestamp::now();
        // Bound before the journal is replayed: a taken port is told at once.
        let listener = bind_http(settings).await?;
        let store = settings.store.clone();
        let ingest = tokio::task::spawn_blocking(move || Ingest::open(store, &mut progress));
        let ingest = ingest.await.context("open the store")?;
        let ingest = Arc::new(ingest.map_err(|error| anyhow!("server.{error} (--data-dir, TAFFRAIL_DATA_DIR)"))?);

        // Before the doors open: it misses nothing.
        let resource = local_sources::this_host(&settings.collector);
        let of_server = Arc::new(Resource { service: "taffrail".into(), ..Resource::clone(&resource) });
        let open = || Watch::open(settings.watch.clone(), &ingest);
        let watch = tokio::task::block_in_place(open).context("read what was noted before")?;
        let watching = watch.start(ingest.clone(), CancellationToken::new());
        let tallies = Arc::new(Tallies::default());
        let stop_sources = CancellationToken::new();
        let checkpoints = ingest.checkpoints(AgentId::LOCAL);
        let context = SourceContext {
            outlet: ingest.outlet().clone(),
            tallies: tallies.clone(),
            enricher: settings.collector.enricher()?,
            resource,
            checkpoints: Arc::new(checkpoints.into_iter().map(|one| (one.key, one.value)).collect::<HashMap<_, _>>()),
            stop: stop_sources.clone(),
        };
        let sources = local_sources::start(&settings.collector, &context).await?;
        let address_of = |kind: &str| {
            let source = sources.iter().find(|source| source.kind == kind);
            source.and_then(|source| source.address).map(|address| address.to_string())
        };
        let http = listener.local_addr().context("name the address of HTTP")?.to_string();
        let alerting = match Alerting::start(settings, &ingest, &context.resource, &http, &stop_sources) {
            Ok(alerting) => alerting,
            Err(error) => {
                stop_sources.cancel();
                local_sources::wait_for_end(sources).await;
                return Err(error);
            }
        };
        let alerts = alerting.rules.clone();
        let notifier = alerting.notifier.clone();
        let dashboards = Arc::new(Library::new(settings.dashboards.files.clone(), ingest.catalog().clone()));
        reload.set_take_rules({
            let (alerts, ingest, dashboards) = (alerts.clone(), ingest.clone(), dashboards.clone());
            let notifier = notifier.clone();
            Arc::new(move |settings: &Settings| {
                dashboards.set_files(settings.dashboards.files.clone());
                alerts.reload(settings.alerts.rules.clone()).map_err(BadRules)?;
                notifier.reload().map_err(|problem| anyhow!("{problem}"))?;
                let store = &settings.store;
                let rules = RetentionRules { rules: store.retention_rules.clone(), keep_rest: store.retention_age };
                ingest.set_retention(rules, store.retention_bytes)?;
                ingest.set_series_limits(store.series_limits);
                ingest.set_series_retention(store.series_retention.clone());
                Ok(())
            })
        });
        let checking = checks::start(&settings.checks, ingest.outlet(), &of_server, &stop_sources);
        let catalog = ingest.catalog().clone();
        let agents = tokio::task::spawn_blocking(|| KnownAgents::load(catalog)).await;
        let agents = Arc::new(agents.context("read the agents known before")?);
        let stop_keeping = CancellationToken::new();
        let keeping_agents = tokio::spawn(agents.clone().keep(stop_keeping.clone()));
        let app = Arc::new(App {
            agents: agents.clone(),
            ingest: ingest.clone(),
            tallies,
            questions: Questions::new(settings.query.clone()),
            audience: Arc::default(),
            answers: Arc::default(),
            listeners: Listeners {
                http: Some(http),
                statsd: address_of("statsd"),
                syslog: address_of("syslog"),
                graphite: address_of("graphite"),
                otlp_grpc: address_of("otlp_grpc"),
                otlp_http: address_of("otlp_http"),
            },
            started,
            stopping: CancellationToken::new(),
            alerts,
            notifier,
            reload,
            watch,
            dashboards,
        });
        let guard = Guard::of_listener(settings.server.http, &settings.server.host_names);
        let receivers = local_sources::receivers(&settings.collector, &context, &ingest, &agents)?;
        let router = api::router(app.clone(), receivers, guard);
        let http = http_server::serve(listener, router);
        let own_metrics = settings.server.own_metrics.then(|| {
            let host = context.resource.host.clone();
            tokio::spawn(own_metrics::keep(app.clone(), host, stop_keeping.clone()))
        });
        Ok(Server {
            app,
            http,
            sources,
            alerting,
            watching,
            checking,
            stop_sources,
            keeping_agents,
            own_metrics,
            stop_keeping,
        })
    }

    /// Where it listens.
    pub fn listeners(&self) -> &Listeners {
        &self.app.listeners
    }

    /// What it reads again on SIGHUP.
    pub fn reload(&self) -> &Reload {
        &self.app.reload
    }

    /// Stops: doors first, then what they hold, then the store.
    pub async fn stop(self) {
        tracing::info!("stopping: taking no more, delivering what is held");
        self.app.stopping.cancel();
        self.stop_sources.cancel();
        self.http.stop(DRAIN_TIME_MAX).await;
        local_sources::wait_for_end(self.sources).await;
        self.alerting.stopped().await;
        self.checking.stopped().await;
        self.stop_keeping.cancel();
        // A panic of its task was logged by the panic itself.
        let _ = self.keeping_agents.await;
        if let Some(own_metrics) = self.own_metrics {
            let _ = own_metrics.await;
        }
        // Its feed ends with the store: what came last is noted too.
        self.app.ingest.shutdown().await;
        self.watching.stopped().await;
        tracing::info!("stopped: everything taken is on disk");
    }
}

async fn bind_http(settings: &Settings) -> anyhow::Result<TcpListener> {
    let address = settings.server.http;
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "server.http = {address} is taken by another program; choose another with --http or TAFFRAIL_HTTP \
             (port 0 takes a free one)"
        ),
        Err(error) => {
            bail!("server.http = {address} cannot be listened on: {error}; choose another with --http or TAFFRAIL_HTTP")
        }
    }
}
