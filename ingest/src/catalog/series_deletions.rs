//! Deletions of metric series as the catalog keeps them: for ever, with when their windows were off the disk.

use rusqlite::params;
use taffrail_collector::model::Timestamp;

use super::parts::unsigned;
use super::{Catalog, CatalogError, TENANT};
use crate::scan::TimeRange;
use crate::series_deletion::SeriesDeletion;

impl Catalog {
    /// Writes a deletion of series down; durable when this returns. Returns its number.
    pub fn add_series_deletion(&self, deletion: &SeriesDeletion) -> Result<u64, CatalogError> {
        let selectors = serde_json::to_string(&deletion.selectors).map_err(|error| CatalogError(error.to_string()))?;
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        let sql = "SELECT COALESCE(MAX(id), 0) + 1 FROM series_deletions WHERE tenant = ?1";
        let id = transaction.query_row(sql, params![TENANT], |row| unsigned(row, 0))?;
        let sql = "INSERT INTO series_deletions (tenant, id, matchers, range_start, range_end, asked_by, asked_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        transaction.execute(
            sql,
            params![
                TENANT,
                id.cast_signed(),
                selectors,
                deletion.range.start.unix_nanos(),
                deletion.range.end.unix_nanos(),
                deletion.asked_by,
                deletion.asked_at.unix_nanos()
            ],
        )?;
        transaction.commit()?;
        Ok(id)
    }

    /// All deletions of series there ever were, by rising number.
    pub fn series_deletions(&self) -> Result<Vec<SeriesDeletion>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached(
            "SELECT id, matchers, range_start, range_end, asked_by, asked_at, finished_at
             FROM series_deletions WHERE tenant = ?1 ORDER BY id",
        )?;
        let mut rows = statement.query(params![TENANT])?;
        let mut deletions = Vec::new();
        while let Some(row) = rows.next()? {
            let time = |at| row.get(at).map(Timestamp::from_unix_nanos);
            let id = unsigned(row, 0)?;
            let selectors: String = row.get(1)?;
            deletions.push(SeriesDeletion {
                id,
                selectors: serde_json::from_str(&selectors)
                    .map_err(|_| CatalogError(format!("deletion {id} of series: its selectors cannot be read")))?,
                range: TimeRange { start: time(2)?, end: time(3)? },
                asked_by: row.get(4)?,
                asked_at: time(5)?,
                finished_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_unix_nanos),
            });
        }
        Ok(deletions)
    }

    /// Notes that no block holds windows of the deletion any more.
    pub fn finish_series_deletion(&self, id: u64, now: Timestamp) -> Result<(), CatalogError> {
        let sql = "UPDATE series_deletions SET finished_at = ?3 WHERE tenant = ?1 AND id = ?2";
        self.connection.lock().execute(sql, params![TENANT, id.cast_signed(), now.unix_nanos()])?;
        Ok(())
    }

    /// Notes that these blocks hold nothing that deletions of series up to this one remove.
    pub fn record_blocks_checked(&self, blocks: &[String], through: u64) -> Result<(), CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        for block in blocks {
            let sql =
                "UPDATE blocks SET deletions_through = MAX(deletions_through, ?3) WHERE tenant = ?1 AND name = ?2";
            transaction.prepare_cached(sql)?.execute(params![TENANT, block, through.cast_signed()])?;
        }
        Ok(transaction.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_of_series_is_kept_with_when_it_was_finished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).unwrap();
        let asked = |id, finished| SeriesDeletion {
            id,
            selectors: vec!["{a=\"b\"}".to_owned(), "up".to_owned()],
            range: TimeRange::ALL,
            asked_by: "127.0.0.1".to_owned(),
            asked_at: Timestamp::from_unix_seconds(5),
            finished_at: finished,
        };
        assert_eq!(catalog.add_series_deletion(&asked(0, None)).unwrap(), 1);
        let now = Timestamp::from_unix_seconds(9);
        catalog.finish_series_deletion(1, now).unwrap();
        assert_eq!(catalog.add_series_deletion(&asked(0, None)).unwrap(), 2);
        drop(catalog);
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.series_deletions().unwrap(), [asked(1, Some(now)), asked(2, None)]);
    }
}
