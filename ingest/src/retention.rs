//! What is kept: parts whose newest row is too old go, and while all parts together are too large, the oldest go.
//!
//! A part (split or block) goes as a whole, and in this order: the catalog lists it no longer, readers no longer find it, its
//! files are removed. A crash in between leaves files that nobody lists, which the next start removes.

use std::collections::HashSet;
use std::time::Duration;

use taffrail_collector::model::Timestamp;

use crate::catalog::{Catalog, Removal};
use crate::log_store::LogStore;
use crate::series_store::SeriesStore;

/// What is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Rows up to this age.
    pub age: Option<Duration>,
    /// Up to this many bytes of parts.
    pub bytes: Option<u64>,
}

/// A part that may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    /// The time of its newest row.
    newest: Timestamp,
    kind: PartKind,
    name: String,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PartKind {
    Split,
    Block,
}

impl Retention {
    /// Removes what is not to be kept any more.
    pub fn enforce(&self, logs: &LogStore, series: &SeriesStore, catalog: &Catalog) {
        if self.age.is_none() && self.bytes.is_none() {
            return;
        }
        let splits = logs.splits().into_iter().map(|split| Part {
            newest: split.newest.time,
            kind: PartKind::Split,
            name: split.name,
            bytes: split.bytes,
        });
        let blocks = series.blocks().into_iter().map(|block| Part {
            newest: block.last_end,
            kind: PartKind::Block,
            name: block.name,
            bytes: block.bytes,
        });
        let expired = self.expired(splits.chain(blocks).collect(), Timestamp::now());
        if expired.is_empty() {
            return;
        }
        let names = |kind| expired.iter().filter(move |part| part.kind == kind).map(|part| part.name.clone());
        let removal = Removal { splits: names(PartKind::Split).collect(), blocks: names(PartKind::Block).collect() };
        if let Err(error) = catalog.record_removal(&removal) {
            tracing::error!(%error, "expired data could not be removed and is kept for now");
            return;
        }
        tracing::info!(
            splits = removal.splits.len(),
            blocks = removal.blocks.len(),
            bytes = expired.iter().map(|part| part.bytes).sum::<u64>(),
            "expired data was removed"
        );
        logs.remove_splits(&removal.splits.into_iter().collect::<HashSet<_>>());
        series.remove_blocks(&removal.blocks);
    }

    fn expired(&self, mut parts: Vec<Part>, now: Timestamp) -> Vec<Part> {
        parts.sort_unstable();
        let oldest = self.age.map_or(Timestamp::MIN, |age| now.saturating_sub(age));
        let mut bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        parts
            .into_iter()
            .take_while(|part| {
                let goes = part.newest < oldest || self.bytes.is_some_and(|most| bytes > most);
                if goes {
                    bytes -= part.bytes;
                }
                goes
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_parts_go_by_age_or_by_bytes() {
        let part = |second, kind, bytes| Part {
            newest: Timestamp::from_unix_seconds(second),
            kind,
            name: second.to_string(),
            bytes,
        };
        let parts = vec![
            part(30, PartKind::Split, 10),
            part(10, PartKind::Split, 10),
            part(20, PartKind::Block, 5),
            part(40, PartKind::Block, 10),
        ];
        let check = |age: Option<u64>, bytes, expected: &[&str]| {
            let retention = Retention { age: age.map(Duration::from_secs), bytes };
            let gone = retention.expired(parts.clone(), Timestamp::from_unix_seconds(50));
            assert_eq!(gone.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), expected);
        };
        check(None, None, &[]);
        check(Some(30), None, &["10"]);
        check(Some(29), None, &["10", "20"]);
        check(None, Some(35), &[]);
        check(None, Some(34), &["10"]);
        check(None, Some(24), &["10", "20"]);
        check(Some(15), Some(9), &["10", "20", "30", "40"]);
    }
}
