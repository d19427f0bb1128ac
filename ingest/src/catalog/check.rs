//! Looks at a catalog without changing it, and takes out of a damaged one what can still be read: for `taffrail doctor`.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, params};
use taffrail_collector::model::{AgentId, Checkpoint};

use super::schema::NEWEST;
use super::{Catalog, CatalogError, TENANT};
use crate::stream_marks::StreamKey;

/// Complaints of SQLite's that are passed on; one page that is wrong brings forth hundreds.
const COMPLAINTS_MAX: u32 = 10;

/// What could be read of a damaged catalog besides its lists of parts, which the parts know better. None: not all of it.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// For each stream the sequence number with which it goes on.
    pub marks: Option<Vec<(StreamKey, u64)>>,
    /// How far sources were read.
    pub checkpoints: Option<Vec<(AgentId, Checkpoint)>>,
    /// Rows below lie in splits and blocks.
    pub sealed_through: Option<u64>,
    /// Kind, key and text of each document.
    pub documents: Option<Vec<(String, String, String)>>,
}

impl Catalog {
    /// Opens an existing catalog of this release's version to read from it.
    pub fn open_read_only(path: &Path) -> Result<Catalog, CatalogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| CatalogError(format!("{}: {error}", path.display())))?;
        Ok(Catalog { connection: Mutex::new(connection) })
    }

    /// The version of its tables, and the newest that this release knows.
    pub fn version(&self) -> Result<(u32, u32), CatalogError> {
        let version = self.connection.lock().pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((version, NEWEST))
    }

    /// What SQLite finds wrong with the file; nothing when it is sound.
    pub fn complaints(&self) -> Result<Vec<String>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({COMPLAINTS_MAX})"))?;
        let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Takes out what can be read as a whole.
    pub fn salvage(&self) -> Salvaged {
        Salvaged {
            marks: self.stream_marks().ok(),
            checkpoints: self.checkpoints().ok(),
            sealed_through: self.sealed_through().ok(),
            documents: self.all_documents().ok(),
        }
    }

    fn all_documents(&self) -> Result<Vec<(String, String, String)>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare("SELECT kind, key, value FROM documents WHERE tenant = ?1")?;
        let documents = statement.query_map(params![TENANT], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(documents.collect::<Result<_, _>>()?)
    }
}
