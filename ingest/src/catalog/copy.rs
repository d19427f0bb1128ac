//! A consistent copy of the catalog while it may be written to, and what the copy lists: for `taffrail backup`.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;
use rusqlite::params;

use super::{Catalog, CatalogError, TENANT};

/// Between two attempts while a transaction keeps the copy from beginning.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

impl Catalog {
    /// Copies the catalog into the file `target`, as it is at one moment (<https://www.sqlite.org/backup.html>).
    pub fn copy_to(&self, target: &Path) -> Result<(), CatalogError> {
        let source = self.connection.lock();
        let mut copy = Connection::open(target)?;
        // All pages in one step: a catalog is small, and writers go on meanwhile.
        Backup::new(&source, &mut copy)?.run_to_completion(i32::MAX, BUSY_PAUSE, None)?;
        // A copy is one file: it needs no log of writes to come.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        Ok(())
    }

    /// The names of the splits and of the blocks that count.
    pub fn part_names(&self) -> Result<(Vec<String>, Vec<String>), CatalogError> {
        let connection = self.connection.lock();
        let names = |table: &str| -> Result<Vec<String>, CatalogError> {
            let mut statement =
                connection.prepare(&format!("SELECT name FROM {table} WHERE tenant = ?1 ORDER BY name"))?;
            Ok(statement.query_map(params![TENANT], |row| row.get(0))?.collect::<Result<_, _>>()?)
        };
        Ok((names("splits")?, names("blocks")?))
    }
}
