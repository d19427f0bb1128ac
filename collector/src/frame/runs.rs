//! Columns of numbers that repeat: samples of one request mostly share their time, their length, their kind.
//!
//! A column is a list of *runs*: a varint `2n` and one signed number that stands n times, or a varint `2n + 1` and n signed
//! numbers. n is at least 1.

use super::FrameError;
use super::primitive::{Reader, put_signed, put_varint};

/// A number that stands fewer times than this costs no run of its own.
const RUN_MIN: u64 = 3;

/// Writes a column of numbers; keeps what it allocates.
#[derive(Default)]
pub(super) struct RunWriter {
    out: Vec<u8>,
    single: Vec<u8>,
    singles: u64,
    number: i64,
    times: u64,
}

impl RunWriter {
    /// The next number.
    #[inline]
    pub(super) fn push(&mut self, number: i64) {
        if self.times > 0 && number == self.number {
            self.times += 1;
            return;
        }
        self.end_run();
        self.number = number;
        self.times = 1;
    }

    /// The column's cells; the writer is empty again with the next [`RunWriter::clear`].
    pub(super) fn finish(&mut self) -> &[u8] {
        self.end_run();
        self.end_singles();
        &self.out
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.single.clear();
        (self.singles, self.times) = (0, 0);
    }

    fn end_run(&mut self) {
        if self.times >= RUN_MIN {
            self.end_singles();
            put_varint(&mut self.out, self.times << 1);
            put_signed(&mut self.out, self.number);
        } else {
            (0..self.times).for_each(|_| put_signed(&mut self.single, self.number));
            self.singles += self.times;
        }
        self.times = 0;
    }

    fn end_singles(&mut self) {
        if self.singles > 0 {
            put_varint(&mut self.out, self.singles << 1 | 1);
            self.out.extend_from_slice(&self.single);
            self.single.clear();
            self.singles = 0;
        }
    }
}

/// Reads a column of numbers.
pub(super) struct RunReader<'a> {
    cells: Reader<'a>,
    left: u64,
    repeats: bool,
    number: i64,
}

impl<'a> RunReader<'a> {
    pub(super) fn new(cells: Reader<'a>) -> RunReader<'a> {
        RunReader { cells, left: 0, repeats: false, number: 0 }
    }

    /// The next number.
    #[inline]
    pub(super) fn next(&mut self) -> Result<i64, FrameError> {
        if self.left == 0 {
            let head = self.cells.varint()?;
            self.left = head >> 1;
            self.repeats = head & 1 == 0;
            if self.left == 0 {
                return Err(FrameError::Malformed("a run of nothing"));
            }
            if self.repeats {
                self.number = self.cells.signed()?;
            }
        }
        self.left -= 1;
        if self.repeats { Ok(self.number) } else { self.cells.signed() }
    }

    /// An index into a list of `length` entries.
    #[inline]
    pub(super) fn index(&mut self, length: usize) -> Result<usize, FrameError> {
        let index = self.next()?;
        usize::try_from(index).ok().filter(|&index| index < length).ok_or(FrameError::Malformed("no such entry"))
    }

    /// A number of at most 32 bits.
    #[inline]
    pub(super) fn small(&mut self) -> Result<u32, FrameError> {
        u32::try_from(self.next()?).map_err(|_| FrameError::Malformed("a number of more than 32 bits"))
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), FrameError> {
        if self.left > 0 {
            return Err(FrameError::Malformed("a run longer than the header says"));
        }
        self.cells.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(prop_oneof![3 => 0i64..2, 1 => any::<i64>()], 0..60)) {
            let mut writer = RunWriter::default();
            for _ in 0..2 {
                writer.clear();
                numbers.iter().for_each(|&number| writer.push(number));
                let cells = writer.finish();
                let mut reader = RunReader::new(Reader::new(cells));
                for &number in &numbers {
                    prop_assert_eq!(reader.next().unwrap(), number);
                }
                reader.finish().unwrap();
            }
        }
    }

    #[test]
    fn equal_numbers_cost_a_few_bytes_however_many_they_are() {
        let mut writer = RunWriter::default();
        (0..10_000).for_each(|_| writer.push(7));
        assert!(writer.finish().len() <= 4);
    }

    #[test]
    fn a_run_of_nothing_and_a_run_too_long_are_refused() {
        assert!(RunReader::new(Reader::new(&[0, 2])).next().is_err());
        let mut reader = RunReader::new(Reader::new(&[8, 2]));
        reader.next().unwrap();
        assert!(reader.finish().is_err());
    }
}
