//! The sources that run inside the server: the same ones an agent runs, with the store at the other end.

use std::sync::Arc;

use axum::Router;
use taffrail_collector::config::Config;
use taffrail_collector::model::{AgentId, Checkpoint, Resource, Timestamp};
use taffrail_collector::source::agent::{self, Heard, StreamMarks};
use taffrail_collector::source::{
    Running, SourceContext, StartError, file_tail, host_metrics, journald, json_lines, shape_reports, statsd, stdin,
    syslog,
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
    let mut running = Vec::new();
    match start_each(config, context, &mut running).await {
        Ok(()) => Ok(running),
        Err(error) => {
            context.stop.cancel();
            wait_for_end(running).await;
            Err(error)
        }
    }
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
pub fn receivers(config: &Config, context: &SourceContext, ingest: &Arc<Ingest>, agents: &Arc<KnownAgents>) -> Router {
    Router::new().merge(json_lines::routes(config.json_lines.clone(), context.clone())).merge(agent::routes(
        context.clone(),
        Arc::new(Acquaintance { ingest: ingest.clone(), agents: agents.clone() }),
    ))
}

/// What this server knows of agents, as the receiver of their batches asks and tells it.
struct Acquaintance {
    ingest: Arc<Ingest>,
    agents: Arc<KnownAgents>,
}

impl StreamMarks for Acquaintance {
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

async fn start_each(config: &Config, context: &SourceContext, running: &mut Vec<Running>) -> Result<(), StartError> {
    running.push(shape_reports::start(&context.of_source("shape")));
    running.push(statsd::start(config.statsd.clone(), context.of_source("statsd"))?);
    running.push(syslog::start(config.syslog.clone(), context.of_source("syslog"))?);
    running.push(stdin::start(config.stdin.clone(), context.of_source("stdin"))?);
    running.push(file_tail::start(files(config), context.of_source("files"))?);
    if !config.no_host {
        running.push(journald::start(config.journald.clone(), context.of_source("journald"))?);
    }
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
