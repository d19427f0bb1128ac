//! Bytes become lines: split at line feeds, without the carriage return before them; empty lines are passed over unless
//! they are asked for.
//!
//! A line that is too long is cut at a character; its start is held until its end is seen, so that whoever keeps an offset
//! never has to remember a place inside a line.

use crate::enrich::cut_at_character;

/// Splits a stream into lines, however it is chunked.
#[derive(Debug)]
pub struct LineSplitter {
    /// The start of a line whose end has not been seen, no longer than one byte more than a line may be.
    partial: Vec<u8>,
    /// Bytes of that line, kept or not.
    partial_length: u64,
    /// Where that line starts, or the next one.
    position: u64,
    line_bytes_max: usize,
    unit: Unit,
    keeps_empty: bool,
}

/// What a line feed looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// One byte, as in UTF-8 and all encodings that hold ASCII.
    #[default]
    Byte,
    /// Two bytes, the lower first. Only whole units may be pushed.
    Utf16Le,
    /// Two bytes, the higher first. Only whole units may be pushed.
    Utf16Be,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes without its end.
    pub bytes: &'a [u8],
    /// Whether it was longer.
    pub truncated: bool,
    /// Where in the stream it starts.
    pub start: u64,
}

impl LineSplitter {
    /// A splitter whose lines have at most `line_bytes_max` bytes.
    pub fn new(line_bytes_max: usize) -> LineSplitter {
        LineSplitter {
            partial: Vec::new(),
            partial_length: 0,
            position: 0,
            line_bytes_max: line_bytes_max.max(1),
            unit: Unit::Byte,
            keeps_empty: false,
        }
    }

    /// The same, for a stream of which the bytes before `position` were taken before.
    #[must_use]
    pub fn from(mut self, position: u64) -> LineSplitter {
        self.position = position;
        self
    }

    /// The same, for text made of such units.
    #[must_use]
    pub fn of(mut self, unit: Unit) -> LineSplitter {
        self.unit = unit;
        self
    }

    /// The same, giving empty lines too.
    #[must_use]
    pub fn with_empty_lines(mut self) -> LineSplitter {
        self.keeps_empty = true;
        self
    }

    /// Takes what was read and gives the lines that end in it.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
        while let Some((end, next)) = self.unit.line_end(bytes) {
            if self.partial_length == 0 {
                self.give(&bytes[..end], false, &mut take);
                self.position += next as u64;
            } else {
                self.hold(&bytes[..end]);
                let length = self.partial_length;
                self.give_held(&mut take);
                self.position += length + (next - end) as u64;
            }
            bytes = &bytes[next..];
        }
        if !bytes.is_empty() {
            self.hold(bytes);
        }
    }

    /// Gives what is held as a line, as at the end of a stream.
    pub fn finish(&mut self, mut take: impl FnMut(Line<'_>)) {
        let length = self.partial_length;
        if length > 0 {
            self.give_held(&mut take);
            self.position += length;
        }
    }

    /// Bytes of the line whose end has not been seen.
    pub fn held_bytes(&self) -> u64 {
        self.partial_length
    }

    /// Where the line starts whose end has not been seen, or the next one.
    pub fn position(&self) -> u64 {
        self.position
    }

    fn give_held(&mut self, take: &mut impl FnMut(Line<'_>)) {
        let held = std::mem::take(&mut self.partial);
        let longer = self.partial_length > held.len() as u64;
        self.partial_length = 0;
        self.give(&held, longer, take);
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.partial_length += bytes.len() as u64;
        // One byte more than is kept tells whether a character is cut.
        let room = (self.line_bytes_max + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    #[inline]
    fn give(&self, line: &[u8], longer: bool, take: &mut impl FnMut(Line<'_>)) {
        let line = if longer { line } else { self.unit.without_carriage_return(line) };
        let kept = match self.unit {
            Unit::Byte => cut_at_character(line, self.line_bytes_max),
            Unit::Utf16Le | Unit::Utf16Be => &line[..line.len().min(self.line_bytes_max) & !1],
        };
        if !kept.is_empty() || self.keeps_empty {
            take(Line { bytes: kept, truncated: longer || kept.len() < line.len(), start: self.position });
        }
    }
}

impl Unit {
    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Unit::Byte => 1,
            Unit::Utf16Le | Unit::Utf16Be => 2,
        }
    }

    /// Where the first line ends, and where the next starts.
    #[inline]
    fn line_end(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let end = match self {
            Unit::Byte => memchr::memchr(b'\n', bytes)?,
            Unit::Utf16Le => {
                memchr::memchr_iter(b'\n', bytes).find(|at| at % 2 == 0 && bytes.get(at + 1) == Some(&0))?
            }
            Unit::Utf16Be => memchr::memchr_iter(b'\n', bytes).find(|at| at % 2 == 1 && bytes[at - 1] == 0)? - 1,
        };
        Some((end, end + self.bytes()))
    }

    #[inline]
    fn without_carriage_return(self, line: &[u8]) -> &[u8] {
        let end: &[u8] = match self {
            Unit::Byte => b"\r",
            Unit::Utf16Le => b"\r\0",
            Unit::Utf16Be => b"\0\r",
        };
        line.strip_suffix(end).unwrap_or(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(mut splitter: LineSplitter, stream: &[u8], chunks: &[usize]) -> Vec<(Vec<u8>, bool, u64)> {
        let mut lines = Vec::new();
        let mut take = |line: Line<'_>| lines.push((line.bytes.to_vec(), line.truncated, line.start));
        let mut rest = stream;
        let mut sizes = chunks.iter().copied().chain(std::iter::repeat(usize::MAX));
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
            splitter.push(chunk, &mut take);
            rest = later;
        }
        splitter.finish(&mut take);
        assert_eq!(splitter.position(), stream.len() as u64);
        lines
    }

    #[test]
    fn lines_end_at_line_feeds_and_are_cut_at_characters() {
        let check = |stream: &str, expected: &[&str]| {
            let found: Vec<_> = lines(LineSplitter::new(8), stream.as_bytes(), &[])
                .into_iter()
                .map(|(bytes, truncated, _)| String::from_utf8(bytes).unwrap() + if truncated { "…" } else { "" })
                .collect();
            assert_eq!(found, expected, "{stream:?}");
        };
        check("a\nb\r\n\nc", &["a", "b", "c"]);
        check("12345678\nb", &["12345678", "b"]);
        check("123456789\nb", &["12345678…", "b"]);
        check("1234567é and more\nb", &["1234567…", "b"]);
        check("12345678\r\n", &["12345678"]);
        check("", &[]);
    }

    #[test]
    fn units_of_two_bytes_are_not_mistaken() {
        let check = |text: &str, expected: &[&str]| {
            for (unit, big) in [(Unit::Utf16Le, false), (Unit::Utf16Be, true)] {
                let stream: Vec<u8> = text
                    .encode_utf16()
                    .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                    .collect();
                for chunk in [2, 4, 6, 1000] {
                    let splitter = LineSplitter::new(100).of(unit).with_empty_lines();
                    let found: Vec<_> = lines(splitter, &stream, &[chunk; 50])
                        .into_iter()
                        .map(|(bytes, ..)| {
                            let units = bytes.chunks(2).map(|pair| {
                                let pair = [pair[0], pair[1]];
                                if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
                            });
                            String::from_utf16(&units.collect::<Vec<_>>()).unwrap()
                        })
                        .collect();
                    assert_eq!(found, expected, "{text:?} {unit:?} {chunk}");
                }
            }
        };
        check("a\r\nb\n\nc", &["a", "b", "", "c"]);
        // Characters whose bytes hold 10 (U+0A0A, U+010A, U+0A00).
        check("\u{a0a}\u{10a}x\u{a00}\ny", &["\u{a0a}\u{10a}x\u{a00}", "y"]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(stream in "[ab\né\r]{0,60}", chunks in proptest::collection::vec(1usize..9, 0..60)) {
            let splitter = || LineSplitter::new(8);
            let whole = lines(splitter(), stream.as_bytes(), &[]);
            prop_assert_eq!(&lines(splitter(), stream.as_bytes(), &chunks), &whole);
            // Every line stands where it says.
            for (bytes, _, start) in whole {
                prop_assert!(stream.as_bytes()[start as usize..].starts_with(&bytes));
                prop_assert!(start == 0 || stream.as_bytes()[start as usize - 1] == b'\n');
            }
        }
    }
}
