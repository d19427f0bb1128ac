//! The task that keeps the plan: which alerts are told to whom, made anew whenever alerts, silences, the routing or the hour
//! change, and a task for each channel that the routing names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::channel::Channel;
use super::deliver::{self, channel_of_document};
use super::routing::Routing;
use super::routing::plan::{Group, plan};
use super::{Desk, record};

/// How often a routing file is looked at for changes.
const POLL: Duration = Duration::from_secs(2);

/// How long a plan stands at least.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The longest sleep, in case the wall clock was set.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The plan of a moment.
#[derive(Debug, Default)]
pub struct Planned {
    /// All groups, in the order of their routes.
    pub groups: Vec<Group>,
}

/// A channel's running task.
struct Running {
    channel: Channel,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Plans until it is stopped, then waits for every channel.
pub(super) async fn run(desk: Arc<Desk>, plans: watch::Sender<Arc<Planned>>, stop: CancellationToken) {
    let mut alerts = desk.surroundings.changes.clone();
    let mut silences = desk.silences.changes();
    let mut routings = desk.routing.subscribe();
    let mut channels: BTreeMap<String, Running> = BTreeMap::new();
    let mut of_routing: Option<Arc<Routing>> = None;
    loop {
        // Seen before anything is read: a change that comes meanwhile wakes us again.
        alerts.borrow_and_update();
        silences.borrow_and_update();
        let routing = routings.borrow_and_update().clone();
        let (now, began) = (Timestamp::now(), Instant::now());
        let planned = {
            let (desk, routing) = (desk.clone(), routing.clone());
            tokio::task::spawn_blocking(move || {
                let silences = desk.silences.all();
                let alerts = (desk.surroundings.alerts)();
                Planned { groups: plan(&routing, &silences, &alerts, now) }
            })
        };
        if let Ok(planned) = planned.await {
            plans.send_replace(Arc::new(planned));
        }
        if of_routing.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &routing)) {
            replace_channels(&desk, &mut channels, &routing, &plans, &stop).await;
            of_routing = Some(routing.clone());
        }
        announce_ends(&desk, now).await;
        // However often alerts change, planning takes a tenth of one core at most.
        let pause = (began.elapsed() * 10).clamp(PAUSE.0, PAUSE.1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        let sleep = next_moment(&desk, &routing, now).saturating_since(Timestamp::now());
        tokio::select! {
            changed = alerts.changed() => if changed.is_err() {
                stop.cancelled().await;
            },
            _ = silences.changed() => {}
            _ = routings.changed() => {}
            () = tokio::time::sleep(sleep.clamp(Duration::from_millis(10), SLEEP_MAX)) => {}
            () = stop.cancelled() => {}
        }
        if stop.is_cancelled() {
            for running in channels.into_values() {
                // A task that panicked was logged by the panic itself.
                let _ = running.task.await;
            }
            return;
        }
    }
}

/// Reads the routing file again whenever it changes.
pub(super) async fn watch_file(desk: Arc<Desk>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = stop.cancelled() => return,
        }
        let desk = desk.clone();
        // A panic there was logged, and the next look tries again.
        let _ = tokio::task::spawn_blocking(move || desk.read_routing(false)).await;
    }
}

/// Starts the channels that are new, ends those that are gone; a changed one begins when the old one has ended. What did not
/// change goes on undisturbed.
async fn replace_channels(
    desk: &Arc<Desk>,
    running: &mut BTreeMap<String, Running>,
    routing: &Routing,
    plans: &watch::Sender<Arc<Planned>>,
    stop: &CancellationToken,
) {
    let wanted: Vec<&Channel> = routing.receivers.values().flat_map(|receiver| &receiver.channels).collect();
    let names: BTreeSet<&str> = wanted.iter().map(|channel| channel.name.as_str()).collect();
    let gone: Vec<String> = running
        .iter()
        .filter(|(name, known)| {
            let same = wanted.iter().any(|channel| channel.name == **name && **channel == known.channel);
            !same
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in gone {
        if let Some(old) = running.remove(&name) {
            old.stop.cancel();
            let _ = old.task.await;
        }
    }
    forget_others(desk, &names).await;
    for channel in wanted {
        if running.contains_key(&channel.name) {
            continue;
        }
        let own_stop = stop.child_token();
        let task = deliver::Task {
            channel: channel.clone(),
            desk: desk.clone(),
            plans: plans.subscribe(),
            stop: own_stop.clone(),
        };
        let started = Running { channel: channel.clone(), stop: own_stop, task: tokio::spawn(deliver::run(task)) };
        running.insert(channel.name.clone(), started);
    }
}

/// What channels were told that are no more is worth nothing.
async fn forget_others(desk: &Arc<Desk>, names: &BTreeSet<&str>) {
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let told = desk.told.clone();
    let _ = tokio::task::spawn_blocking(move || {
        for (document, _) in told.all().unwrap_or_default() {
            if !names.contains(channel_of_document(&document)) {
                // It is tried again at the next change of the routing.
                let _ = told.remove(&document);
            }
        }
    })
    .await;
}

/// Says in the log which silences end soon.
async fn announce_ends(desk: &Arc<Desk>, now: Timestamp) {
    let silences = desk.silences.clone();
    let ending = tokio::task::spawn_blocking(move || silences.look(now)).await.unwrap_or_default();
    for silence in ending {
        desk.write_down(record::silence_ends(&silence, &desk.surroundings.resource, now)).await;
    }
}

/// When the plan must be made anew though nothing changes: a silence begins, ends or is announced, or a minute begins that a
/// time interval may begin or end with.
fn next_moment(desk: &Desk, routing: &Routing, now: Timestamp) -> Timestamp {
    let silences = desk.silences.all();
    let silence = silences.iter().filter_map(|silence| silence.next_change(now)).min();
    let minute = (!routing.intervals.is_empty()).then(|| {
        let minute = 60_000_000_000;
        Timestamp::from_unix_nanos((now.unix_nanos().div_euclid(minute) + 1) * minute)
    });
    [silence, minute].into_iter().flatten().min().unwrap_or_else(|| now.saturating_add(SLEEP_MAX))
}
