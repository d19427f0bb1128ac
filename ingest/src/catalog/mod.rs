//! The catalog: which splits and blocks exist, how far each agent's streams and sources are durable, and small documents
//! (alert states, later dashboards and saved views), annotations. One SQLite file in WAL mode; one transaction per seal.
//!
//! This is the only place that knows SQL: `schema` (tables and their versions), `parts` (what a seal, a compaction and the
//! retention change), `deletions` and `series_deletions`, [`annotations`], `watched` (what was seen in the records that came), `check` (what a
//! sound one is), `copy` (for backups), here the documents.

pub mod annotations;
mod check;
mod copy;
mod deletions;
mod parts;
mod schema;
mod series_deletions;
pub mod watched;

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use thiserror::Error;

pub use deletions::Replacement;
pub use parts::{Removal, Seal};

/// The one tenant there is so far. Every row carries its tenant from the first day (DESIGN §14).
pub const TENANT: &str = "default";

/// The open catalog.
pub struct Catalog {
    connection: Mutex<Connection>,
}

/// The catalog's file could not be read or written.
#[derive(Debug, Error)]
#[error("catalog: {0}")]
pub struct CatalogError(pub String);

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> CatalogError {
        CatalogError(error.to_string())
    }
}

/// How far one stream of an agent is durable.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct StreamMark {
    /// The agent's epoch.
    pub epoch: u64,
    /// The stream.
    pub stream: u32,
    /// Its last durable sequence number.
    pub acked_through: u64,
}

impl Catalog {
    /// Opens or creates the catalog in the file `path`, and brings its tables to this release's version.
    pub fn open(path: &Path) -> Result<Catalog, CatalogError> {
        let mut connection =
            Connection::open(path).map_err(|error| CatalogError(format!("{}: {error}", path.display())))?;
        schema::prepare(&mut connection)?;
        Ok(Catalog { connection: Mutex::new(connection) })
    }

    /// The document `key` of `kind`.
    pub fn document(&self, kind: &str, key: &str) -> Result<Option<String>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement =
            connection.prepare_cached("SELECT value FROM documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3")?;
        Ok(statement.query_row(params![TENANT, kind, key], |row| row.get(0)).optional()?)
    }

    /// All documents of a kind, by key.
    pub fn documents(&self, kind: &str) -> Result<Vec<(String, String)>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement = connection
            .prepare_cached("SELECT key, value FROM documents WHERE tenant = ?1 AND kind = ?2 ORDER BY key")?;
        let documents = statement.query_map(params![TENANT, kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(documents.collect::<Result<_, _>>()?)
    }

    /// Writes a document; durable when this returns.
    pub fn put_document(&self, kind: &str, key: &str, value: &str) -> Result<(), CatalogError> {
        let sql = "INSERT INTO documents (tenant, kind, key, value) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (tenant, kind, key) DO UPDATE SET value = excluded.value";
        self.connection.lock().prepare_cached(sql)?.execute(params![TENANT, kind, key, value])?;
        Ok(())
    }

    /// Removes a document.
    pub fn remove_document(&self, kind: &str, key: &str) -> Result<(), CatalogError> {
        let sql = "DELETE FROM documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
        self.connection.lock().prepare_cached(sql)?.execute(params![TENANT, kind, key])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_outlive_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).unwrap();
        catalog.put_document("alert", "b", "1").unwrap();
        catalog.put_document("alert", "a", "2").unwrap();
        catalog.put_document("alert", "b", "3").unwrap();
        catalog.put_document("view", "b", "4").unwrap();
        catalog.remove_document("view", "absent").unwrap();
        drop(catalog);
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.document("alert", "b").unwrap().as_deref(), Some("3"));
        assert_eq!(catalog.documents("alert").unwrap(), [("a".into(), "2".into()), ("b".into(), "3".into())]);
        catalog.remove_document("alert", "b").unwrap();
        assert_eq!(catalog.document("alert", "b").unwrap(), None);
        assert_eq!(catalog.document("view", "b").unwrap().as_deref(), Some("4"));
    }

    #[test]
    fn a_catalog_of_a_newer_release_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        drop(Catalog::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
        let error = Catalog::open(&path).err().expect("refused").to_string();
        assert!(error.contains("version 1000") && error.contains("newer release"), "{error}");
    }
}
