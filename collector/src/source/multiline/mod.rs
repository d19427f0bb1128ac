//! Lines that belong together become one: stack traces, indented continuations, or what a setting says.
//!
//! A group can only be known to be complete when the next line is seen, so that the last line of a stream is held for a moment.
//! Whoever keeps an offset asks the [`Grouper`] where the held group starts: a restart from there builds the same
//! group again, because a group never depends on lines before its own first. JSON lines are never held nor joined.
//!
//! Where two programs write into one file their lines may stand between each other: the rules of [`traces`] join only what
//! clearly goes on, and leave a stack frame whose exception is elsewhere on its own rather than with a stranger.
//!
//! Reading order: [`config`], [`traces`] (which line goes on; pure), [`grouper`] (what is held and for how long),
//! [`senders`] (lines that come one by one from several).

mod config;
mod grouper;
mod senders;
#[cfg(test)]
mod tests;
mod traces;

pub use config::{Multiline, Rules};
pub use grouper::{Group, Grouper, Limits, Part};
pub use senders::{Senders, wait_until};

use std::time::Duration;

/// How long a group that comes by a socket or from the journal waits for its next line; a line that could only be followed by indented ones a
/// twentieth of it.
pub const SENDER_TIMEOUT: Duration = Duration::from_secs(5);
