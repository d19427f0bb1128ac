//! A receiver's task: wakes when alerts may have changed, tells what is due, tries again with growing pauses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{Batch, Timestamp};
use tokio_util::sync::CancellationToken;

use super::ledger::{Due, GroupKey, Ledgers};
use super::payload::Payload;
use super::record::record;
use super::webhook::{Failure, Webhook};
use super::{Config, Surroundings};

/// The first pause after a failure; each next is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause: what fires is told at most so late once the receiver is back.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The pause after a refusal that trying again will hardly change: Alertmanager's group interval.
const PAUSE_REFUSED: Duration = Duration::from_secs(300);

/// The longest sleep, in case the wall clock was set.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// How long the log record of a notification may take to be stored: a full disk must not keep people from being told.
const RECORD_PATIENCE: Duration = Duration::from_secs(2);

/// Who is told, and everything that telling needs.
pub(super) struct Receiver {
    /// None: notifications are only written down.
    pub webhook: Option<Webhook>,
    pub config: Config,
    pub surroundings: Arc<Surroundings>,
    pub ledgers: Arc<Ledgers>,
    pub stop: CancellationToken,
}

/// When a group may be tried again.
struct Pause {
    failures: u32,
    until: Timestamp,
}

/// Tells until it is stopped.
pub(super) async fn run(receiver: Receiver) {
    let mut changes = receiver.surroundings.changes.clone();
    let mut pauses: HashMap<GroupKey, Pause> = HashMap::new();
    loop {
        // Seen before the alerts are read: a change that comes meanwhile wakes us again.
        changes.borrow_and_update();
        receiver.tell(&mut pauses).await;
        let sleep = receiver.sleep(&pauses);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                receiver.stop.cancelled().await;
            },
            () = tokio::time::sleep(sleep) => {}
            () = receiver.stop.cancelled() => {}
        }
        if receiver.stop.is_cancelled() {
            return;
        }
    }
}

impl Receiver {
    /// The receiver's name in the ledgers.
    fn name(&self) -> &str {
        self.webhook.as_ref().map_or("", Webhook::url)
    }

    async fn tell(&self, pauses: &mut HashMap<GroupKey, Pause>) {
        let alerts = (self.surroundings.alerts)();
        let due = self.ledgers.of(self.name()).due(&alerts, Timestamp::now(), self.config.repeat_interval);
        pauses.retain(|key, _| due.iter().any(|due| due.key == *key));
        for due in due {
            if self.stop.is_cancelled() {
                return;
            }
            if pauses.get(&due.key).is_some_and(|pause| Timestamp::now() < pause.until) {
                continue;
            }
            let Some(result) = self.post(&due).await else { return };
            let now = Timestamp::now();
            match result {
                Ok(()) => {
                    pauses.remove(&due.key);
                    self.note(due.clone(), now).await;
                    self.write_down(&due, None, now).await;
                }
                Err(failure) => {
                    let failures = pauses.get(&due.key).map_or(0, |pause| pause.failures);
                    let (message, pause, away) = match failure {
                        Failure::Away(message) => (message, pause_after(failures, now), true),
                        Failure::Later(message, wait) => (
                            message,
                            wait.unwrap_or_default().min(PAUSE_REFUSED).max(pause_after(failures, now)),
                            false,
                        ),
                        Failure::Refused(message) => (message, PAUSE_REFUSED, false),
                    };
                    if failures == 0 {
                        self.write_down(&due, Some(&message), now).await;
                    }
                    pauses.insert(due.key, Pause { failures: failures + 1, until: now.saturating_add(pause) });
                    // The others would wait for the same silence.
                    if away {
                        return;
                    }
                }
            }
        }
    }

    /// None when stopping; what was not taken is told after the restart.
    async fn post(&self, due: &Due) -> Option<Result<(), Failure>> {
        let Some(webhook) = &self.webhook else { return Some(Ok(())) };
        let payload = Payload::new(due, &webhook.origin(), &self.config.external_url).to_json();
        tokio::select! {
            result = webhook.post(payload) => Some(result),
            () = self.stop.cancelled() => None,
        }
    }

    async fn note(&self, due: Due, now: Timestamp) {
        let (ledgers, name) = (self.ledgers.clone(), self.name().to_owned());
        // Saving waits for the disk. A panic there was logged, and costs one repeated notification.
        let _ = tokio::task::spawn_blocking(move || ledgers.note(&name, &due, now)).await;
    }

    async fn write_down(&self, due: &Due, error: Option<&str>, now: Timestamp) {
        let origin = self.webhook.as_ref().map(Webhook::origin).unwrap_or_default();
        if let Some(error) = error {
            tracing::warn!("alerts: {origin} could not be told of {}: {error}; trying again", due.key.alert);
        }
        let logs = vec![record(due, &origin, error, &self.surroundings.resource, now)];
        let stored = self.surroundings.outlet.deliver(Batch { logs, ..Batch::local() });
        let reason = match tokio::time::timeout(RECORD_PATIENCE, stored).await {
            Ok(Outcome::Refused(refusal)) => refusal.message,
            Ok(Outcome::Stored { .. } | Outcome::Duplicate { .. } | Outcome::Gap { .. }) => return,
            Err(_) => format!("the store gave no answer within {RECORD_PATIENCE:?}"),
        };
        tracing::warn!("alerts: the notification of {} is not kept as a log record: {reason}", due.key.alert);
    }

    /// Until the next reminder or the end of a pause.
    fn sleep(&self, pauses: &HashMap<GroupKey, Pause>) -> Duration {
        let now = Timestamp::now();
        let repeat = self.ledgers.of(self.name()).next_repeat(self.config.repeat_interval);
        let moments = pauses.values().map(|pause| pause.until).chain(repeat.filter(|repeat| *repeat > now));
        let next = moments.map(|moment| moment.saturating_since(now)).min().unwrap_or(SLEEP_MAX);
        next.clamp(Duration::from_millis(10), SLEEP_MAX)
    }
}

/// Twice as long with every failure, up to a quarter less so that receivers do not come back in step.
fn pause_after(failures: u32, now: Timestamp) -> Duration {
    let pause = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
    let share = now.unix_nanos().rem_euclid(1_000) as u32;
    pause - pause / 4_000 * share
}
