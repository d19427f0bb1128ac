//! What is kept: parts whose newest row is too old go, and while all parts together are too large, the oldest go.
//!
//! A part (split or block) goes as a whole, and in this order: the catalog lists it no longer, readers no longer find it, its
//! files are removed. A crash in between leaves files that nobody lists, which the next start removes. Rules that keep some
//! records for less time than others hide what has expired at once ([`Masks`](crate::log_store::mask::Masks)); a part stays
//! until the rule that keeps longest lets it go, or the compaction rewrites it without what has expired.

use std::collections::HashSet;
use std::time::Duration;

use taffrail_collector::model::Timestamp;

use crate::catalog::{Catalog, Removal};
use crate::log_store::{LogStore, RetentionRules};
use crate::series_store::SeriesStore;
use taffrail_collector::crash_point::crash_point;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retention {
    /// Log records up to these ages. Metrics have the age of the rest.
    pub rules: RetentionRules,
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
        if self.rules.longest().is_none() && self.rules.keep_rest.is_none() && self.bytes.is_none() {
            return;
        }
        let splits = logs.splits().into_iter().map(|split| split.meta.clone()).map(|split| Part {
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
        crash_point("retention:before_catalog");
        if let Err(error) = catalog.record_removal(&removal) {
            tracing::error!(%error, "expired data could not be removed and is kept for now");
            return;
        }
        crash_point("retention:after_catalog");
        tracing::info!(
            splits = removal.splits.len(),
            blocks = removal.blocks.len(),
            bytes = expired.iter().map(|part| part.bytes).sum::<u64>(),
            "expired data was removed"
        );
        logs.replace_splits(&removal.splits.into_iter().collect::<HashSet<_>>(), &[]);
        series.remove_blocks(&removal.blocks);
        crash_point("retention:after_swap");
    }

    fn expired(&self, mut parts: Vec<Part>, now: Timestamp) -> Vec<Part> {
        parts.sort_unstable();
        let cutoff = |keep: Option<Duration>| keep.map_or(Timestamp::MIN, |keep| now.saturating_sub(keep));
        let (oldest_split, oldest_block) = (cutoff(self.rules.longest()), cutoff(self.rules.keep_rest));
        let mut bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        parts.retain(|part| {
            let oldest = match part.kind {
                PartKind::Split => oldest_split,
                PartKind::Block => oldest_block,
            };
            let goes = part.newest < oldest || self.bytes.is_some_and(|most| bytes > most);
            if goes {
                bytes -= part.bytes;
            }
            goes
        });
        parts
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
            let rules = RetentionRules { keep_rest: age.map(Duration::from_secs), rules: Vec::new() };
            let retention = Retention { rules, bytes };
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
