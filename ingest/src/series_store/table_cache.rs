//! The series tables of blocks that were asked lately, within a budget of memory.

use std::sync::Arc;

use parking_lot::Mutex;
use rapidhash::RapidHashMap;

use super::series_table::SeriesTable;

/// Bytes of tables kept: the tables of some 700,000 series. A table that is not kept costs a read and one zstd.
const BUDGET_BYTES: usize = 64 << 20;

/// See the module's documentation. Blocks are known by the name of their file.
#[derive(Debug, Default)]
pub(super) struct TableCache(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    entries: RapidHashMap<String, (Arc<SeriesTable>, u64)>,
    bytes: usize,
    clock: u64,
}

impl TableCache {
    /// The table of a block, if it is kept.
    pub(super) fn get(&self, block: &str) -> Option<Arc<SeriesTable>> {
        let mut tables = self.0.lock();
        tables.clock += 1;
        let now = tables.clock;
        let (table, used) = tables.entries.get_mut(block)?;
        *used = now;
        Some(table.clone())
    }

    /// Keeps a table and lets those go that were not asked for longest.
    pub(super) fn put(&self, block: &str, table: Arc<SeriesTable>) {
        let mut tables = self.0.lock();
        tables.clock += 1;
        let now = tables.clock;
        tables.bytes += table.bytes();
        if let Some((before, _)) = tables.entries.insert(block.to_owned(), (table, now)) {
            tables.bytes -= before.bytes();
        }
        while tables.bytes > BUDGET_BYTES && tables.entries.len() > 1 {
            let oldest = tables.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            tables.forget(&oldest);
        }
    }

    /// Lets the table of a removed block go.
    pub(super) fn remove(&self, block: &str) {
        self.0.lock().forget(block);
    }
}

impl Tables {
    fn forget(&mut self, block: &str) {
        if let Some((table, _)) = self.entries.remove(block) {
            self.bytes -= table.bytes();
        }
    }
}
