//! The oracle: it stands outside the system, knows what was written, and says what the servers make of it.
//!
//! A generator writes numbered, checksummed lines ([`line`]) into files and sockets ([`writer`]) and counts them in a
//! [`Ledger`]; the [`Verifier`] asks the servers and keeps a bit per line and source, so that a duplicate can never hide a loss
//! ([`verdict`]). Neither is ever killed: what they say is the truth.

mod line;
mod verdict;
mod writer;

pub use verdict::{SourceVerdict, Verdict, Verifier, arrivals};
pub use writer::{Habits, Ledger, Writer, metrics_writer, syslog_writer};
