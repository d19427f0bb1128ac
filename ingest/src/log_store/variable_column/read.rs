//! Reading a column of texts: single ones, ranges of them, and those that equal or start with something.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use super::{CONSTANT, DICTIONARY, Form, NUMBERS, PAGES, PLAIN, SAME_AS};
use crate::byte_cursor::{ByteCursor, Malformed};
use crate::log_store::number_column::{NumberColumn, NumberCursor, PAGE, Page};
use crate::log_store::split_file::Region;

/// Gives the pages of columns of text.
pub trait PageSource {
    /// The page's bytes, checked and unpacked.
    fn page(&self, region: &Region) -> io::Result<Vec<u8>>;
}

/// A column as it lies in its template's bytes.
#[derive(Clone, Debug)]
pub enum Column<'a> {
    /// All the same.
    Constant(&'a [u8]),
    /// The same as another column of the template.
    SameAs(usize),
    /// Numbers between a prefix and a suffix.
    Numbers {
        /// Before each.
        prefix: &'a [u8],
        /// Behind each.
        suffix: &'a [u8],
        /// How they are written.
        form: Form,
        /// The numbers.
        numbers: NumberColumn<'a>,
    },
    /// Few different ones.
    Dictionary {
        /// The different texts.
        entries: Vec<&'a [u8]>,
        /// Which of them each is.
        codes: NumberColumn<'a>,
    },
    /// Anything: the number of each page's first text, one more for the end, and where the pages are.
    Pages {
        /// First texts.
        starts: Vec<usize>,
        /// Where.
        regions: Vec<Region>,
    },
    /// Few and different.
    Plain(Vec<&'a [u8]>),
}

impl<'a> Column<'a> {
    /// The column of `count` texts in `bytes`.
    pub fn read(bytes: &'a [u8], count: usize) -> Result<Column<'a>, Malformed> {
        let mut cursor = ByteCursor(bytes);
        Ok(match cursor.u8()? {
            CONSTANT => Column::Constant(cursor.prefixed()?),
            SAME_AS => Column::SameAs(cursor.count(0, usize::MAX)?),
            NUMBERS => {
                let (prefix, suffix) = (cursor.prefixed()?, cursor.prefixed()?);
                let form = Form::read(&mut cursor)?;
                Column::Numbers { prefix, suffix, form, numbers: NumberColumn::new(cursor.0, count) }
            }
            DICTIONARY => {
                let different = cursor.count(1, count)?;
                let entries = (0..different).map(|_| cursor.prefixed()).collect::<Result<_, _>>()?;
                Column::Dictionary { entries, codes: NumberColumn::new(cursor.0, count) }
            }
            PAGES => {
                let pages = cursor.count(1, count)?;
                let (mut starts, mut regions) = (Vec::with_capacity(pages + 1), Vec::with_capacity(pages));
                let mut start = 0usize;
                for _ in 0..pages {
                    starts.push(start);
                    start = start.saturating_add(cursor.count(0, count)?);
                    regions.push(Region::read(&mut cursor)?);
                }
                starts.push(start);
                if start != count {
                    return Err(Malformed("a column's pages hold another number of texts"));
                }
                Column::Pages { starts, regions }
            }
            PLAIN => Column::Plain((0..count).map(|_| cursor.prefixed()).collect::<Result<_, _>>()?),
            _ => return Err(Malformed("a column has an unknown form")),
        })
    }
}

/// Reads a column, keeping the page last unpacked.
pub struct ColumnCursor<'a> {
    column: Rc<Column<'a>>,
    pages: &'a dyn PageSource,
    numbers: Option<NumberCursor<'a>>,
    page: Option<TextPage>,
}

/// An unpacked page of texts.
struct TextPage {
    number: usize,
    bytes: Vec<u8>,
    /// Where each text ends in `bytes`, and at first where the first one starts.
    ends: Vec<usize>,
}

const SHORTER: Malformed = Malformed("a column is shorter than its template");

impl<'a> ColumnCursor<'a> {
    /// A cursor over the column. A column that is the same as another has nothing to read.
    pub fn new(column: Column<'a>, pages: &'a dyn PageSource) -> ColumnCursor<'a> {
        let numbers = match &column {
            Column::Numbers { numbers, .. } => Some(NumberCursor::new(*numbers)),
            Column::Dictionary { codes, .. } => Some(NumberCursor::new(*codes)),
            _ => None,
        };
        ColumnCursor { column: Rc::new(column), pages, numbers, page: None }
    }

    /// Appends the text at a position.
    #[inline]
    pub fn append(&mut self, at: usize, out: &mut Vec<u8>) -> io::Result<()> {
        match &*self.column {
            Column::Constant(text) => out.extend_from_slice(text),
            Column::SameAs(_) => {
                return Err(Malformed("a column is the same as one that is the same as another").into());
            }
            Column::Numbers { prefix, suffix, form, .. } => {
                let number = self.numbers.as_mut().expect("made with the cursor").get(at)?;
                out.extend_from_slice(prefix);
                form.write(number, out);
                out.extend_from_slice(suffix);
            }
            Column::Dictionary { entries, .. } => {
                let code = self.numbers.as_mut().expect("made with the cursor").get(at)?;
                out.extend_from_slice(entry(entries, code)?);
            }
            Column::Pages { starts, .. } => {
                let number = starts.partition_point(|&start| start <= at).checked_sub(1).ok_or(SHORTER)?;
                let within = at - starts[number];
                out.extend_from_slice(self.text_page(number)?.text(within)?);
            }
            Column::Plain(texts) => out.extend_from_slice(texts.get(at).ok_or(SHORTER)?),
        }
        Ok(())
    }

    /// The column.
    pub fn column(&self) -> &Column<'a> {
        &self.column
    }

    /// Calls `visit` with each position of the range and its text, rising.
    pub fn visit(
        &mut self,
        range: Range<usize>,
        visit: &mut dyn FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let column = self.column.clone();
        match &*column {
            Column::Constant(text) => range.into_iter().try_for_each(|at| visit(at, text)),
            Column::Numbers { prefix, suffix, form, numbers } => {
                let mut text = Vec::new();
                visit_numbers(*numbers, range, &mut |at, number| {
                    text.clear();
                    text.extend_from_slice(prefix);
                    form.write(number, &mut text);
                    text.extend_from_slice(suffix);
                    visit(at, &text)
                })
            }
            Column::Dictionary { entries, codes } => {
                visit_numbers(*codes, range, &mut |at, code| visit(at, entry(entries, code)?))
            }
            Column::Plain(texts) => {
                let wanted = texts.get(range.clone()).ok_or(SHORTER)?;
                range.zip(wanted).try_for_each(|(at, text)| visit(at, text))
            }
            Column::Pages { starts, .. } => {
                let mut at = range.start;
                while at < range.end {
                    let number = starts.partition_point(|&start| start <= at).checked_sub(1).ok_or(SHORTER)?;
                    let (start, end) = (starts[number], *starts.get(number + 1).ok_or(SHORTER)?);
                    let page = self.text_page(number)?;
                    for position in at..end.min(range.end) {
                        visit(position, page.text(position - start)?)?;
                    }
                    at = end;
                }
                Ok(())
            }
            Column::SameAs(_) => Err(Malformed("a column is the same as one that is the same as another").into()),
        }
    }

    /// Calls `hit` with the positions of the range whose text equals the folded one without case, rising. Both are compared
    /// as ASCII: a column of variables holds nothing else.
    pub fn find_equal(&mut self, range: Range<usize>, folded: &str, hit: &mut dyn FnMut(usize)) -> io::Result<()> {
        let equal = |text: &[u8]| text.eq_ignore_ascii_case(folded.as_bytes());
        let column = self.column.clone();
        match &*column {
            Column::Numbers { prefix, suffix, form, numbers } => {
                let Some(wanted) = inner(folded, prefix, suffix).and_then(|text| number_of_folded(*form, text)) else {
                    return Ok(());
                };
                find_number(*numbers, range, wanted, hit)
            }
            Column::Dictionary { entries, codes } => find_entries(entries, *codes, range, &equal, hit),
            _ => self.visit(range, &mut |at, text| {
                if equal(text) {
                    hit(at);
                }
                Ok(())
            }),
        }
    }

    /// Calls `hit` with the positions of the range whose text starts with the folded one without case, rising.
    pub fn find_prefix(&mut self, range: Range<usize>, folded: &str, hit: &mut dyn FnMut(usize)) -> io::Result<()> {
        let wanted = folded.as_bytes();
        let starts = |text: &[u8]| text.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted));
        let column = self.column.clone();
        match &*column {
            Column::Numbers { prefix: [], suffix: [], form: Form::Decimal, numbers } => {
                if wanted.is_empty() {
                    range.for_each(hit);
                    return Ok(());
                }
                let Some(first) = Form::Decimal.number_of(wanted) else { return Ok(()) };
                let digits = wanted.len() as u32;
                visit_numbers(*numbers, range, &mut |at, number| {
                    let more = number.checked_ilog10().map_or(1, |power| power + 1).saturating_sub(digits);
                    if number / 10u64.pow(more) == first && (first > 0 || number == 0) {
                        hit(at);
                    }
                    Ok(())
                })
            }
            Column::Dictionary { entries, codes } => find_entries(entries, *codes, range, &starts, hit),
            _ => self.visit(range, &mut |at, text| {
                if starts(text) {
                    hit(at);
                }
                Ok(())
            }),
        }
    }

    fn text_page(&mut self, number: usize) -> io::Result<&TextPage> {
        let Column::Pages { starts, regions } = &*self.column else { return Err(SHORTER.into()) };
        if self.page.as_ref().is_none_or(|page| page.number != number) {
            let region = regions.get(number).ok_or(SHORTER)?;
            let rows = starts[number + 1] - starts[number];
            self.page = Some(TextPage::read(number, self.pages.page(region)?, rows)?);
        }
        Ok(self.page.as_ref().expect("just read"))
    }
}

impl TextPage {
    fn read(number: usize, bytes: Vec<u8>, rows: usize) -> Result<TextPage, Malformed> {
        let mut cursor = ByteCursor(&bytes);
        let mut ends = Vec::with_capacity(rows.min(bytes.len()) + 1);
        ends.push(0);
        let mut end = 0usize;
        for _ in 0..rows {
            end = end.saturating_add(cursor.count(0, bytes.len())?);
            ends.push(end);
        }
        if cursor.0.len() != end {
            return Err(Malformed("a column's page has another length"));
        }
        let texts = bytes.len() - end;
        ends.iter_mut().for_each(|end| *end += texts);
        Ok(TextPage { number, bytes, ends })
    }

    fn text(&self, at: usize) -> Result<&[u8], Malformed> {
        match self.ends.get(at..at + 2) {
            Some(&[start, end]) => Ok(&self.bytes[start..end]),
            _ => Err(SHORTER),
        }
    }
}

fn entry<'a>(entries: &[&'a [u8]], code: u64) -> Result<&'a [u8], Malformed> {
    usize::try_from(code)
        .ok()
        .and_then(|code| entries.get(code).copied())
        .ok_or(Malformed("a column's dictionary is too short"))
}

/// What stands between prefix and suffix, compared without case.
fn inner<'t>(folded: &'t str, prefix: &[u8], suffix: &[u8]) -> Option<&'t [u8]> {
    let text = folded.as_bytes();
    let (start, rest) = text.split_at_checked(prefix.len())?;
    let (middle, end) = rest.split_at_checked(rest.len().checked_sub(suffix.len())?)?;
    (start.eq_ignore_ascii_case(prefix) && end.eq_ignore_ascii_case(suffix)).then_some(middle)
}

/// The number of a text whose capital letters were made small.
fn number_of_folded(form: Form, text: &[u8]) -> Option<u64> {
    match form {
        Form::HexCapital(width) => Form::HexSmall(width).number_of(text),
        form => form.number_of(text),
    }
}

fn find_entries(
    entries: &[&[u8]],
    codes: NumberColumn<'_>,
    range: Range<usize>,
    wanted: &dyn Fn(&[u8]) -> bool,
    hit: &mut dyn FnMut(usize),
) -> io::Result<()> {
    let hits: Vec<bool> = entries.iter().map(|entry| wanted(entry)).collect();
    if !hits.contains(&true) {
        return Ok(());
    }
    visit_numbers(codes, range, &mut |at, code| {
        if *hits.get(code as usize).ok_or(SHORTER)? {
            hit(at);
        }
        Ok(())
    })
}

/// Calls `hit` with the positions at which the number stands.
fn find_number(
    numbers: NumberColumn<'_>,
    range: Range<usize>,
    wanted: u64,
    hit: &mut dyn FnMut(usize),
) -> io::Result<()> {
    let mut unpacked = Vec::new();
    visit_pages(numbers, range, &mut |page, positions| {
        let within = positions.start % PAGE;
        match numbers.page(page)? {
            Page::Same(value) if value == wanted => positions.for_each(&mut *hit),
            Page::Packed { least, width, .. }
                if wanted < least || (wanted - least).checked_shr(width as u32).unwrap_or(0) > 0 => {}
            Page::Same(_) => {}
            Page::Packed { .. } | Page::Pco(_) => {
                numbers.unpack(page, &mut unpacked)?;
                let values = unpacked.get(within..within + positions.len()).ok_or(SHORTER)?;
                for (at, value) in positions.zip(values) {
                    if *value == wanted {
                        hit(at);
                    }
                }
            }
        }
        Ok(())
    })
}

/// Calls `visit` with each position of the range and its number.
pub fn visit_numbers(
    numbers: NumberColumn<'_>,
    range: Range<usize>,
    visit: &mut dyn FnMut(usize, u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut unpacked = Vec::new();
    visit_pages(numbers, range, &mut |page, positions| {
        let within = positions.start % PAGE;
        numbers.unpack(page, &mut unpacked)?;
        let values = unpacked.get(within..within + positions.len()).ok_or(SHORTER)?;
        positions.zip(values).try_for_each(|(at, &value)| visit(at, value))
    })
}

fn visit_pages(
    numbers: NumberColumn<'_>,
    range: Range<usize>,
    visit: &mut dyn FnMut(usize, Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    if range.end > numbers.len() {
        return Err(SHORTER.into());
    }
    let mut at = range.start;
    while at < range.end {
        let page = at / PAGE;
        let end = ((page + 1) * PAGE).min(range.end);
        visit(page, at..end)?;
        at = end;
    }
    Ok(())
}
