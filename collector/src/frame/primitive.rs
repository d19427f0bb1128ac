//! What the body is built of: varints, text, floats, columns. The module's page (`mod.rs`) draws each.

use super::{FrameError, ITEMS_MAX};

/// Writes a varint.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a signed number.
#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_varint(out, zigzag(number));
}

/// Writes bytes behind their length.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a float, whole numbers and numbers with up to three decimals short.
#[inline]
pub(super) fn put_float(out: &mut Vec<u8>, float: f64) {
    const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0; // 2^53
    // Beyond this the eight bytes are as short.
    const THOUSANDTHS_BELOW: f64 = 1e12;
    if float.abs() < WHOLE_BELOW {
        let whole = float as i64;
        if (whole as f64).to_bits() == float.to_bits() {
            return put_varint(out, zigzag(whole) << 1);
        }
        let thousandths = (float * 1000.0).round_ties_even();
        // Of −0 nothing is left in a whole number.
        let is_exact = thousandths != 0.0 && (thousandths / 1000.0).to_bits() == float.to_bits();
        if is_exact && thousandths.abs() < THOUSANDTHS_BELOW {
            return put_varint(out, zigzag(thousandths as i64) << 2 | 3);
        }
    }
    out.push(1);
    out.extend_from_slice(&float.to_le_bytes());
}

/// Writes a column: `cells` writes what stands in it.
pub(super) fn put_column(out: &mut Vec<u8>, cells: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    cells(out);
    // A column over 4 GiB is far over RAW_BYTES_MAX: the frame is then refused as a whole, whatever stands here.
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn zigzag(number: i64) -> u64 {
    (number << 1) as u64 ^ (number >> 63) as u64
}

fn from_zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// How many things may still be counted.
pub(super) struct Allowance(usize);

impl Allowance {
    /// A whole frame's allowance.
    pub(super) fn new() -> Allowance {
        Allowance(ITEMS_MAX)
    }

    /// How much of it was taken.
    pub(super) fn taken(&self) -> usize {
        ITEMS_MAX - self.0
    }

    /// Takes `count` of it.
    pub(super) fn take(&mut self, count: usize) -> Result<(), FrameError> {
        let limit = ITEMS_MAX as u64;
        self.0 = self.0.checked_sub(count).ok_or(FrameError::TooLarge {
            what: "attributes, labels and other items",
            found: (limit - self.0 as u64).saturating_add(count as u64),
            limit,
        })?;
        Ok(())
    }
}

/// Reads from a slice, never past its end.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

const ENDS_EARLY: FrameError = FrameError::Malformed("it ends inside a field");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Bytes not yet read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, FrameError> {
        let (&first, rest) = self.0.split_first().ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(first)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(*array)
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, FrameError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut number = u64::from(first & 0x7F);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(FrameError::Malformed("a varint of more than 64 bits"))
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, FrameError> {
        self.varint().map(from_zigzag)
    }

    /// A length in bytes, no longer than what is left.
    #[inline]
    pub(super) fn length(&mut self) -> Result<usize, FrameError> {
        usize::try_from(self.varint()?).ok().filter(|&length| length <= self.0.len()).ok_or(ENDS_EARLY)
    }

    /// How many things follow, each at least a byte long and taken from the allowance.
    pub(super) fn count(&mut self, allowance: &mut Allowance) -> Result<usize, FrameError> {
        let count = self.length()?;
        allowance.take(count)?;
        Ok(count)
    }

    /// An index into a dictionary of `length` entries.
    #[inline]
    pub(super) fn index(&mut self, length: usize) -> Result<usize, FrameError> {
        let index = self.varint()?;
        usize::try_from(index).ok().filter(|&index| index < length).ok_or(FrameError::Malformed("no such entry"))
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let length = self.length()?;
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, FrameError> {
        str::from_utf8(self.bytes()?).map_err(|_| FrameError::Malformed("text that is not UTF-8"))
    }

    #[inline]
    pub(super) fn float(&mut self) -> Result<f64, FrameError> {
        match self.varint()? {
            even if even & 1 == 0 => Ok(from_zigzag(even >> 1) as f64),
            1 => Ok(f64::from_le_bytes(self.array()?)),
            thousandths if thousandths & 3 == 3 => Ok(from_zigzag(thousandths >> 2) as f64 / 1000.0),
            _ => Err(FrameError::Malformed("an unknown form of float")),
        }
    }

    pub(super) fn column(&mut self) -> Result<Reader<'a>, FrameError> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize).map(Reader)
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Malformed("bytes behind the last field")) }
    }
}
