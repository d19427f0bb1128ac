//! What is kept: parts whose newest row is too old go, and while all parts together are too large, the oldest go. Series
//! blocks of longer windows are kept longer than those of windows as they came.
//!
//! A part (split or block) goes as a whole, and in this order: the catalog lists it no longer, readers no longer find it, its
//! files are removed. A crash in between leaves files that nobody lists, which the next start removes. Rules that keep some
//! records for less time than others hide what has expired at once ([`Masks`](crate::log_store::mask::Masks)); a part stays
//! until the rule that keeps longest lets it go, or the compaction rewrites it without what has expired.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::Timestamp;

use crate::catalog::{Catalog, Removal};
use crate::log_store::{LogStore, RetentionRules};
use crate::series_store::{BlockInfo, SeriesRetention, SeriesStore};
use taffrail_collector::crash_point::crash_point;

/// What is kept.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Log records up to these ages.
    pub rules: RetentionRules,
    /// Metric windows up to these.
    pub series: Arc<SeriesRetention>,
    /// Whether blocks of seals become blocks of days, which then are rolled up: those that are too old, having come late, wait
    /// for that.
    pub rolls_up: bool,
    /// Up to this many bytes of parts.
    pub bytes: Option<u64>,
}

/// A part that may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    /// The time of its newest row.
    newest: Timestamp,
    /// How long it is kept.
    keep: Option<Duration>,
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
        let now = Timestamp::now();
        series.expire(now);
        let splits = logs.splits().into_iter().map(|split| split.meta.clone()).map(|split| Part {
            newest: split.newest.time,
            keep: self.rules.longest(),
            kind: PartKind::Split,
            name: split.name,
            bytes: split.bytes,
        });
        let blocks = series.blocks().into_iter().map(|block| Part {
            newest: block.last_end,
            keep: self.keep_of_block(&block),
            kind: PartKind::Block,
            name: block.name,
            bytes: block.bytes,
        });
        let expired = self.expired(splits.chain(blocks).collect(), now);
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

    fn keep_of_block(&self, block: &BlockInfo) -> Option<Duration> {
        if self.rolls_up && block.is_of_a_seal() {
            return self.series.longest();
        }
        self.series.keep_of_blocks(block.place.resolution_ms)
    }

    fn expired(&self, mut parts: Vec<Part>, now: Timestamp) -> Vec<Part> {
        parts.sort_unstable();
        let mut bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        parts.retain(|part| {
            let oldest = part.keep.map_or(Timestamp::MIN, |keep| now.saturating_sub(keep));
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
    use crate::series_store::Place;

    #[test]
    fn longer_windows_are_kept_longer_and_late_blocks_until_they_are_rolled_up() {
        let days = |count: u64| Some(Duration::from_secs(count * 86_400));
        let series = SeriesRetention { keep: [days(1), days(2), days(3), days(4)], ..SeriesRetention::default() };
        let retention = |rolls_up| Retention { series: Arc::new(series.clone()), rolls_up, ..Retention::default() };
        let block = |hours, resolution_ms| BlockInfo {
            name: String::new(),
            place: Place {
                partition: Timestamp::EPOCH,
                hours,
                resolution_ms,
                days_held: 0,
                order: 1,
                deletions_through: 0,
            },
            first_end: Timestamp::EPOCH,
            last_end: Timestamp::EPOCH,
            bytes: 1,
            samples: 1,
            series: 1,
        };
        let check = |hours, resolution_ms, expected| {
            assert_eq!(retention(true).keep_of_block(&block(hours, resolution_ms)), expected);
        };
        check(24, 0, days(1));
        check(24, 60_000, days(2));
        check(720, 600_000, days(3));
        check(720, 3_600_000, days(4));
        check(2, 0, days(4));
        assert_eq!(retention(false).keep_of_block(&block(2, 0)), days(1), "nothing will roll it up");
    }

    #[test]
    fn the_oldest_parts_go_by_age_or_by_bytes() {
        let part = |second, kind, bytes| Part {
            newest: Timestamp::from_unix_seconds(second),
            keep: None,
            kind,
            name: second.to_string(),
            bytes,
        };
        let parts = [
            part(30, PartKind::Split, 10),
            part(10, PartKind::Split, 10),
            part(20, PartKind::Block, 5),
            part(40, PartKind::Block, 10),
        ];
        let check = |age: Option<u64>, bytes, expected: &[&str]| {
            let retention = Retention { bytes, ..Retention::default() };
            let keep = age.map(Duration::from_secs);
            let parts = parts.iter().map(|part| Part { keep, ..part.clone() }).collect();
            let gone = retention.expired(parts, Timestamp::from_unix_seconds(50));
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
