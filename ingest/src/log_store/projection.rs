//! Which fields of records a question looks at: the columns of others are not read.

use std::collections::HashSet;

/// The fields that are read. A record that was read so has whatever else it has empty or left out; its time, level, host and
/// service are always there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Projection {
    /// All.
    #[default]
    All,
    /// These, by the names that people type.
    Only(HashSet<String>),
}

impl Projection {
    /// Whether the field is read.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Projection::All => true,
            Projection::Only(names) => names.contains(name),
        }
    }
}
