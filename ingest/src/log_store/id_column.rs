//! Columns of trace and span ids: a sorted dictionary of the ids, and which of them each row has.
//!
//! Rows of one trace mostly stand together, so a row's id is kept only where it changes.
//!
//! ```text
//! dictionary := id…                           ; different ids, sorted, each of as many bytes as an id has, big-endian
//! runs       := run starts: a bit a row       ; set where a row's id is not that of the row before; row 0's is set
//!               codes: ⌈log2(ids + 1)⌉ bits a run ; the id's place in the dictionary, or their number for "no id"
//! ```

use std::ops::Range;

use super::number_column::{pack, packed_at};
use crate::byte_cursor::Malformed;

/// Makes the two parts of the column from the ids of all rows; 0 stands for no id. None when no row has one.
pub fn encode(ids: &[u128], id_bytes: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut different: Vec<u128> = Vec::new();
    let mut before = 0;
    for &id in ids {
        if id != before && id != 0 {
            different.push(id);
        }
        before = id;
    }
    different.sort_unstable();
    different.dedup();
    if different.is_empty() {
        return None;
    }
    let dictionary = different.iter().flat_map(|id| id.to_be_bytes().into_iter().skip(16 - id_bytes)).collect();
    let mut starts = vec![0u8; ids.len().div_ceil(8)];
    let mut codes = Vec::new();
    for (row, &id) in ids.iter().enumerate() {
        if row > 0 && ids[row - 1] == id {
            continue;
        }
        starts[row / 8] |= 1 << (row % 8);
        codes.push(different.binary_search(&id).unwrap_or(different.len()) as u64);
    }
    let mut runs = starts;
    pack(codes.into_iter(), code_bits(different.len()), &mut runs);
    Some((dictionary, runs))
}

fn code_bits(ids: usize) -> usize {
    (usize::BITS - ids.leading_zeros()) as usize
}

/// The dictionary of a column.
#[derive(Debug)]
pub struct IdDictionary {
    bytes: Vec<u8>,
    id_bytes: usize,
}

/// Which id each row has.
#[derive(Debug)]
pub struct IdRuns {
    starts: Vec<u64>,
    /// Runs that start before each word of `starts`.
    ranks: Vec<u32>,
    codes: Vec<u8>,
    width: usize,
    rows: u32,
    runs: u32,
}

impl IdDictionary {
    /// The dictionary of ids of so many bytes.
    pub fn new(bytes: Vec<u8>, id_bytes: usize) -> Result<IdDictionary, Malformed> {
        if !bytes.len().is_multiple_of(id_bytes) {
            return Err(Malformed("a dictionary of ids is cut"));
        }
        Ok(IdDictionary { bytes, id_bytes })
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.id_bytes
    }

    /// The id with this code; none for "no id".
    pub fn id(&self, code: u32) -> Option<u128> {
        let at = code as usize * self.id_bytes;
        let bytes = self.bytes.get(at..at + self.id_bytes)?;
        Some(bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
    }

    /// The code of an id.
    pub fn code(&self, id: u128) -> Option<u32> {
        let (mut low, mut high) = (0, self.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id(middle)?.cmp(&id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

impl IdRuns {
    /// The runs of so many rows over a dictionary of so many ids.
    pub fn new(bytes: &[u8], rows: u32, ids: usize) -> Result<IdRuns, Malformed> {
        let (starts, codes) =
            bytes.split_at_checked((rows as usize).div_ceil(8)).ok_or(Malformed("a column of ids is too short"))?;
        let starts: Vec<u64> = starts
            .chunks(8)
            .map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(word)
            })
            .collect();
        let mut runs = 0;
        let ranks = starts
            .iter()
            .map(|word| {
                runs += word.count_ones();
                runs - word.count_ones()
            })
            .collect();
        let width = code_bits(ids);
        if codes.len() < (runs as usize * width).div_ceil(8) || starts.first().is_some_and(|word| word & 1 == 0) {
            return Err(Malformed("a column of ids is too short"));
        }
        Ok(IdRuns { starts, ranks, codes: codes.to_vec(), width, rows, runs })
    }

    /// The code of a row's id.
    pub fn code(&self, row: u32) -> u32 {
        let (word, bit) = ((row / 64) as usize, row % 64);
        let before = self.starts.get(word).map_or(0, |starts| starts & (u64::MAX >> (63 - bit)));
        let rank = self.ranks.get(word).copied().unwrap_or(self.runs) + before.count_ones();
        packed_at(&self.codes, rank.saturating_sub(1) as usize, self.width) as u32
    }

    /// The rows whose id has this code, as rising ranges.
    pub fn rows_of(&self, code: u32) -> Vec<Range<u32>> {
        let mut found: Vec<Range<u32>> = Vec::new();
        for run in 0..self.runs {
            if packed_at(&self.codes, run as usize, self.width) == u64::from(code) {
                found.push(self.start_of(run)..self.start_of(run + 1));
            }
        }
        found
    }

    /// The first row of a run; the number of rows behind the last run.
    fn start_of(&self, run: u32) -> u32 {
        if run >= self.runs {
            return self.rows;
        }
        let word = self.ranks.partition_point(|&rank| rank <= run) - 1;
        let mut starts = self.starts[word];
        for _ in self.ranks[word]..run {
            starts &= starts - 1;
        }
        word as u32 * 64 + starts.trailing_zeros()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_come_back_in_both_directions(ids in prop::collection::vec((0u128..9, 1usize..90), 0..60), wide: bool) {
            let rows: Vec<u128> = ids
                .iter()
                .flat_map(|&(id, times)| std::iter::repeat_n(if wide { id * (u128::MAX / 9) } else { id }, times))
                .collect();
            let Some((dictionary, runs)) = encode(&rows, 16) else {
                prop_assert!(rows.iter().all(|id| *id == 0));
                return Ok(());
            };
            let dictionary = IdDictionary::new(dictionary, 16).expect("reads");
            let runs = IdRuns::new(&runs, rows.len() as u32, dictionary.len()).expect("reads");
            for (row, &id) in rows.iter().enumerate() {
                prop_assert_eq!(dictionary.id(runs.code(row as u32)).unwrap_or(0), id);
                if id != 0 {
                    let code = dictionary.code(id).expect("there");
                    let expected: Vec<u32> = (0..rows.len() as u32).filter(|&row| rows[row as usize] == id).collect();
                    prop_assert_eq!(runs.rows_of(code).into_iter().flatten().collect::<Vec<_>>(), expected);
                }
            }
            prop_assert_eq!(dictionary.code(77), None);
        }
    }
}
