//! A channel's task: wakes when the plan changes, tells what is due, tries again with growing pauses. It waits for no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::catalog_state::Documents;
use super::channel::message::Message;
use super::channel::{Channel, Failure};
use super::evidence::Evidence;
use super::ledger::{Due, Ledger, Told};
use super::planner::Planned;
use super::record::Attempt;
use super::routing::plan::GroupKey;

/// The pause after a refusal that trying again will hardly change: Alertmanager's group interval.
const PAUSE_REFUSED: Duration = Duration::from_secs(300);

/// The longest pause that a receiver may ask for.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(300);

/// The longest sleep, in case the wall clock was set.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What a channel's task works with.
pub(super) struct Task {
    pub channel: Channel,
    pub desk: Arc<Desk>,
    pub plans: watch::Receiver<Arc<Planned>>,
    pub stop: CancellationToken,
}

/// Tells until it is stopped.
pub(super) async fn run(mut task: Task) {
    let (documents, name) = (task.desk.told.clone(), task.channel.name.clone());
    let load = tokio::task::spawn_blocking(move || load(&*documents, &name));
    let mut ledger = Ledger::new(load.await.unwrap_or_default());
    loop {
        let plan = task.plans.borrow_and_update().clone();
        task.tell(&plan, &mut ledger).await;
        let now = Timestamp::now();
        let sleep = ledger.next(now).map_or(SLEEP_MAX, |next| next.saturating_since(now));
        let sleep = sleep.clamp(Duration::from_millis(10), SLEEP_MAX);
        tokio::select! {
            changed = task.plans.changed() => if changed.is_err() {
                task.stop.cancelled().await;
            },
            () = tokio::time::sleep(sleep) => {}
            () = task.stop.cancelled() => {}
        }
        if task.stop.is_cancelled() {
            return;
        }
    }
}

impl Task {
    async fn tell(&self, plan: &Planned, ledger: &mut Ledger) {
        let groups: Vec<_> = plan.groups.iter().filter(|group| group.receiver == self.channel.receiver).collect();
        let due = ledger.due(&groups, self.channel.send_resolved, Timestamp::now());
        let mut away = false;
        for due in due {
            // The others would wait for the same silence: they are looked at again as soon as this one is.
            if away {
                ledger.failed(&due.key, None, Timestamp::now());
                continue;
            }
            let number = ledger.failures(&due.key) + 1;
            let evidence =
                if self.channel.shows_evidence() { self.desk.explain(&due).await } else { Evidence::default() };
            let began = Instant::now();
            let Some(result) = self.send(&due, &evidence).await else { return };
            let now = Timestamp::now();
            match &result {
                Ok(()) => {
                    let told = ledger.told(&due, now);
                    self.remember(&due.key, told).await;
                }
                Err(Failure::Away(_)) => {
                    ledger.failed(&due.key, None, now);
                    away = true;
                }
                Err(Failure::Later(_, wait)) => {
                    ledger.failed(&due.key, wait.map(|wait| wait.min(PAUSE_ASKED_MAX)), now);
                }
                Err(Failure::Refused(_)) => ledger.failed(&due.key, Some(PAUSE_REFUSED), now),
            }
            let attempt =
                Attempt { due: &due, channel: &self.channel, result: &result, number, duration: began.elapsed() };
            if let Err(failure) = &result {
                tracing::warn!(
                    "alerts: {} was not told of {}: {}; trying again",
                    self.channel.name,
                    due.key,
                    failure.message()
                );
            }
            self.desk.count(&self.channel.name, attempt.outcome());
            self.desk.write_down(attempt.record(&self.desk.surroundings.resource, now)).await;
        }
    }

    /// None when stopping; what was not taken is told after the restart.
    async fn send(&self, due: &Due, evidence: &Evidence) -> Option<Result<(), Failure>> {
        let message = Message {
            due,
            receiver: &self.channel.receiver,
            external_url: &self.desk.external_url,
            evidence,
            now: Timestamp::now(),
        };
        tokio::select! {
            result = self.channel.tell(&self.desk.post, &message) => Some(result),
            () = self.stop.cancelled() => None,
        }
    }

    /// Saving waits for the disk. A panic there was logged, and costs one repeated notification.
    async fn remember(&self, key: &GroupKey, told: Option<Told>) {
        let (documents, document) = (self.desk.told.clone(), document_key(&self.channel.name, key));
        let _ = tokio::task::spawn_blocking(move || {
            let kept = match told {
                None => documents.remove(&document),
                Some(told) => {
                    let text = serde_json::to_string(&told).expect("names, texts and numbers are always JSON");
                    documents.put(&document, &text)
                }
            };
            if let Err(error) = kept {
                tracing::warn!("alerts: what was told cannot be saved, a restart will tell it again: {error}");
            }
        })
        .await;
    }
}

/// The key of the document that says what a channel was told of a group.
fn document_key(channel: &str, key: &GroupKey) -> String {
    let key = serde_json::to_string(key).expect("texts are always JSON");
    format!("{channel}\n{key}")
}

/// The channel that a document belongs to.
pub(super) fn channel_of_document(document: &str) -> &str {
    document.split('\n').next().unwrap_or_default()
}

/// What the channel was told, as far as it can be read: what cannot is told again.
fn load(documents: &dyn Documents, channel: &str) -> BTreeMap<GroupKey, Told> {
    let all = documents.all().unwrap_or_else(|error| {
        tracing::warn!("what was told about alerts cannot be read, all that fires is told again: {error}");
        Vec::new()
    });
    let read = all.into_iter().filter(|(document, _)| channel_of_document(document) == channel);
    read.filter_map(|(document, text)| {
        let key = serde_json::from_str(document.split_once('\n')?.1).ok()?;
        Some((key, serde_json::from_str(&text).ok()?))
    })
    .collect()
}
