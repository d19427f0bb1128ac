//! A set of rows or templates of one split: one bit each.

use std::ops::Range;

/// Rows `0 .. rows`, each in the set or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    rows: u32,
}

impl Bits {
    /// No row.
    pub fn empty(rows: u32) -> Bits {
        Bits { words: vec![0; rows.div_ceil(64) as usize], rows }
    }

    /// Every row.
    pub fn full(rows: u32) -> Bits {
        Bits::range(rows, 0..rows)
    }

    /// The rows of a range.
    pub fn range(rows: u32, range: Range<u32>) -> Bits {
        let mut bits = Bits { words: vec![u64::MAX; rows.div_ceil(64) as usize], rows };
        bits.keep(range);
        bits
    }

    /// How many rows there are, in the set or not.
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Puts a row into the set.
    pub fn insert(&mut self, row: u32) {
        self.words[(row / 64) as usize] |= 1 << (row % 64);
    }

    /// Whether the row is in the set.
    pub fn contains(&self, row: u32) -> bool {
        self.words[(row / 64) as usize] & 1 << (row % 64) != 0
    }

    /// Keeps what is in both.
    pub fn intersect(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Takes in the other set.
    pub fn unite(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Takes out what is in the other set.
    pub fn subtract(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// Every row that was not in the set.
    #[must_use]
    pub fn complement(mut self) -> Bits {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.keep(0..self.rows);
        self
    }

    /// Takes out every row outside the range.
    pub fn keep(&mut self, range: Range<u32>) {
        for (at, word) in self.words.iter_mut().enumerate() {
            *word &= word_of_range(at, &range);
        }
    }

    /// How many rows are in the set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The first row at or after `from`.
    pub fn next_at_or_after(&self, from: u32) -> Option<u32> {
        let mut at = (from / 64) as usize;
        let mut word = self.words.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(at as u32 * 64 + word.trailing_zeros())
    }

    /// The rows in the set, rising.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let row = self.next_at_or_after(from)?;
            from = row + 1;
            Some(row)
        })
    }
}

/// The bits of word `at` that stand for rows of the range.
fn word_of_range(at: usize, range: &Range<u32>) -> u64 {
    let base = at as u64 * 64;
    let below = |row: u32| match u64::from(row).saturating_sub(base) {
        rows @ 0..64 => (1u64 << rows) - 1,
        _ => u64::MAX,
    };
    below(range.end) & !below(range.start)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bits(rows: u32, set: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::empty(rows);
        set.iter().for_each(|&row| bits.insert(row));
        bits
    }

    fn some_rows() -> impl Strategy<Value = (u32, BTreeSet<u32>, BTreeSet<u32>, u32, u32)> {
        (1u32..200).prop_flat_map(|rows| {
            let set = proptest::collection::btree_set(0..rows, 0..40);
            (Just(rows), set.clone(), set, 0..=rows, 0..=rows)
        })
    }

    proptest! {
        #[test]
        fn does_what_a_set_of_numbers_does((rows, a, b, from, to) in some_rows()) {
            let (x, y) = (bits(rows, &a), bits(rows, &b));
            let range = from.min(to)..from.max(to);
            prop_assert_eq!(x.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(x.count(), a.len() as u64);
            prop_assert_eq!(x.next_at_or_after(from), a.range(from..).next().copied());
            let mut z = x.clone();
            z.intersect(&y);
            prop_assert_eq!(&z, &bits(rows, &(&a & &b)));
            z = x.clone();
            z.unite(&y);
            prop_assert_eq!(&z, &bits(rows, &(&a | &b)));
            z = x.clone();
            z.subtract(&y);
            prop_assert_eq!(&z, &bits(rows, &(&a - &b)));
            z = x.clone();
            z.keep(range.clone());
            prop_assert_eq!(&z, &bits(rows, &a.range(range.clone()).copied().collect()));
            prop_assert_eq!(x.complement(), bits(rows, &(0..rows).filter(|row| !a.contains(row)).collect()));
            prop_assert_eq!(Bits::range(rows, range.clone()), bits(rows, &range.collect()));
            prop_assert_eq!(Bits::full(rows).count(), u64::from(rows));
        }
    }
}
