//! The collector room: bytes from outside become a [`model::Batch`] of log records and samples, handed
//! on with a [`delivery::Receipt`] that is answered once the batch is safe.
//!
//! Whatever a host agent can run lives here, so that `taffrail collect` and `taffrail serve` differ only
//! in who holds the other end of the [`delivery::Outlet`]: a sender to a distant server, or the store itself.
//! This room knows nothing of how or where data is stored, and nothing of questions.
//!
//! Reading order: [`model`] (the data), [`delivery`] (the wall to whoever takes it), [`source`] (the ways in),
//! [`enrich`] (what a line says about itself), [`frame`] and [`journal`] (the bytes on wire and disk),
//! [`stored_range`] and [`ship`] (an agent's sender), [`file_system`] and [`simulated_file_system`] (the disk, and one that loses power),
//! [`http_server`] (serves the routes of sources, and those of other rooms), [`crash_point`] (where tests let a process die), [`broken_on_purpose`] (promises that tests break, to see that they notice).

pub mod broken_on_purpose;
pub mod config;
pub mod crash_point;
pub mod delivery;
pub mod enrich;
pub mod file_system;
pub mod frame;
pub mod http_server;
pub mod journal;
pub mod model;
pub mod random;
pub mod ship;
pub mod simulated_file_system;
pub mod source;
pub mod stored_range;
