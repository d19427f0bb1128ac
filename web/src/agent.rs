//! The agent: the same sources as the server's, with a spool on disk and distant servers at the other end.
//!
//! Stopping: the sources first, then what they held is spooled and, for a moment, sent; the rest waits on disk.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use taffrail_collector::config::Config;
use taffrail_collector::ship::{self, ShipConfig, Shipping};
use taffrail_collector::source::{Running, SourceContext, Tallies};
use tokio_util::sync::CancellationToken;

use crate::local_sources;

/// An agent that runs.
pub struct Agent {
    shipping: Shipping,
    stop_shipping: CancellationToken,
    sources: Vec<Running>,
    stop_sources: CancellationToken,
}

impl Agent {
    /// Opens the spool and starts the sources where they had been read to.
    pub async fn start(config: &Config) -> anyhow::Result<Agent> {
        if config.to.is_empty() {
            bail!("collector.to: no server to deliver to; name one with --to http://host:6464 or in the settings file");
        }
        let stop_shipping = CancellationToken::new();
        let shipping = ship::start(ship_config(config), stop_shipping.clone()).await?;
        let stop_sources = CancellationToken::new();
        let context = SourceContext {
            outlet: shipping.outlet.clone(),
            tallies: Arc::new(Tallies::default()),
            enricher: config.lines.enricher()?,
            resource: local_sources::this_host(config),
            checkpoints: Arc::new(shipping.checkpoints.clone()),
            stop: stop_sources.clone(),
        };
        let sources = local_sources::start(config, &context).await?;
        Ok(Agent { shipping, stop_shipping, sources, stop_sources })
    }

    /// Who it is, and what listens where.
    pub fn describe(&self) -> String {
        let sources = self.sources.iter().map(|source| match source.address {
            Some(address) => format!("{} {address}", source.kind),
            None => source.kind.to_owned(),
        });
        format!("agent {}: {}", self.shipping.agent, sources.collect::<Vec<_>>().join(", "))
    }

    /// Stops the sources, then the sender.
    pub async fn stop(self) {
        tracing::info!("stopping: reading no more, delivering what is held");
        self.stop_sources.cancel();
        local_sources::wait_for_end(self.sources).await;
        self.stop_shipping.cancel();
        if self.shipping.task.await.is_err() {
            tracing::error!("the sender ended by a panic");
        }
        let status = self.shipping.status.snapshot();
        tracing::info!(
            "stopped: {} rows delivered, {} batches wait on disk",
            status.acked_rows,
            status.waiting_batches
        );
    }
}

/// What `[collector]` says to the sender.
fn ship_config(config: &Config) -> ShipConfig {
    ShipConfig {
        to: config.to.clone(),
        token_file: config.token_file.clone(),
        state_dir: config.state_dir.clone().unwrap_or_else(default_state_dir),
        spool_bytes_max: config.spool_bytes_max,
    }
}

/// Beside the server's, so that both can run on one host.
fn default_state_dir() -> PathBuf {
    crate::config::sections::default_directory("taffrail-agent")
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
