//! An agent's sender: batches go from the collector's channel into a spool on disk, and from there to a server, in order,
//! nothing lost and nothing twice.
//!
//! A source's receipt is answered once its batch is fsynced in the spool; a server that is away, slow or full costs disk
//! space and nothing else. Every batch takes the next sequence numbers of the agent's stream, and the server keeps what it has
//! of the stream beside the data: whatever is sent again is recognised, whatever is missing is asked for (409). Only a
//! well-formed acknowledgement counts as success; everything else is tried again for ever, on one endpoint after the other,
//! except what a server says it will never take: that goes to the quarantine, and the stream goes on.
//!
//! In the state directory:
//!
//! ```text
//! lock            held while an agent runs
//! state.json      who the agent is, where its stream stands, how far its sources were read (replaced atomically)
//! spool/          journal of frames, one number a frame
//! quarantine/     frames that servers refused for good, one file each
//! ```
//!
//! Reading order: [`config`], `state.rs`, `spool.rs`, `intake.rs` (channel to spool), `endpoint.rs` (one request), `sender.rs`
//! (spool to server), [`status`].

pub mod config;
mod endpoint;
mod intake;
mod sender;
mod spool;
mod state;
pub mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::delivery::{self, Outlet};
use crate::file_system::{FileSystem, RealFileSystem};
use crate::model::AgentId;
use crate::source::StartError;

pub use config::ShipConfig;
pub use status::{EndpointSnapshot, ShipSnapshot, ShipStatus};

use endpoint::Endpoint;
use intake::Intake;
use sender::Sender;
use spool::Spool;

/// Batches that may wait between the sources and the spool; they are fsynced together.
const CHANNEL_BATCHES: usize = 16;

/// How long the first question to the servers may take before the sources start without its answer.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// How long a stopping agent goes on sending what it spooled; the rest waits on disk for the next start.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A sender that runs.
#[derive(Debug)]
pub struct Shipping {
    /// Who this agent is.
    pub agent: AgentId,
    /// Where the sources hand their batches over.
    pub outlet: Outlet,
    /// How far the sources were read.
    pub checkpoints: HashMap<String, Vec<u8>>,
    /// What was sent and what went wrong.
    pub status: ShipStatus,
    /// Ends after `stop` was cancelled (or every outlet dropped), the channel drained, and what could be sent within five
    /// seconds was sent.
    pub task: JoinHandle<()>,
}

/// What the tasks share.
struct Shared<F: FileSystem> {
    spool: Mutex<Spool<F>>,
    /// Told when there is something new to send, or when the intake has ended.
    changed: Notify,
    /// Nothing more is spooled.
    intake_ended: CancellationToken,
    /// What is not sent by now waits for the next start.
    give_up: CancellationToken,
    status: ShipStatus,
    /// Where refused frames are put.
    quarantine: PathBuf,
    /// Held as long as the agent runs.
    _lock: Option<File>,
}

/// Opens the spool, asks the servers how far this agent's sources were read, and starts sending.
pub async fn start(config: ShipConfig, stop: CancellationToken) -> Result<Shipping, StartError> {
    let endpoints = endpoint::connect(&config)?;
    let file_system = RealFileSystem;
    file_system.create_directories(&config.state_dir).map_err(|error| StartError {
        setting: "collector.state_dir",
        message: format!("cannot create {}: {error}", config.state_dir.display()),
    })?;
    let lock = state::lock(&config.state_dir)?;
    let opening = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || Spool::open(file_system, &config))
    };
    let mut spool = opening
        .await
        .map_err(|_| StartError { setting: "collector.state_dir", message: "opening the spool failed".to_owned() })??;
    let status = ShipStatus::new(spool.agent(), endpoints.iter().map(Endpoint::url));
    let greeting = sender::greet(&endpoints, spool.agent());
    match tokio::time::timeout(GREETING_DEADLINE, greeting).await {
        Ok(Some(view)) => spool = sender::heed(spool, view, &status).await?,
        _ => tracing::warn!(
            "no server of collector.to answers: sources go on from what this agent remembers, and batches wait in the spool"
        ),
    }
    let checkpoints = spool.checkpoints().clone().into_iter().collect();
    let agent = spool.agent();
    let shared = Arc::new(Shared {
        spool: Mutex::new(spool),
        changed: Notify::new(),
        intake_ended: CancellationToken::new(),
        give_up: CancellationToken::new(),
        status: status.clone(),
        quarantine: config.state_dir.join("quarantine"),
        _lock: Some(lock),
    });
    let (outlet, deliveries) = delivery::channel(CHANNEL_BATCHES);
    let intake = Intake::new(Arc::clone(&shared), deliveries, stop);
    let sender = Sender::new(Arc::clone(&shared), endpoints);
    let task = tokio::spawn(run(shared, intake, sender));
    Ok(Shipping { agent, outlet, checkpoints, status, task })
}

async fn run<F: FileSystem>(shared: Arc<Shared<F>>, intake: Intake<F>, sender: Sender<F>) {
    let mut sending = tokio::spawn(sender.run());
    intake.run().await;
    shared.intake_ended.cancel();
    shared.changed.notify_one();
    if tokio::time::timeout(DRAIN_DEADLINE, &mut sending).await.is_err() {
        shared.give_up.cancel();
        let _ = sending.await; // it panicked or ended: either way the spool is written below
    }
    let saved = {
        let shared = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || shared.spool.lock().save()).await
    };
    if let Ok(Err(error)) = saved {
        tracing::warn!(%error, "the sender's state could not be written; the next start sends some batches again");
    }
}
