//! Bytes become lines: split at line feeds, without the carriage return before them; empty lines are passed over.
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
    line_bytes_max: usize,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes without its end.
    pub bytes: &'a [u8],
    /// Whether it was longer.
    pub truncated: bool,
}

impl LineSplitter {
    /// A splitter whose lines have at most `line_bytes_max` bytes.
    pub fn new(line_bytes_max: usize) -> LineSplitter {
        LineSplitter { partial: Vec::new(), partial_length: 0, line_bytes_max: line_bytes_max.max(1) }
    }

    /// Takes what was read and gives the lines that end in it.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.partial_length == 0 {
                self.give(&bytes[..end], false, &mut take);
            } else {
                self.hold(&bytes[..end]);
                self.finish(&mut take);
            }
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes);
    }

    /// Gives what is held as a line, as at the end of a stream.
    pub fn finish(&mut self, mut take: impl FnMut(Line<'_>)) {
        let held = std::mem::take(&mut self.partial);
        let longer = self.partial_length > held.len() as u64;
        self.partial_length = 0;
        self.give(&held, longer, &mut take);
    }

    /// Bytes of the line whose end has not been seen.
    pub fn held_bytes(&self) -> u64 {
        self.partial_length
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.partial_length += bytes.len() as u64;
        // One byte more than is kept tells whether a character is cut.
        let room = (self.line_bytes_max + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn give(&self, line: &[u8], longer: bool, take: &mut impl FnMut(Line<'_>)) {
        let line = if longer { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let kept = cut_at_character(line, self.line_bytes_max);
        if !kept.is_empty() {
            take(Line { bytes: kept, truncated: longer || kept.len() < line.len() });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(stream: &[u8], chunks: &[usize]) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = LineSplitter::new(8);
        let mut lines = Vec::new();
        let mut take = |line: Line<'_>| lines.push((line.bytes.to_vec(), line.truncated));
        let mut rest = stream;
        let mut sizes = chunks.iter().copied().chain(std::iter::repeat(usize::MAX));
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
            splitter.push(chunk, &mut take);
            rest = later;
        }
        splitter.finish(&mut take);
        lines
    }

    #[test]
    fn lines_end_at_line_feeds_and_are_cut_at_characters() {
        let check = |stream: &str, expected: &[&str]| {
            let found: Vec<_> = lines(stream.as_bytes(), &[])
                .into_iter()
                .map(|(bytes, truncated)| String::from_utf8(bytes).unwrap() + if truncated { "…" } else { "" })
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

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(stream in "[ab\né\r]{0,60}", chunks in proptest::collection::vec(1usize..9, 0..60)) {
            prop_assert_eq!(lines(stream.as_bytes(), &chunks), lines(stream.as_bytes(), &[]));
        }
    }
}
