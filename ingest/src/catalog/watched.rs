//! What was seen in the records that came: the annotations they make and the error groups they belong to, moved on together
//! with the number of the record up to which they were looked at. One transaction: after a crash no record is looked at
//! twice, and none is passed over.

use rusqlite::{OptionalExtension, params};

use super::annotations::{self, Annotation};
use super::parts::unsigned;
use super::{Catalog, CatalogError, TENANT};

/// What changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watched<'a> {
    /// The number of the first record that was not looked at; none leaves it.
    pub next_seq: Option<u64>,
    /// Annotations that records made.
    pub annotations: &'a [Annotation],
    /// So many annotations are kept at most.
    pub annotations_max: u64,
    /// Error groups that changed: (id, how it stands).
    pub groups: &'a [(String, String)],
    /// Error groups that are not kept any more.
    pub groups_removed: &'a [String],
}

impl Catalog {
    /// Writes down what was seen, all or nothing; durable when this returns. Returns how many annotations had to leave.
    pub fn record_watched(&self, watched: &Watched<'_>) -> Result<u64, CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        watched.annotations.iter().try_for_each(|annotation| annotations::insert(&transaction, annotation))?;
        let left = match watched.annotations {
            [] => 0,
            _ => annotations::make_room(&transaction, watched.annotations_max)?,
        };
        for (id, value) in watched.groups {
            let sql = "REPLACE INTO error_groups (tenant, id, value) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![TENANT, id, value])?;
        }
        for id in watched.groups_removed {
            let sql = "DELETE FROM error_groups WHERE tenant = ?1 AND id = ?2";
            transaction.prepare_cached(sql)?.execute(params![TENANT, id])?;
        }
        if let Some(next_seq) = watched.next_seq {
            let sql = "REPLACE INTO watched (tenant, next_seq) VALUES (?1, ?2)";
            transaction.prepare_cached(sql)?.execute(params![TENANT, next_seq.cast_signed()])?;
        }
        transaction.commit()?;
        Ok(left)
    }

    /// The number of the first record that was not looked at; none when none ever was.
    pub fn watched_through(&self) -> Result<Option<u64>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached("SELECT next_seq FROM watched WHERE tenant = ?1")?;
        Ok(statement.query_row(params![TENANT], |row| unsigned(row, 0)).optional()?)
    }

    /// Every error group: (id, how it stands).
    pub fn error_groups(&self) -> Result<Vec<(String, String)>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement =
            connection.prepare_cached("SELECT id, value FROM error_groups WHERE tenant = ?1 ORDER BY id")?;
        let groups = statement.query_map(params![TENANT], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(groups.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_and_how_far_are_kept_together() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.watched_through().unwrap(), None);
        let group = |id: &str, value: &str| (id.to_owned(), value.to_owned());
        let annotation = Annotation { id: "x".to_owned(), ..Annotation::default() };
        let watched = Watched {
            next_seq: Some(u64::MAX),
            annotations: std::slice::from_ref(&annotation),
            annotations_max: 5,
            groups: &[group("a", "1"), group("b", "2")],
            groups_removed: &[],
        };
        assert_eq!(catalog.record_watched(&watched).unwrap(), 0);
        let gone = ["a".to_owned()];
        let watched = Watched { groups: &[group("b", "3")], groups_removed: &gone, ..Watched::default() };
        catalog.record_watched(&watched).unwrap();
        drop(catalog);
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.watched_through().unwrap(), Some(u64::MAX));
        assert_eq!(catalog.error_groups().unwrap(), [group("b", "3")]);
        assert_eq!(catalog.annotation("x").unwrap(), Some(annotation));
    }
}
