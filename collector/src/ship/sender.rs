//! From the spool to the servers: one task that keeps the books and decides, and a task for each request under way.
//!
//! Each turn of the loop: ask servers that are not known to be well; lease records to streams of the first server that is; write
//! the books down if that changed them; find the next frame of each stream; send as many as the servers take. Everything that was
//! spooled is leased, sent, acknowledged, and only then removed. What a failure leaves open is settled with the server it concerns.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::breaker::Permit;
use super::endpoint::{Answer, ServerView};
use super::greeting::{Asked, Understanding, Understood, understand};
use super::identity::Identities;
use super::ledger::Ledger;
use super::line::{Line, Step};
use super::range_set::RangeSet;
use super::schedule::{Class, Schedule};
use super::server::Server;
use super::spool::SpooledRecord;
use super::unit::{Search, Unit};
use crate::crash_point::crash_point;
use crate::file_system::{Append, FileSystem};
use crate::journal::JournalError;
use crate::model::{Lane, StreamPlace};

/// While what comes now waits for longer than this, the backlog has its share and no more.
const LIVE_LAG: Duration = Duration::from_secs(1);

/// More batches than this that wait are a backlog, which parts new ones by lane.
const BACKLOGGED: u64 = 32;

/// The books are written at least so often while acknowledgements or batches come.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// The file that gives its room to the books on a full disk: as much as the books of many thousand sources take.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 2 << 20;

/// See the module's documentation.
pub(super) struct Sender<F: FileSystem> {
    pub(super) shared: Arc<Shared<F>>,
    pub(super) servers: Vec<Server>,
    pub(super) identities: Identities,
    pub(super) ledger: Ledger,
    /// What is under way on each of the ledger's streams.
    pub(super) lines: Vec<Line<F>>,
    schedule: Schedule,
    tasks: JoinSet<Event<F>>,
    /// The books on disk are older than these, since then.
    changed_since: Option<Instant>,
    /// The spool's end as they know it.
    saved_end: u64,
    /// They do not say yet who may have what from now on: nothing is sent before they do.
    pub(super) is_unwritten: bool,
    /// They could not be written when it was tried last.
    cannot_write: bool,
    /// Records of the spool that cannot be read, as far as they are not dealt with.
    pub(super) missing: RangeSet,
    /// The segment that could not be read last, and how often.
    pub(super) unreadable: Option<(PathBuf, u32)>,
    /// The stream whose turn to read from disk it was last.
    pub(super) read_last: usize,
    /// The highest record that went out ahead of one before it.
    last_ahead: Option<u64>,
    /// The server that gets everything now.
    pub(super) preferred: Option<usize>,
}

/// What a task brings back.
pub(super) enum Event<F: FileSystem> {
    Greeted {
        server: usize,
        asked: Asked,
        answer: Result<ServerView, Answer>,
        deadline: Duration,
    },
    /// What stands in `records` of the spool for the stream.
    Found {
        at: usize,
        id: u32,
        records: Range<u64>,
        found: Result<Search<F>, JournalError>,
    },
    Answered(Answered),
    /// The answer to an empty batch after a row was refused.
    Controlled {
        at: usize,
        id: u32,
        server: usize,
        answer: Answer,
    },
}

/// An answer to some rows of a frame.
pub(super) struct Answered {
    pub(super) at: usize,
    pub(super) id: u32,
    pub(super) server: usize,
    pub(super) rows: u32,
    pub(super) wire_bytes: u64,
    pub(super) first_seq: u64,
    pub(super) deadline: Duration,
    pub(super) took: Duration,
    /// Before this attempt it was unknown already whether the server has it.
    pub(super) was_uncertain: bool,
    /// None when the frame cannot be read.
    pub(super) answer: Option<Answer>,
}

impl<F: FileSystem> Sender<F> {
    pub(super) fn new(
        shared: Arc<Shared<F>>,
        servers: Vec<Server>,
        identities: Identities,
        ledger: Ledger,
    ) -> Sender<F> {
        let lines = ledger.streams.iter().map(|_| Line::default()).collect();
        let mut sender = Sender {
            shared,
            servers,
            identities,
            ledger,
            lines,
            schedule: Schedule::default(),
            tasks: JoinSet::new(),
            changed_since: None,
            saved_end: 0,
            is_unwritten: false,
            cannot_write: false,
            missing: RangeSet::default(),
            unreadable: None,
            read_last: 0,
            last_ahead: None,
            preferred: None,
        };
        // What the last run left may have gone out ahead of something.
        sender.last_ahead = sender.shared.spool.lock().end().checked_sub(1).filter(|_| sender.has_backlog());
        sender
    }

    /// Runs until the intake has ended and everything is sent, or until it is to give up.
    pub(super) async fn run(mut self) {
        while !self.is_finished() {
            self.turn().await;
            let wake = self.next_moment();
            tokio::select! {
                Some(event) = self.tasks.join_next() => match event {
                    Ok(event) => self.take(event).await,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {}
                },
                () = self.shared.changed.notified() => {}
                () = tokio::time::sleep_until(wake) => {}
                () = self.shared.give_up.cancelled() => break,
            }
        }
        // What is under way stays uncertain, and is settled at the next start.
        self.tasks.shutdown().await;
        self.save().await;
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        self.greet(now);
        let end = self.shared.spool.lock().end();
        self.is_unwritten |= self.lease(now, end);
        self.fetch(now, end);
        let has_ready = self.lines.iter().any(|line| matches!(line.step, Step::Ready(_)));
        if self.is_unwritten && (has_ready || self.cannot_write) {
            self.save().await;
        }
        if !self.is_unwritten {
            self.send(now);
        }
        if self.last_ahead.is_some_and(|last| self.ledger.first_undone() > last) {
            self.spool_checkpoints().await;
        }
        if self.saved_end < end {
            // In an outage nothing else changes; a start reads what was spooled after the books were written.
            self.changed();
        }
        if self.changed_since.is_some_and(|since| now.saturating_duration_since(since) >= SAVE_EVERY) {
            self.save().await;
        }
        self.report(now);
    }

    /// Asks servers what they have, unless they are to be left alone.
    fn greet(&mut self, now: Instant) {
        for (at, server) in self.servers.iter_mut().enumerate() {
            if server.is_greeted || server.is_greeting || matches!(server.breaker.permit(now), Permit::Not(_)) {
                continue;
            }
            server.is_greeting = true;
            let (endpoint, deadline) = (Arc::clone(&server.endpoint), server.pace.deadline());
            let agent = self.shared.agent;
            let asked = self.ledger.streams.iter().map(|stream| (stream.id, stream.next_seq)).collect();
            self.tasks.spawn(async move {
                let answer = endpoint.streams(agent, false, deadline).await;
                Event::Greeted { server: at, asked, answer, deadline }
            });
        }
    }

    /// Sends as many frames as the servers take.
    fn send(&mut self, now: Instant) {
        for server in 0..self.servers.len() {
            while self.servers[server].free_slots(now) > 0 {
                let of_server = |at: &usize| self.ledger.streams[*at].server == server;
                let streams: Vec<usize> = (0..self.lines.len()).filter(of_server).collect();
                let backlog_under_way = streams
                    .iter()
                    .filter(|&&at| !self.ledger.streams[at].is_live && self.lines[at].is_sending())
                    .count();
                let last_slot = self.servers[server].free_slots(now) == 1 && backlog_under_way > 0;
                let mut wanting = Vec::new();
                let mut of = Vec::new();
                for &at in &streams {
                    let stream = &self.ledger.streams[at];
                    let class = Class { lane: stream.lane, is_live: stream.is_live };
                    let is_ready = matches!(self.lines[at].step, Step::Ready(_));
                    let has_more = self.lines[at].is_sending() && stream.is_live && self.has_more(at);
                    let may = is_ready && (stream.is_live || !last_slot);
                    if is_ready || has_more {
                        wanting.push((class, may));
                        of.push(at);
                    }
                }
                let is_roomy = self.servers[server].is_roomy() && !streams.iter().any(|&at| self.lags(at, now));
                let Some(chosen) = self.schedule.next(&wanting, is_roomy) else { break };
                let bytes = self.start(of[chosen], now);
                self.schedule.served(wanting[chosen].0, bytes);
            }
        }
    }

    /// Whether what comes now is kept waiting on this stream.
    fn lags(&self, at: usize, now: Instant) -> bool {
        let stream = &self.ledger.streams[at];
        let spool = self.shared.spool.lock();
        let oldest = stream.lease.filter(|lease| stream.is_live && lease.next < spool.end()).map(|lease| lease.next);
        let waits_long = |record: &SpooledRecord| now.saturating_duration_since(record.spooled) > LIVE_LAG;
        oldest.is_some_and(|oldest| spool.recent(oldest).is_none_or(waits_long))
    }

    /// Whether the stream had more to send than went out at once.
    pub(super) fn has_more(&self, at: usize) -> bool {
        matches!(&self.lines[at].step, Step::Sending(unit) if unit.is_full)
    }

    /// Sends the frame at hand, or as many of its rows as the server has lately taken at once. Returns its bytes.
    fn start(&mut self, at: usize, now: Instant) -> usize {
        let stream = self.ledger.streams[at].clone();
        let (Step::Ready(unit), Some(lease)) = (&self.lines[at].step, stream.lease) else { return 0 };
        let unit = unit.clone();
        let left = unit.rows.saturating_sub(lease.row);
        let rows = self.lines[at].piece_rows.map_or(left, |most| left.min(most));
        let is_ahead = unit.has_checkpoints && self.is_ahead(stream.lane, &unit);
        if is_ahead {
            self.last_ahead = self.last_ahead.max(Some(unit.last));
        }
        let server = stream.server;
        self.servers[server].in_flight += 1;
        let (endpoint, deadline) = (Arc::clone(&self.servers[server].endpoint), self.servers[server].pace.deadline());
        let place = StreamPlace {
            epoch: self.shared.spool.lock().epoch(),
            stream: stream.id,
            lane: stream.lane,
            first_seq: stream.next_seq,
        };
        let bytes = unit.bytes();
        self.ledger.attempt(at, unit.last);
        let was_uncertain = lease.is_uncertain();
        self.lines[at].step = Step::Sending(unit.clone());
        self.tasks.spawn(async move {
            let is_whole = lease.row == 0 && rows == unit.rows && !unit.is_joined();
            let make = move || unit.addressed(lease.row, rows, place, is_ahead);
            // A piece, or what is made of several, is decoded and encoded again, which takes its time.
            let frame = if is_whole { make() } else { tokio::task::spawn_blocking(make).await.ok().flatten() };
            crash_point("ship:before_request");
            let wire_bytes = frame.as_ref().map_or(0, |frame| frame.len() as u64);
            let answer = match frame {
                Some(frame) => Some(endpoint.ship(frame, deadline).await),
                None => None,
            };
            let (id, first_seq, took) = (stream.id, place.first_seq, now.elapsed());
            Event::Answered(Answered {
                at,
                id,
                server,
                rows,
                wire_bytes,
                first_seq,
                deadline,
                took,
                was_uncertain,
                answer,
            })
        });
        bytes
    }

    /// Whether something that was made before the last of these frames is not known to be with a server, and not among them.
    fn is_ahead(&self, lane: Lane, unit: &Unit) -> bool {
        let parted = self.shared.spool.lock().parted_until();
        Lane::ALL.into_iter().any(|other| {
            let undone = self.ledger.first_undone_of(other);
            // Outside of parted records the other lanes carry what has no checkpoints.
            if other == lane { undone < unit.record } else { undone <= unit.last && undone < parted }
        })
    }

    async fn take(&mut self, event: Event<F>) {
        match event {
            Event::Greeted { server, asked, answer, deadline } => self.greeted(server, asked, answer, deadline).await,
            Event::Found { at, id, records, found } => {
                let stream = &self.ledger.streams[at];
                let lease = stream.lease.filter(|lease| lease.next == records.start && lease.end >= records.end);
                match self.lines[at].step {
                    Step::Fetching if stream.id == id && lease.is_some() => self.read(at, found).await,
                    // The books went on meanwhile; it is looked for again.
                    Step::Fetching => self.lines[at].step = Step::Idle { not_before: None },
                    _ => {}
                }
            }
            Event::Answered(answered) => self.answered(answered).await,
            Event::Controlled { at, id, server, answer } => self.controlled(at, id, server, answer).await,
        }
    }

    /// Gives a stream up with its numbers.
    pub(super) fn abandon(&mut self, at: usize, end: u64) {
        let doubtful = self.ledger.abandon(at, end);
        self.shared.status.update(|status| status.possible_duplicates += doubtful);
    }

    async fn greeted(&mut self, at: usize, asked: Asked, answer: Result<ServerView, Answer>, deadline: Duration) {
        self.servers[at].is_greeting = false;
        let now = Instant::now();
        let view = match answer {
            Ok(view) => view,
            Err(answer) => {
                self.shared.status.update(|status| status.failed_attempts += 1);
                return self.servers[at].failed(&answer, deadline, now);
            }
        };
        self.identities.hear(at, &view.server, &mut self.ledger);
        let (shared, mut ledger) = (Arc::clone(&self.shared), self.ledger.clone());
        let understood =
            blocking(move || understand(&shared, &mut ledger, at, &asked, &view).map(|found| (found, ledger))).await;
        match understood {
            Ok((Understood { understanding: Understanding::Contradiction, .. }, _)) => self.open_epoch().await,
            Ok((Understood { understanding, doubtful, missing }, ledger)) => {
                self.ledger = ledger;
                self.note_missing(missing);
                self.shared.status.update(|status| status.possible_duplicates += doubtful);
                if doubtful > 0 {
                    tracing::error!(
                        batches = doubtful,
                        "they may be stored twice: what the server has of them cannot be told"
                    );
                }
                if understanding == Understanding::Lost {
                    self.shared.status.update(|status| status.new_streams += 1);
                    tracing::error!(
                        server = self.servers[at].endpoint.url(),
                        "the server has lost records of this agent that it had acknowledged: was it restored?"
                    );
                }
                self.servers[at].is_greeted = true;
            }
            Err(error) => {
                self.servers[at].breaker.pause(now + super::reading::UNREADABLE_PAUSE);
                self.could_not_read(&error).await;
            }
        }
        self.changed_since.get_or_insert(now);
    }

    /// The numbers of this state's streams have been used by another: all start anew.
    pub(super) async fn open_epoch(&mut self) {
        tracing::error!(
            "a server has more of this agent's streams than the agent: was collector.state_dir restored or copied? \
             They start anew"
        );
        self.shared.status.update(|status| status.new_epochs += 1);
        let end = {
            let mut spool = self.shared.spool.lock();
            spool.open_epoch();
            spool.end()
        };
        for at in 0..self.ledger.streams.len() {
            self.abandon(at, end);
            self.lines[at].drop_what_was_given_back(None);
        }
        self.servers.iter_mut().for_each(|server| server.is_greeted = false);
        self.save().await;
    }

    /// How much waits is told to the intake, and to whoever asks.
    fn report(&self, now: Instant) {
        let mut spool = self.shared.spool.lock();
        spool.set_outage(!self.servers.iter().any(|server| server.is_usable(now)));
        let (end, bytes) = (spool.end(), spool.disk_bytes());
        let first = self.ledger.first_undone();
        let oldest = spool.recent(first).map(|record| now.saturating_duration_since(record.spooled));
        drop(spool);
        let waiting: Vec<u64> = Lane::ALL.iter().map(|&lane| self.ledger.undone(lane, end)).collect();
        let most = waiting.iter().copied().max().unwrap_or(0);
        self.shared.is_backlogged.store(most > BACKLOGGED, Relaxed);
        self.shared.status.update(|status| {
            (status.spool_bytes, status.waiting_batches) = (bytes, most);
            if let Some(age) = oldest {
                status.oldest_waiting_ms = age.as_millis() as u64;
            } else if most == 0 {
                status.oldest_waiting_ms = 0;
            }
            status.endpoints = self.servers.iter().map(|server| server.snapshot(now)).collect();
            for (lane, snapshot) in status.lanes.iter_mut().enumerate() {
                let under_way = self.ledger.streams.iter().zip(&self.lines);
                let under_way = under_way.filter(|(s, line)| s.lane as usize == lane && line.is_sending());
                snapshot.in_flight = under_way.count();
                snapshot.waiting_batches = waiting[lane];
                snapshot.backlog_batches = self.ledger.lanes[lane].waiting.len();
            }
        });
    }

    fn has_backlog(&self) -> bool {
        self.ledger.lanes.iter().any(|book| !book.waiting.is_empty())
            || self.ledger.streams.iter().any(|stream| stream.lease.is_some())
    }

    fn is_finished(&self) -> bool {
        self.shared.intake_ended.is_cancelled()
            && self.last_ahead.is_none()
            && self.ledger.first_undone() >= self.shared.spool.lock().end()
    }

    /// When there is something to do without being told.
    fn next_moment(&self) -> Instant {
        let now = Instant::now();
        let mut moment = now + Duration::from_secs(1);
        for server in &self.servers {
            if let Permit::Not(until) = server.breaker.permit(now) {
                moment = moment.min(until);
            }
        }
        moment
    }

    /// Starts a task that brings back an event.
    pub(super) fn spawn(&mut self, task: impl Future<Output = Event<F>> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Notes that the books on disk are behind.
    pub(super) fn changed(&mut self) {
        self.changed_since.get_or_insert_with(Instant::now);
    }

    /// Writes the books, and gives back what room in the spool they no longer need.
    pub(super) async fn save(&mut self) {
        self.changed_since = None;
        let (shared, ledger) = (Arc::clone(&self.shared), self.ledger.clone());
        let (servers, first) = (self.identities.known().to_vec(), ledger.first_undone());
        self.missing.remove_below(first);
        self.saved_end = self.shared.spool.lock().end();
        let could_not_write = self.cannot_write;
        self.cannot_write = blocking(move || {
            let image = shared.spool.lock().image(&ledger);
            let write = || image.save(&servers, &shared.file_system, &shared.state_dir);
            let make_room = || {
                if let Err(error) = shared.spool.lock().remove_below(first) {
                    tracing::warn!(%error, "room in the spool could not be given back");
                }
            };
            let reserve = shared.state_dir.join(RESERVE);
            let written = write().or_else(|error| match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    shared.file_system.remove(&reserve)?;
                    write()
                }
                _ => Err(error),
            });
            match &written {
                Ok(()) => {
                    make_room();
                    keep_reserve(&shared.file_system, &reserve);
                }
                Err(error) if !could_not_write => {
                    tracing::error!(%error, "collector.state_dir: state.json cannot be written, and nothing sent before it is");
                }
                Err(_) => {}
            }
            written.is_err()
        })
        .await;
        self.is_unwritten = self.cannot_write;
    }

    /// Whether the books on disk are those in memory.
    pub(super) fn is_written(&self) -> bool {
        !self.is_unwritten
    }

    /// Spools all checkpoints once more: those of frames that went ahead of others were not believed. When there is no room for
    /// them, they follow later.
    async fn spool_checkpoints(&mut self) {
        let shared = Arc::clone(&self.shared);
        if blocking(move || super::intake::put_checkpoints(&shared)).await.is_ok() {
            self.last_ahead = None;
            self.shared.changed.notify_one();
        }
    }
}

/// Makes the file that gives its room to the books on a full disk, unless it is there.
fn keep_reserve<F: FileSystem>(file_system: &F, path: &Path) {
    if file_system.length(path).is_err()
        && let Ok(mut file) = file_system.create(path)
        && file.append(&vec![0; RESERVE_BYTES]).and_then(|()| file.sync()).is_err()
    {
        // Half of it would help nobody.
        let _ = file_system.remove(path);
    }
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
