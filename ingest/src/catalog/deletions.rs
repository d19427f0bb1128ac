//! Deletions as the catalog keeps them: for ever, with what became of them; and the transaction by which rewritten splits take
//! the place of others and the deletions' counts move on with them.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};
use taffrail_collector::model::Timestamp;

use super::parts::{insert_split, unsigned};
use super::{Catalog, CatalogError, TENANT};
use crate::deletion::{Deletion, DeletionProgress};
use crate::log_store::mask::DeletionMask;
use crate::log_store::{SplitMeta, stored_filter};
use crate::scan::TimeRange;

/// Splits in the place of others.
#[derive(Debug)]
pub struct Replacement<'a> {
    /// Splits to list no longer.
    pub removed: &'a [String],
    /// Splits to list.
    pub added: &'a [SplitMeta],
    /// Rows that were left out because they were deleted, by deletion.
    pub deleted: &'a BTreeMap<u64, u64>,
}

impl Catalog {
    /// Writes a deletion down; durable when this returns. Returns its number.
    pub fn add_deletion(&self, deletion: &Deletion, filter: &str) -> Result<u64, CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        let sql = "SELECT COALESCE(MAX(id), 0) + 1 FROM deletions WHERE tenant = ?1";
        let id = transaction.query_row(sql, params![TENANT], |row| unsigned(row, 0))?;
        let sql = "INSERT INTO deletions
                       (tenant, id, query, filter, range_start, range_end, seq_below, asked_by, asked_at, reason)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let DeletionMask { seq_below, range, .. } = &deletion.mask;
        transaction.execute(
            sql,
            params![
                TENANT,
                id.cast_signed(),
                deletion.query,
                filter,
                range.start.unix_nanos(),
                range.end.unix_nanos(),
                seq_below.cast_signed(),
                deletion.asked_by,
                deletion.asked_at.unix_nanos(),
                deletion.reason
            ],
        )?;
        transaction.commit()?;
        Ok(id)
    }

    /// All deletions there ever were, by rising number.
    pub fn deletions(&self) -> Result<Vec<Deletion>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached(
            "SELECT id, query, filter, range_start, range_end, seq_below, asked_by, asked_at, reason,
                    splits, splits_done, rows_removed, damaged, finished_at
             FROM deletions WHERE tenant = ?1 ORDER BY id",
        )?;
        let mut rows = statement.query(params![TENANT])?;
        let mut deletions = Vec::new();
        while let Some(row) = rows.next()? {
            deletions.push(deletion(row)?);
        }
        Ok(deletions)
    }

    /// Notes how many splits have to be rewritten for the deletion, besides those that were already.
    pub fn begin_deletion(&self, id: u64, splits: u64) -> Result<(), CatalogError> {
        let sql = "UPDATE deletions SET splits = splits_done + ?3 WHERE tenant = ?1 AND id = ?2";
        self.connection.lock().execute(sql, params![TENANT, id.cast_signed(), splits.cast_signed()])?;
        Ok(())
    }

    /// Notes that nothing is left to do for the deletion, except where splits are `damaged`.
    pub fn finish_deletion(&self, id: u64, damaged: &[String], now: Timestamp) -> Result<(), CatalogError> {
        let damaged = serde_json::to_string(damaged).map_err(|error| CatalogError(error.to_string()))?;
        let sql = "UPDATE deletions SET damaged = ?3, finished_at = ?4, splits = COALESCE(splits, 0)
                   WHERE tenant = ?1 AND id = ?2";
        self.connection.lock().execute(sql, params![TENANT, id.cast_signed(), damaged, now.unix_nanos()])?;
        Ok(())
    }

    /// Notes that the split holds nothing that deletions up to this one remove.
    pub fn record_checked(&self, split: &str, deletions_through: u64) -> Result<(), CatalogError> {
        let sql = "UPDATE splits SET deletions_through = MAX(deletions_through, ?3) WHERE tenant = ?1 AND name = ?2";
        self.connection.lock().execute(sql, params![TENANT, split, deletions_through.cast_signed()])?;
        Ok(())
    }

    /// Lists some splits in the place of others, all or nothing; durable when this returns. False, and nothing is changed,
    /// when one of those to remove is not listed any more: the retention took it meanwhile.
    pub fn record_replacement(&self, replacement: &Replacement<'_>) -> Result<bool, CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        for name in replacement.removed {
            let sql = "DELETE FROM splits WHERE tenant = ?1 AND name = ?2";
            if transaction.prepare_cached(sql)?.execute(params![TENANT, name])? == 0 {
                return Ok(false);
            }
        }
        replacement.added.iter().try_for_each(|split| insert_split(&transaction, split))?;
        count_deleted(&transaction, replacement.deleted, 1)?;
        transaction.commit()?;
        Ok(true)
    }
}

/// Adds to the deletions' counts of rows and of rewritten splits.
pub(super) fn count_deleted(
    transaction: &rusqlite::Transaction<'_>,
    deleted: &BTreeMap<u64, u64>,
    splits: u64,
) -> Result<(), CatalogError> {
    for (id, rows) in deleted {
        let sql = "UPDATE deletions SET rows_removed = rows_removed + ?3, splits_done = splits_done + ?4
                   WHERE tenant = ?1 AND id = ?2";
        let values = params![TENANT, id.cast_signed(), rows.cast_signed(), splits.cast_signed()];
        transaction.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

fn deletion(row: &Row<'_>) -> Result<Deletion, CatalogError> {
    let time = |at| row.get(at).map(Timestamp::from_unix_nanos);
    let id = unsigned(row, 0)?;
    let spoiled = |what: &str| CatalogError(format!("deletion {id}: its {what} cannot be read"));
    let filter: String = row.get(2)?;
    let damaged: String = row.get(12)?;
    Ok(Deletion {
        query: row.get(1)?,
        mask: DeletionMask {
            id,
            seq_below: unsigned(row, 5)?,
            range: TimeRange { start: time(3)?, end: time(4)? },
            filter: stored_filter::from_text(&filter).ok_or_else(|| spoiled("filter"))?,
        },
        asked_by: row.get(6)?,
        asked_at: time(7)?,
        reason: row.get(8)?,
        progress: DeletionProgress {
            splits: row.get::<_, Option<i64>>(9)?.map(i64::cast_unsigned),
            splits_done: unsigned(row, 10)?,
            rows_removed: unsigned(row, 11)?,
            damaged_splits: serde_json::from_str(&damaged).map_err(|_| spoiled("list of damaged splits"))?,
            finished_at: row.get::<_, Option<i64>>(13).optional()?.flatten().map(Timestamp::from_unix_nanos),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Seal;
    use crate::log_store::{Filter, RecordId};

    fn asked(query: &str) -> Deletion {
        Deletion {
            query: query.to_owned(),
            mask: DeletionMask { id: 0, seq_below: u64::MAX, range: TimeRange::ALL, filter: Filter::All },
            asked_by: "127.0.0.1".to_owned(),
            asked_at: Timestamp::from_unix_seconds(5),
            reason: "asked to".to_owned(),
            progress: DeletionProgress::default(),
        }
    }

    fn split(name: &str) -> SplitMeta {
        let place = RecordId { time: Timestamp::EPOCH, seq: 1 };
        SplitMeta {
            name: name.to_owned(),
            rows: 1,
            bytes: 1,
            oldest: place,
            newest: place,
            seq_first: 1,
            seq_last: 1,
            generation: 0,
            deletions_through: 0,
        }
    }

    #[test]
    fn a_deletion_is_kept_for_ever_with_what_became_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).unwrap();
        let text = stored_filter::to_text(&Filter::All).unwrap();
        assert_eq!(catalog.add_deletion(&asked("user:alice"), &text).unwrap(), 1);
        assert_eq!(catalog.add_deletion(&asked("user:bob"), &text).unwrap(), 2);
        let splits = [split("a"), split("b")];
        let deleted = BTreeMap::from([(2, 3)]);
        catalog.record_seal(&Seal { splits: &splits, deleted: &deleted, ..Seal::default() }).unwrap();
        catalog.begin_deletion(2, 2).unwrap();
        let deleted = BTreeMap::from([(1, 7), (2, 1)]);
        let added = [split("c")];
        let replace = |removed: &[&str]| {
            let removed: Vec<String> = removed.iter().map(|name| (*name).to_owned()).collect();
            catalog.record_replacement(&Replacement { removed: &removed, added: &added, deleted: &deleted })
        };
        assert!(!replace(&["a", "gone"]).unwrap());
        assert_eq!(catalog.splits().unwrap().len(), 2, "nothing was changed");
        assert!(replace(&["a"]).unwrap());
        catalog.record_checked("c", 2).unwrap();
        catalog.finish_deletion(2, &["b".to_owned()], Timestamp::from_unix_seconds(9)).unwrap();
        drop(catalog);
        let catalog = Catalog::open(&path).unwrap();
        let names: Vec<_> = catalog.splits().unwrap().into_iter().map(|s| (s.name, s.deletions_through)).collect();
        assert_eq!(names, [("b".to_owned(), 0), ("c".to_owned(), 2)]);
        let [first, second] = <[Deletion; 2]>::try_from(catalog.deletions().unwrap()).unwrap();
        let progress = DeletionProgress { splits_done: 1, rows_removed: 7, ..DeletionProgress::default() };
        assert_eq!((first.query.as_str(), first.mask.id, first.progress), ("user:alice", 1, progress));
        let progress = DeletionProgress {
            splits: Some(2),
            splits_done: 1,
            rows_removed: 4,
            damaged_splits: vec!["b".to_owned()],
            finished_at: Some(Timestamp::from_unix_seconds(9)),
        };
        let mask = DeletionMask { id: 2, ..asked("").mask };
        assert_eq!(second, Deletion { mask, progress, ..asked("user:bob") });
    }
}
