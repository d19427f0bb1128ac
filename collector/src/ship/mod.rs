//! An agent's sender: batches go from the collector's channel into a spool on disk, and from there to servers, nothing lost and
//! nothing twice.
//!
//! A source's receipt is answered once its batch is fsynced in the spool; a server that is away, slow or full costs disk
//! space and nothing else. Frames go out on **streams** of one server each, whose rows are numbered; the server keeps how far it has each
//! stream beside the data, so that whatever is sent again is recognised. A record is bound to a stream, durably, before it
//! is sent: while it is unknown whether that server has it, no other gets it, and everything behind it goes elsewhere. Only a
//! well-formed acknowledgement counts as success; everything else is tried again for ever, except rows that a server says it
//! will never take: those go to the quarantine, and the stream goes on.
//!
//! Several servers are tried in the order of the configuration; the first that is well gets everything. Lanes go side by side, the
//! urgent first; after an outage what comes now goes before what waited.
//!
//! In the state directory:
//!
//! ```text
//! lock            held while an agent runs
//! state.json      who the agent is, how far its sources were read, the books of what goes where (replaced atomically)
//! spool/          journal of batches: a frame a lane, one number a batch
//! acquainted      there once servers have said how far an agent of this name had read its sources
//! reserve         room for state.json on a full disk
//! quarantine/     records that servers refused for good, one file each; segments of the spool that cannot be read
//! ```
//!
//! Reading order: [`config`]; what is spooled: `lanes.rs`, `spool.rs`, `state.rs`, `intake.rs` (channel to spool); the books: `range_set.rs`,
//! `ledger.rs`; a server: `connection.rs`, `endpoint.rs` (one request), `breaker.rs`, `pace.rs` (deadline, concurrency, size), `server.rs`, `identity.rs`; spool
//! to servers: `unit.rs`, `line.rs`, `schedule.rs`, `greeting.rs`, `sender.rs`,
//! `assignment.rs`, `reading.rs`, `answers.rs`; [`status`].

mod answers;
mod assignment;
mod breaker;
pub mod config;
pub(crate) mod connection;
mod endpoint;
mod greeting;
mod identity;
mod intake;
mod lane_index;
mod lanes;
mod ledger;
mod line;
mod pace;
mod range_set;
mod reading;
mod schedule;
mod sender;
mod server;
#[cfg(test)]
mod simulation;
mod spool;
mod state;
pub mod status;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod thin_line_tests;
mod unit;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::delivery::{self, Outlet};
use crate::file_system::{FileSystem, RealFileSystem, replace_file};
use crate::model::AgentId;
use crate::random::random_bits;
use crate::source::StartError;

pub use config::{ShipConfig, TlsConfig};
pub use status::{EndpointSnapshot, LaneSnapshot, ShipSnapshot, ShipStatus};

use endpoint::Endpoint;
use identity::Identities;
use intake::Intake;
use sender::{Sender, blocking};
use server::Server;
use spool::{Opened, Spool};

/// Batches that may wait between the sources and the spool; they are fsynced together.
const CHANNEL_BATCHES: usize = 16;

/// How long an agent with a memory of its own asks servers for theirs before its sources start.
const GREETING_PATIENCE: Duration = Duration::from_secs(3);

/// How long one without a memory waits before it asks again.
const GREETING_AGAIN: Duration = Duration::from_secs(1);

/// How long a new agent that one server has answered waits for the others.
const OTHERS_PATIENCE: Duration = Duration::from_secs(30);

/// How long a stopping agent goes on sending what it spooled; the rest waits on disk for the next start.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A sender that runs.
#[derive(Debug)]
pub struct Shipping {
    /// Who this agent is.
    pub agent: AgentId,
    /// Where the sources hand their batches over.
    pub outlet: Outlet,
    /// How far the sources were read: known at once, or as soon as a server has answered an agent that remembers nothing. Until then
    /// sources that could be read twice have to wait. Never comes when the agent stops before.
    pub checkpoints: oneshot::Receiver<HashMap<String, Vec<u8>>>,
    /// What was sent and what went wrong.
    pub status: ShipStatus,
    /// Ends after `stop` was cancelled (or every outlet dropped), the channel drained, and what could be sent within five
    /// seconds was sent.
    pub task: JoinHandle<()>,
}

/// What the tasks share.
struct Shared<F: FileSystem> {
    agent: AgentId,
    spool: Mutex<Spool<F>>,
    /// Held from the first append to the commit, so that each commit answers for its own records.
    writing: Mutex<()>,
    file_system: F,
    state_dir: PathBuf,
    uncertain_wait: Duration,
    /// So much waits that batches are parted by lane.
    is_backlogged: AtomicBool,
    /// Told when there is something new to send, or when the intake has ended.
    changed: Notify,
    /// Nothing more is spooled.
    intake_ended: CancellationToken,
    /// What is not sent by now waits for the next start.
    give_up: CancellationToken,
    status: ShipStatus,
    /// Held as long as the agent runs.
    _lock: Option<File>,
}

/// Opens the spool, asks the servers how far this agent's sources were read, and starts sending.
pub async fn start(config: ShipConfig, stop: CancellationToken) -> Result<Shipping, StartError> {
    let endpoints = endpoint::connect(&config, random_bits())?.into_iter();
    let endpoints = endpoints.map(|endpoint| -> Arc<dyn Endpoint> { Arc::new(endpoint) }).collect();
    let file_system = RealFileSystem;
    file_system.create_directories(&config.state_dir).map_err(|error| StartError {
        setting: "collector.state_dir",
        message: format!("cannot create {}: {error}", config.state_dir.display()),
    })?;
    let lock = state::lock(&config.state_dir)?;
    start_with(config, endpoints, file_system, Some(lock), stop).await
}

/// The same with servers and a disk that may be simulated.
async fn start_with<F: FileSystem>(
    config: ShipConfig,
    endpoints: Vec<Arc<dyn Endpoint>>,
    file_system: F,
    lock: Option<File>,
    stop: CancellationToken,
) -> Result<Shipping, StartError> {
    let opened = {
        let (config, file_system) = (config.clone(), file_system.clone());
        blocking(move || Spool::open(file_system, &config)).await?
    };
    let Opened { spool, mut ledger, servers: known } = opened;
    let acquainted = file_system.read(&config.state_dir.join(ACQUAINTED));
    let is_new = acquainted.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    let agent = spool.agent();
    let urls: Vec<String> = endpoints.iter().map(|endpoint| endpoint.url().to_owned()).collect();
    let identities = Identities::new(&urls, &known, &mut ledger);
    let status = ShipStatus::new(agent, config.spool_bytes_max, urls.iter().map(String::as_str));
    let shared = Arc::new(Shared {
        agent,
        spool: Mutex::new(spool),
        writing: Mutex::new(()),
        file_system,
        state_dir: config.state_dir.clone(),
        uncertain_wait: config.uncertain_wait,
        is_backlogged: AtomicBool::new(false),
        changed: Notify::new(),
        intake_ended: CancellationToken::new(),
        give_up: CancellationToken::new(),
        status: status.clone(),
        _lock: lock,
    });
    let (tell, checkpoints) = oneshot::channel();
    let learning = learn_checkpoints(Arc::clone(&shared), endpoints.clone(), is_new, stop.clone());
    if is_new {
        tokio::spawn(async move { drop(learning.await.map(|known| tell.send(known))) });
    } else if let Some(known) = learning.await {
        let _ = tell.send(known); // its other end stands right here
    }
    let servers = endpoints.into_iter().map(Server::new).collect();
    let mut sender = Sender::new(Arc::clone(&shared), servers, identities, ledger);
    sender.save().await;
    if !sender.is_written() {
        let message = format!("cannot write state.json in {}", config.state_dir.display());
        return Err(StartError { setting: "collector.state_dir", message });
    }
    let (outlet, deliveries) = delivery::channel(CHANNEL_BATCHES);
    let intake = Intake::new(Arc::clone(&shared), deliveries, stop);
    let task = tokio::spawn(run(shared, intake, sender));
    Ok(Shipping { agent, outlet, checkpoints, status, task })
}

/// Asks the servers for checkpoints that are newer than this agent's own, and makes them durable. One that has none of its own asks
/// until servers answer, all of them if they do within [`OTHERS_PATIENCE`] of the first: it may have lost its own, and would send
/// everything again. None when it is stopped before.
async fn learn_checkpoints<F: FileSystem>(
    shared: Arc<Shared<F>>,
    endpoints: Vec<Arc<dyn Endpoint>>,
    is_new: bool,
    stop: CancellationToken,
) -> Option<HashMap<String, Vec<u8>>> {
    let (mut first_answer, mut learnt) = (None, false);
    // What each source's newest checkpoint is, and which ranges there are, is known once all have been heard.
    let mut heard: HashMap<String, Vec<u8>> = HashMap::new();
    loop {
        let views = greeting::ask_all(&endpoints, shared.agent, GREETING_PATIENCE).await;
        let now = Instant::now();
        let answered = views.len();
        if answered > 0 {
            first_answer.get_or_insert(now);
        }
        views.into_iter().for_each(|view| spool::keep_newest(&mut heard, view.checkpoints));
        let waited = first_answer.is_some_and(|first| now.saturating_duration_since(first) >= OTHERS_PATIENCE);
        if answered == endpoints.len() || waited || !is_new {
            if answered == 0 && !is_new {
                tracing::warn!(
                    "no server of collector.to answers: sources go on from what this agent remembers, and batches wait in the spool"
                );
            }
            // What could not be written down is so the next time.
            learnt |= shared.spool.lock().learn_checkpoints(&heard);
            let keeping = Arc::clone(&shared);
            let kept = blocking(move || keep_learnt(&keeping, learnt, is_new)).await;
            if let Err(error) = kept {
                tracing::error!(
                    error,
                    "what servers know of this agent's sources cannot be written down; trying again"
                );
            } else {
                shared.changed.notify_one();
                return Some(shared.spool.lock().checkpoints().clone().into_iter().collect());
            }
        } else if answered == 0 {
            tracing::warn!(
                "no server of collector.to answers a new agent: files and the journal are read once one has said how far they were"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(GREETING_AGAIN) => {}
            () = stop.cancelled() => return None,
        }
    }
}

/// The mark of an agent that has been told what servers knew of it: an empty file.
const ACQUAINTED: &str = "acquainted";

fn keep_learnt<F: FileSystem>(shared: &Shared<F>, learnt: bool, is_new: bool) -> Result<(), String> {
    if learnt {
        intake::put_checkpoints(shared).map_err(|refusal| refusal.to_string())?;
    }
    if is_new {
        let path = shared.state_dir.join(ACQUAINTED);
        replace_file(&shared.file_system, &path, b"").map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn run<F: FileSystem>(shared: Arc<Shared<F>>, intake: Intake<F>, sender: Sender<F>) {
    let mut sending = tokio::spawn(sender.run());
    tokio::select! {
        () = intake.run() => {}
        // It ends by itself only when it panics: whoever waits for this task must know.
        ended = &mut sending => return ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
    }
    shared.intake_ended.cancel();
    shared.changed.notify_one();
    if tokio::time::timeout(DRAIN_DEADLINE, &mut sending).await.is_err() {
        shared.give_up.cancel();
        let _ = sending.await; // it panicked or ended
    }
}
