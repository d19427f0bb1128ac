//! Which errors are the same: a record that tells of an error gets the name of its group as the attribute [`GROUP_FIELD`] when
//! it enters the store. From then on a group is a value of a field like any other: searched for, counted under any filter, alerted on.
//!
//! Errors are the same when the same service fails in the same own functions with exceptions of the same types. Without own functions the innermost
//! of libraries count, without a trace the type of the exception, without a type the pattern of the message. Numbers of lines,
//! messages, hosts and versions do not: see [`fingerprint`].
//!
//! Reading order: [`frame`] (one line of a trace), [`stack_trace`] (a trace in a text), [`name`] (names without what builds
//! make up), [`fingerprint`], [`record`] (where a record tells of its error).

pub mod fingerprint;
pub mod frame;
mod name;
pub mod record;
pub mod stack_trace;

#[cfg(test)]
mod tests;

pub use record::{GROUP_FIELD, mark};
