//! How an administrator asks the series that a listener holds: lists them, deletes some, wants to know how the flushes go.
//!
//! The one who answers is the merging thread, between two handovers. Before it lists or deletes, it has every reading thread hand
//! over what it has so far, so that an answer holds all that came before the question. That takes as long as the slowest thread
//! waits for its next datagram, 200 ms at most; readers are not held up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use super::merger::Listed;
use crate::model::{LabelSet, SampleKind, Timestamp};

/// Questions that wait; whoever asks one more waits too.
const ASKED_MAX: usize = 16;

/// Which series are to go, by their name and labels.
pub type Matching = Box<dyn Fn(&LabelSet) -> bool + Send>;

/// A question to the merging thread.
pub enum Ask {
    /// The series of a kind that are held.
    List(SampleKind, oneshot::Sender<Vec<Listed>>),
    /// Delete the series of a kind that match; those that were deleted are the answer.
    Delete(SampleKind, Matching, oneshot::Sender<Vec<Arc<LabelSet>>>),
    /// How the flushes go.
    Statistics(oneshot::Sender<Statistics>),
}

/// How the flushes go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// When a window was completed last.
    pub last_flush: Option<Timestamp>,
    /// How long it took to make its samples.
    pub flush_took: Duration,
    /// How many samples it had.
    pub flush_samples: usize,
    /// Samples of all windows so far.
    pub samples: u64,
    /// How many series are held.
    pub series: usize,
}

/// Asks one listener. Cheap to clone; a listener that has stopped answers nothing.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<Ask>);

/// The other end, for the merging thread.
pub type Asked = mpsc::Receiver<Ask>;

/// Both ends.
pub fn channel() -> (Asker, Asked) {
    let (asker, asked) = mpsc::channel(ASKED_MAX);
    (Asker(asker), asked)
}

impl Asker {
    /// The series of a kind that are held, in no order. A timer's value is the sketch of its window so far; a gauge has its level
    /// in any case.
    pub async fn list(&self, kind: SampleKind) -> Option<Vec<Listed>> {
        self.ask(|reply| Ask::List(kind, reply)).await
    }

    /// Deletes the series of a kind that match: what they gathered in this window is gone, and a gauge starts from 0 again. Returns
    /// those that were deleted.
    pub async fn delete(&self, kind: SampleKind, matching: Matching) -> Option<Vec<Arc<LabelSet>>> {
        self.ask(|reply| Ask::Delete(kind, matching, reply)).await
    }

    /// How the flushes go.
    pub async fn statistics(&self) -> Option<Statistics> {
        self.ask(Ask::Statistics).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.send(question(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ask::List(..) => "List",
            Ask::Delete(..) => "Delete",
            Ask::Statistics(_) => "Statistics",
        })
    }
}
