//! What the catalog knows of splits, blocks, marks and checkpoints, and the transactions that change them together.

use std::collections::BTreeMap;

use rusqlite::{Row, Transaction, params};
use taffrail_collector::model::{AgentId, Checkpoint, Timestamp};

use super::deletions::count_deleted;
use super::{Catalog, CatalogError, TENANT};
use crate::log_store::{RecordId, SplitMeta};
use crate::series_store::{BlockInfo, Place};
use crate::stream_marks::StreamKey;

/// Everything that one seal makes true at once.
#[derive(Debug)]
pub struct Seal<'a> {
    /// Splits to list.
    pub splits: &'a [SplitMeta],
    /// Rows that were left out because they were deleted, by deletion.
    pub deleted: &'a BTreeMap<u64, u64>,
    /// Blocks to list.
    pub blocks_added: &'a [BlockInfo],
    /// Blocks to list no longer.
    pub blocks_removed: &'a [String],
    /// For each stream the sequence number with which it goes on.
    pub marks: &'a [(StreamKey, u64)],
    /// How far sources were read; an empty value removes the checkpoint.
    pub checkpoints: &'a [(AgentId, Checkpoint)],
    /// Rows below this number lie in splits and blocks; the journal is replayed from here on. None leaves it.
    pub sealed_through: Option<u64>,
}

impl Default for Seal<'_> {
    fn default() -> Self {
        static NONE: BTreeMap<u64, u64> = BTreeMap::new();
        Seal {
            splits: &[],
            deleted: &NONE,
            blocks_added: &[],
            blocks_removed: &[],
            marks: &[],
            checkpoints: &[],
            sealed_through: None,
        }
    }
}

/// Splits and blocks to list no longer.
#[derive(Debug, Default)]
pub struct Removal {
    /// Names of splits.
    pub splits: Vec<String>,
    /// Names of blocks.
    pub blocks: Vec<String>,
}

impl Catalog {
    /// Makes all of it true in one transaction, or nothing; durable when this returns.
    pub fn record_seal(&self, seal: &Seal<'_>) -> Result<(), CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        seal.splits.iter().try_for_each(|split| insert_split(&transaction, split))?;
        count_deleted(&transaction, seal.deleted, 0)?;
        remove(&transaction, "DELETE FROM blocks WHERE tenant = ?1 AND name = ?2", seal.blocks_removed)?;
        seal.blocks_added.iter().try_for_each(|block| insert_block(&transaction, block))?;
        for (key, next_seq) in seal.marks {
            transaction.prepare_cached("REPLACE INTO stream_marks VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                TENANT,
                key.agent.0.to_be_bytes(),
                key.epoch.cast_signed(),
                key.stream,
                next_seq.cast_signed()
            ])?;
        }
        for (agent, Checkpoint { key, value }) in seal.checkpoints {
            let agent = agent.0.to_be_bytes();
            if value.is_empty() {
                let sql = "DELETE FROM checkpoints WHERE tenant = ?1 AND agent = ?2 AND key = ?3";
                transaction.prepare_cached(sql)?.execute(params![TENANT, agent, key])?;
            } else {
                let sql = "REPLACE INTO checkpoints VALUES (?1, ?2, ?3, ?4)";
                transaction.prepare_cached(sql)?.execute(params![TENANT, agent, key, value])?;
            }
        }
        if let Some(through) = seal.sealed_through {
            let sql = "UPDATE meta SET value = ?1 WHERE name = 'sealed_through'";
            transaction.execute(sql, params![through.cast_signed()])?;
        }
        Ok(transaction.commit()?)
    }

    /// Lists some blocks in the place of others, all or nothing; durable when this returns. False, and nothing is changed, when
    /// one of those to remove is not listed any more: the retention took it meanwhile.
    pub fn record_blocks(&self, removed: &[String], added: &[BlockInfo]) -> Result<bool, CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        for name in removed {
            let sql = "DELETE FROM blocks WHERE tenant = ?1 AND name = ?2";
            if transaction.prepare_cached(sql)?.execute(params![TENANT, name])? == 0 {
                return Ok(false);
            }
        }
        added.iter().try_for_each(|block| insert_block(&transaction, block))?;
        transaction.commit()?;
        Ok(true)
    }

    /// Lists the parts no longer, in one transaction; durable when this returns, and their files may go.
    pub fn record_removal(&self, removal: &Removal) -> Result<(), CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        remove(&transaction, "DELETE FROM splits WHERE tenant = ?1 AND name = ?2", &removal.splits)?;
        remove(&transaction, "DELETE FROM blocks WHERE tenant = ?1 AND name = ?2", &removal.blocks)?;
        Ok(transaction.commit()?)
    }

    /// The splits that count.
    pub fn splits(&self) -> Result<Vec<SplitMeta>, CatalogError> {
        let sql = "SELECT name, rows, bytes, oldest_time, oldest_seq, newest_time, newest_seq, seq_first, seq_last, generation, deletions_through
                   FROM splits WHERE tenant = ?1 ORDER BY newest_time, newest_seq";
        self.list(sql, |row| {
            Ok(SplitMeta {
                name: row.get(0)?,
                rows: unsigned(row, 1)?,
                bytes: unsigned(row, 2)?,
                oldest: RecordId { time: Timestamp::from_unix_nanos(row.get(3)?), seq: unsigned(row, 4)? },
                newest: RecordId { time: Timestamp::from_unix_nanos(row.get(5)?), seq: unsigned(row, 6)? },
                seq_first: unsigned(row, 7)?,
                seq_last: unsigned(row, 8)?,
                generation: row.get(9)?,
                deletions_through: unsigned(row, 10)?,
            })
        })
    }

    /// The blocks that count.
    pub fn blocks(&self) -> Result<Vec<BlockInfo>, CatalogError> {
        let sql = "SELECT name, partition, sequence, first_end, last_end, bytes, samples, series, hours, resolution_ms, days_held, deletions_through
                   FROM blocks WHERE tenant = ?1 ORDER BY sequence";
        self.list(sql, |row| {
            Ok(BlockInfo {
                name: row.get(0)?,
                place: Place {
                    partition: Timestamp::from_unix_nanos(row.get(1)?),
                    hours: row.get(8)?,
                    resolution_ms: row.get(9)?,
                    days_held: row.get(10)?,
                    order: unsigned(row, 2)?,
                    deletions_through: unsigned(row, 11)?,
                },
                first_end: Timestamp::from_unix_nanos(row.get(3)?),
                last_end: Timestamp::from_unix_nanos(row.get(4)?),
                bytes: unsigned(row, 5)?,
                samples: unsigned(row, 6)?,
                series: unsigned(row, 7)?,
            })
        })
    }

    /// For each stream the sequence number with which it goes on, as far as sealed.
    pub fn stream_marks(&self) -> Result<Vec<(StreamKey, u64)>, CatalogError> {
        let sql = "SELECT agent, epoch, stream, next_seq FROM stream_marks WHERE tenant = ?1";
        self.list(sql, |row| {
            let key = StreamKey { agent: agent(row, 0)?, epoch: unsigned(row, 1)?, stream: row.get(2)? };
            Ok((key, unsigned(row, 3)?))
        })
    }

    /// How far sources were read, as far as sealed.
    pub fn checkpoints(&self) -> Result<Vec<(AgentId, Checkpoint)>, CatalogError> {
        let sql = "SELECT agent, key, value FROM checkpoints WHERE tenant = ?1";
        self.list(sql, |row| Ok((agent(row, 0)?, Checkpoint { key: row.get(1)?, value: row.get(2)? })))
    }

    /// Rows below this number lie in splits and blocks.
    pub fn sealed_through(&self) -> Result<u64, CatalogError> {
        let sql = "SELECT value FROM meta WHERE name = 'sealed_through'";
        Ok(self.connection.lock().query_row(sql, [], |row| unsigned(row, 0))?)
    }

    fn list<T>(&self, sql: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>, CatalogError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_map(params![TENANT], read)?.collect::<Result<_, _>>()?)
    }
}

pub(super) fn insert_split(transaction: &Transaction<'_>, split: &SplitMeta) -> Result<(), CatalogError> {
    transaction
        .prepare_cached("INSERT INTO splits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?
        .execute(params![
            TENANT,
            split.name,
            split.rows.cast_signed(),
            split.bytes.cast_signed(),
            split.oldest.time.unix_nanos(),
            split.oldest.seq.cast_signed(),
            split.newest.time.unix_nanos(),
            split.newest.seq.cast_signed(),
            split.seq_first.cast_signed(),
            split.seq_last.cast_signed(),
            split.generation,
            split.deletions_through.cast_signed()
        ])?;
    Ok(())
}

fn insert_block(transaction: &Transaction<'_>, block: &BlockInfo) -> Result<(), CatalogError> {
    transaction
        .prepare_cached("INSERT INTO blocks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")?
        .execute(params![
        TENANT,
        block.name,
        block.place.partition.unix_nanos(),
        block.place.order.cast_signed(),
        block.first_end.unix_nanos(),
        block.last_end.unix_nanos(),
        block.bytes.cast_signed(),
        block.samples.cast_signed(),
        block.series.cast_signed(),
        block.place.hours,
        block.place.resolution_ms,
        block.place.days_held,
        block.place.deletions_through.cast_signed()
    ])?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, sql: &str, names: &[String]) -> Result<(), CatalogError> {
    for name in names {
        transaction.prepare_cached(sql)?.execute(params![TENANT, name])?;
    }
    Ok(())
}

pub(super) fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

fn agent(row: &Row<'_>, at: usize) -> rusqlite::Result<AgentId> {
    row.get::<_, [u8; 16]>(at).map(|bytes| AgentId(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_comes_back_whole_and_a_removal_takes_parts_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.sealed_through().unwrap(), 0);
        let place = |time, seq| RecordId { time: Timestamp::from_unix_nanos(time), seq };
        let split = |name: &str, seq| SplitMeta {
            name: name.to_owned(),
            rows: 2,
            bytes: 3,
            oldest: place(i64::MIN, seq),
            newest: place(i64::MAX, u64::MAX),
            seq_first: seq,
            seq_last: u64::MAX,
            generation: 2,
            deletions_through: 3,
        };
        let block = |name: &str, order| BlockInfo {
            name: name.to_owned(),
            place: Place {
                partition: Timestamp::from_unix_seconds(7200),
                hours: 24,
                resolution_ms: 60_000,
                days_held: 1,
                order,
                deletions_through: u64::MAX,
            },
            first_end: Timestamp::from_unix_seconds(7201),
            last_end: Timestamp::from_unix_seconds(7300),
            bytes: 5,
            samples: 6,
            series: 7,
        };
        let key = |epoch| StreamKey { agent: AgentId(u128::MAX - 1), epoch, stream: 3 };
        let checkpoint =
            |key: &str, value: &[u8]| (AgentId(9), Checkpoint { key: key.to_owned(), value: value.to_vec() });
        catalog
            .record_seal(&Seal {
                splits: &[split("a", 0), split("b", 5)],
                blocks_added: &[block("x", 1), block("y", 2)],
                marks: &[(key(u64::MAX), 7), (key(1), 8)],
                checkpoints: &[checkpoint("one", b"1"), checkpoint("two", b"2")],
                sealed_through: Some(10),
                ..Seal::default()
            })
            .unwrap();
        catalog
            .record_seal(&Seal {
                blocks_added: &[block("z", 3)],
                blocks_removed: &["x".to_owned(), "y".to_owned()],
                marks: &[(key(1), 9)],
                checkpoints: &[checkpoint("one", b"11"), checkpoint("two", b"")],
                ..Seal::default()
            })
            .unwrap();
        // A name that is listed already spoils the whole seal.
        let twice = Seal { splits: &[split("c", 1), split("a", 0)], sealed_through: Some(99), ..Seal::default() };
        assert!(catalog.record_seal(&twice).is_err());
        drop(catalog);

        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.splits().unwrap(), [split("a", 0), split("b", 5)]);
        assert_eq!(catalog.blocks().unwrap(), [block("z", 3)]);
        let mut marks = catalog.stream_marks().unwrap();
        marks.sort_by_key(|(key, _)| key.epoch);
        assert_eq!(marks, [(key(1), 9), (key(u64::MAX), 7)]);
        assert_eq!(catalog.checkpoints().unwrap(), [checkpoint("one", b"11")]);
        assert_eq!(catalog.sealed_through().unwrap(), 10);
        assert!(!catalog.record_blocks(&["z".to_owned(), "gone".to_owned()], &[block("v", 4)]).unwrap());
        assert_eq!(catalog.blocks().unwrap(), [block("z", 3)], "nothing was changed");
        assert!(catalog.record_blocks(&["z".to_owned()], &[block("z2", 4)]).unwrap());
        assert_eq!(catalog.blocks().unwrap(), [block("z2", 4)]);
        catalog.record_removal(&Removal { splits: vec!["a".into()], blocks: vec!["z2".into()] }).unwrap();
        assert_eq!(catalog.splits().unwrap(), [split("b", 5)]);
        assert_eq!(catalog.blocks().unwrap(), []);
    }
}
