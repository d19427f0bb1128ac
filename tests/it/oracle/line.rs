//! One line of the oracle: who wrote it, its number there, a checksum, and padding.
//!
//! ```text
//! oracle web-1 1042 5f0c21d3 zxqvnm…
//!        │     │    │        └ padding, letters
//!        │     │    └ CRC-32C of `web-1 1042 zxqvnm…`, 8 hexadecimal digits
//!        │     └ from 0, one more each line
//!        └ the source's name
//! ```

/// What every line of ours begins with.
const MARK: &str = "oracle ";

/// A line of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Who wrote it.
    pub source: &'a str,
    /// Its number there.
    pub seq: u64,
}

/// What a stored message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// A line of ours, whole.
    Whole(Line<'a>),
    /// It was one, or should have been.
    Corrupt,
    /// Something else.
    Foreign,
}

/// The line, without its line feed.
pub fn write(source: &str, seq: u64, padding: &str) -> String {
    format!("{MARK}{source} {seq} {:08x} {padding}", checksum(source, seq, padding))
}

/// Reads a message that a server gave back.
pub fn read(message: &str) -> Read<'_> {
    let Some(rest) = message.strip_prefix(MARK) else {
        return if message.contains(MARK.trim_end()) { Read::Corrupt } else { Read::Foreign };
    };
    let mut parts = rest.splitn(4, ' ');
    let (Some(source), Some(seq), Some(sum), Some(padding)) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Read::Corrupt;
    };
    match (seq.parse(), u32::from_str_radix(sum, 16)) {
        (Ok(seq), Ok(sum)) if sum == checksum(source, seq, padding) => Read::Whole(Line { source, seq }),
        _ => Read::Corrupt,
    }
}

fn checksum(source: &str, seq: u64, padding: &str) -> u32 {
    crc32c::crc32c(format!("{source} {seq} {padding}").as_bytes())
}

#[test]
fn a_line_is_read_back_and_any_changed_byte_is_noticed() {
    let line = write("web-1", 1042, "some padding");
    assert_eq!(read(&line), Read::Whole(Line { source: "web-1", seq: 1042 }));
    assert_eq!(read("GET / 200"), Read::Foreign);
    for at in 0..line.len() {
        let mut changed = line.clone().into_bytes();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(!matches!(read(&changed), Read::Whole(_)), "{changed}");
        let cut = &line[..at];
        assert!(!matches!(read(cut), Read::Whole(_)), "{cut}");
        let two = format!("{cut}{line}");
        assert!(at == 0 || !matches!(read(&two), Read::Whole(_)), "{two}");
    }
}
