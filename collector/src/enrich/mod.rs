//! What a line says about itself: from a [`ReceivedLine`] (a claim) to a [`LogRecord`] (checked).
//!
//! A line that is a JSON object, an access log or logfmt, or that the pattern of its source matches, gives its fields as
//! attributes; any line may give its time, its severity and the trace it belongs to. The body stays as it was written: what is
//! read out of it is only copied. Sources know transports; only this folder knows how programs write log lines.
//!
//! Reading order: [`line_reader`] (one line from end to end), [`config`], [`parse`] (how a source's lines are read), [`names`] (which field
//! names mean something), [`fields`] (named values become a record's parts); the formats: [`json`], [`flat_json`], [`undisputed`],
//! [`logfmt`], [`access_log`], [`error_log`], [`pattern`], [`grok`]; [`timestamp`], [`severity`], [`trace_context`]; [`redact`] (secrets), [`shape`] (rules that
//! change and drop records); [`container_path`] (what the path of a file says of its container), [`sharing`] (what records share), [`notes`] (counts of what was done).

mod access_log;
mod config;
mod container_path;
mod error_log;
mod fields;
mod flat_json;
mod grok;
mod json;
mod line_reader;
mod logfmt;
mod names;
mod notes;
mod parse;
mod pattern;
pub(crate) mod redact;
mod severity;
pub mod shape;
mod sharing;
mod timestamp;
mod trace_context;
mod undisputed;

pub use config::{Config, Switch};
pub use container_path::{ContainerPath, container_path};
pub use line_reader::{Enricher, JsonRejection, ReceivedLine, cut_at_character};
pub use notes::Notes;
pub use parse::Parse;
pub use pattern::PatternError;
pub use timestamp::{Zone, leading_time};

/// A record may have this many attributes; what is beyond is kept as JSON text in [`OVERFLOW_ATTRIBUTE`].
pub const FIELDS_MAX: usize = 1000;
/// Objects nested deeper than this are kept as their JSON text.
pub const DEPTH_MAX: usize = 32;
/// Bytes of a dotted attribute name; longer ones go to [`OVERFLOW_ATTRIBUTE`].
pub const KEY_BYTES_MAX: usize = 128;
/// Holds, as one JSON object, the fields that [`FIELDS_MAX`] and [`KEY_BYTES_MAX`] leave no room for.
pub const OVERFLOW_ATTRIBUTE: &str = "taffrail.overflow";
/// Stands, with the value `true`, on a record whose line was cut.
pub const TRUNCATED_ATTRIBUTE: &str = "taffrail.truncated";
