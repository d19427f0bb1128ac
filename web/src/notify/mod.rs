//! Tells people about alerts: who is told what and when is settled by an own small router that reads Alertmanager's
//! configuration; every attempt is also a log record that can be searched (`service:taffrail notify.outcome:failed`).
//!
//! Reading order: [`notice`] (an alert as it is told), [`routing`] (tree, silences, inhibition, time: pure), [`ledger`] (what a
//! channel was told and must be told now: pure), [`channel`] (the ways to tell), [`evidence`] (what explains an alert),
//! [`record`] (a notification as a log record), [`deliver`] (a channel's task), [`planner`] (the task that keeps the plan),
//! [`handover`] (alerts for an Alertmanager), [`silences`] and [`catalog_state`] (what survives restarts).
//!
//! A channel never waits for another. It reads the plan as it is when it gets to tell, so nothing queues up while it is away;
//! what it was told is saved once it said so, so that a restart repeats at most the one notification that was under way.

pub mod catalog_state;
pub mod channel;
mod deliver;
pub mod evidence;
mod handover;
pub mod ledger;
pub mod notice;
pub mod planner;
pub mod record;
pub mod routing;
pub mod silences;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use taffrail_collector::delivery::{Outcome, Outlet};
use taffrail_collector::model::{Batch, LogRecord, Resource, Timestamp};
use taffrail_query::alert::rule::Problem;
use taffrail_query::alert::snapshot::NamedAlert;
use taffrail_query::alert::state::Labels;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use catalog_state::Documents;
use channel::http::{Address, Post};
use channel::message::Message;
use channel::webhook::Webhook;
use channel::{Channel, Receiver, TIMEOUT, Way};
use evidence::Evidence;
use ledger::Due;
use notice::Notice;
use planner::Planned;
use record::Attempt;
use routing::Routing;
use routing::route::{GroupBy, Route, Timing};
use routing::watched::WatchedFile;
use silences::Silences;

/// How often people are reminded of what still fires: Alertmanager's `repeat_interval`.
pub const REPEAT_INTERVAL: Duration = Duration::from_secs(4 * 3600);

/// The receiver that `alerts.webhooks` stands for.
pub const WEBHOOKS_RECEIVER: &str = "webhooks";

/// How long the log record of a notification may take to be stored: a full disk must not keep people from being told.
const RECORD_PATIENCE: Duration = Duration::from_secs(2);

/// Checked settings of the notifications.
#[derive(Clone, Debug)]
pub struct Config {
    /// The routing file.
    pub routing: Option<PathBuf>,
    /// Where everything is posted when there is none. Without any, notifications are only written down as log records.
    pub webhooks: Vec<String>,
    /// How often people are reminded by these webhooks of what still fires.
    pub repeat_interval: Duration,
    /// Alertmanagers that get all alerts.
    pub alertmanagers: Vec<String>,
    /// The address by which people reach this server, without a slash at its end.
    pub external_url: String,
}

/// What notifications are about and where they leave their traces.
pub struct Surroundings {
    /// The alerts as they are now ([`taffrail_query::alert::schedule::Manager::alerts`]).
    pub alerts: Arc<dyn Fn() -> Vec<NamedAlert> + Send + Sync>,
    /// Moves whenever they may have changed.
    pub changes: watch::Receiver<u64>,
    /// Where what was told is remembered.
    pub told: Arc<dyn Documents>,
    /// Where silences are kept.
    pub silences: Arc<dyn Documents>,
    /// What explains an alert, if anything does.
    pub explain: Option<Arc<evidence::gather::Gatherer>>,
    /// Where log records go.
    pub outlet: Outlet,
    /// Who writes them: this host, service `taffrail`.
    pub resource: Arc<Resource>,
}

/// The running notifications. Cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    desk: Arc<Desk>,
    plans: watch::Receiver<Arc<Planned>>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What all tasks share.
struct Desk {
    surroundings: Surroundings,
    told: Arc<dyn Documents>,
    silences: Arc<Silences>,
    routing: watch::Sender<Arc<Routing>>,
    file: Mutex<Option<WatchedFile>>,
    problem: Mutex<Option<Problem>>,
    external_url: String,
    post: Post,
    counts: Mutex<BTreeMap<(String, &'static str), u64>>,
}

/// What became of one channel's test.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Tested {
    /// The channel.
    pub channel: String,
    /// Where it tells, as far as that may be shown.
    pub target: String,
    /// Whether the message was taken.
    pub delivered: bool,
    /// Why not.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Reads what the settings say of notifications without putting it to work. Blocks.
pub fn check(config: &Config) -> Result<Routing, String> {
    for url in &config.alertmanagers {
        alertmanager(url).map_err(|error| format!("alerts.alertmanagers: {error}"))?;
    }
    match &config.routing {
        Some(path) => {
            WatchedFile::open(path.clone()).map(|(_, routing)| routing).map_err(|problem| problem.to_string())
        }
        None => of_webhooks(config).map_err(|error| format!("alerts.webhooks: {error}")),
    }
}

impl Notifier {
    /// Starts everything; it ends once `stop` is cancelled. The error names the setting to change. Blocks while it reads.
    pub fn start(config: &Config, surroundings: Surroundings, stop: &CancellationToken) -> Result<Notifier, String> {
        let (file, routing) = match &config.routing {
            Some(path) => {
                let (file, routing) = WatchedFile::open(path.clone()).map_err(|problem| problem.to_string())?;
                (Some(file), routing)
            }
            None => (None, of_webhooks(config).map_err(|error| format!("alerts.webhooks: {error}"))?),
        };
        let alertmanagers = config.alertmanagers.iter().map(|url| alertmanager(url)).collect::<Result<Vec<_>, _>>();
        let alertmanagers = alertmanagers.map_err(|error| format!("alerts.alertmanagers: {error}"))?;
        log_remarks(&routing);
        let watched = file.is_some();
        let desk = Arc::new(Desk {
            told: surroundings.told.clone(),
            silences: Arc::new(Silences::load(surroundings.silences.clone())),
            surroundings,
            routing: watch::channel(Arc::new(routing)).0,
            file: Mutex::new(file),
            problem: Mutex::default(),
            external_url: config.external_url.clone(),
            post: Post::default(),
            counts: Mutex::default(),
        });
        let (plan, plans) = watch::channel(Arc::new(Planned::default()));
        let mut tasks = vec![tokio::spawn(planner::run(desk.clone(), plan, stop.clone()))];
        if watched {
            tasks.push(tokio::spawn(planner::watch_file(desk.clone(), stop.clone())));
        }
        for address in alertmanagers {
            tasks.push(tokio::spawn(handover::run(desk.clone(), address, stop.clone())));
        }
        Ok(Notifier { desk, plans, tasks: Arc::new(Mutex::new(tasks)) })
    }

    /// Where people reach this server, without a slash at its end.
    pub fn external_url(&self) -> &str {
        &self.desk.external_url
    }

    /// The plan as it is now.
    pub fn plan(&self) -> Arc<Planned> {
        self.plans.borrow().clone()
    }

    /// The routing at work.
    pub fn routing(&self) -> Arc<Routing> {
        self.desk.routing.borrow().clone()
    }

    /// What was wrong with the routing file when it was last read; the one before that is still at work.
    pub fn problem(&self) -> Option<Problem> {
        self.desk.problem.lock().clone()
    }

    /// The silences.
    pub fn silences(&self) -> &Arc<Silences> {
        &self.desk.silences
    }

    /// What explains alerts.
    pub fn gatherer(&self) -> Option<&Arc<evidence::gather::Gatherer>> {
        self.desk.surroundings.explain.as_ref()
    }

    /// How many attempts each channel had, by outcome.
    pub fn counts(&self) -> BTreeMap<(String, &'static str), u64> {
        self.desk.counts.lock().clone()
    }

    /// Reads the routing file again. A bad one leaves everything as it was. Blocks.
    pub fn reload(&self) -> Result<(), Problem> {
        self.desk.read_routing(true)
    }

    /// Tells every channel of a receiver that this is a test; none when there is no such receiver.
    pub async fn test(&self, receiver: &str) -> Option<Vec<Tested>> {
        let routing = self.routing();
        let receiver = routing.receivers.get(receiver)?;
        let labels = [("alertname", "TaffrailTest"), ("severity", "info"), ("receiver", receiver.name.as_str())];
        let notice = Notice {
            file: String::new(),
            rule_group: String::new(),
            rule: "TaffrailTest".to_owned(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            annotations: Labels::from([(
                "summary".to_owned(),
                "This is a test: notifications of this receiver arrive.".to_owned(),
            )]),
            expr: String::new(),
            value: "1".to_owned(),
            starts_at: Timestamp::now().unix_nanos(),
            ends_at: None,
            lines: None,
        };
        let due = Due::test(notice);
        let tests = receiver.channels.iter().map(|channel| self.desk.test(channel, &due));
        Some(futures_util::future::join_all(tests).await)
    }

    /// Waits until everything has ended, after `stop` was cancelled.
    pub async fn stopped(&self) {
        let tasks: Vec<_> = self.tasks.lock().drain(..).collect();
        for task in tasks {
            // A task that panicked was logged by the panic itself.
            let _ = task.await;
        }
    }
}

impl Desk {
    /// Reads the routing file, changed or not, and puts it to work if it is good.
    fn read_routing(&self, always: bool) -> Result<(), Problem> {
        let mut file = self.file.lock();
        let Some(file) = file.as_mut() else { return Ok(()) };
        let read = if always { Some(file.read()) } else { file.read_if_changed() };
        match read {
            None => Ok(()),
            Some(Ok(routing)) => {
                log_remarks(&routing);
                tracing::info!("alerts.routing: {} receivers are at work", routing.receivers.len());
                *self.problem.lock() = None;
                self.routing.send_replace(Arc::new(routing));
                Ok(())
            }
            Some(Err(problem)) => {
                tracing::warn!("alerts.routing stays as it was: {problem}");
                *self.problem.lock() = Some(problem.clone());
                Err(problem)
            }
        }
    }

    async fn test(&self, channel: &Channel, due: &Due) -> Tested {
        let evidence = Evidence::default();
        let message = Message {
            due,
            receiver: &channel.receiver,
            external_url: &self.external_url,
            evidence: &evidence,
            now: Timestamp::now(),
        };
        let began = Instant::now();
        let result = channel.tell(&self.post, &message).await;
        let attempt = Attempt { due, channel, result: &result, number: 1, duration: began.elapsed() };
        self.write_down(attempt.record(&self.surroundings.resource, Timestamp::now())).await;
        Tested {
            channel: channel.name.clone(),
            target: channel.target(),
            delivered: result.is_ok(),
            error: result.err().map(|failure| failure.message().to_owned()),
            duration_ms: began.elapsed().as_millis() as u64,
        }
    }

    /// The alerts as they are now; reading many takes longer than others should wait.
    async fn alerts(&self) -> Vec<NamedAlert> {
        let alerts = self.surroundings.alerts.clone();
        tokio::task::spawn_blocking(move || alerts()).await.unwrap_or_default()
    }

    /// What explains the alerts that are due.
    async fn explain(&self, due: &Due) -> Evidence {
        match &self.surroundings.explain {
            Some(gatherer) => gatherer.of(&due.firing).await,
            None => Evidence::default(),
        }
    }

    fn count(&self, channel: &str, outcome: &'static str) {
        *self.counts.lock().entry((channel.to_owned(), outcome)).or_default() += 1;
    }

    async fn write_down(&self, record: LogRecord) {
        let stored = self.surroundings.outlet.deliver(Batch { logs: vec![record], ..Batch::local() });
        let reason = match tokio::time::timeout(RECORD_PATIENCE, stored).await {
            Ok(Outcome::Refused(refusal)) => refusal.message,
            Ok(Outcome::Stored { .. } | Outcome::Duplicate { .. } | Outcome::Gap { .. }) => return,
            Err(_) => format!("the store gave no answer within {RECORD_PATIENCE:?}"),
        };
        tracing::warn!("alerts: a notification is not kept as a log record: {reason}");
    }
}

/// What `alerts.webhooks` means: everything is posted at once, alerts of a name together.
fn of_webhooks(config: &Config) -> Result<Routing, String> {
    let mut channels = Vec::new();
    for (at, url) in config.webhooks.iter().enumerate() {
        channels.push(Channel {
            name: format!("{WEBHOOKS_RECEIVER}/webhook/{}", at + 1),
            receiver: WEBHOOKS_RECEIVER.to_owned(),
            send_resolved: true,
            timeout: TIMEOUT,
            way: Way::Webhook(Webhook {
                address: Address::new(url)?,
                credentials: None,
                hmac_secret: None,
                alerts_max: 0,
            }),
        });
    }
    if channels.is_empty() {
        channels.push(Channel {
            name: "log".to_owned(),
            receiver: WEBHOOKS_RECEIVER.to_owned(),
            send_resolved: true,
            timeout: TIMEOUT,
            way: Way::Nothing,
        });
    }
    let timing =
        Timing { group_wait: Duration::ZERO, group_interval: Duration::ZERO, repeat_interval: config.repeat_interval };
    let receiver = Receiver { name: WEBHOOKS_RECEIVER.to_owned(), channels };
    Ok(Routing {
        route: Route::everything(WEBHOOKS_RECEIVER, GroupBy::Labels(vec!["alertname".to_owned()]), timing),
        receivers: BTreeMap::from([(receiver.name.clone(), receiver)]),
        inhibit_rules: Vec::new(),
        intervals: BTreeMap::new(),
        remarks: Vec::new(),
    })
}

/// Where an Alertmanager takes alerts, given its own URL.
fn alertmanager(url: &str) -> Result<Address, String> {
    Address::new(&format!("{}/api/v2/alerts", url.trim_end_matches('/')))
}

fn log_remarks(routing: &Routing) {
    for remark in &routing.remarks {
        tracing::info!("alerts.routing: {remark}");
    }
}
