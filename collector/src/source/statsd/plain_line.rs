//! The lines that nearly all lines are, read with few steps: `name:value|type`, with a sample rate and tags behind it.
//!
//! ```text
//! plain = name ":" value *( ":" value ) "|" ( "c" / "g" / "ms" / "h" / "d" / "s" ) *( "|" ( "@" rate / "#" tags / known ) )
//! known = ( "c:" / "e:" / "card:" ) text
//! ```
//! without control characters and with ASCII alone ([`is_plain`]). Whatever is otherwise, or wrong, is left to [`super::line`], which reads
//! every dialect and says what is amiss: what is read here is what it would read.

use memchr::memchr;

use super::line::{KEY_BYTES_MAX, MetricKind, Segment, sample_rate};

/// Values looked through for their end; longer ones are lists that come seldom.
const VALUE_BYTES_MAX: usize = 64;

/// A line whose series is found by its spelling.
#[derive(Clone, Copy, Debug)]
pub struct PlainLine<'a> {
    /// All of it.
    pub text: &'a [u8],
    /// The name with the tags inside it.
    pub name: &'a [u8],
    /// The text after `|#`.
    pub tags: &'a [u8],
    /// Its values.
    pub segment: Segment<'a>,
}

/// Whether bytes are ASCII without control characters but for the ends of lines.
pub fn is_plain(bytes: &[u8]) -> bool {
    // Without an early end, so that the compiler looks at many bytes at a time.
    !bytes.iter().fold(false, |found, &byte| found | (byte.cast_signed() < 0x20) & (byte != b'\n') | (byte == 0x7F))
}

/// Reads a line that [`is_plain`], none when it is none of those drawn above; `reads_tags` says whether `|#` holds tags.
pub fn read(text: &[u8], reads_tags: bool) -> Option<PlainLine<'_>> {
    let name_end = end_of_name(text)?;
    let (name, rest) = (&text[..name_end], &text[name_end + 1..]);
    if name.is_empty() || name[0] == b'_' || text[name_end] != b':' {
        return None; // `_` begins events and service checks
    }
    let searched = &rest[..rest.len().min(VALUE_BYTES_MAX)];
    let (values, rest) = rest.split_at(searched.iter().position(|&byte| byte == b'|')?);
    let (kind, mut rest) = match rest {
        [_, b'c', rest @ ..] => (MetricKind::Counter, rest),
        [_, b'm', b's', rest @ ..] => (MetricKind::Timer, rest),
        [_, b'g', rest @ ..] => (MetricKind::Gauge, rest),
        [_, b'h' | b'd', rest @ ..] => (MetricKind::Distribution, rest),
        [_, b's', rest @ ..] => (MetricKind::Set, rest),
        _ => return None,
    };
    let (mut tags, mut rate) = (None, 1.0);
    while let [delimiter, field @ ..] = rest {
        let (b'|', Some(first)) = (*delimiter, field.first()) else { return None };
        let end = memchr(b'|', field).unwrap_or(field.len());
        match first {
            b'#' if reads_tags && tags.is_none() => tags = Some(&field[1..end]),
            b'@' => rate = sample_rate(&field[1..end]).ok()?,
            b'c' | b'e' if field.get(1) == Some(&b':') || field.starts_with(b"card:") => {}
            _ => return None,
        }
        rest = &field[end..];
    }
    let tags = tags.unwrap_or_default();
    let segment = Segment { values, kind, sample_rate: rate };
    (name.len() + tags.len() <= KEY_BYTES_MAX).then_some(PlainLine { text, name, tags, segment })
}

/// Where the first `:` or `|` stands. Eight bytes at a time ("Bit Twiddling Hacks", *Determine if a word has a byte equal to n*): names
/// are too short for a search that has to be called.
fn end_of_name(text: &[u8]) -> Option<usize> {
    const LOWEST: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zeros = |word: u64| word.wrapping_sub(LOWEST) & !word & HIGHEST; // the lowest bit is true, those above it may not be
        let found = zeros(word ^ (LOWEST * b':' as u64)) | zeros(word ^ (LOWEST * b'|' as u64));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&byte| byte == b':' || byte == b'|')?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::line::{Dialects, parse};
    use super::super::tags::TagDialects;
    use super::*;

    fn check(text: &str, is_read: bool) {
        let read = read(text.as_bytes(), true);
        assert_eq!(read.is_some(), is_read, "{text}");
        let Some(read) = read else { return };
        let metric = parse(text, Dialects::default()).unwrap();
        assert_eq!((read.name, read.tags), (metric.spelled_name.as_bytes(), metric.spelled_tags.as_bytes()), "{text}");
        assert_eq!((read.segment, metric.timestamp, metric.unknown_fields), (metric.first, None, 0), "{text}");
        assert!(metric.more.is_empty(), "{text}");
    }

    #[test]
    fn usual_lines_are_read_and_others_left() {
        check("a:1|c", true);
        check("shop.route000001.time:320.5|ms|@0.1|#env:prod,zone:eu", true);
        check("a:1:2:3|d|#t|c:ci-1|e:x:y|card:low", true);
        check("a;k=v:joe|s|#", true);
        for line in ["", ":1|c", "a|c", "a:1", "a:1|", "a:1|m", "a:1|C", "a:1|cc", "a:1|c:2|c", "a:1|c|", "a:1|c|@2"] {
            check(line, false);
        }
        for line in ["a:1|c|T17", "a:1|c|#x|#y", "a:1|c|?", "_e{1,1}:x|c", "a:1|c|@0.5:3|ms", "a:1|c|cx"] {
            check(line, false);
        }
        check(&format!("{}:1|c", "n".repeat(KEY_BYTES_MAX + 1)), false);
        assert!(read(b"a:1|c|#t", false).is_none());
        assert!(is_plain(b"a:1|c\nb:1|c~ "));
        for bytes in [b"\r", b"\t", b"\x7F", b"\x80", b"\0"] {
            assert!(!is_plain(bytes), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_whole_grammar_reads(
            text in "(_?[a:|;#]{0,12})(:[0-9+.:|]{0,4})?(\\|(c|g|ms|h|s|@0.5|@7|#a:b|#|c:x|card:y|e:|T9|\\?|:))*",
            reads_tags: bool,
        ) {
            if let Some(read) = read(text.as_bytes(), reads_tags) {
                let dialects = if reads_tags { Dialects::default() } else {
                    Dialects { tags: TagDialects::default(), implied_value: true }
                };
                let metric = parse(&text, dialects).unwrap();
                prop_assert_eq!((read.name, read.tags), (metric.spelled_name.as_bytes(), metric.spelled_tags.as_bytes()));
                prop_assert_eq!((read.segment, metric.timestamp, metric.unknown_fields), (metric.first, None, 0));
                prop_assert!(metric.more.is_empty());
            }
        }
    }
}
