//! Looks at a catalog without changing it, and takes over from a damaged one what can still be read: for `taffrail doctor`.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, params};

use super::schema::NEWEST;
use super::{Catalog, CatalogError};

/// Complaints of SQLite's that are passed on; one page that is wrong brings forth hundreds.
const COMPLAINTS_MAX: u32 = 10;

/// Tables that a new catalog is filled with from elsewhere: splits and blocks know themselves best.
const KNOWN_OTHERWISE: [&str; 3] = ["blocks", "meta", "splits"];

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

    /// Takes over from another catalog, which may be damaged, each table that can be read as a whole and that splits and blocks
    /// do not tell of; returns the names of those that cannot.
    pub fn salvage(&self, other: &Path) -> Result<Vec<String>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement =
            connection.prepare("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")?;
        let tables: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let wanted = tables.into_iter().filter(|table| !KNOWN_OTHERWISE.contains(&table.as_str()));
        let attached =
            other.exists() && connection.execute("ATTACH DATABASE ?1 AS old", params![other.to_string_lossy()]).is_ok();
        let lost = wanted
            .filter(|table| {
                // One statement is all or nothing.
                let sql = format!("INSERT INTO main.{table} SELECT * FROM old.{table}");
                !attached || connection.execute(&sql, []).is_err()
            })
            .collect();
        if attached {
            connection.execute("DETACH DATABASE old", [])?;
        }
        Ok(lost)
    }
}
