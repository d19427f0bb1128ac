//! The log store: newest records in memory, older ones in immutable splits.
//!
//! Reading order: [`words`] (what a word is), [`filter`] (which records are wanted), `stored_filter` (the same as text),
//! [`matching`] (what that means), [`field`] (fields by name); [`head`] (records in memory). A split: `template` (a text with its variables taken out), `step_down`,
//! `schema` (attributes), `number_column`, `variable_column`, `id_column`, `postings`, `minute_counts`, `template_table`,
//! `template_index` (what its file is made of), `split_file`, `split_layout`; `split_builder`, [`split_writer`]; `split_reader`,
//! `split_records`. Asking it: `bits`, `split_filter`, `template_conditions`, `row_conditions`, `text_automaton`,
//! `split_values`. `split` and `damage` (a split as the store holds it), `mask` (what is hidden), `rewrite` (splits from
//! splits), [`store`] (the one view that changes from head to split), and the answers:
//! `search`, [`arrival`] (in the order in which records came), `work`, `count`, `facet`, [`pattern`] (like messages), `pattern_counts`,
//! `group_counts` (both over `time_cells`), [`fold`] (anything else that can be gathered), [`projection`] (what is read of a
//! record); `verify` (a whole split).

pub mod arrival;
mod bits;
mod count;
mod damage;
mod facet;
pub mod field;
pub mod filter;
pub mod fold;
mod group_counts;
pub mod head;
mod id_column;
mod length_text;
pub(crate) mod mask;
pub mod matching;
mod minute_counts;
mod number_column;
pub mod pattern;
mod pattern_counts;
mod postings;
pub mod projection;
pub(crate) mod rewrite;
mod row_conditions;
mod schema;
mod search;
pub(crate) mod split;
mod split_builder;
mod split_file;
mod split_filter;
mod split_layout;
mod split_reader;
mod split_records;
mod split_values;
pub mod split_writer;
mod step_down;
pub mod store;
pub(crate) mod stored_filter;
mod template;
mod template_conditions;
mod template_index;
mod template_table;
mod text_automaton;
mod time_cells;
mod variable_column;
pub mod verify;
pub mod words;
mod work;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod equality_tests;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod keep_tests;
#[cfg(test)]
mod large_split_tests;
#[cfg(test)]
mod pattern_tests;
#[cfg(test)]
pub(crate) mod test_records;

use taffrail_collector::model::{LogRecord, Timestamp};
use thiserror::Error;

pub use damage::DamagedSplit;
pub(crate) use damage::{FileState, file_state};
pub use field::Field;
pub use filter::{Filter, Test, TextMatch};
pub use fold::Fold;
pub use group_counts::{GroupCount, GroupCounts, GroupQuestion};
pub use mask::{RetentionRule, RetentionRules};
pub use matching::{CompiledFilter, FilterError};
pub use pattern::{Pattern, PatternId};
pub use pattern_counts::{PatternCount, PatternCounts, PatternQuestion};
pub use projection::Projection;
pub use split::SplitMeta;
pub use store::LogStore;

use crate::scan::{StopReason, TimeRange};

/// Stands for all values beyond the commonest ones in [`IntervalCounts`].
pub const OTHER: &str = "\u{0}other";

/// Where a record stands: records are ordered by time, then by the order in which they became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The record's timestamp.
    pub time: Timestamp,
    /// Its sequence number.
    pub seq: u64,
}

/// A stored record.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its place.
    pub id: RecordId,
    /// What was stored.
    pub record: LogRecord,
}

/// Newest or oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

/// Which records, in which order, from where on.
#[derive(Clone, Debug)]
pub struct Search {
    /// Which records.
    pub filter: Filter,
    /// From when to when.
    pub range: TimeRange,
    /// In which order.
    pub order: Order,
    /// Only what comes after this record in that order.
    pub after: Option<RecordId>,
    /// At most this many.
    pub limit: usize,
}

/// What became of a scan besides what it emitted. Which damaged splits the answer is without, the [`Scan`](crate::Scan) knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Why it stopped early; none when the answer is whole.
    pub stopped: Option<StopReason>,
}

/// Records per interval, by the value of one field.
#[derive(Clone, Debug, Default)]
pub struct IntervalCounts {
    /// (start of the interval, (value, count) by falling count); only intervals that hold records, by rising time. Without a
    /// field to split by there is one value, the empty string.
    pub buckets: Vec<(Timestamp, Vec<(String, u64)>)>,
    /// All records counted.
    pub total: u64,
    /// How the scan ended.
    pub ending: Ending,
}

/// The commonest values of one field.
#[derive(Clone, Debug, Default)]
pub struct Facet {
    /// The field's name.
    pub field: String,
    /// (value, count) by falling count.
    pub values: Vec<(String, u64)>,
    /// Records with other values of the field.
    pub other: u64,
    /// Records without the field.
    pub missing: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, Error)]
pub enum LogStoreError {
    /// A split could not be read.
    #[error("split {split}: {message}")]
    Split {
        /// Which split.
        split: String,
        /// What is wrong with it.
        message: String,
        /// Of what kind that is: its content, or what the system said when it was read.
        kind: std::io::ErrorKind,
    },
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(FilterError),
}

/// Why work on an answer stopped. A broken split stops only the work on itself: see [`split::Split::unless_broken`].
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// The scan's budget, or nobody waits.
    Stopped(StopReason),
    /// A split is broken.
    Broken(LogStoreError),
}

impl From<StopReason> for Interrupt {
    fn from(reason: StopReason) -> Interrupt {
        Interrupt::Stopped(reason)
    }
}

impl From<LogStoreError> for Interrupt {
    fn from(error: LogStoreError) -> Interrupt {
        Interrupt::Broken(error)
    }
}

impl Ending {
    /// How the work ended: its budget used up is an ending.
    pub(crate) fn of(work: Result<(), Interrupt>) -> Result<Ending, LogStoreError> {
        match work {
            Ok(()) => Ok(Ending { stopped: None }),
            Err(Interrupt::Stopped(reason)) => Ok(Ending { stopped: Some(reason) }),
            Err(Interrupt::Broken(error)) => Err(error),
        }
    }
}
