//! The task that hands all alerts over to an Alertmanager, which then groups, silences and tells by its own rules.
//!
//! Several servers with the same rules that hand over to the same Alertmanager page once: it knows alerts by their labels.

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::channel::Failure;
use super::channel::TIMEOUT;
use super::channel::alertmanager::{BATCH_MAX, Sent, body};
use super::channel::http::Address;

/// How long a sender waits after a failure: alerts are sent every minute anyway, so that is soon enough to be sure.
const PAUSE: Duration = Duration::from_secs(5);

/// The pause between two looks at the alerts.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Hands over until it is stopped.
pub(super) async fn run(desk: Arc<Desk>, address: Address, stop: CancellationToken) {
    let mut changes = desk.surroundings.changes.clone();
    let mut sent = Sent::default();
    let name = format!("alertmanager {}", address.origin());
    loop {
        changes.borrow_and_update();
        let (alerts, now) = (desk.alerts().await, Timestamp::now());
        let due = sent.due(&alerts, now);
        let mut failed = false;
        for batch in due.chunks(BATCH_MAX) {
            let json = body(batch, &desk.external_url, now);
            let post = tokio::time::timeout(TIMEOUT, desk.post.json(&address, None, &[], json));
            let result = tokio::select! {
                result = post => result.unwrap_or_else(|_| Err(Failure::Away(format!("no answer within {TIMEOUT:?}")))),
                () = stop.cancelled() => return,
            };
            match result {
                Ok(_) => {
                    sent.note(batch, now);
                    desk.count(&name, "delivered");
                }
                Err(failure) => {
                    tracing::warn!("alerts: {name} took {} alerts not: {}", batch.len(), failure.message());
                    desk.count(&name, "retrying");
                    failed = true;
                    break;
                }
            }
        }
        // However often alerts change, looking at all of them takes a small part of one core.
        tokio::select! {
            () = tokio::time::sleep(LOOK_PAUSE) => {}
            () = stop.cancelled() => return,
        }
        let next = sent.next(now).map_or(Duration::from_secs(60), |next| next.saturating_since(Timestamp::now()));
        let sleep = if failed { PAUSE } else { next.max(Duration::from_millis(100)) };
        tokio::select! {
            // After a failure a change need not be told at once: it would fail too.
            changed = changes.changed(), if !failed => if changed.is_err() {
                stop.cancelled().await;
            },
            () = tokio::time::sleep(sleep) => {}
            () = stop.cancelled() => {}
        }
        if stop.is_cancelled() {
            return;
        }
    }
}
