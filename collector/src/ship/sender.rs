//! From the spool to a server: frames in order, one at a time, until one of the servers has acknowledged them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Shared;
use super::endpoint::{Answer, Endpoint, ServerView};
use super::spool::{Spool, SpooledFrame};
use super::status::ShipStatus;
use crate::file_system::{FileSystem, RealFileSystem, replace_file};
use crate::frame::{self, FrameHeader};
use crate::journal::{JournalError, JournalReader};
use crate::model::{AgentId, StreamPlace};
use crate::random::random_bits;
use crate::source::StartError;

/// Waiting times after failures grow from this, doubled each time, to the longest; each is random between zero and that
/// ("full jitter", so that a thousand agents do not come back at once).
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_LONGEST: Duration = Duration::from_secs(30);

/// No server is believed that asks for a longer pause.
const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(300);

/// How long to leave a server alone that refuses our token.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(30);

/// Rewinds and new epochs without an acknowledgement in between, after which they slow down.
const MOVES_MAX: u32 = 3;

/// See the module's documentation.
pub(super) struct Sender<F: FileSystem> {
    shared: Arc<Shared<F>>,
    targets: Vec<Target>,
    current: usize,
    moves: u32,
    /// A reader that goes on with the frame of this number.
    reader: Option<(u64, JournalReader<F>)>,
}

struct Target {
    endpoint: Endpoint,
    not_before: Instant,
    failures: u32,
}

/// What stands at a position of the spool.
enum Found {
    Frame(SpooledFrame),
    /// Nothing before this number can be read.
    Hole(u64),
    End,
}

/// The first server's answer to who we are; none when no server answers.
pub(super) async fn greet(endpoints: &[Endpoint], agent: AgentId) -> Option<ServerView> {
    for endpoint in endpoints {
        match endpoint.streams(agent).await {
            Ok(view) => return Some(view),
            Err(error) => tracing::warn!(server = endpoint.url(), error, "cannot ask how far sources were read"),
        }
    }
    None
}

/// Takes in what the server knows: all of it when this agent knows nothing, and when the server is ahead of it.
pub(super) async fn heed<F: FileSystem>(
    mut spool: Spool<F>,
    view: ServerView,
    status: &ShipStatus,
) -> Result<Spool<F>, StartError> {
    let status = status.clone();
    let heeding = tokio::task::spawn_blocking(move || {
        let unsaved = |error: std::io::Error| StartError {
            setting: "collector.state_dir",
            message: format!("cannot write state.json: {error}"),
        };
        let acked = view.streams.iter().find(|(epoch, ..)| *epoch == spool.epoch()).map(|(.., acked)| *acked);
        if acked.is_some_and(|acked| acked >= spool.next_seq()) {
            tracing::error!(
                "the server has more of this agent's stream than the agent: was collector.state_dir restored?"
            );
            status.epoch_opened();
            spool.yield_to_server(view.checkpoints).map_err(unsaved)?;
        } else if spool.next_seq() == 0 {
            spool.learn_checkpoints(view.checkpoints).map_err(unsaved)?;
        }
        Ok(spool)
    });
    heeding.await.unwrap_or_else(|_| {
        Err(StartError { setting: "collector.state_dir", message: "taking in the server's state failed".to_owned() })
    })
}

impl<F: FileSystem> Sender<F> {
    pub(super) fn new(shared: Arc<Shared<F>>, endpoints: Vec<Endpoint>) -> Sender<F> {
        let ready = Instant::now();
        let targets = endpoints.into_iter().map(|endpoint| Target { endpoint, not_before: ready, failures: 0 });
        Sender { shared, targets: targets.collect(), current: 0, moves: 0, reader: None }
    }

    /// Runs until the intake has ended and everything is sent, or until it is to give up.
    pub(super) async fn run(mut self) {
        let mut position = self.shared.spool.lock().acked_frames();
        loop {
            match self.find(position).await {
                Ok(Found::Frame(frame)) => match self.deliver(frame).await {
                    Some(next) => position = next,
                    None => return,
                },
                Ok(Found::Hole(next)) => {
                    tracing::error!(batches = next - position, "batches of the spool are damaged and lost");
                    self.acked(next).await;
                    position = next;
                }
                Ok(Found::End) if self.shared.intake_ended.is_cancelled() => return,
                Ok(Found::End) => tokio::select! {
                    () = self.shared.changed.notified() => {}
                    () = self.shared.give_up.cancelled() => return,
                },
                Err(error) => {
                    tracing::error!(%error, "the spool cannot be read");
                    if !self.pause(Duration::from_secs(5)).await {
                        return;
                    }
                }
            }
        }
    }

    async fn find(&mut self, position: u64) -> Result<Found, JournalError> {
        {
            let spool = self.shared.spool.lock();
            if position >= spool.end() {
                return Ok(Found::End);
            }
            if let Some(frame) = spool.recent(position) {
                return Ok(Found::Frame(frame));
            }
        }
        let shared = Arc::clone(&self.shared);
        let reader = self.reader.take().filter(|(next, _)| *next == position).map(|(_, reader)| reader);
        let (found, reader) = blocking(move || read_from(&shared, position, reader)).await?;
        if let Found::Frame(frame) = &found {
            self.reader = Some((frame.number + 1, reader));
        }
        Ok(found)
    }

    /// Sends a frame until it is dealt with. Returns the number of the frame to go on with, or none to end.
    async fn deliver(&mut self, frame: SpooledFrame) -> Option<u64> {
        let next = frame.number + 1;
        let (header, first_row) = match frame::peek(&frame.bytes) {
            Ok(header @ FrameHeader { place: Some(place), .. }) => (header, place.first_seq),
            _ => {
                self.quarantine(&frame, "it is no frame of this agent").await?;
                return Some(next);
            }
        };
        let rows = u64::from(header.rows());
        loop {
            let place = self.shared.spool.lock().place(first_row);
            let Some(place) = place else {
                return self.open_epoch(first_row, frame.number, "the frame is older than its epoch").await;
            };
            let mut bytes = frame.bytes.to_vec();
            frame::set_place(&mut bytes, place).expect("its header was read just now");
            let (target, answer) = self.attempt(bytes.into()).await?;
            match answer {
                Answer::Acked { through, duplicate } => {
                    if rows > 0 && through.is_none_or(|through| through < place.first_seq + (rows - 1)) {
                        let reason = format!("it acknowledges through {through:?} only");
                        self.defer(target, &reason, None);
                        continue;
                    }
                    self.targets[target].failures = 0;
                    self.moves = 0;
                    self.shared.status.acked(target, rows, duplicate);
                    self.acked(next).await;
                    return Some(next);
                }
                Answer::Gap { expected } => {
                    self.moves += 1;
                    if self.moves > MOVES_MAX || expected == place.first_seq {
                        self.defer(target, &format!("it asks for sequence number {expected} again and again"), None);
                    }
                    if expected != place.first_seq {
                        return self.go_to(expected, place, first_row, frame.number).await;
                    }
                }
                Answer::Poison { reason } => {
                    self.quarantine(&frame, &reason).await?;
                    let left_out = with_spool(&self.shared, move |spool| spool.leave_out(rows, next)).await;
                    warn_unsaved(left_out);
                    self.acked(next).await;
                    return Some(next);
                }
                Answer::Unauthorized { .. } | Answer::Busy { .. } | Answer::Failed { .. } => {
                    unreachable!("attempts go on after these")
                }
            }
        }
    }

    /// Sends until a server says something about the frame itself. None when it is time to give up.
    async fn attempt(&mut self, frame: Bytes) -> Option<(usize, Answer)> {
        loop {
            let (now, count) = (Instant::now(), self.targets.len());
            let mut in_turn = (0..count).map(|step| (self.current + step) % count);
            let Some(target) = in_turn.find(|&target| self.targets[target].not_before <= now) else {
                let ready = self.targets.iter().map(|target| target.not_before).min().unwrap_or(now);
                if !self.pause(ready - now).await {
                    return None;
                }
                continue;
            };
            self.current = target;
            let answer = tokio::select! {
                answer = self.targets[target].endpoint.ship(frame.clone()) => answer,
                () = self.shared.give_up.cancelled() => return None,
            };
            match answer {
                Answer::Failed { reason } => self.defer(target, &reason, None),
                Answer::Busy { reason, retry_after } => self.defer(target, &reason, retry_after),
                Answer::Unauthorized { reason } => {
                    self.defer(target, &format!("{reason} (collector.token_file)"), Some(UNAUTHORIZED_PAUSE));
                }
                verdict => return Some((target, verdict)),
            }
        }
    }

    /// Leaves a server alone for a while and turns to the next.
    fn defer(&mut self, at: usize, reason: &str, wait: Option<Duration>) {
        self.shared.status.failed(at, reason);
        let count = self.targets.len();
        let target = &mut self.targets[at];
        let wait = wait.map_or_else(|| backoff(target.failures), |wait| wait.min(RETRY_AFTER_LONGEST));
        target.failures = target.failures.saturating_add(1);
        target.not_before = Instant::now() + wait;
        // The first failure and then ever fewer of them: an outage of days is a dozen lines.
        if target.failures.is_power_of_two() {
            let (server, failures) = (target.endpoint.url(), target.failures);
            tracing::warn!(server, failures, reason, "a batch was not acknowledged; it is sent again");
        }
        self.current = (at + 1) % count;
    }

    /// The server goes on at `expected`: back to the frame that holds it, or on with a new epoch.
    async fn go_to(&mut self, expected: u64, place: StreamPlace, first_row: u64, number: u64) -> Option<u64> {
        if expected < place.first_seq && self.moves <= MOVES_MAX {
            let found = with_spool(&self.shared, move |spool| {
                let row = spool.row_of(expected)?;
                let found = find_row(spool, row, number).ok().flatten()?;
                spool.rewind(found);
                Some(found)
            });
            if let Some(found) = found.await {
                self.shared.status.rewound();
                tracing::warn!(
                    expected,
                    batches = number - found,
                    "the server misses batches that the spool still holds"
                );
                return Some(found);
            }
        }
        let reason = format!("the server goes on at {expected}, the spool at {}", place.first_seq);
        self.open_epoch(first_row, number, &reason).await
    }

    async fn open_epoch(&mut self, first_row: u64, number: u64, reason: &str) -> Option<u64> {
        self.shared.status.epoch_opened();
        tracing::error!(
            reason,
            "server and spool do not fit together; the stream starts anew: records may be missing there"
        );
        warn_unsaved(with_spool(&self.shared, move |spool| spool.open_epoch(first_row)).await);
        Some(number)
    }

    async fn acked(&self, number: u64) {
        let shared = Arc::clone(&self.shared);
        let result = blocking(move || {
            let mut spool = shared.spool.lock();
            let result = spool.acked(number);
            shared.status.spool(spool.disk_bytes(), spool.end().saturating_sub(number));
            result
        });
        if let Err(error) = result.await {
            tracing::warn!(%error, "room in the spool could not be given back");
        }
    }

    /// Puts a frame aside for a person to look at. None when it is time to give up.
    async fn quarantine(&self, frame: &SpooledFrame, reason: &str) -> Option<()> {
        loop {
            let (directory, frame) = (self.shared.quarantine.clone(), frame.clone());
            let path = directory.join(format!("{:020}.tfrm", frame.number));
            let shown = path.display().to_string();
            let written = blocking(move || {
                RealFileSystem.create_directories(&directory)?;
                replace_file(&RealFileSystem, &path, &frame.bytes)
            });
            match written.await {
                Ok(()) => {
                    self.shared.status.quarantined();
                    tracing::error!(file = shown, reason, "a batch was refused for good and put aside");
                    return Some(());
                }
                Err(error) => tracing::error!(file = shown, %error, "a refused batch cannot be put aside"),
            }
            if !self.pause(Duration::from_secs(5)).await {
                return None;
            }
        }
    }

    /// Waits; false when it is time to give up.
    async fn pause(&self, span: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(span) => true,
            () = self.shared.give_up.cancelled() => false,
        }
    }
}

fn read_from<F: FileSystem>(
    shared: &Shared<F>,
    position: u64,
    reader: Option<JournalReader<F>>,
) -> Result<(Found, JournalReader<F>), JournalError> {
    let (end, fresh) = {
        let spool = shared.spool.lock();
        (spool.end(), spool.reader(position)?)
    };
    // A reader that was opened before may not see the newest frames.
    for mut reader in reader.into_iter().chain([fresh]) {
        if let Some(record) = reader.next_record()?
            && record.seq < end
        {
            let frame = SpooledFrame { number: record.seq, bytes: record.payload.into() };
            let found = if record.seq == position { Found::Frame(frame) } else { Found::Hole(record.seq) };
            return Ok((found, reader));
        }
    }
    Ok((Found::Hole(end), shared.spool.lock().reader(end)?))
}

/// The number of the frame below `before` that holds this row.
fn find_row<F: FileSystem>(spool: &Spool<F>, row: u64, before: u64) -> Result<Option<u64>, JournalError> {
    let mut reader = spool.reader(0)?;
    while let Some(record) = reader.next_record()?
        && record.seq < before
    {
        let header = frame::peek(&record.payload).ok();
        let first = header.and_then(|header| Some((header.place?.first_seq, header.rows())));
        if first.is_some_and(|(first, rows)| first <= row && row - first < u64::from(rows)) {
            return Ok(Some(record.seq));
        }
    }
    Ok(None)
}

/// A random wait, whose greatest length doubles with every failure before.
fn backoff(failures: u32) -> Duration {
    let longest = BACKOFF_FIRST.saturating_mul(1 << failures.min(10)).min(BACKOFF_LONGEST);
    let share = (random_bits() >> 11) as f64 / (1u64 << 53) as f64;
    longest.mul_f64(share)
}

fn warn_unsaved(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "state.json could not be written; a restart now starts the stream anew");
    }
}

async fn with_spool<F: FileSystem, T: Send + 'static>(
    shared: &Arc<Shared<F>>,
    work: impl FnOnce(&mut Spool<F>) -> T + Send + 'static,
) -> T {
    let shared = Arc::clone(shared);
    blocking(move || work(&mut shared.spool.lock())).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_grow_to_the_longest_and_are_spread() {
        for (failures, longest) in [(0, BACKOFF_FIRST), (1, BACKOFF_FIRST * 2), (60, BACKOFF_LONGEST)] {
            let waits: Vec<_> = (0..200).map(|_| backoff(failures)).collect();
            assert!(waits.iter().all(|&wait| wait <= longest), "{failures}");
            assert!(waits.iter().any(|&wait| wait > longest / 2), "{failures}");
            assert!(waits.iter().any(|&wait| wait < longest / 2), "{failures}");
        }
    }
}
