//! A TCP stream of syslog becomes messages (RFC 6587).
//!
//! Each frame tells its own kind: digits, a space and `<` start an octet-counted one (§3.4.1); anything else ends at a line feed
//! (§3.4.2) or at the NUL that Python's `SysLogHandler` sends. A frame that is too long is cut, the rest of it passed
//! over, and the next one read as if nothing had happened.

use crate::enrich::cut_at_character;

/// Splits a stream into frames, however it is chunked.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the next frame starts in the buffer.
    at: usize,
    frame_bytes_max: usize,
    skip: Skip,
}

/// One message as it stood in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message, without its length or its end.
    pub bytes: &'a [u8],
    /// Whether it was longer.
    pub truncated: bool,
}

/// What is left of a frame that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    ToLineEnd,
}

/// A count beyond this is no count but text.
const COUNT_MAX: usize = 64 << 20;
const COUNT_DIGITS_MAX: usize = 8;

/// How the next frame starts.
enum Start {
    Unclear,
    Counted { digits: usize, count: usize },
    Line,
}

impl Framer {
    /// A framer whose frames have at most `frame_bytes_max` bytes.
    pub fn new(frame_bytes_max: usize) -> Framer {
        Framer { buffer: Vec::new(), at: 0, frame_bytes_max: frame_bytes_max.max(1), skip: Skip::Nothing }
    }

    /// Takes what was read from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame.
    #[expect(clippy::should_implement_trait, reason = "a frame borrows the buffer, which an iterator's item cannot")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        if !self.pass_over() {
            return None;
        }
        match self.start(false) {
            Start::Unclear => None,
            Start::Counted { digits, count } => self.counted(digits, count),
            Start::Line => self.line(),
        }
    }

    /// What is left when the stream has ended: a last line without an end, or a counted frame that broke off.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        if !self.pass_over() || self.at == self.buffer.len() {
            return None;
        }
        let (start, truncated) = match self.start(true) {
            Start::Counted { digits, .. } => (self.at + digits + 1, true),
            Start::Unclear | Start::Line => (self.at, false),
        };
        self.at = self.buffer.len();
        let bytes = &self.buffer[start..];
        let cut = cut_at_character(bytes, self.frame_bytes_max);
        Some(Frame { bytes: cut, truncated: truncated || cut.len() < bytes.len() })
    }

    /// Steps over the rest of a cut frame and over empty lines; false when the buffer ends before that is done.
    fn pass_over(&mut self) -> bool {
        let rest = &self.buffer[self.at..];
        match self.skip {
            Skip::Nothing => {}
            Skip::Bytes(count) if count > rest.len() => {
                self.skip = Skip::Bytes(count - rest.len());
                self.at = self.buffer.len();
                return false;
            }
            Skip::Bytes(count) => self.at += count,
            Skip::ToLineEnd => match memchr::memchr2(b'\n', 0, rest) {
                Some(end) => self.at += end + 1,
                None => {
                    self.at = self.buffer.len();
                    return false;
                }
            },
        }
        self.skip = Skip::Nothing;
        self.at += self.buffer[self.at..].iter().take_while(|b| matches!(b, b'\n' | b'\r' | 0)).count();
        true
    }

    fn start(&self, ended: bool) -> Start {
        let rest = &self.buffer[self.at..];
        if rest.is_empty() {
            return Start::Unclear;
        }
        let digits = rest.iter().take(COUNT_DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > COUNT_DIGITS_MAX || rest[0] == b'0' {
            return Start::Line;
        }
        match rest[digits..] {
            [] | [b' '] if !ended => Start::Unclear,
            [b' ', b'<', ..] => {
                let count = rest[..digits].iter().fold(0, |sum, b| sum * 10 + usize::from(b - b'0'));
                if count <= COUNT_MAX { Start::Counted { digits, count } } else { Start::Line }
            }
            _ => Start::Line,
        }
    }

    fn counted(&mut self, digits: usize, count: usize) -> Option<Frame<'_>> {
        let start = self.at + digits + 1;
        let available = self.buffer.len() - start;
        if count <= self.frame_bytes_max {
            if available < count {
                return None;
            }
            self.at = start + count;
            return Some(Frame { bytes: &self.buffer[start..start + count], truncated: false });
        }
        // One byte more than is kept tells whether a character is cut.
        if available <= self.frame_bytes_max {
            return None;
        }
        self.at = start + self.frame_bytes_max;
        self.skip = Skip::Bytes(count - self.frame_bytes_max);
        let bytes = cut_at_character(&self.buffer[start..=start + self.frame_bytes_max], self.frame_bytes_max);
        Some(Frame { bytes, truncated: true })
    }

    fn line(&mut self) -> Option<Frame<'_>> {
        let start = self.at;
        let longest = (start + self.frame_bytes_max + 1).min(self.buffer.len());
        if let Some(length) = memchr::memchr2(b'\n', 0, &self.buffer[start..longest]) {
            self.at = start + length + 1;
            return Some(Frame { bytes: &self.buffer[start..start + length], truncated: false });
        }
        if longest - start <= self.frame_bytes_max {
            return None;
        }
        self.at = start + self.frame_bytes_max;
        self.skip = Skip::ToLineEnd;
        let bytes = cut_at_character(&self.buffer[start..longest], self.frame_bytes_max);
        Some(Frame { bytes, truncated: true })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(stream: &[u8], chunks: &[usize], frame_bytes_max: usize) -> Vec<(Vec<u8>, bool)> {
        let mut framer = Framer::new(frame_bytes_max);
        let mut frames = Vec::new();
        let mut rest = stream;
        let mut sizes = chunks.iter().copied().chain(std::iter::repeat(usize::MAX));
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
            framer.push(chunk);
            while let Some(frame) = framer.next() {
                frames.push((frame.bytes.to_vec(), frame.truncated));
            }
            rest = later;
        }
        if let Some(frame) = framer.finish() {
            frames.push((frame.bytes.to_vec(), frame.truncated));
        }
        frames
    }

    #[test]
    fn each_frame_tells_its_own_kind() {
        let check = |stream: &str, expected: &[&str]| {
            let found: Vec<_> = frames(stream.as_bytes(), &[], 20)
                .into_iter()
                .map(|(bytes, truncated)| String::from_utf8(bytes).unwrap() + if truncated { "…" } else { "" })
                .collect();
            assert_eq!(found, expected, "{stream:?}");
        };
        check("<1>a\n<1>b\n", &["<1>a", "<1>b"]);
        check("<1>a\r\n\n\n<1>b", &["<1>a\r", "<1>b"]);
        check("4 <1>a6 <1>b\nc", &["<1>a", "<1>b\nc"]);
        check("4 <1>a\n<1>b\n4 <1>c", &["<1>a", "<1>b", "<1>c"]);
        check("<1>a\0<1>b\0", &["<1>a", "<1>b"]);
        check("12 monkeys\n4 <1>a", &["12 monkeys", "<1>a"]);
        check("123456789 <1>a\n", &["123456789 <1>a"]);
        check("0 <1>a\n", &["0 <1>a"]);
        check("12", &["12"]);
        check("12 ", &["12 "]);
        check("9 <1>a", &["<1>a…"]);
        check("12345678901234567890\nb\n", &["12345678901234567890", "b"]);
        check("123456789012345678901 and more\nb\n", &["12345678901234567890…", "b"]);
        check("1234567890123456789é and more\nb\n", &["1234567890123456789…", "b"]);
        check("26 <1>34567890123456789012345<1>b\n", &["<1>34567890123456789…", "<1>b"]);
        check("99999999 <1>a\n", &["99999999 <1>a"]);
        check("", &[]);
        check("\n\n", &[]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(
            stream in prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), "([0-9]{1,3} <1>[a-zé]{0,30}|<1>[a-z]{0,40}\n|[0-9 <\n\u{0}]{1,5}){0,8}".prop_map(String::into_bytes)],
            chunks in proptest::collection::vec(1usize..9, 0..100),
        ) {
            prop_assert_eq!(frames(&stream, &chunks, 16), frames(&stream, &[], 16));
        }

        #[test]
        fn counted_messages_come_back(messages in proptest::collection::vec("<1>.{0,20}", 0..8)) {
            let stream: String = messages.iter().map(|message| format!("{} {message}", message.len())).collect();
            let expected: Vec<_> = messages.into_iter().map(|message| (message.into_bytes(), false)).collect();
            // A message's own line feeds and NULs at its end belong to it; only between frames are they passed over.
            prop_assert_eq!(frames(stream.as_bytes(), &[], 200), expected);
        }
    }
}
