//! What is under way on one stream, beside what the books say of it.

use tokio::time::Instant;

use super::ledger::Lease;
use super::unit::{Reader, Unit};
use crate::file_system::FileSystem;

/// See the module's documentation.
pub(super) struct Line<F: FileSystem> {
    pub(super) step: Step,
    /// Where the spool was read to for it.
    pub(super) reader: Reader<F>,
    /// Rows of a frame that are sent at once, after a server did not take all of it.
    pub(super) piece_rows: Option<u32>,
    /// A frame made of several failed: its records go one by one.
    pub(super) is_single: bool,
    /// How often the frame at hand failed at a server that answered, or did not in time.
    pub(super) failures: u32,
    /// Since when it is at this record and row of it without going on, while its server is not the one that gets everything.
    pub(super) uncertain_since: Option<(u64, u32, Instant)>,
}

/// How far the next frame is.
#[derive(Debug)]
pub(super) enum Step {
    /// It is to be found; not before a moment after the spool could not be read.
    Idle { not_before: Option<Instant> },
    /// It is being read from disk.
    Fetching,
    /// It can be sent.
    Ready(Unit),
    /// It, or a piece of it, is on its way.
    Sending(Unit),
    /// A row of it was refused: an empty batch asks whether the server takes anything at all.
    Doubting(Unit, String),
}

impl<F: FileSystem> Default for Line<F> {
    fn default() -> Line<F> {
        Line {
            step: Step::Idle { not_before: None },
            reader: None,
            piece_rows: None,
            is_single: false,
            failures: 0,
            uncertain_since: None,
        }
    }
}

impl<F: FileSystem> Line<F> {
    /// Whether a request of it is under way.
    pub(super) fn is_sending(&self) -> bool {
        matches!(self.step, Step::Sending(_) | Step::Doubting(..))
    }

    /// Whether the next frame is to be looked for.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        matches!(self.step, Step::Idle { not_before } if not_before.is_none_or(|moment| moment <= now))
    }

    /// The frame at hand is dealt with.
    pub(super) fn finish(&mut self) {
        self.step = Step::Idle { not_before: None };
        self.failures = 0;
        self.is_single = false;
    }

    /// Forgets a frame that the books no longer give to this stream.
    pub(super) fn drop_what_was_given_back(&mut self, lease: Option<Lease>) {
        if let Step::Ready(unit) = &self.step
            && lease.is_none_or(|lease| lease.next != unit.record || lease.end <= unit.last)
        {
            self.finish();
            self.piece_rows = None;
        }
        if lease.is_none() {
            self.reader = None;
        }
    }
}
