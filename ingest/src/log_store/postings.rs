//! Which template each row has, and which rows each template has: one structure for both directions.
//!
//! Rows lie in superblocks of [`SUPERBLOCK`]. Each keeps, for every template that occurs in it, its rows as an Elias–Fano list
//! (P. Elias, "Efficient storage and retrieval by content and address of static files", 1974): near the least that any
//! structure can take, and read at a few nanoseconds a row.
//!
//! ```text
//! superblock := entries:varint { template − the one before:varint  count:varint  earlier:varint }…  bits
//! bits       := for each entry in turn: count × low bits of its rows, then their high parts in unary
//! ```
//!
//! `earlier` is how many rows the template has in superblocks before this one. Of `n` rows among `u`, `⌊log2(u ÷ n)⌋` bits each
//! are low bits; the unary part sets bit `(row >> low bits) + i` for the `i`-th row. An entry that has all rows has no bits.

use std::ops::Range;

use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

/// Rows of a superblock. Fewer are quicker to search for one row, more take fewer bytes.
pub const SUPERBLOCK: u32 = 1 << 15;

/// Appends the superblock of rows with these templates; `earlier` counts each template's rows so far and is moved on.
pub fn encode(templates: &[u32], earlier: &mut [u32], out: &mut Vec<u8>) {
    let rows = templates.len() as u32;
    let mut order: Vec<u64> =
        templates.iter().enumerate().map(|(row, &template)| u64::from(template) << 32 | row as u64).collect();
    order.sort_unstable();
    let lists: Vec<&[u64]> = order.chunk_by(|a, b| a >> 32 == b >> 32).collect();
    put_varint(out, lists.len() as u64);
    let mut before = 0;
    for list in &lists {
        let (template, count) = ((list[0] >> 32) as u32, list.len() as u32);
        put_varint(out, u64::from(template - before));
        put_varint(out, u64::from(count));
        put_varint(out, u64::from(earlier[template as usize]));
        earlier[template as usize] += count;
        before = template;
    }
    let mut bits = BitWriter::default();
    for list in &lists {
        let count = list.len() as u32;
        if count == rows {
            continue;
        }
        let low = low_bits(rows, count);
        list.iter().for_each(|&entry| bits.put(entry as u32 & ((1 << low) - 1), low));
        let mut at = 0;
        for (i, &entry) in list.iter().enumerate() {
            let high = (entry as u32 >> low) + i as u32;
            bits.put_zeros(high - at);
            bits.put(1, 1);
            at = high + 1;
        }
        bits.put_zeros(unary_bits(rows, count, low) - at);
    }
    bits.finish(out);
}

fn low_bits(rows: u32, count: u32) -> u32 {
    (rows / count).max(1).ilog2()
}

fn unary_bits(rows: u32, count: u32, low: u32) -> u32 {
    ((rows - 1) >> low) + count
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    held: u64,
    bits: u32,
}

impl BitWriter {
    /// Up to 32 bits.
    fn put(&mut self, value: u32, width: u32) {
        self.held |= u64::from(value) << self.bits;
        self.bits += width;
        while self.bits >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.bits -= 8;
        }
    }

    fn put_zeros(&mut self, mut count: u32) {
        while count > 0 {
            let now = count.min(32);
            self.put(0, now);
            count -= now;
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        if self.bits > 0 {
            self.bytes.push(self.held as u8);
        }
        out.append(&mut self.bytes);
    }
}

/// A superblock, read.
#[derive(Debug)]
pub struct Superblock {
    rows: u32,
    entries: Vec<Entry>,
    bits: Vec<u8>,
}

/// A template's rows in a superblock.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The template.
    pub template: u32,
    /// How many rows it has here.
    pub count: u32,
    /// How many it has in superblocks before.
    pub earlier: u32,
    /// Where its bits start.
    start: u64,
}

impl Entry {
    /// The numbers of its rows here among all rows of the template.
    pub fn ordinals(&self) -> Range<u32> {
        self.earlier..self.earlier + self.count
    }
}

impl Superblock {
    /// Reads a superblock of `rows` rows of a split with so many templates, each with so many rows.
    pub fn read(bytes: &[u8], rows: u32, template_rows: &dyn Fn(u32) -> Option<u32>) -> Result<Superblock, Malformed> {
        let mut cursor = ByteCursor(bytes);
        let count = cursor.count(3, rows as usize)?;
        let mut entries = Vec::with_capacity(count);
        let (mut template, mut start, mut all) = (0u64, 0u64, 0u64);
        for at in 0..count {
            template = template.saturating_add(cursor.varint()?);
            let (count, earlier) = (cursor.varint()?, cursor.varint()?);
            let known = u32::try_from(template).ok().and_then(|template| Some((template, template_rows(template)?)));
            let (template, of) = known.ok_or(Malformed("a row's template does not exist"))?;
            if count == 0
                || count > u64::from(rows)
                || count.saturating_add(earlier) > u64::from(of)
                || at > 0 && entries.last().is_some_and(|last: &Entry| last.template >= template)
            {
                return Err(Malformed("a superblock contradicts itself"));
            }
            let count = count as u32;
            entries.push(Entry { template, count, earlier: earlier as u32, start });
            if count < rows {
                let low = low_bits(rows, count);
                start += u64::from(count) * u64::from(low) + u64::from(unary_bits(rows, count, low));
            }
            all += u64::from(count);
        }
        if all != u64::from(rows) || (cursor.0.len() as u64) < start.div_ceil(8) {
            return Err(Malformed("a superblock holds another number of rows"));
        }
        // Padded, so that every word that holds a bit is there whole.
        let mut bits = Vec::with_capacity(cursor.0.len() + 8);
        bits.extend_from_slice(cursor.0);
        bits.extend([0; 8]);
        Ok(Superblock { rows, entries, bits })
    }

    /// Its templates, rising.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The template's entry, if it occurs.
    pub fn entry(&self, template: u32) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&template, |entry| entry.template).ok()?;
        Some(&self.entries[at])
    }

    /// Calls `visit` with the entry's rows in the superblock, rising.
    #[inline]
    pub fn visit_rows(&self, entry: &Entry, mut visit: impl FnMut(u32)) -> Result<(), Malformed> {
        if entry.count == self.rows {
            (0..self.rows).for_each(visit);
            return Ok(());
        }
        let low = low_bits(self.rows, entry.count);
        let mask = (1u64 << low) - 1;
        let mut low_at = entry.start;
        let mut at = entry.start + u64::from(entry.count) * u64::from(low);
        let mut found = 0u32;
        let mut base = 0u32;
        loop {
            let mut word = self.word_at(at);
            // The last bits of a word that was read off a byte's edge are not there yet.
            let usable = 57;
            word &= (1 << usable) - 1;
            while word != 0 {
                let high = base + word.trailing_zeros() - found;
                let row = high << low | (self.word_at(low_at) & mask) as u32;
                if row >= self.rows {
                    return Err(Malformed("a superblock's rows lie outside"));
                }
                visit(row);
                low_at += u64::from(low);
                found += 1;
                if found == entry.count {
                    return Ok(());
                }
                word &= word - 1;
            }
            base += usable;
            at += u64::from(usable);
            if base > self.rows + entry.count {
                return Err(Malformed("a superblock's rows are missing"));
            }
        }
    }

    /// At least 57 bits from a place on; zeros behind the end.
    #[inline]
    fn word_at(&self, bit: u64) -> u64 {
        let byte = (bit / 8) as usize;
        let bytes = self.bits.get(byte..).and_then(|rest| rest.first_chunk::<8>());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes)) >> (bit % 8)
    }

    /// For each of the rows (of the superblock, rising): its template, and its number among the template's rows.
    pub fn locate(&self, rows: &[u32]) -> Result<Vec<(u32, u32)>, Malformed> {
        let mut owner = vec![(0u32, 0u32); self.rows as usize];
        for entry in &self.entries {
            let mut ordinal = entry.earlier;
            self.visit_rows(entry, |row| {
                owner[row as usize] = (entry.template, ordinal);
                ordinal += 1;
            })?;
        }
        rows.iter()
            .map(|&row| owner.get(row as usize).copied().ok_or(Malformed("a row lies outside its superblock")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(templates: &[u32]) {
        let kinds = templates.iter().max().map_or(0, |most| most + 1);
        let mut earlier = vec![3; kinds as usize];
        let mut bytes = Vec::new();
        encode(templates, &mut earlier, &mut bytes);
        let rows = templates.len() as u32;
        let of = |template: u32| earlier.get(template as usize).copied();
        let block = Superblock::read(&bytes, rows, &of).expect("reads");
        for template in 0..kinds {
            let expected: Vec<u32> = (0..rows).filter(|&row| templates[row as usize] == template).collect();
            let mut found = Vec::new();
            match block.entry(template) {
                Some(entry) => {
                    block.visit_rows(entry, |row| found.push(row)).expect("reads");
                    assert_eq!(entry.ordinals(), 3..3 + expected.len() as u32);
                }
                None => assert!(expected.is_empty()),
            }
            assert_eq!(found, expected, "template {template}");
        }
        let all: Vec<u32> = (0..rows).collect();
        let located = block.locate(&all).expect("located");
        for (row, (template, ordinal)) in located.into_iter().enumerate() {
            assert_eq!(template, templates[row]);
            assert_eq!(ordinal - 3, templates[..row].iter().filter(|&&other| other == template).count() as u32);
        }
    }

    #[test]
    fn rows_of_templates_come_back() {
        check(&[0]);
        check(&[0; 1000]);
        check(&(0..1000).collect::<Vec<_>>());
        check(&(0..2000).map(|n| u32::from(n % 3 == 0)).collect::<Vec<_>>());
        let mut rare = vec![1; SUPERBLOCK as usize];
        rare[SUPERBLOCK as usize - 1] = 0;
        rare[77] = 2;
        let mut bytes = Vec::new();
        encode(&rare, &mut [0; 3], &mut bytes);
        assert!(bytes.len() < 8250, "{} bytes", bytes.len());
        let block = Superblock::read(&bytes, SUPERBLOCK, &|_| Some(SUPERBLOCK)).expect("reads");
        assert_eq!(block.locate(&[76, 77, 32767]).expect("located"), [(1, 76), (2, 0), (0, 0)]);
    }

    proptest! {
        #[test]
        fn any_rows_come_back(templates in prop::collection::vec(prop_oneof![0u32..4, 0u32..60], 1..500)) {
            check(&templates);
        }

        #[test]
        fn damaged_superblocks_never_panic(templates in prop::collection::vec(0u32..9, 1..300), at: prop::sample::Index, bit in 0u8..8, cut: prop::sample::Index) {
            let mut bytes = Vec::new();
            encode(&templates, &mut [0; 9], &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            bytes.truncate(1 + cut.index(bytes.len()));
            if let Ok(block) = Superblock::read(&bytes, templates.len() as u32, &|_| Some(300)) {
                let _ = block.locate(&[0]);
            }
        }
    }
}
