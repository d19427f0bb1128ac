//! The agent: the same sources as the server's, with a spool on disk and distant servers at the other end.
//!
//! Stopping: the sources first, then what they held is spooled and, for a moment, sent; the rest waits on disk.
//!
//! It also says how it does: [`status`] (what it is doing), [`tap`] (what passes it), [`status_socket`] (who asks on this host), [`figures`] and
//! [`own_samples`] (its status as metrics), [`own_log`] (its log as records), [`own_health`] (both to the servers).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use taffrail_collector::config::Config;
use taffrail_collector::model::Timestamp;
use taffrail_collector::ship::{self, ShipConfig, Shipping};
use taffrail_collector::source::{Running, SourceContext, Tallies};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub mod figures;
pub mod own_health;
pub mod own_log;
pub mod own_samples;
pub mod status;
pub mod status_socket;
pub mod tap;

use self::own_health::OwnHealth;
use self::own_log::OwnLogRecords;
use self::status::StatusReader;
use self::status_socket::{Asked, StatusSocket};
use self::tap::TapPoint;
use crate::local_sources;

/// An agent that runs.
pub struct Agent {
    shipping: Shipping,
    stop_shipping: CancellationToken,
    sources: Vec<Running>,
    /// Those that wait for a server's word on how far they were read.
    late_sources: Option<JoinHandle<Vec<Running>>>,
    stop_sources: CancellationToken,
    own_health: Option<JoinHandle<()>>,
    stop_own_health: CancellationToken,
    socket: Option<StatusSocket>,
}

impl Agent {
    /// Opens the spool and starts the sources where they had been read to. `own_log` is sent along.
    pub async fn start(config: &Config, own_log: OwnLogRecords) -> anyhow::Result<Agent> {
        if config.to.is_empty() {
            bail!("collector.to: no server to deliver to; name one with --to http://host:6464 or in the settings file");
        }
        let interval = config.own_health.interval;
        if interval < Duration::from_secs(1) || interval > Duration::from_secs(3600) {
            bail!("collector.own_health.interval: {interval:?} is not between one second and one hour");
        }
        let stop_shipping = CancellationToken::new();
        let ship_config = ship_config(config);
        let state_dir = ship_config.state_dir.clone();
        let mut shipping = ship::start(ship_config, stop_shipping.clone()).await?;
        let stop_sources = CancellationToken::new();
        let tallies = Arc::new(Tallies::default());
        let tap_point = Arc::new(TapPoint::default());
        let outlet = shipping.outlet.clone().with_onlooker(tap_point.clone());
        let context = SourceContext {
            outlet: outlet.clone(),
            tallies: Arc::clone(&tallies),
            enricher: config.enricher()?,
            resource: local_sources::this_host(config),
            checkpoints: Arc::default(),
            stop: stop_sources.clone(),
        };
        let mut sources = local_sources::start_listening(config, &context).await?;
        let mut late_sources = None;
        match shipping.checkpoints.try_recv() {
            Ok(known) => {
                let context = SourceContext { checkpoints: Arc::new(known), ..context.clone() };
                match local_sources::start_reading(config, &context) {
                    Ok(readers) => sources.extend(readers),
                    Err(error) => {
                        stop_sources.cancel();
                        local_sources::wait_for_end(sources).await;
                        return Err(error.into());
                    }
                }
            }
            Err(_) => {
                late_sources = Some(tokio::spawn(read_once_known(&mut shipping, config.clone(), context.clone())))
            }
        }
        let status = StatusReader {
            agent: shipping.agent.to_string(),
            host: Arc::clone(&context.resource.host),
            started: Timestamp::now(),
            tallies,
            ship: shipping.status.clone(),
            own_log: own_log.counts(),
        };
        let late_kinds = late_sources.iter().flat_map(|_| local_sources::reading_kinds(config)).copied();
        let kinds = sources.iter().map(|source| source.kind).chain(late_kinds).chain([own_health::KIND]).collect();
        let asked = Asked { status: status.clone(), tap_point, kinds };
        let socket = match StatusSocket::start(&state_dir, asked) {
            Ok(socket) => Some(socket),
            Err(error) => {
                let path = state_dir.join(status_socket::FILE_NAME);
                tracing::warn!(
                    "collector.state_dir: {} cannot be listened on, so `taffrail top` sees nothing: {error}",
                    path.display()
                );
                None
            }
        };
        let stop_own_health = CancellationToken::new();
        let own_health = config.own_health.enabled.then(|| {
            let own_health = OwnHealth::new(own_log, status, outlet, interval);
            tokio::spawn(own_health.run(stop_own_health.clone()))
        });
        Ok(Agent { shipping, stop_shipping, sources, late_sources, stop_sources, own_health, stop_own_health, socket })
    }

    /// Waits until the sender ends by itself, which it does only when it panics. Cancel-safe.
    pub async fn sender_ended(&mut self) {
        let _ = (&mut self.shipping.task).await;
    }

    /// Who it is, and what listens where.
    pub fn describe(&self) -> String {
        let sources = self.sources.iter().map(|source| match source.address {
            Some(address) => format!("{} {address}", source.kind),
            None => source.kind.to_owned(),
        });
        format!("agent {}: {}", self.shipping.agent, sources.collect::<Vec<_>>().join(", "))
    }

    /// Stops the sources, then what is said of them, then the sender.
    pub async fn stop(self) {
        tracing::info!("stopping: reading no more, delivering what is held");
        self.stop_sources.cancel();
        local_sources::wait_for_end(self.sources).await;
        if let Some(late) = self.late_sources {
            local_sources::wait_for_end(late.await.unwrap_or_default()).await;
        }
        self.stop_own_health.cancel();
        if let Some(own_health) = self.own_health {
            // A panic of its task was logged by the panic itself.
            let _ = own_health.await;
        }
        self.stop_shipping.cancel();
        if self.shipping.task.await.is_err() {
            tracing::error!("the sender ended by a panic");
        }
        if let Some(socket) = self.socket {
            socket.stop().await;
        }
        let status = self.shipping.status.snapshot();
        tracing::info!(
            "stopped: {} rows delivered, {} batches wait on disk",
            status.acked_rows,
            status.waiting_batches
        );
    }
}

/// Starts the sources that could be read twice once it is known how far they were read.
fn read_once_known(
    shipping: &mut Shipping,
    config: Config,
    context: SourceContext,
) -> impl Future<Output = Vec<Running>> + use<> {
    let (_, never) = oneshot::channel();
    let checkpoints = std::mem::replace(&mut shipping.checkpoints, never);
    async move {
        let known = tokio::select! {
            Ok(known) = checkpoints => known,
            () = context.stop.cancelled() => return Vec::new(),
        };
        let context = SourceContext { checkpoints: Arc::new(known), ..context };
        local_sources::start_reading(&config, &context).unwrap_or_else(|error| {
            tracing::error!(%error, "files and the journal are not read");
            Vec::new()
        })
    }
}

/// What `[collector]` says to the sender.
fn ship_config(config: &Config) -> ShipConfig {
    ShipConfig {
        to: config.to.clone(),
        token_file: config.token_file.clone(),
        state_dir: state_dir(config),
        spool_bytes_max: config.spool_bytes_max,
        uncertain_wait: config.uncertain_wait,
        tls: config.tls.clone(),
    }
}

/// Where the agent of these settings keeps what it must not lose; by default beside the server's, so that both can run on one
/// host.
pub fn state_dir(config: &Config) -> PathBuf {
    config.state_dir.clone().unwrap_or_else(|| crate::config::sections::default_directory("taffrail-agent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_told_what_the_section_says() {
        let to = vec!["http://a:1".to_owned()];
        let section = Config { to: to.clone(), state_dir: Some("/s".into()), ..Config::default() };
        let usual = ShipConfig::new(to, "/s".into());
        assert_eq!(ship_config(&section), usual);
        let changed = Config { token_file: Some("/t".into()), spool_bytes_max: 7, ..section };
        assert_eq!(ship_config(&changed), ShipConfig { token_file: Some("/t".into()), spool_bytes_max: 7, ..usual });
    }
}
