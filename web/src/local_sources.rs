//! The sources that run inside the server: the same ones an agent runs, with the store at the other end.

use std::sync::Arc;

use axum::Router;
use taffrail_collector::config::Config;
use taffrail_collector::model::{AgentId, Checkpoint, Resource, Timestamp};
use taffrail_collector::random::random_bits;
use taffrail_collector::source::agent::{self, Heard, StreamMarks};
use taffrail_collector::source::{
    Running, SourceContext, StartError, file_tail, graphite, host_metrics, journald, json_lines, otlp,
    prometheus_scrape, prometheus_write, shape_reports, statsd, stdin, syslog,
};
use taffrail_ingest::Ingest;

use crate::known_agents::KnownAgents;

/// Who this host is, for what does not say where it comes from.
pub fn this_host(config: &Config) -> Arc<Resource> {
    let name = config.host.clone().unwrap_or_else(system_host_name);
    Arc::new(Resource { host: name.into(), ..Resource::default() })
}

/// Starts every source that the settings switch on; one that cannot start stops those that did.
pub async fn start(config: &Config, context: &SourceContext) -> Result<Vec<Running>, StartError> {
    let mut running = start_listening(config, context).await?;
    match start_reading(config, context) {
        Ok(readers) => running.extend(readers),
        Err(error) => {
            context.stop.cancel();
            wait_for_end(running).await;
            return Err(error);
        }
    }
    Ok(running)
}

/// Starts the sources that take what comes, once: nobody can read it again.
pub async fn start_listening(config: &Config, context: &SourceContext) -> Result<Vec<Running>, StartError> {
    let mut running = Vec::new();
    match start_each_listener(config, context, &mut running) {
        Ok(()) => Ok(running),
        Err(error) => {
            context.stop.cancel();
            wait_for_end(running).await;
            Err(error)
        }
    }
}

/// The kinds of the sources that [`start_reading`] starts.
pub fn reading_kinds(config: &Config) -> &'static [&'static str] {
    if config.no_host { &["files"] } else { &["files", "journald"] }
}

/// Starts the sources that go on where the context's checkpoints say.
pub fn start_reading(config: &Config, context: &SourceContext) -> Result<Vec<Running>, StartError> {
    let mut running = vec![file_tail::start(files(config), context.of_source("files"))?];
    if !config.no_host {
        running.push(journald::start(config.journald.clone(), context.of_source("journald"))?);
    }
    Ok(running)
}

/// Waits until the sources, told to stop, have delivered what they held.
pub async fn wait_for_end(sources: Vec<Running>) {
    for source in sources {
        if source.task.await.is_err() {
            tracing::error!(source = source.kind, "the source ended by a panic");
        }
    }
}

/// The routes by which other programs send to this server.
///
/// # Errors
/// When the catalog cannot be read or written: it holds who this server is.
pub fn receivers(
    config: &Config,
    context: &SourceContext,
    ingest: &Arc<Ingest>,
    agents: &Arc<KnownAgents>,
) -> anyhow::Result<Router> {
    let known = Acquaintance { ingest: ingest.clone(), agents: agents.clone(), server_id: server_id(ingest)? };
    Ok(Router::new()
        .merge(json_lines::routes(config.json_lines.clone(), context.clone()))
        .merge(prometheus_write::routes(config.prometheus_write.clone(), context.clone()))
        .merge(otlp::routes(config.otlp.clone(), context))
        .merge(agent::routes(context.clone(), Arc::new(known))))
}

/// Who this store is for its agents, wherever they reach it: 128 random bits, made once.
fn server_id(ingest: &Ingest) -> anyhow::Result<u128> {
    let (kind, key) = ("identity", "server");
    let known = ingest.catalog().document(kind, key)?;
    if let Some(id) = known.and_then(|text| u128::from_str_radix(&text, 16).ok()) {
        return Ok(id);
    }
    let id = u128::from(random_bits()) << 64 | u128::from(random_bits());
    ingest.catalog().put_document(kind, key, &format!("{id:032x}"))?;
    Ok(id)
}

/// What this server knows of agents, as the receiver of their batches asks and tells it.
struct Acquaintance {
    ingest: Arc<Ingest>,
    agents: Arc<KnownAgents>,
    server_id: u128,
}

impl StreamMarks for Acquaintance {
    fn server_id(&self) -> u128 {
        self.server_id
    }

    fn streams(&self, agent: AgentId) -> Vec<(u64, u32, u64)> {
        let marks = self.ingest.streams(agent).into_iter();
        marks.map(|mark| (mark.epoch, mark.stream, mark.acked_through)).collect()
    }

    fn checkpoints(&self, agent: AgentId) -> Vec<Checkpoint> {
        self.ingest.checkpoints(agent)
    }

    fn heard(&self, heard: Heard) {
        self.agents.heard(&heard, Timestamp::now());
    }
}

fn start_each_listener(config: &Config, context: &SourceContext, running: &mut Vec<Running>) -> Result<(), StartError> {
    running.push(shape_reports::start(&context.of_source("shape")));
    running.push(statsd::start(config.statsd.clone(), context.of_source("statsd"))?);
    running.push(syslog::start(config.syslog.clone(), context.of_source("syslog"))?);
    running.push(graphite::start(config.graphite.clone(), context.of_source("graphite"))?);
    running.extend(otlp::start(&config.otlp, &context.of_source("otlp"))?);
    running.push(prometheus_scrape::start(&config.scrape, context.of_source("scrape"))?);
    running.push(stdin::start(config.stdin.clone(), context.of_source("stdin"))?);
    if config.host_metrics.enabled && !config.no_host {
        running.push(host_metrics::start(config.host_metrics.clone(), context.of_source("host_metrics"))?);
    }
    Ok(())
}

/// The configured groups of files, and this host's own log files unless it is to be left alone.
fn files(config: &Config) -> Vec<file_tail::Config> {
    let mut groups = config.files.clone();
    if !config.no_host {
        groups.push(file_tail::Config::of_this_host());
    }
    groups
}

fn system_host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
