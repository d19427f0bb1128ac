//! Tells people about alerts: each webhook gets every change once, and a reminder while it lasts; every notification is also
//! a log record that can be searched (`service:taffrail alert.name:*`).
//!
//! Reading order: [`ledger`] (what was told, and what must be told now: pure), [`payload`] (Alertmanager's webhook JSON),
//! [`webhook`] (one POST and what its answer means), [`record`] (the notification as a log record), [`deliver`] (a receiver's
//! task), [`catalog_state`] (where both the alerts and what was told survive restarts).
//!
//! A receiver never waits for another. It reads the alerts as they are when it gets to tell them, so nothing queues up while
//! it is away; what it was told is saved once it said so, so that a restart repeats at most the one notification that was
//! under way.

pub mod catalog_state;
mod deliver;
pub mod ledger;
pub mod payload;
pub mod record;
pub mod webhook;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::delivery::Outlet;
use taffrail_collector::model::Resource;
use taffrail_query::alert::saved_state::StateStore;
use taffrail_query::alert::snapshot::NamedAlert;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use deliver::{Receiver, run};
use ledger::Ledgers;
use webhook::Webhook;

/// How often people are reminded of what still fires: Alertmanager's `repeat_interval`.
pub const REPEAT_INTERVAL: Duration = Duration::from_secs(4 * 3600);

/// Checked settings of the notifications.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where notifications are posted. Without any they are only written down as log records.
    pub webhooks: Vec<String>,
    /// The address by which people reach this server, without a slash at its end.
    pub external_url: String,
    /// How often people are reminded of what still fires.
    pub repeat_interval: Duration,
    /// How long a webhook may take to answer.
    pub timeout: Duration,
}

/// What notifications are about and where they leave their traces.
pub struct Surroundings {
    /// The alerts as they are now ([`taffrail_query::alert::schedule::Manager::alerts`]).
    pub alerts: Arc<dyn Fn() -> Vec<NamedAlert> + Send + Sync>,
    /// Moves whenever they may have changed.
    pub changes: watch::Receiver<u64>,
    /// Where what was told is remembered.
    pub store: Arc<dyn StateStore>,
    /// Where log records go.
    pub outlet: Outlet,
    /// Who writes them: this host, service `taffrail`.
    pub resource: Arc<Resource>,
}

/// The running notifications.
pub struct Notifier {
    tasks: Vec<JoinHandle<()>>,
}

impl Notifier {
    /// Starts a task for each webhook; they end once `stop` is cancelled. The error names the setting to change.
    pub fn start(config: &Config, surroundings: Surroundings, stop: &CancellationToken) -> Result<Notifier, String> {
        let webhooks = config.webhooks.iter().map(|url| Webhook::new(url, config.timeout));
        let webhooks = webhooks.collect::<Result<Vec<_>, _>>().map_err(|error| format!("alerts.webhooks: {error}"))?;
        let ledgers = Arc::new(Ledgers::load(surroundings.store.clone()));
        let surroundings = Arc::new(surroundings);
        let receiver = |webhook: Option<Webhook>| Receiver {
            webhook,
            config: config.clone(),
            surroundings: surroundings.clone(),
            ledgers: ledgers.clone(),
            stop: stop.clone(),
        };
        let receivers: Vec<Receiver> = match webhooks.is_empty() {
            true => vec![receiver(None)],
            false => webhooks.into_iter().map(|webhook| receiver(Some(webhook))).collect(),
        };
        Ok(Notifier { tasks: receivers.into_iter().map(|receiver| tokio::spawn(run(receiver))).collect() })
    }

    /// Waits until every receiver has ended, after `stop` was cancelled.
    pub async fn stopped(self) {
        for task in self.tasks {
            // A task that panicked was logged by the panic itself.
            let _ = task.await;
        }
    }
}
