//! What the sender makes of an answer to a batch.

use std::sync::Arc;

use tokio::time::Instant;

use super::endpoint::Answer;
use super::line::Step;
use super::sender::{Answered, Event, Sender, blocking};
use super::spool::QUARANTINE;
use super::unit::Unit;
use crate::crash_point::crash_point;
use crate::file_system::FileSystem;
use crate::frame;
use crate::model::{Batch, StreamPlace};

/// A frame that fails so often is tried in pieces.
const FAILURES_MAX: u32 = 5;
/// After so many gaps that asking has not explained, a stream starts anew.
const GAPS_MAX: u32 = 3;
/// One that gets no answer in time so often, too: it may be more than the line can carry by then.
const TIMEOUTS_MAX: u32 = 3;

impl<F: FileSystem> Sender<F> {
    pub(super) async fn answered(&mut self, answered: Answered) {
        let Answered { at, id, server, rows, wire_bytes, first_seq, deadline, took, was_uncertain, answer } = answered;
        let now = Instant::now();
        self.servers[server].in_flight -= 1;
        let line = &mut self.lines[at];
        let Step::Sending(unit) = std::mem::replace(&mut line.step, Step::Idle { not_before: None }) else { return };
        let stream = &self.ledger.streams[at];
        // Since this was sent the server has been asked what it has, and the books have gone on.
        let is_stale =
            stream.id != id || stream.server != server || stream.next_seq != first_seq || stream.lease.is_none();
        if !is_stale && !unit.is_joined() {
            line.step = Step::Ready(unit.clone());
        }
        let Some(answer) = answer else {
            return match unit.is_joined() {
                _ if is_stale => {}
                true => self.lines[at].is_single = true,
                false => self.unreadable(at, unit).await,
            };
        };
        if !matches!(answer, Answer::Acked { .. }) {
            self.shared.status.update(|status| status.failed_attempts += 1);
            self.servers[server].failed(&answer, deadline, now);
        }
        match answer {
            Answer::Acked { through, .. }
                if rows > 0 && through.is_none_or(|t| t < first_seq + u64::from(rows - 1)) =>
            {
                let reason = format!("it acknowledges through {through:?} only");
                self.servers[server].failed(&Answer::Failed { reason }, deadline, now);
            }
            Answer::Acked { duplicate, .. } => {
                self.servers[server].acked(took, unit.bytes(), now);
                if is_stale {
                    return;
                }
                if duplicate && rows > 0 && !was_uncertain {
                    return self.open_epoch().await;
                }
                crash_point("ship:after_acknowledgement");
                self.shared.status.acked(self.ledger.streams[at].lane, rows.into(), wire_bytes, duplicate);
                self.ledger.stored(at, rows);
                let line = &mut self.lines[at];
                line.failures = 0;
                line.piece_rows = line.piece_rows.map(|rows| rows.saturating_mul(2));
                self.go_on_if_through(at, &unit).await;
            }
            _ if is_stale => {}
            // What is wrong with one of its frames is for that one to tell.
            Answer::Poison { .. } | Answer::TooLarge { .. } | Answer::Broken { .. } if unit.is_joined() => {
                self.lines[at].is_single = true;
            }
            // Perhaps another store answers here by now: asking who it is, and what it has, comes first.
            Answer::Gap { .. } if self.lines[at].failures < GAPS_MAX => {
                if !was_uncertain {
                    self.ledger.attempt_failed(at);
                }
                self.lines[at].failures += 1;
                self.servers[server].is_greeted = false;
                self.servers[server].breaker.pause(now + super::server::PAUSE);
            }
            Answer::Gap { expected } => self.start_anew(at, expected, first_seq, now).await,
            Answer::Poison { reason } => self.refused(at, unit, rows, reason).await,
            Answer::TooLarge { reason } if rows > 1 => self.halve(at, rows, &reason),
            Answer::TooLarge { reason } => self.refused(at, unit, rows, reason).await,
            Answer::Busy { is_refused: true, .. } | Answer::Unauthorized { .. } | Answer::Unsent { .. } => {
                if !was_uncertain {
                    self.ledger.attempt_failed(at);
                }
            }
            Answer::Broken { reason } => {
                self.lines[at].failures += 1;
                if self.lines[at].failures >= FAILURES_MAX {
                    self.refused(at, unit, rows, reason).await;
                }
            }
            Answer::TimedOut { reason } => {
                self.lines[at].failures += 1;
                if unit.is_joined() {
                    self.lines[at].is_single = true;
                } else if self.lines[at].failures >= TIMEOUTS_MAX && rows > 1 {
                    self.halve(at, rows, &reason);
                }
            }
            Answer::Busy { .. } | Answer::Failed { .. } => {}
        }
    }

    /// The answer to an empty batch, sent because a row was refused: does the server take anything at all?
    pub(super) async fn controlled(&mut self, at: usize, id: u32, server: usize, answer: Answer) {
        let now = Instant::now();
        self.servers[server].in_flight -= 1;
        let step = std::mem::replace(&mut self.lines[at].step, Step::Idle { not_before: None });
        let Step::Doubting(unit, reason) = step else { return };
        if self.ledger.streams[at].id != id || self.ledger.streams[at].lease.is_none() {
            return;
        }
        self.lines[at].step = Step::Ready(unit.clone());
        if !matches!(answer, Answer::Acked { .. }) {
            // It is not the row: everything waits until somebody has looked.
            return self.servers[server].refuses_everything(&reason, now);
        }
        let lane = self.ledger.streams[at].lane;
        let row = self.ledger.streams[at].lease.map(|lease| lease.row).filter(|row| *row < unit.rows);
        if !self.put_aside(at, &unit, row, &reason).await {
            return;
        }
        tracing::error!(
            record = unit.record,
            lane = lane.name(),
            reason,
            "a record was refused for good and put aside"
        );
        self.ledger.leave_out(at, u32::from(row.is_some()));
        self.lines[at].failures = 0;
        self.go_on_if_through(at, &unit).await;
        // A restart must neither send that row again nor leave out another.
        self.save().await;
    }

    async fn go_on_if_through(&mut self, at: usize, unit: &Unit) {
        if self.ledger.streams[at].lease.is_none_or(|lease| lease.row >= unit.rows) {
            self.ledger.go_on(at, unit.last + 1, Some(unit.end_row()));
            self.lines[at].finish();
            if self.lines[at].piece_rows.is_some_and(|rows| rows >= unit.rows) {
                self.lines[at].piece_rows = None;
            }
        }
        self.changed();
        let first = self.ledger.first_undone();
        let can_remove = {
            let mut spool = self.shared.spool.lock();
            spool.forget_below(first);
            spool.can_remove_below(first)
        };
        if can_remove {
            self.save().await;
        }
    }

    /// The server does not take all of it at once.
    fn halve(&mut self, at: usize, rows: u32, reason: &str) {
        let line = &mut self.lines[at];
        line.piece_rows = Some((rows / 2).max(1));
        line.failures = 0;
        tracing::warn!(rows, reason, "a batch is sent in smaller pieces");
    }

    /// Something in these rows is refused. What it is, halves tell; one row is put aside once it is known that the server takes
    /// others.
    async fn refused(&mut self, at: usize, unit: Unit, rows: u32, reason: String) {
        if rows > 1 {
            return self.halve(at, rows, &reason);
        }
        let stream = &self.ledger.streams[at];
        let (server, id) = (stream.server, stream.id);
        let (epoch, agent) = (self.shared.spool.lock().epoch(), self.shared.agent);
        let place = StreamPlace { epoch, stream: id, lane: stream.lane, first_seq: stream.next_seq };
        let mut empty = Vec::new();
        let encoded = frame::encode(&Batch { agent, place: Some(place), ..Batch::local() }, &mut empty);
        encoded.expect("an empty batch exceeds no limit");
        self.lines[at].step = Step::Doubting(unit, reason);
        self.servers[server].in_flight += 1;
        let (endpoint, deadline) = (Arc::clone(&self.servers[server].endpoint), self.servers[server].pace.deadline());
        self.spawn(async move {
            let answer = endpoint.ship(empty.into(), deadline).await;
            Event::Controlled { at, id, server, answer }
        });
    }

    /// The stream does not go on at the server where it does here: it has lost what it had.
    async fn start_anew(&mut self, at: usize, expected: u64, first_seq: u64, now: Instant) {
        let server = &mut self.servers[self.ledger.streams[at].server];
        tracing::error!(
            server = server.endpoint.url(),
            expected,
            first_seq,
            "the server has lost records of this agent that it had acknowledged: was it restored? The stream starts anew"
        );
        self.shared.status.update(|status| status.new_streams += 1);
        server.breaker.pause(now + super::server::PAUSE);
        let end = self.shared.spool.lock().end();
        self.abandon(at, end);
        self.lines[at].finish();
        self.save().await;
    }

    /// The spool's copy of a frame cannot be read, although its checksums fit.
    async fn unreadable(&mut self, at: usize, unit: Unit) {
        self.ledger.attempt_failed(at);
        self.lines[at].step = Step::Ready(unit.clone());
        if self.put_aside(at, &unit, None, "the frame cannot be read").await {
            self.shared.status.update(|status| status.damaged_records += 1);
            self.ledger.go_on(at, unit.record + 1, Some(unit.end_row()));
            self.lines[at].finish();
            self.save().await;
        }
    }

    /// Writes a row, or the whole frame, into the quarantine; when that fails it is tried again with the frame's next attempt.
    async fn put_aside(&mut self, at: usize, unit: &Unit, row: Option<u32>, reason: &str) -> bool {
        let (shared, unit, lane) = (Arc::clone(&self.shared), unit.clone(), self.ledger.streams[at].lane);
        let written = blocking(move || {
            let directory = shared.state_dir.join(QUARANTINE);
            unit.put_aside(lane, row, &shared.file_system, &directory)
        })
        .await;
        match written {
            Ok(path) => {
                tracing::error!(file = %path.display(), reason, "put aside for a person to look at");
                self.shared.status.update(|status| status.quarantined_records += 1);
                true
            }
            Err(error) => {
                tracing::error!(%error, "a refused record cannot be put aside in collector.state_dir; it waits");
                self.servers[self.ledger.streams[at].server].breaker.pause(Instant::now() + super::server::PAUSE);
                false
            }
        }
    }
}
