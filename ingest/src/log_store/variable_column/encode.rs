//! Choosing how a column of texts is kept, and writing it.

use std::collections::HashMap;
use std::io;

use super::{CONSTANT, DICTIONARY, Form, NUMBERS, PAGES, PLAIN, SAME_AS, Shape, class};
use crate::byte_cursor::{put_prefixed, put_varint};
use crate::log_store::number_column;
use crate::log_store::split_file::Region;

/// Texts of a page: enough that zstd finds what repeats, few enough that one text is quick to reach.
const PAGE_TEXTS: usize = 1024;
/// Bytes of a page, as soon as one text is in it.
const PAGE_BYTES: usize = 64 << 10;

/// Below this many bytes texts that are neither numbers nor few stay as they are: a page of their own would cost more.
pub const PLAIN_BYTES_MAX: usize = 256;

/// Different texts in a dictionary, at most: codes of two bytes …
const DICTIONARY_MAX: usize = 1 << 16;
/// … and their bytes: a dictionary is not compressed, and is read whole for one text.
const DICTIONARY_BYTES_MAX: usize = 64 << 10;

/// Takes the pages of columns of text.
pub trait PageSink {
    /// Keeps the page's bytes, compressed.
    fn put_page(&mut self, bytes: &[u8]) -> io::Result<Region>;
}

/// Texts one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    bytes: Vec<u8>,
    lengths: Vec<u32>,
}

impl Strings {
    /// Appends a text. One of 4 GiB or more does not come here: frames are far smaller.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.lengths.push(u32::try_from(text.len()).expect("a text came out of a frame, which is far below 4 GiB"));
    }

    /// Deals the texts out to the columns in turn, in place of what these held.
    pub fn deal(&self, columns: &mut [Strings]) {
        for column in columns.iter_mut() {
            column.bytes.clear();
            column.lengths.clear();
        }
        let mut texts = self.iter();
        'rows: loop {
            for column in columns.iter_mut() {
                let Some(text) = texts.next() else { break 'rows };
                column.push(text);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The texts in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map(move |&length| {
            let (text, after) = rest.split_at(length as usize);
            rest = after;
            text
        })
    }
}

impl<'a> FromIterator<&'a [u8]> for Strings {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(texts: I) -> Strings {
        let mut strings = Strings::default();
        texts.into_iter().for_each(|text| strings.push(text));
        strings
    }
}

/// Appends the column, which may be the same as one of the `earlier` ones; texts of up to `plain_bytes_max` bytes get no
/// pages of their own. Returns what its texts have in common.
pub fn encode(
    texts: &Strings,
    earlier: &[Strings],
    plain_bytes_max: usize,
    pages: &mut dyn PageSink,
    out: &mut Vec<u8>,
) -> io::Result<Shape> {
    let Some(first) = texts.iter().next() else {
        out.push(CONSTANT);
        put_prefixed(out, b"");
        return Ok(Shape::NONE);
    };
    if texts.lengths.iter().all(|&length| length as usize == first.len()) && texts.iter().all(|text| text == first) {
        out.push(CONSTANT);
        put_prefixed(out, first);
        let mut shape = Shape::NONE;
        shape.add(first);
        shape.numbers = Form::Decimal.number_of(first).map(|number| (number, number));
        return Ok(shape);
    }
    let mut shape = Shape::NONE;
    texts.iter().for_each(|text| shape.add(text));
    if let Some(column) = earlier.iter().position(|e| e.lengths == texts.lengths && e.bytes == texts.bytes) {
        out.push(SAME_AS);
        put_varint(out, column as u64);
        shape.numbers = numbers_in(texts, 0, 0, Form::Decimal).map(|numbers| least_and_most(&numbers));
        return Ok(shape);
    }
    if let Some((prefix, suffix, form, numbers)) = as_numbers(texts, first, &shape) {
        out.push(NUMBERS);
        put_prefixed(out, &first[..prefix]);
        put_prefixed(out, &first[first.len() - suffix..]);
        form.put(out);
        number_column::encode(&numbers, out);
        shape.numbers = (prefix + suffix == 0 && form == Form::Decimal).then(|| least_and_most(&numbers));
        return Ok(shape);
    }
    if let Some((entries, codes)) = as_dictionary(texts) {
        out.push(DICTIONARY);
        put_varint(out, entries.len() as u64);
        entries.iter().for_each(|entry| put_prefixed(out, entry));
        number_column::encode(&codes, out);
        return Ok(shape);
    }
    if texts.bytes.len() + texts.len() <= plain_bytes_max {
        out.push(PLAIN);
        texts.iter().for_each(|text| put_prefixed(out, text));
        return Ok(shape);
    }
    out.push(PAGES);
    put_pages(texts, pages, out)?;
    Ok(shape)
}

fn least_and_most(numbers: &[u64]) -> (u64, u64) {
    numbers.iter().fold((u64::MAX, 0), |(least, most), &number| (least.min(number), most.max(number)))
}

/// The texts as numbers between a prefix and a suffix of so many bytes that all of them have.
fn as_numbers(texts: &Strings, first: &[u8], shape: &Shape) -> Option<(usize, usize, Form, Vec<u64>)> {
    let parse =
        |prefix, suffix, form| numbers_in(texts, prefix, suffix, form).map(|numbers| (prefix, suffix, form, numbers));
    if shape.classes == class::DIGIT {
        let padded =
            (shape.shortest == shape.longest && shape.longest <= 19).then_some(Form::Padded(shape.longest as u8));
        return parse(0, 0, Form::Decimal)
            .or_else(|| padded.and_then(|form| parse(0, 0, form)))
            .or_else(|| parse(0, 0, Form::AfterOne));
    }
    if shape.classes & class::DIGIT == 0 {
        return None;
    }
    let (shared_before, shared_behind) = shared(texts, first);
    // Digits at the edges belong to the number, or it would have leading zeros; letters up to f may.
    let trim = |edge: &[u8], keep: fn(u8) -> bool| edge.iter().rposition(|&byte| keep(byte)).map_or(0, |at| at + 1);
    let trim_behind =
        |edge: &[u8], keep: fn(u8) -> bool| edge.iter().position(|&byte| keep(byte)).map_or(0, |at| edge.len() - at);
    let (before, behind) = (&first[..shared_before], &first[first.len() - shared_behind..]);
    let no_digit = |byte: u8| !byte.is_ascii_digit();
    let no_hex = |byte: u8| !byte.is_ascii_hexdigit();
    let (prefix, suffix) = (trim(before, no_digit), trim_behind(behind, no_digit));
    let decimal = (prefix + suffix < shape.shortest as usize).then_some(()).and_then(|()| {
        let width = (shape.shortest == shape.longest).then(|| shape.longest as usize - prefix - suffix);
        parse(prefix, suffix, Form::Decimal)
            .or_else(|| width.filter(|&width| width <= 19).and_then(|w| parse(prefix, suffix, Form::Padded(w as u8))))
            .or_else(|| parse(prefix, suffix, Form::AfterOne))
    });
    let hexadecimal = || {
        let prefix = trim(before, no_hex);
        if shape.shortest != shape.longest {
            return None;
        }
        let width = (shape.longest as usize - prefix).try_into().ok().filter(|width| (1..=16).contains(width))?;
        parse(prefix, 0, Form::HexSmall(width)).or_else(|| parse(prefix, 0, Form::HexCapital(width)))
    };
    decimal.or_else(hexadecimal)
}

fn numbers_in(texts: &Strings, prefix: usize, suffix: usize, form: Form) -> Option<Vec<u64>> {
    let mut numbers = Vec::with_capacity(texts.len());
    for text in texts.iter() {
        numbers.push(form.number_of(text.get(prefix..text.len().checked_sub(suffix)?)?)?);
    }
    Some(numbers)
}

/// How many bytes all texts start with alike, and how many they end with alike; the two may overlap.
fn shared(texts: &Strings, first: &[u8]) -> (usize, usize) {
    let mut before = first.len();
    let mut behind = first.len();
    for text in texts.iter() {
        before = first.iter().zip(text).take(before).take_while(|(a, b)| a == b).count();
        behind = first.iter().rev().zip(text.iter().rev()).take(behind).take_while(|(a, b)| a == b).count();
        if before == 0 && behind == 0 {
            break;
        }
    }
    (before, behind)
}

/// Different texts in the order they are met, and the number of each text's; none when there are too many.
fn as_dictionary(texts: &Strings) -> Option<(Vec<&[u8]>, Vec<u64>)> {
    let most = (texts.len() / 3).min(DICTIONARY_MAX);
    if most < 2 {
        return None;
    }
    let mut numbers: HashMap<&[u8], u64, rapidhash::fast::RandomState> = HashMap::default();
    let mut entries = Vec::new();
    let mut codes = Vec::with_capacity(texts.len());
    let mut bytes = 0;
    for text in texts.iter() {
        let code = *numbers.entry(text).or_insert_with(|| {
            entries.push(text);
            bytes += text.len();
            entries.len() as u64 - 1
        });
        if entries.len() > most || bytes > DICTIONARY_BYTES_MAX {
            return None;
        }
        codes.push(code);
    }
    Some((entries, codes))
}

fn put_pages(texts: &Strings, pages: &mut dyn PageSink, out: &mut Vec<u8>) -> io::Result<()> {
    let mut directory = Vec::new();
    let mut count = 0u64;
    let mut close = |lengths: &mut Vec<u8>, bytes: &mut Vec<u8>, rows: &mut usize| -> io::Result<()> {
        lengths.append(bytes);
        put_varint(&mut directory, *rows as u64);
        pages.put_page(lengths)?.put(&mut directory);
        lengths.clear();
        *rows = 0;
        count += 1;
        Ok(())
    };
    let (mut lengths, mut bytes, mut rows) = (Vec::new(), Vec::new(), 0);
    for text in texts.iter() {
        put_varint(&mut lengths, text.len() as u64);
        bytes.extend_from_slice(text);
        rows += 1;
        if rows == PAGE_TEXTS || bytes.len() >= PAGE_BYTES {
            close(&mut lengths, &mut bytes, &mut rows)?;
        }
    }
    if rows > 0 {
        close(&mut lengths, &mut bytes, &mut rows)?;
    }
    put_varint(out, count);
    out.append(&mut directory);
    Ok(())
}
