//! Protobuf's wire format, read where it lies: <https://protobuf.dev/programming-guides/encoding/>.
//!
//! ```text
//! message   fields, in any order
//! field     varint (number << 3 | type), then by type: 0 a varint, 1 eight bytes, 2 a varint length and that many bytes,
//!           5 four bytes; 3 and 4 (groups) are no longer written by anybody and refused
//! ```

use thiserror::Error;

/// The bytes are no protobuf message, or none of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the message is malformed: {0}")]
pub struct Malformed(pub &'static str);

const ENDS_EARLY: Malformed = Malformed("it ends inside a field");

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// Whole numbers, booleans and enumerations.
    Varint(u64),
    /// Eight bytes: a double.
    Eight(u64),
    /// Text, bytes, messages and packed lists.
    Bytes(&'a [u8]),
    /// Four bytes: a float.
    Four(u32),
}

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a>(pub &'a [u8]);

impl<'a> Message<'a> {
    /// The next field's number and content; none at the end.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, Content<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed("a field with an impossible number"))?;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Eight(u64::from_le_bytes(self.array()?)),
            2 => Content::Bytes(self.bytes()?),
            5 => Content::Four(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed("a field of an unknown type")),
        };
        Ok(Some((number, content)))
    }

    /// A varint of at most 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        if let Some((&first, rest)) = self.0.split_first()
            && first < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(first));
        }
        let mut number = 0;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7F) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Ok(number);
            }
        }
        Err(if self.0.len() < 10 { ENDS_EARLY } else { Malformed("a varint of more than 64 bits") })
    }

    /// A length and that many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| ENDS_EARLY)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(*array)
    }
}

/// How deep messages are looked for within messages.
const LEVELS_MAX: usize = 8;

/// Fields of a message and of the messages within it, counted up to a little more than `max`: what they will take in memory
/// once they are read, whatever their length. Text that happens to read as a message is counted as one.
pub fn fields_within(bytes: &[u8], max: usize) -> usize {
    fn count(bytes: &[u8], levels: usize, room: usize) -> Option<usize> {
        let (mut message, mut fields) = (Message(bytes), 0);
        while let Some((_, content)) = message.next_field().ok()? {
            fields += 1;
            if let Content::Bytes(within) = content
                && levels > 1
            {
                fields += count(within, levels - 1, room.saturating_sub(fields)).unwrap_or(0);
            }
            if fields > room {
                break;
            }
        }
        Some(fields)
    }
    count(bytes, LEVELS_MAX, max).unwrap_or(0)
}

/// A `sint32` or `sint64`, as its varint holds it.
pub fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Calls `take` with each number of a repeated varint field: one by one, or packed.
pub fn each_varint(content: Content<'_>, mut take: impl FnMut(u64)) -> Result<(), Malformed> {
    match content {
        Content::Varint(number) => take(number),
        Content::Bytes(packed) => {
            let mut packed = Message(packed);
            while !packed.0.is_empty() {
                take(packed.varint()?);
            }
        }
        _ => return Err(Malformed("a list of whole numbers that holds something else")),
    }
    Ok(())
}

/// Calls `take` with each number of a repeated double field: one by one, or packed.
pub fn each_double(content: Content<'_>, mut take: impl FnMut(f64)) -> Result<(), Malformed> {
    match content {
        Content::Eight(bits) => take(f64::from_bits(bits)),
        Content::Bytes(packed) => {
            let (numbers, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(ENDS_EARLY);
            }
            numbers.iter().for_each(|bytes| take(f64::from_le_bytes(*bytes)));
        }
        _ => return Err(Malformed("a list of doubles that holds something else")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_type_come_out_and_what_is_cut_is_malformed() {
        let bytes = [
            &[0x08, 0x96, 0x01][..],
            &[0x11, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F],
            &[0x1A, 2, b'h', b'i'],
            &[0x25, 1, 0, 0, 0],
            &[0x28, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        ]
        .concat();
        let mut message = Message(&bytes);
        let mut found = Vec::new();
        while let Some(field) = message.next_field().unwrap() {
            found.push(field);
        }
        let expected = [
            (1, Content::Varint(150)),
            (2, Content::Eight(1f64.to_bits())),
            (3, Content::Bytes(b"hi")),
            (4, Content::Four(1)),
            (5, Content::Varint(u64::MAX)),
        ];
        assert_eq!(found, expected);
        // A cut between two fields is a shorter message.
        for end in (1..bytes.len()).filter(|end| ![3, 12, 16, 21].contains(end)) {
            let mut message = Message(&bytes[..end]);
            let ending = loop {
                match message.next_field() {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            assert_eq!(ending, Err(ENDS_EARLY), "{end}");
        }
        assert!(Message(&[0x0B]).next_field().is_err(), "a group");
        assert!(Message(&[0xFF; 11]).next_field().is_err(), "an endless varint");
    }

    #[test]
    fn fields_are_counted_on_every_level_up_to_the_limit() {
        let inner = [0x08, 1, 0x10, 2];
        let middle = [&[0x0A, 4][..], &inner, &[0x12, 3, 0xFF, 0xFF, 0xFF]].concat();
        let outer = [&[0x0A, middle.len() as u8][..], &middle].concat();
        assert_eq!(fields_within(&outer, 100), 1 + 2 + 2);
        let bomb = [0x0A, 0].repeat(10_000);
        assert_eq!(fields_within(&bomb, 100), 101);
    }

    #[test]
    fn lists_are_read_packed_or_one_by_one() {
        let (mut whole, mut doubles) = (Vec::new(), Vec::new());
        each_varint(Content::Bytes(&[1, 0x80, 1]), |number| whole.push(number)).unwrap();
        each_varint(Content::Varint(7), |number| whole.push(number)).unwrap();
        assert_eq!(whole, [1, 128, 7]);
        each_double(Content::Bytes(&1.5f64.to_le_bytes()), |number| doubles.push(number)).unwrap();
        each_double(Content::Eight(2.5f64.to_bits()), |number| doubles.push(number)).unwrap();
        assert_eq!(doubles, [1.5, 2.5]);
        assert!(each_double(Content::Bytes(&[0; 7]), drop).is_err());
        assert_eq!([0, 1, 2, 3].map(zigzag), [0, -1, 1, -2]);
    }
}
