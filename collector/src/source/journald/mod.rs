//! The systemd journal, through `journalctl -f -o json`.
//!
//! A child process instead of libsystemd: nothing to link, and the journal's own program reads every version of its files.
//! The journal keeps its entries, so it is its own spool: the cursor of the last entry travels in the same batch as the
//! entries, and a restart goes on behind it.
//!
//! Reading order: [`config`], [`entry`] (one line of JSON becomes a record; pure), [`stored_entries`] (what a server
//! had before), [`follower`] (the child process).

mod config;
mod entry;
mod follower;
mod stored_entries;

pub use config::{Config, Enabled};
pub use follower::start;
