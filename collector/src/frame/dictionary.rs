//! Numbers for things that repeat, in the order in which they were first met.
//!
//! Most things that repeat in a batch are shared (`Arc`), so their address says which one they are without looking at
//! them; only a new address is looked at byte by byte. Addresses mean something only while the batch is borrowed:
//! [`Dictionary::clear`] comes before each frame.

use rapidhash::{HashMapExt, RapidHashMap};

/// See the module's documentation.
pub(super) struct Dictionary {
    by_address: RapidHashMap<(usize, usize), u32>,
    by_content: RapidHashMap<Box<[u8]>, u32>,
    /// The entries one after the other, as they are written into the frame.
    entries: Vec<u8>,
    last: ((usize, usize), u32),
}

/// Entries kept allocated between frames.
const KEPT_ENTRIES: usize = 4096;

impl Dictionary {
    pub(super) fn new() -> Dictionary {
        Dictionary {
            by_address: RapidHashMap::new(),
            by_content: RapidHashMap::new(),
            entries: Vec::new(),
            last: ((0, 0), 0),
        }
    }

    /// Forgets everything, and gives back what an unusual frame made it allocate.
    pub(super) fn clear(&mut self) {
        if self.by_address.capacity().max(self.by_content.capacity()) > 2 * KEPT_ENTRIES {
            *self = Dictionary::new();
        }
        self.by_address.clear();
        self.by_content.clear();
        self.entries.clear();
        self.last = ((0, 0), 0);
    }

    pub(super) fn len(&self) -> usize {
        self.by_content.len()
    }

    /// All entries, as [`Dictionary::number`] was given them.
    pub(super) fn entries(&self) -> &[u8] {
        &self.entries
    }

    /// The number of the thing with this content.
    pub(super) fn number(&mut self, content: &[u8]) -> u32 {
        if let Some(&number) = self.by_content.get(content) {
            return number;
        }
        let number = u32::try_from(self.by_content.len()).expect("a batch in memory has fewer than 2^32 entries");
        self.by_content.insert(content.into(), number);
        self.entries.extend_from_slice(content);
        number
    }

    /// The number of the thing at this address (and of this length), if it was met there before.
    #[inline]
    pub(super) fn known(&mut self, address: (usize, usize)) -> Option<u32> {
        if self.last.0 == address {
            return Some(self.last.1);
        }
        let number = *self.by_address.get(&address)?;
        self.last = (address, number);
        Some(number)
    }

    /// Remembers the address of the thing with this content, and returns its number.
    pub(super) fn learn(&mut self, address: (usize, usize), content: &[u8]) -> u32 {
        let number = self.number(content);
        self.by_address.insert(address, number);
        self.last = (address, number);
        number
    }
}
