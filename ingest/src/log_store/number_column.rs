//! Columns of whole numbers in pages, each read alone.
//!
//! ```text
//! column := offset:u32le…  page…          ; offsets of pages 1, 2 … behind the offsets; none for a column of one page
//! page   := 0 value:varint                ; all the same
//!         | 1 least:varint width:u8 bits  ; what each is above the least, `width` bits each, least bit first
//!         | 2 pco                         ; pco's standalone format
//! ```
//!
//! A page holds [`PAGE`] numbers, the last one what is left. Packed bits are read one by one, pco only as a page; so pco is
//! taken only where it saves a twentieth.

use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, data_types::Number};

use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

/// Numbers in a page: at 1,024 a page unpacks in a few microseconds, and pco's heads cost about two per cent.
pub const PAGE: usize = 1024;

/// Below this many numbers pco's head outweighs what it saves.
const PCO_FROM: usize = 128;

/// pco's default is 8; 4 loses under one per cent here and takes half the time.
const PCO_LEVEL: usize = 4;

const SAME: u8 = 0;
const PACKED: u8 = 1;
const PCO: u8 = 2;

/// Appends the column.
pub fn encode(values: &[u64], out: &mut Vec<u8>) {
    encode_pages(values, true, out);
}

/// Appends the column without pco, so that each number can be read alone.
pub fn encode_packed(values: &[u64], out: &mut Vec<u8>) {
    encode_pages(values, false, out);
}

fn encode_pages(values: &[u64], pco: bool, out: &mut Vec<u8>) {
    let pages = values.len().div_ceil(PAGE);
    let start = out.len();
    let first_page = start + pages.saturating_sub(1) * 4;
    out.resize(first_page, 0);
    for (at, page) in values.chunks(PAGE).enumerate() {
        if at > 0 {
            // A column stays far below 4 GiB: a split has at most 2^32 rows, of 8 bytes, and writers stop long before.
            let offset = u32::try_from(out.len() - first_page).expect("a column is below 4 GiB");
            out[start + (at - 1) * 4..start + at * 4].copy_from_slice(&offset.to_le_bytes());
        }
        encode_page(page, pco, out);
    }
}

fn encode_page(values: &[u64], pco: bool, out: &mut Vec<u8>) {
    let (least, most) = values.iter().fold((u64::MAX, 0), |(least, most), &value| (least.min(value), most.max(value)));
    if least == most {
        out.push(SAME);
        return put_varint(out, least);
    }
    let width = 64 - (most - least).leading_zeros() as usize;
    let packed_bytes = (values.len() * width).div_ceil(8);
    if pco && values.len() >= PCO_FROM && width > 1 {
        let config = ChunkConfig::default().with_compression_level(PCO_LEVEL);
        let dense = simple_compress(values, &config).expect("the configuration is valid and memory takes all");
        if dense.len() < packed_bytes - packed_bytes / 20 {
            out.push(PCO);
            return out.extend(dense);
        }
    }
    out.push(PACKED);
    put_varint(out, least);
    out.push(width as u8);
    pack(values.iter().map(|value| value - least), width, out);
}

/// Appends numbers of `width` bits each, least bit first.
pub fn pack(values: impl Iterator<Item = u64>, width: usize, out: &mut Vec<u8>) {
    let (mut held, mut bits) = (0u128, 0);
    for value in values {
        held |= u128::from(value) << bits;
        bits += width;
        while bits >= 64 {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= 64;
            bits -= 64;
        }
    }
    out.extend_from_slice(&(held as u64).to_le_bytes()[..bits.div_ceil(8)]);
}

/// The number of `width` bits at position `at` of packed numbers. What lies behind the end reads as zero.
#[inline]
pub fn packed_at(bytes: &[u8], at: usize, width: usize) -> u64 {
    if width == 0 {
        return 0;
    }
    let bit = at * width;
    let window = match bytes.get(bit / 8..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(window) => u128::from_le_bytes(*window),
        None => {
            let rest = bytes.get(bit / 8..).unwrap_or(&[]);
            let mut window = [0; 16];
            window[..rest.len().min(16)].copy_from_slice(&rest[..rest.len().min(16)]);
            u128::from_le_bytes(window)
        }
    };
    (window >> (bit % 8)) as u64 & (u64::MAX >> (64 - width))
}

/// An encoded column of `count` numbers.
#[derive(Clone, Copy, Debug)]
pub struct NumberColumn<'a> {
    bytes: &'a [u8],
    count: usize,
}

/// One page of a column.
#[derive(Clone, Copy, Debug)]
pub enum Page<'a> {
    /// All the same.
    Same(u64),
    /// Packed bits.
    Packed {
        /// The least number.
        least: u64,
        /// Bits of each.
        width: usize,
        /// What they are above the least.
        bits: &'a [u8],
    },
    /// pco's bytes.
    Pco(&'a [u8]),
}

impl<'a> NumberColumn<'a> {
    /// The column of `count` numbers in `bytes`.
    pub fn new(bytes: &'a [u8], count: usize) -> NumberColumn<'a> {
        NumberColumn { bytes, count }
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        self.count.div_ceil(PAGE)
    }

    /// How many numbers the page holds.
    pub fn page_len(&self, page: usize) -> usize {
        (self.count - page * PAGE).min(PAGE)
    }

    /// A page, not unpacked yet.
    pub fn page(&self, page: usize) -> Result<Page<'a>, Malformed> {
        let pages = self.pages();
        if page >= pages {
            return Err(Malformed("a column has fewer pages"));
        }
        let (offsets, data) =
            self.bytes.split_at_checked((pages - 1) * 4).ok_or(Malformed("a column ends in its offsets"))?;
        let offset = |page: usize| match page {
            0 => 0,
            _ if page == pages => data.len(),
            _ => {
                let bytes = offsets[(page - 1) * 4..page * 4].try_into().expect("four bytes");
                u32::from_le_bytes(bytes) as usize
            }
        };
        let bytes = data.get(offset(page)..offset(page + 1)).ok_or(Malformed("a column's page lies outside"))?;
        let mut cursor = ByteCursor(bytes);
        match cursor.u8()? {
            SAME => Ok(Page::Same(cursor.varint()?)),
            PACKED => {
                let (least, width) = (cursor.varint()?, usize::from(cursor.u8()?));
                if width > 64 || cursor.0.len() < (self.page_len(page) * width).div_ceil(8) {
                    return Err(Malformed("a column's page is too short"));
                }
                Ok(Page::Packed { least, width, bits: cursor.0 })
            }
            PCO => Ok(Page::Pco(cursor.0)),
            _ => Err(Malformed("a column's page has an unknown form")),
        }
    }

    /// Unpacks a page into `values`, in place of what was there.
    pub fn unpack(&self, page: usize, values: &mut Vec<u64>) -> Result<(), Malformed> {
        let count = if page < self.pages() { self.page_len(page) } else { 0 };
        values.clear();
        match self.page(page)? {
            Page::Same(value) => values.resize(count, value),
            Page::Packed { least, width, bits } => {
                values.extend((0..count).map(|at| least.wrapping_add(packed_at(bits, at, width))));
            }
            Page::Pco(bytes) => {
                values.resize(count, 0);
                unpack_pco(bytes, values)?;
            }
        }
        Ok(())
    }

    /// Unpacks the whole column.
    #[cfg(test)]
    pub fn all(&self) -> Result<Vec<u64>, Malformed> {
        let (mut all, mut page) = (Vec::with_capacity(self.count), Vec::new());
        for at in 0..self.pages() {
            self.unpack(at, &mut page)?;
            all.extend_from_slice(&page);
        }
        Ok(all)
    }
}

fn unpack_pco<T: Number>(bytes: &[u8], values: &mut [T]) -> Result<(), Malformed> {
    let progress = simple_decompress_into(bytes, values).map_err(|_| Malformed("a column's page is damaged"))?;
    if progress.n_processed != values.len() || !progress.finished {
        return Err(Malformed("a column's page has another length"));
    }
    Ok(())
}

/// Reads single numbers of a column, keeping the page last unpacked.
#[derive(Debug)]
pub struct NumberCursor<'a> {
    column: NumberColumn<'a>,
    /// The page last looked at.
    page: Option<(usize, Page<'a>)>,
    /// Its numbers, when it is pco's.
    values: Vec<u64>,
}

impl<'a> NumberCursor<'a> {
    /// A cursor over the column.
    pub fn new(column: NumberColumn<'a>) -> NumberCursor<'a> {
        NumberCursor { column, page: None, values: Vec::new() }
    }

    /// The number at a position.
    #[inline]
    pub fn get(&mut self, at: usize) -> Result<u64, Malformed> {
        let (page, within) = (at / PAGE, at % PAGE);
        let found = match self.page {
            Some((loaded, found)) if loaded == page => found,
            _ => self.load(page)?,
        };
        if at >= self.column.count {
            return Err(Malformed("a column is shorter"));
        }
        Ok(match found {
            Page::Same(value) => value,
            Page::Packed { least, width, bits } => least.wrapping_add(packed_at(bits, within, width)),
            Page::Pco(_) => self.values[within],
        })
    }

    fn load(&mut self, page: usize) -> Result<Page<'a>, Malformed> {
        let found = self.column.page(page)?;
        if let Page::Pco(_) = found {
            self.column.unpack(page, &mut self.values)?;
        }
        self.page = Some((page, found));
        Ok(found)
    }
}

/// A column without pco, each of whose numbers is read alone.
#[derive(Debug)]
pub struct PackedColumn {
    bytes: Vec<u8>,
    /// (least, width, start of the bits) of each page.
    pages: Vec<(u64, usize, usize)>,
}

impl PackedColumn {
    /// The column of `count` numbers.
    pub fn new(mut bytes: Vec<u8>, count: usize) -> Result<PackedColumn, Malformed> {
        let column = NumberColumn::new(&bytes, count);
        let pages = (0..column.pages())
            .map(|page| match column.page(page)? {
                Page::Same(value) => Ok((value, 0, 0)),
                Page::Packed { least, width, bits } => {
                    // The bits are part of the column's bytes.
                    Ok((least, width, bits.as_ptr() as usize - bytes.as_ptr() as usize))
                }
                Page::Pco(_) => Err(Malformed("a column that is read by single numbers has a page of pco")),
            })
            .collect::<Result<_, _>>()?;
        // So that a number's eight bytes are there also for the last.
        bytes.extend([0; 8]);
        Ok(PackedColumn { bytes, pages })
    }

    /// The number at a position; zero behind the end.
    #[inline]
    pub fn get(&self, at: usize) -> u64 {
        match self.pages.get(at / PAGE) {
            Some(&(least, width, start)) if width <= 56 => {
                let bit = at % PAGE * width;
                let window = self.bytes.get(start + bit / 8..).and_then(|rest| rest.first_chunk::<8>());
                let word = window.map_or(0, |window| u64::from_le_bytes(*window));
                least.wrapping_add((word >> (bit % 8)) & ((1 << width) - 1))
            }
            Some(&(least, width, start)) => {
                least.wrapping_add(packed_at(self.bytes.get(start..).unwrap_or(&[]), at % PAGE, width))
            }
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(values: &[u64]) {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let column = NumberColumn::new(&bytes, values.len());
        assert_eq!(column.all().expect("reads"), values);
        let mut cursor = NumberCursor::new(column);
        for at in (0..values.len()).rev().step_by(7) {
            assert_eq!(cursor.get(at).expect("reads"), values[at], "at {at}");
        }
        assert!(cursor.get(values.len()).is_err());
        let mut packed = Vec::new();
        encode_packed(values, &mut packed);
        let packed = PackedColumn::new(packed, values.len()).expect("reads");
        values.iter().enumerate().for_each(|(at, &value)| assert_eq!(packed.get(at), value));
    }

    #[test]
    fn columns_of_every_shape_come_back() {
        check(&[]);
        check(&[u64::MAX]);
        check(&[7; 5000]);
        check(&[0, u64::MAX, 1]);
        check(&(0..10_000).map(|n| n * 1000).collect::<Vec<_>>());
        check(&(0..5000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect::<Vec<_>>());
        check(&(0..4097u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(values in prop::collection::vec(prop_oneof![0u64..9, any::<u64>()], 0..300)) {
            check(&values);
        }

        #[test]
        fn damaged_columns_never_panic(values in prop::collection::vec(0u64..1000, 0..3000), at: prop::sample::Index, bit in 0u8..8, cut: prop::sample::Index) {
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes.truncate(1 + cut.index(bytes.len()));
            }
            let column = NumberColumn::new(&bytes, values.len());
            let _ = column.all();
            let mut cursor = NumberCursor::new(column);
            for at in 0..values.len() {
                let _ = cursor.get(at);
            }
        }
    }
}
