//! The catalog's tables and how they came to be: migration `n` takes a file from version `n` to `n + 1`. A migration that
//! was released is never changed.

use rusqlite::Connection;

use super::CatalogError;

/// Numbers of 64 bits without sign (sequence numbers, epochs) are kept as the same bits with sign, as SQLite has no others;
/// times are nanoseconds since the epoch.
const MIGRATIONS: [&str; 5] = [
    "
    CREATE TABLE splits (
        tenant      TEXT NOT NULL,
        name        TEXT NOT NULL,
        rows        INTEGER NOT NULL,
        bytes       INTEGER NOT NULL,
        oldest_time INTEGER NOT NULL,
        oldest_seq  INTEGER NOT NULL,
        newest_time INTEGER NOT NULL,
        newest_seq  INTEGER NOT NULL,
        seq_first   INTEGER NOT NULL,
        seq_last    INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;
    CREATE TABLE blocks (
        tenant      TEXT NOT NULL,
        name        TEXT NOT NULL,
        partition   INTEGER NOT NULL,
        sequence    INTEGER NOT NULL,
        first_end   INTEGER NOT NULL,
        last_end    INTEGER NOT NULL,
        bytes       INTEGER NOT NULL,
        samples     INTEGER NOT NULL,
        series      INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;
    CREATE TABLE stream_marks (
        tenant      TEXT NOT NULL,
        agent       BLOB NOT NULL,
        epoch       INTEGER NOT NULL,
        stream      INTEGER NOT NULL,
        next_seq    INTEGER NOT NULL,
        PRIMARY KEY (tenant, agent, epoch, stream)
    ) WITHOUT ROWID;
    CREATE TABLE checkpoints (
        tenant      TEXT NOT NULL,
        agent       BLOB NOT NULL,
        key         TEXT NOT NULL,
        value       BLOB NOT NULL,
        PRIMARY KEY (tenant, agent, key)
    ) WITHOUT ROWID;
    CREATE TABLE documents (
        tenant      TEXT NOT NULL,
        kind        TEXT NOT NULL,
        key         TEXT NOT NULL,
        value       TEXT NOT NULL,
        PRIMARY KEY (tenant, kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE meta (
        name        TEXT PRIMARY KEY,
        value       INTEGER NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO meta (name, value) VALUES ('sealed_through', 0);
",
    "
    ALTER TABLE splits ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
",
    "
    ALTER TABLE splits ADD COLUMN deletions_through INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE deletions (
        tenant       TEXT NOT NULL,
        id           INTEGER NOT NULL,
        query        TEXT NOT NULL,
        filter       TEXT NOT NULL,
        range_start  INTEGER NOT NULL,
        range_end    INTEGER NOT NULL,
        seq_below    INTEGER NOT NULL,
        asked_by     TEXT NOT NULL,
        asked_at     INTEGER NOT NULL,
        reason       TEXT NOT NULL,
        splits       INTEGER,
        splits_done  INTEGER NOT NULL DEFAULT 0,
        rows_removed INTEGER NOT NULL DEFAULT 0,
        damaged      TEXT NOT NULL DEFAULT '[]',
        finished_at  INTEGER,
        PRIMARY KEY (tenant, id)
    ) WITHOUT ROWID;
",
    "
    ALTER TABLE blocks ADD COLUMN hours INTEGER NOT NULL DEFAULT 2;
    ALTER TABLE blocks ADD COLUMN resolution_ms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE blocks ADD COLUMN days_held INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE blocks ADD COLUMN deletions_through INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE series_deletions (
        tenant       TEXT NOT NULL,
        id           INTEGER NOT NULL,
        matchers     TEXT NOT NULL,
        range_start  INTEGER NOT NULL,
        range_end    INTEGER NOT NULL,
        asked_by     TEXT NOT NULL,
        asked_at     INTEGER NOT NULL,
        finished_at  INTEGER,
        PRIMARY KEY (tenant, id)
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE annotations (
        tenant       TEXT NOT NULL,
        id           TEXT NOT NULL,
        time         INTEGER NOT NULL,
        end_time     INTEGER,
        kind         TEXT NOT NULL,
        service      TEXT NOT NULL,
        version      TEXT NOT NULL,
        text         TEXT NOT NULL,
        author       TEXT NOT NULL,
        links        TEXT NOT NULL,
        source       TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) WITHOUT ROWID;
    CREATE INDEX annotations_by_time ON annotations (tenant, time);
    CREATE TABLE error_groups (
        tenant       TEXT NOT NULL,
        id           TEXT NOT NULL,
        value        TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) WITHOUT ROWID;
    CREATE TABLE watched (
        tenant       TEXT NOT NULL,
        next_seq     INTEGER NOT NULL,
        PRIMARY KEY (tenant)
    ) WITHOUT ROWID;
",
];

pub const NEWEST: u32 = MIGRATIONS.len() as u32;

/// Sets the connection up and brings the tables to the newest version.
pub fn prepare(connection: &mut Connection) -> Result<(), CatalogError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > NEWEST {
        return Err(CatalogError(format!(
            "it has version {version}, this release knows up to {NEWEST}: start the newer release again, or use another data_dir"
        )));
    }
    for (number, migration) in (1u32..).zip(MIGRATIONS).skip(version as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
