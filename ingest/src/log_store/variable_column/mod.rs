//! Columns of texts: the variables of one place of one template, or the text values of one attribute.
//!
//! ```text
//! column  := 0 bytes                                ; all the same
//!          | 1 column:varint                        ; the same as an earlier column of the template
//!          | 2 prefix suffix form numbers           ; prefix, a number, suffix: `0x7f00`, `12ms`, `user7`
//!          | 3 count:varint entry… codes:numbers    ; few different ones
//!          | 4 count:varint page…                   ; anything, compressed in pages elsewhere in the file
//!          | 5 text…                                ; few and different, as they are
//! form    := 0 | 1 | 2 width | 3 width | 4 width    ; decimal, decimal with a one put before (leading zeros), decimal
//!                                                   ; padded with zeros, hexadecimal in small or in capital letters
//! page    := rows:varint region                     ; unpacked: a length (varint) for each text, then the texts
//! bytes, prefix, suffix, entry, text := length:varint bytes
//! numbers := a number column (number_column) to the end of the column
//! ```
//!
//! Whatever a column is kept as, its texts come back byte for byte. What can be said of all of them without reading the
//! column stands in its [`Shape`].

mod encode;
mod read;

pub use encode::{PLAIN_BYTES_MAX, PageSink, Strings, encode};
pub use read::{Column, ColumnCursor, PageSource, visit_numbers};

use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

const CONSTANT: u8 = 0;
const SAME_AS: u8 = 1;
const NUMBERS: u8 = 2;
const DICTIONARY: u8 = 3;
const PAGES: u8 = 4;
const PLAIN: u8 = 5;

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In decimal, without leading zeros.
    Decimal,
    /// In decimal with leading zeros, widths mixed: the number kept has a one before the first digit.
    AfterOne,
    /// In decimal of so many digits.
    Padded(u8),
    /// In hexadecimal of so many digits, `a`–`f` small.
    HexSmall(u8),
    /// In hexadecimal of so many digits, `A`–`F` capital.
    HexCapital(u8),
}

/// What all texts of a column have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Classes of bytes that occur: see [`class`].
    pub classes: u8,
    /// The shortest text's bytes.
    pub shortest: u32,
    /// The longest text's bytes.
    pub longest: u32,
    /// The least and the greatest, where all are decimal numbers without leading zeros.
    pub numbers: Option<(u64, u64)>,
}

/// Classes of bytes.
pub mod class {
    /// `0`–`9`.
    pub const DIGIT: u8 = 1;
    /// `a`–`f`.
    pub const SMALL_HEX: u8 = 2;
    /// `g`–`z`.
    pub const SMALL: u8 = 4;
    /// `A`–`F`.
    pub const CAPITAL_HEX: u8 = 8;
    /// `G`–`Z`.
    pub const CAPITAL: u8 = 16;
    /// Any other byte.
    pub const OTHER: u8 = 32;
    /// The column's numbers stand in the shape (on disk only).
    pub(super) const NUMBERS: u8 = 64;

    const CLASSES: [u8; 256] = {
        let mut classes = [OTHER; 256];
        let mut byte = 0;
        while byte < 256 {
            classes[byte] = match byte as u8 {
                b'0'..=b'9' => DIGIT,
                b'a'..=b'f' => SMALL_HEX,
                b'g'..=b'z' => SMALL,
                b'A'..=b'F' => CAPITAL_HEX,
                b'G'..=b'Z' => CAPITAL,
                _ => OTHER,
            };
            byte += 1;
        }
        classes
    };

    /// The classes of a text's bytes.
    #[inline]
    pub fn of(text: &[u8]) -> u8 {
        text.iter().fold(0, |classes, byte| classes | CLASSES[*byte as usize])
    }
}

impl Shape {
    /// The shape of no text.
    pub const NONE: Shape = Shape { classes: 0, shortest: u32::MAX, longest: 0, numbers: None };

    /// Takes a text in.
    #[inline]
    pub fn add(&mut self, text: &[u8]) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.classes |= class::of(text);
        self.shortest = self.shortest.min(length);
        self.longest = self.longest.max(length);
    }

    /// Whether some text may equal this folded one without case.
    pub fn may_equal(&self, folded: &str) -> bool {
        let length = folded.len() as u64;
        if length < u64::from(self.shortest) || length > u64::from(self.longest) || !self.may_hold(folded) {
            return false;
        }
        match (self.numbers, folded.parse::<u64>()) {
            (Some((least, most)), Ok(number)) => (least..=most).contains(&number),
            (Some(_), Err(_)) => false,
            (None, _) => true,
        }
    }

    /// Whether some text may start with this folded one without case.
    pub fn may_start_with(&self, folded: &str) -> bool {
        folded.len() as u64 <= u64::from(self.longest) && self.may_hold(folded)
    }

    /// Whether every byte of the folded text is of a class that occurs, in one of its two cases.
    fn may_hold(&self, folded: &str) -> bool {
        let wanted = class::of(folded.as_bytes());
        let either = |small, capital| wanted & small == 0 || self.classes & (small | capital) != 0;
        (wanted & class::DIGIT == 0 || self.classes & class::DIGIT != 0)
            && either(class::SMALL_HEX, class::CAPITAL_HEX)
            && either(class::SMALL, class::CAPITAL)
            && (wanted & class::OTHER == 0 || self.classes & class::OTHER != 0)
    }

    /// Appends the shape.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(self.classes | if self.numbers.is_some() { class::NUMBERS } else { 0 });
        put_varint(out, u64::from(self.shortest));
        put_varint(out, u64::from(self.longest));
        if let Some((least, most)) = self.numbers {
            put_varint(out, least);
            put_varint(out, most);
        }
    }

    /// Reads a shape.
    pub fn read(cursor: &mut ByteCursor<'_>) -> Result<Shape, Malformed> {
        let length = |cursor: &mut ByteCursor<'_>| {
            u32::try_from(cursor.varint()?).map_err(|_| Malformed("a column's texts are too long"))
        };
        let classes = cursor.u8()?;
        let (shortest, longest) = (length(cursor)?, length(cursor)?);
        let numbers = if classes & class::NUMBERS != 0 { Some((cursor.varint()?, cursor.varint()?)) } else { None };
        Ok(Shape { classes: classes & !class::NUMBERS, shortest, longest, numbers })
    }
}

impl Form {
    fn put(self, out: &mut Vec<u8>) {
        match self {
            Form::Decimal => out.push(0),
            Form::AfterOne => out.push(1),
            Form::Padded(width) => out.extend([2, width]),
            Form::HexSmall(width) => out.extend([3, width]),
            Form::HexCapital(width) => out.extend([4, width]),
        }
    }

    fn read(cursor: &mut ByteCursor<'_>) -> Result<Form, Malformed> {
        let kind = cursor.u8()?;
        let mut width = |most: u8| match cursor.u8()? {
            width if width <= most => Ok(width),
            _ => Err(Malformed("a column's numbers are too wide")),
        };
        Ok(match kind {
            0 => Form::Decimal,
            1 => Form::AfterOne,
            2 => Form::Padded(width(19)?),
            3 => Form::HexSmall(width(16)?),
            4 => Form::HexCapital(width(16)?),
            _ => return Err(Malformed("a column's numbers have an unknown form")),
        })
    }

    /// The number that a text of this form stands for.
    fn number_of(self, text: &[u8]) -> Option<u64> {
        let digits = || text.iter().all(u8::is_ascii_digit) && !text.is_empty();
        let decimal = |text: &[u8]| {
            text.iter().try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        };
        match self {
            Form::Decimal if digits() && (text[0] != b'0' || text.len() == 1) => decimal(text),
            Form::AfterOne if digits() && text.len() <= 18 => Some(decimal(text)? + 10u64.pow(text.len() as u32)),
            Form::Padded(width) if digits() && text.len() == usize::from(width) => decimal(text),
            Form::HexSmall(width) | Form::HexCapital(width) if text.len() == usize::from(width) => {
                let letters = if matches!(self, Form::HexSmall(_)) { b'a'..=b'f' } else { b'A'..=b'F' };
                text.iter().try_fold(0u64, |number, &digit| {
                    let value = match digit {
                        b'0'..=b'9' => digit - b'0',
                        _ if letters.contains(&digit) => digit - letters.start() + 10,
                        _ => return None,
                    };
                    Some(number << 4 | u64::from(value))
                })
            }
            _ => None,
        }
    }

    /// Appends the text that the number stands for.
    #[inline]
    fn write(self, number: u64, out: &mut Vec<u8>) {
        match self {
            Form::Decimal => write_decimal(number, 1, out),
            Form::AfterOne => {
                let start = out.len();
                write_decimal(number, 1, out);
                if out.len() > start {
                    out.remove(start);
                }
            }
            Form::Padded(width) => write_decimal(number, usize::from(width), out),
            Form::HexSmall(width) => write_hex(number, width, b"0123456789abcdef", out),
            Form::HexCapital(width) => write_hex(number, width, b"0123456789ABCDEF", out),
        }
    }
}

fn write_hex(number: u64, width: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    for place in (0..u32::from(width)).rev() {
        out.push(digits[(number >> (place * 4)) as usize & 15]);
    }
}

/// Appends a number in decimal, of at least so many digits.
#[inline]
fn write_decimal(mut number: u64, width: usize, out: &mut Vec<u8>) {
    const PAIRS: &[u8; 200] =
        b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while number >= 100 {
        let pair = (number % 100) as usize * 2;
        number /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if number >= 10 {
        let pair = number as usize * 2;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        digits[at] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width.min(digits.len()))..]);
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::*;
    use crate::log_store::split_file::{Region, damaged};

    /// Pages in memory.
    #[derive(Default)]
    struct Pages(Vec<Vec<u8>>);

    impl PageSink for Pages {
        fn put_page(&mut self, bytes: &[u8]) -> io::Result<Region> {
            self.0.push(bytes.to_vec());
            Ok(Region { offset: self.0.len() as u64 - 1, ..Region::default() })
        }
    }

    impl PageSource for Pages {
        fn page(&self, region: &Region) -> io::Result<Vec<u8>> {
            self.0.get(region.offset as usize).cloned().ok_or_else(|| damaged("no such page"))
        }
    }

    fn check(texts: &[&str], tag: u8) {
        let strings: Strings = texts.iter().map(|text| text.as_bytes()).collect();
        let (mut bytes, mut pages) = (Vec::new(), Pages::default());
        let shape = encode(&strings, &[], PLAIN_BYTES_MAX, &mut pages, &mut bytes).expect("encoded");
        assert_eq!(bytes[0], tag, "{texts:?}");
        let column = Column::read(&bytes, texts.len()).expect("read");
        let mut found = Vec::new();
        let mut cursor = ColumnCursor::new(column, &pages);
        cursor
            .visit(0..texts.len(), &mut |_, text| {
                found.push(String::from_utf8(text.to_vec()).expect("UTF-8"));
                Ok(())
            })
            .expect("visited");
        assert_eq!(found, texts);
        for (at, text) in texts.iter().enumerate().rev() {
            let mut one = Vec::new();
            cursor.append(at, &mut one).expect("read");
            assert_eq!(one, text.as_bytes());
            let folded = crate::log_store::words::fold(text);
            assert!(shape.may_equal(&folded) || !text.is_ascii(), "{shape:?} {text}");
            let mut hits = Vec::new();
            cursor.find_equal(0..texts.len(), &folded, &mut |at| hits.push(at)).expect("looked up");
            let expected: Vec<usize> = (0..texts.len()).filter(|&at| texts[at].eq_ignore_ascii_case(&folded)).collect();
            assert_eq!(hits, expected, "{text} in {texts:?}");
            for length in (0..=folded.len()).filter(|&length| folded.is_char_boundary(length)) {
                let prefix = &folded[..length];
                let mut hits = Vec::new();
                cursor.find_prefix(0..texts.len(), prefix, &mut |at| hits.push(at)).expect("looked up");
                let expected: Vec<usize> = (0..texts.len())
                    .filter(|&at| texts[at].get(..length).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
                    .collect();
                assert_eq!(hits, expected, "{prefix} in {texts:?}");
            }
        }
    }

    #[test]
    fn every_kind_of_column_comes_back() {
        check(&["a"; 40], CONSTANT);
        check(&["1", "20", "300", "18446744073709551615"], NUMBERS);
        check(&["01", "20", "33"], NUMBERS);
        check(&["01", "2", "333"], NUMBERS);
        check(&["0x7f00", "0x7fff", "0x0000"], NUMBERS);
        check(&["1ms", "12ms", "120ms"], NUMBERS);
        check(&["user7", "user12"], NUMBERS);
        check(&["00ff", "12ab", "ab12"], NUMBERS);
        check(&["00FF", "12AB", "AB12"], NUMBERS);
        check(&["18446744073709551616", "1"], PLAIN);
        check(&["", "x", "größe", "x"], PLAIN);
        let few: Vec<&str> = (0..100).map(|n| ["red", "green9", "blue"][n % 3]).collect();
        check(&few, DICTIONARY);
        let many: Vec<String> = (0..100).map(|n| format!("{}x{}", "ab".repeat(n % 9), n * 7919 % 1000)).collect();
        check(&many.iter().map(String::as_str).collect::<Vec<_>>(), PAGES);
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_they_were(number: u64, width in 1u8..=16) {
            for form in [Form::Decimal, Form::HexSmall(16), Form::HexCapital(16)] {
                let mut text = Vec::new();
                form.write(number, &mut text);
                prop_assert_eq!(form.number_of(&text), Some(number));
            }
            let mut text = Vec::new();
            let short = number % 10u64.pow(u32::from(width));
            Form::Padded(width).write(short, &mut text);
            prop_assert_eq!(String::from_utf8_lossy(&text), format!("{short:0width$}", width = usize::from(width)));
            prop_assert_eq!(Form::AfterOne.number_of(&text).map(|after| {
                let mut back = Vec::new();
                Form::AfterOne.write(after, &mut back);
                back
            }), Some(text.clone()));
        }

        #[test]
        fn any_texts_come_back(texts in prop::collection::vec("[0-9]{1,4}|[0-9a-f]{4}|0x[0-9a-f]{2}|[a-zA-Z0-9é]{0,6}", 1..80)) {
            let strings: Strings = texts.iter().map(|text| text.as_bytes()).collect();
            let (mut bytes, mut pages) = (Vec::new(), Pages::default());
            encode(&strings, &[], PLAIN_BYTES_MAX, &mut pages, &mut bytes).expect("encoded");
            check(&texts.iter().map(String::as_str).collect::<Vec<_>>(), bytes[0]);
        }

        #[test]
        fn damaged_columns_never_panic(texts in prop::collection::vec("[0-9a-f]{0,4}", 1..80), at: prop::sample::Index, bit in 0u8..8) {
            let strings: Strings = texts.iter().map(|text| text.as_bytes()).collect();
            let (mut bytes, mut pages) = (Vec::new(), Pages::default());
            encode(&strings, &[], PLAIN_BYTES_MAX, &mut pages, &mut bytes).expect("encoded");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let Ok(column) = Column::read(&bytes, texts.len()) else { return Ok(()) };
            let mut cursor = ColumnCursor::new(column, &pages);
            let mut out = Vec::new();
            for at in 0..texts.len() {
                let _ = cursor.append(at, &mut out);
            }
            let _ = cursor.visit(0..texts.len(), &mut |_, _| Ok(()));
        }
    }
}
