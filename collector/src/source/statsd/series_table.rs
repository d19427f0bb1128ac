//! The series that are held, and two ways to find one.
//!
//! By its key, which is the same however a client orders and spells the tags; and by its alias, the identity as the text
//! stood in a line. A client spells a series always the same way, so nearly every line is found by its alias, before its
//! tags are even looked at.

use std::collections::HashMap;

use rapidhash::fast::RandomState;

use super::series::Series;

/// Spellings kept for each series of the limit, on average. Beyond that all are forgotten, and learnt again.
const ALIASES_PER_SERIES_MAX: usize = 2;

/// See the module's documentation.
#[derive(Debug)]
pub struct SeriesTable {
    series_max: usize,
    slots: Vec<Option<Series>>,
    free: Vec<usize>,
    by_key: HashMap<Box<[u8]>, usize, RandomState>,
    by_alias: HashMap<Box<[u8]>, usize, RandomState>,
}

impl SeriesTable {
    /// An empty table for so many series.
    pub fn new(series_max: usize) -> SeriesTable {
        SeriesTable {
            series_max,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::default(),
            by_alias: HashMap::default(),
        }
    }

    /// Whether no further series has room.
    pub fn is_full(&self) -> bool {
        self.by_key.len() >= self.series_max
    }

    /// The series that was last spelled like this.
    pub fn by_alias(&mut self, alias: &[u8]) -> Option<&mut Series> {
        let slot = *self.by_alias.get(alias)?;
        self.slots[slot].as_mut()
    }

    /// The series of this key, and its slot.
    pub fn by_key(&mut self, key: &[u8]) -> Option<(usize, &mut Series)> {
        let slot = *self.by_key.get(key)?;
        self.slots[slot].as_mut().map(|series| (slot, series))
    }

    /// Holds a series from now on, and says in which slot. The key must be new.
    pub fn insert(&mut self, key: &[u8], series: Series) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(series);
        self.by_key.insert(key.into(), slot);
        slot
    }

    /// Remembers a spelling of the series in a slot.
    pub fn remember_alias(&mut self, alias: &[u8], slot: usize) {
        if self.by_alias.len() >= self.series_max.saturating_mul(ALIASES_PER_SERIES_MAX) {
            self.by_alias.clear();
        }
        self.by_alias.insert(alias.into(), slot);
    }

    /// Forgets the series for which `keep` says no, and their spellings.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut Series) -> bool) {
        let before = self.by_key.len();
        let (slots, free) = (&mut self.slots, &mut self.free);
        self.by_key.retain(|_, &mut slot| {
            let kept = slots[slot].as_mut().is_some_and(&mut keep);
            if !kept {
                slots[slot] = None;
                free.push(slot);
            }
            kept
        });
        if self.by_key.len() < before {
            self.by_alias.retain(|_, &mut slot| slots[slot].is_some());
        }
    }
}
