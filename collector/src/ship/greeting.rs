//! The first question to a server: what it has of this agent's streams and how far it knows its sources to be read.
//!
//! It is asked before the first batch and again after every failure. Where a crash left it open what a server has, its answer closes
//! that: the books go on behind what is stored there, and nothing is sent again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::endpoint::{Endpoint, ServerView};
use super::ledger::{Ledger, Stream};
use super::unit::{Found, Search, find_on_disk};
use crate::broken_on_purpose::{ASKING, is_broken};
use crate::file_system::FileSystem;
use crate::journal::JournalError;
use crate::model::AgentId;

/// The streams and the numbers with which they went on when a server was asked: while its answer is under way, so are others.
pub(super) type Asked = Vec<(u32, u64)>;

/// What the books make of a server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Understanding {
    /// They fit together.
    Sound,
    /// The server has lost what it had of a stream, which starts anew.
    Lost,
    /// The server has more of our streams than we ever sent: this state is older than they are (a restored copy), or another agent
    /// uses it. All streams must start anew.
    Contradiction,
}

/// The answers of the servers that give one in time.
pub(super) async fn ask_all(endpoints: &[Arc<dyn Endpoint>], agent: AgentId, patience: Duration) -> Vec<ServerView> {
    let asking = endpoints.iter().map(|endpoint| async move {
        match endpoint.streams(agent, true, patience).await {
            Ok(view) => Some(view),
            Err(answer) => {
                tracing::warn!(server = endpoint.url(), ?answer, "cannot ask how far sources were read");
                None
            }
        }
    });
    futures_util::future::join_all(asking).await.into_iter().flatten().collect()
}

/// The same, and what was noticed on the way.
pub(super) struct Understood {
    pub(super) understanding: Understanding,
    /// Records that may be stored twice from now on.
    pub(super) doubtful: u64,
    /// Records of the spool that cannot be read any more.
    pub(super) missing: Vec<Range<u64>>,
}

/// Brings the books of this server's streams into line with what it has. Blocks: it may read the spool.
pub(super) fn understand<F: FileSystem>(
    shared: &Arc<Shared<F>>,
    ledger: &mut Ledger,
    server: usize,
    asked: &Asked,
    view: &ServerView,
) -> Result<Understood, JournalError> {
    let (epoch, end) = {
        let spool = shared.spool.lock();
        (spool.epoch(), spool.end())
    };
    let mut understood = Understood { understanding: Understanding::Contradiction, doubtful: 0, missing: Vec::new() };
    let marks: Vec<(u32, u64)> =
        view.streams.iter().filter(|(of, ..)| *of == epoch).map(|(_, stream, acked)| (*stream, acked + 1)).collect();
    if marks.iter().any(|(stream, _)| *stream >= ledger.next_stream) {
        return Ok(understood);
    }
    let mut has_lost = false;
    for at in 0..ledger.streams.len() {
        let stream = &ledger.streams[at];
        if stream.server != server {
            continue;
        }
        let stored = marks.iter().find(|(id, _)| *id == stream.id).map_or(0, |(_, next)| *next);
        let acked = asked.iter().find(|(id, _)| *id == stream.id).map_or(0, |(_, next)| *next);
        let stored = if is_broken(ASKING) { acked } else { stored };
        if stored < acked {
            understood.doubtful += ledger.abandon(at, end);
            has_lost = true;
            continue;
        }
        match go_behind(shared, ledger, at, stored, &mut understood.missing)? {
            Behind::Yes => {}
            Behind::Unclear => understood.doubtful += ledger.abandon(at, end),
            Behind::Impossible => return Ok(understood),
        }
    }
    understood.understanding = if has_lost { Understanding::Lost } else { Understanding::Sound };
    Ok(understood)
}

/// Whether a stream is behind the rows that are stored.
enum Behind {
    Yes,
    /// What the disk has damaged leaves open where that is: the books do not say how many rows stood before it.
    Unclear,
    /// They are more than can have been sent.
    Impossible,
}

/// Takes the stream behind the rows that are stored. What is missing of the spool was there when it was sent: what is found to be
/// missing by then is passed over in the books before anything goes out.
fn go_behind<F: FileSystem>(
    shared: &Arc<Shared<F>>,
    ledger: &mut Ledger,
    at: usize,
    stored: u64,
    all_missing: &mut Vec<Range<u64>>,
) -> Result<Behind, JournalError> {
    let mut kept = None;
    while ledger.streams[at].next_seq < stored {
        let Stream { lane, next_seq, lease: Some(lease), .. } = ledger.streams[at].clone() else {
            return Ok(Behind::Impossible);
        };
        if !lease.is_uncertain() {
            return Ok(Behind::Impossible);
        }
        let Search { found, missing, reader } = find_on_disk(shared, lane, lease.next, lease.uncertain_until, 0, kept)?;
        kept = reader;
        let is_whole = missing.is_empty();
        all_missing.extend(missing);
        let open = stored - next_seq;
        match found {
            Found::Nothing(next) if is_whole => ledger.go_over(at, next),
            Found::Nothing(next) => {
                ledger.streams[at].next_seq = stored;
                ledger.go_on(at, next, None);
            }
            Found::Unit(unit) if unit.record > lease.next => {
                if !is_whole {
                    let before = lease.rows_before.map(|rows| rows + u64::from(lease.row));
                    let Some(gone) = before.and_then(|before| unit.first_row.checked_sub(before)) else {
                        return Ok(Behind::Unclear);
                    };
                    ledger.streams[at].next_seq += gone.min(open);
                }
                ledger.go_on(at, unit.record, Some(unit.first_row));
            }
            Found::Unit(unit) => {
                let left = u64::from(unit.rows - lease.row.min(unit.rows));
                let there = left.min(open);
                ledger.stored(at, u32::try_from(there).unwrap_or(u32::MAX));
                if there == left {
                    ledger.go_on(at, unit.record + 1, Some(unit.end_row()));
                }
            }
        }
    }
    Ok(Behind::Yes)
}
