//! From a filter to rows of a split, exactly, reading as little as can be.
//!
//! First every condition is asked of templates: which of them have it in all their rows (`sure`), and which may have it in
//! some (`possible`). The tree is put together from these sets, so that a condition that one template decides costs nothing
//! in it. What lies between the two sets is asked of the rows, template by template, for as much of the split as the
//! question needs ([`Window`]), cheapest condition first.

use std::cell::OnceCell;
use std::io;
use std::ops::Range;

use super::Interrupt;
use super::bits::Bits;
use super::matching::CompiledFilter;
use super::row_conditions::RowCondition;
use super::split_reader::SplitReader;
use super::template_conditions;
use super::template_table;
use crate::byte_cursor::Malformed;
use crate::scan::{Scan, StopReason, TimeRange};

/// A filter, planned for one split.
pub struct SplitFilter<'a> {
    split: &'a SplitReader,
    scan: &'a Scan,
    root: Node<'a>,
}

/// A condition, asked of templates.
pub struct Node<'a> {
    /// All rows of these templates have it.
    pub sure: Bits,
    /// No rows of other templates have it.
    pub possible: Bits,
    /// What decides the rest.
    pub rest: Rest<'a>,
}

/// What decides whether a row has a condition that its template does not decide.
pub enum Rest<'a> {
    /// No template leaves anything open.
    Nothing,
    /// All of them.
    And(Vec<Node<'a>>),
    /// One of them.
    Or(Vec<Node<'a>>),
    /// That it is not so.
    Not(Box<Node<'a>>),
    /// Its values.
    Row(RowCondition<'a>),
}

/// Which rows of a template, within a window.
#[derive(Clone, Debug)]
pub enum Hits {
    /// None.
    None,
    /// All.
    All,
    /// These, by their number within the window.
    Some(Bits),
}

/// A row, and which of its template's rows it is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The row.
    pub row: u32,
    /// Its template.
    pub template: u32,
    /// Its number among the template's rows.
    pub ordinal: u32,
}

/// The rows of one template in some superblocks.
pub struct Window<'a> {
    /// The split.
    pub split: &'a SplitReader,
    /// The template.
    pub template: u32,
    /// The superblocks.
    pub superblocks: Range<usize>,
    /// The rows' numbers among those of the template.
    pub ordinals: Range<u32>,
    rows: OnceCell<Vec<u32>>,
}

/// Why work on a split stopped.
#[derive(Debug)]
pub enum Stop {
    /// The scan's budget, or nobody waits.
    Scan(StopReason),
    /// The split cannot be read.
    Unreadable(io::Error),
}

impl From<StopReason> for Stop {
    fn from(reason: StopReason) -> Stop {
        Stop::Scan(reason)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Unreadable(error)
    }
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Stop {
        Stop::Unreadable(malformed.into())
    }
}

impl Stop {
    /// As what became of the question.
    pub fn of(self, split: &SplitReader) -> Interrupt {
        match self {
            Stop::Scan(reason) => reason.into(),
            Stop::Unreadable(error) => split.failed(error).into(),
        }
    }
}

impl<'a> SplitFilter<'a> {
    /// Plans the filter.
    pub fn new(split: &'a SplitReader, filter: &'a CompiledFilter, scan: &'a Scan) -> Result<SplitFilter<'a>, Stop> {
        let root = template_conditions::node(split, &filter.root, scan)?;
        Ok(SplitFilter { split, scan, root })
    }

    /// Plans the filter for the split's rows of a time range; none when none of them can match.
    pub fn of_rows_in(
        split: &'a SplitReader,
        filter: &'a CompiledFilter,
        range: TimeRange,
        scan: &'a Scan,
    ) -> Result<Option<(SplitFilter<'a>, Range<u32>)>, Stop> {
        let rows = split.rows_in(range)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let filter = SplitFilter::new(split, filter, scan)?;
        Ok(filter.possible().next_at_or_after(0).is_some().then_some((filter, rows)))
    }

    /// The templates that decide everything: all of their rows match, and none of others; none where rows must be asked.
    pub fn decided(&self) -> Option<&Bits> {
        (self.root.sure == self.root.possible).then_some(&self.root.possible)
    }

    /// Templates whose rows may match.
    pub fn possible(&self) -> &Bits {
        &self.root.possible
    }

    /// How many rows match at most.
    pub fn rows_max(&self) -> Result<u64, Stop> {
        let templates = &self.split.table()?.templates;
        Ok(self.root.possible.iter().map(|number| u64::from(templates[number as usize].rows)).sum())
    }

    /// Calls `visit` with every template that has matching rows in the superblocks, and with which of them match.
    pub fn visit(
        &self,
        superblocks: Range<usize>,
        visit: &mut dyn FnMut(&Window<'a>, Hits) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let whole = superblocks == (0..self.split.superblocks());
        let mut templates = Bits::empty(0);
        if !whole {
            templates = Bits::empty(self.split.table()?.templates.len() as u32);
            for number in superblocks.clone() {
                for entry in self.split.superblock(number)?.entries() {
                    templates.insert(entry.template);
                }
            }
            templates.intersect(&self.root.possible);
        }
        let templates = if whole { &self.root.possible } else { &templates };
        for template in templates.iter() {
            let window = Window::new(self.split, template, superblocks.clone())?;
            match self.root.hits(&window, self.scan)? {
                Hits::None => {}
                hits => visit(&window, hits)?,
            }
        }
        Ok(())
    }

    /// The matching rows of the superblocks that lie in `clip`, as a set over all rows of those superblocks that starts with
    /// the first superblock's first row.
    pub fn rows(&self, superblocks: Range<usize>, clip: Range<u32>) -> Result<(u32, Bits), Stop> {
        let first = self.split.superblock_rows(superblocks.start).start;
        let end = self.split.superblock_rows(superblocks.end - 1).end;
        let everything = self.decided().is_some_and(|templates| templates.count() == u64::from(templates.len()));
        let mut rows = if everything { Bits::full(end - first) } else { Bits::empty(end - first) };
        if !everything {
            self.visit(superblocks, &mut |window, hits| hits.visit_rows(window, &mut |row| rows.insert(row - first)))?;
        }
        rows.keep(clip.start.max(first) - first..clip.end.min(end).max(first) - first);
        Ok((first, rows))
    }

    /// The matching rows of the superblocks that lie in `clip`, rising, each with its template and its number among the
    /// template's rows. For few rows: all are held at once.
    pub fn places(&self, superblocks: Range<usize>, clip: Range<u32>) -> Result<Vec<Place>, Stop> {
        let mut places = Vec::new();
        self.visit(superblocks, &mut |window, hits| {
            for (at, &row) in (0..).zip(window.rows()?) {
                if clip.contains(&row) && hits.contains(at) {
                    places.push(Place { row, template: window.template, ordinal: window.ordinals.start + at });
                }
            }
            Ok(())
        })?;
        places.sort_unstable_by_key(|place| place.row);
        Ok(places)
    }

    /// The superblocks that hold the rows.
    pub fn superblocks_of(rows: &Range<u32>) -> Range<usize> {
        let size = super::postings::SUPERBLOCK;
        if rows.is_empty() { 0..0 } else { (rows.start / size) as usize..((rows.end - 1) / size + 1) as usize }
    }

    /// How many rows of the range match.
    pub fn count(&self, rows: Range<u32>) -> Result<u64, Stop> {
        let table = self.split.table()?;
        if let Some(templates) = self.decided()
            && rows == (0..self.split.rows())
        {
            return Ok(templates.iter().map(|number| u64::from(table.templates[number as usize].rows)).sum());
        }
        let mut count = 0;
        for part in parts(self.split, &rows) {
            let blocks = Self::superblocks_of(&part);
            let (first, end) =
                (self.split.superblock_rows(blocks.start).start, self.split.superblock_rows(blocks.end - 1).end);
            if part == (first..end) {
                self.visit(blocks, &mut |window, hits| {
                    count += hits.count(window);
                    Ok(())
                })?;
            } else {
                count += self.rows(blocks, part)?.1.count();
            }
        }
        Ok(count)
    }
}

/// The range in up to three parts: what lies in the first superblock, whole superblocks, what lies in the last.
pub fn parts(split: &SplitReader, rows: &Range<u32>) -> Vec<Range<u32>> {
    let size = super::postings::SUPERBLOCK;
    let whole_from = rows.start.next_multiple_of(size).min(rows.end);
    let whole_to = if rows.end == split.rows() { rows.end } else { (rows.end / size * size).max(whole_from) };
    [rows.start..whole_from, whole_from..whole_to, whole_to..rows.end]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect()
}

impl<'a> Node<'a> {
    /// A condition that templates decide.
    pub fn decided(templates: Bits) -> Node<'a> {
        Node { sure: templates.clone(), possible: templates, rest: Rest::Nothing }
    }

    /// A condition of rows that templates may decide.
    pub fn open(sure: Bits, mut possible: Bits, condition: RowCondition<'a>) -> Node<'a> {
        possible.unite(&sure);
        if sure == possible { Node::decided(sure) } else { Node { sure, possible, rest: Rest::Row(condition) } }
    }

    /// All of them.
    pub fn and(mut nodes: Vec<Node<'a>>, templates: u32) -> Node<'a> {
        let (mut sure, mut possible) = (Bits::full(templates), Bits::full(templates));
        for node in &nodes {
            sure.intersect(&node.sure);
            possible.intersect(&node.possible);
        }
        nodes.retain(|node| !matches!(node.rest, Rest::Nothing));
        nodes.sort_by_key(Node::cost);
        Node::of(sure, possible, Rest::And(nodes))
    }

    /// One of them.
    pub fn or(mut nodes: Vec<Node<'a>>, templates: u32) -> Node<'a> {
        let (mut sure, mut possible) = (Bits::empty(templates), Bits::empty(templates));
        for node in &nodes {
            sure.unite(&node.sure);
            possible.unite(&node.possible);
        }
        nodes.retain(|node| !matches!(node.rest, Rest::Nothing));
        nodes.sort_by_key(Node::cost);
        Node::of(sure, possible, Rest::Or(nodes))
    }

    /// That it is not so.
    pub fn not(node: Node<'a>) -> Node<'a> {
        let (sure, possible) = (node.possible.clone().complement(), node.sure.clone().complement());
        Node::of(sure, possible, Rest::Not(Box::new(node)))
    }

    fn of(sure: Bits, possible: Bits, rest: Rest<'a>) -> Node<'a> {
        if sure == possible { Node::decided(sure) } else { Node { sure, possible, rest } }
    }

    fn cost(&self) -> u8 {
        match &self.rest {
            Rest::Nothing => 0,
            Rest::And(nodes) | Rest::Or(nodes) => nodes.iter().map(Node::cost).max().unwrap_or(0),
            Rest::Not(node) => node.cost(),
            Rest::Row(condition) => condition.cost(),
        }
    }

    /// Which rows of the window have the condition.
    pub fn hits(&self, window: &Window<'a>, scan: &Scan) -> Result<Hits, Stop> {
        if self.sure.contains(window.template) {
            return Ok(Hits::All);
        }
        if !self.possible.contains(window.template) {
            return Ok(Hits::None);
        }
        match &self.rest {
            Rest::Nothing => Ok(Hits::None),
            Rest::And(nodes) => {
                let mut all = Hits::All;
                for node in nodes {
                    all = all.and(node.hits(window, scan)?);
                    if matches!(all, Hits::None) {
                        break;
                    }
                }
                Ok(all)
            }
            Rest::Or(nodes) => {
                let mut any = Hits::None;
                for node in nodes {
                    any = any.or(node.hits(window, scan)?);
                    if matches!(any, Hits::All) {
                        break;
                    }
                }
                Ok(any)
            }
            Rest::Not(node) => Ok(node.hits(window, scan)?.not()),
            Rest::Row(condition) => {
                scan.touch(u64::from(window.len()), window.bytes()?)?;
                Ok(condition.hits(window, scan)?)
            }
        }
    }
}

impl Hits {
    /// Those for which `bits` says so.
    pub fn of(bits: Bits) -> Hits {
        match bits.count() {
            0 => Hits::None,
            count if count == u64::from(bits.len()) => Hits::All,
            _ => Hits::Some(bits),
        }
    }

    fn and(self, other: Hits) -> Hits {
        match (self, other) {
            (Hits::None, _) | (_, Hits::None) => Hits::None,
            (Hits::All, hits) | (hits, Hits::All) => hits,
            (Hits::Some(mut bits), Hits::Some(other)) => {
                bits.intersect(&other);
                Hits::of(bits)
            }
        }
    }

    fn or(self, other: Hits) -> Hits {
        match (self, other) {
            (Hits::All, _) | (_, Hits::All) => Hits::All,
            (Hits::None, hits) | (hits, Hits::None) => hits,
            (Hits::Some(mut bits), Hits::Some(other)) => {
                bits.unite(&other);
                Hits::of(bits)
            }
        }
    }

    fn not(self) -> Hits {
        match self {
            Hits::None => Hits::All,
            Hits::All => Hits::None,
            Hits::Some(bits) => Hits::Some(bits.complement()),
        }
    }

    /// How many they are.
    pub fn count(&self, window: &Window<'_>) -> u64 {
        match self {
            Hits::None => 0,
            Hits::All => u64::from(window.len()),
            Hits::Some(bits) => bits.count(),
        }
    }

    /// How many of them lie in the rows.
    pub fn count_within(&self, window: &Window<'_>, rows: &Range<u32>) -> Result<u64, Stop> {
        let first = window.split.superblock_rows(window.superblocks.start).start;
        let end = window.split.superblock_rows(window.superblocks.end - 1).end;
        if rows.start <= first && end <= rows.end {
            return Ok(self.count(window));
        }
        let mut count = 0;
        self.visit_rows(window, &mut |row| count += u64::from(rows.contains(&row)))?;
        Ok(count)
    }

    /// Whether the window's so-many-th row is among them.
    pub fn contains(&self, at: u32) -> bool {
        match self {
            Hits::None => false,
            Hits::All => true,
            Hits::Some(bits) => bits.contains(at),
        }
    }

    /// Calls `visit` with each of the rows, rising.
    pub fn visit_rows(&self, window: &Window<'_>, visit: &mut impl FnMut(u32)) -> Result<(), Stop> {
        match self {
            Hits::None => {}
            Hits::All => window.visit_rows(visit)?,
            Hits::Some(bits) => {
                let rows = window.rows()?;
                bits.iter().for_each(|at| visit(rows[at as usize]));
            }
        }
        Ok(())
    }
}

impl<'a> Window<'a> {
    /// The template's rows in the superblocks.
    pub fn new(split: &'a SplitReader, template: u32, superblocks: Range<usize>) -> io::Result<Window<'a>> {
        let ordinals = if superblocks == (0..split.superblocks()) {
            0..split.table()?.templates[template as usize].rows
        } else {
            let mut ordinals: Option<Range<u32>> = None;
            for number in superblocks.clone() {
                if let Some(entry) = split.superblock(number)?.entry(template) {
                    let start = ordinals.map_or(entry.earlier, |ordinals| ordinals.start);
                    ordinals = Some(start..entry.ordinals().end);
                }
            }
            ordinals.unwrap_or(0..0)
        };
        Ok(Window { split, template, superblocks, ordinals, rows: OnceCell::new() })
    }

    /// How many rows there are.
    pub fn len(&self) -> u32 {
        self.ordinals.len() as u32
    }

    /// Bytes of the columns that hold what differs between the rows, their part of those of the whole template.
    pub fn bytes(&self) -> io::Result<u64> {
        let template = &self.split.table()?.templates[self.template as usize];
        let length = match template.place {
            template_table::Place::Own(region) => region.length,
            template_table::Place::Shared { length, .. } => length,
        };
        Ok(u64::from(length) * u64::from(self.len()) / u64::from(template.rows.max(1)))
    }

    /// The rows, rising.
    pub fn rows(&self) -> io::Result<&[u32]> {
        if let Some(rows) = self.rows.get() {
            return Ok(rows);
        }
        let mut rows = Vec::with_capacity(self.len() as usize);
        self.visit_rows(&mut |row| rows.push(row))?;
        if rows.len() != self.ordinals.len() {
            return Err(super::split_file::damaged("a template has another number of rows"));
        }
        Ok(self.rows.get_or_init(|| rows))
    }

    /// Calls `visit` with each row, rising.
    pub fn visit_rows(&self, visit: &mut impl FnMut(u32)) -> io::Result<()> {
        for number in self.superblocks.clone() {
            let block = self.split.superblock(number)?;
            if let Some(entry) = block.entry(self.template) {
                let first = self.split.superblock_rows(number).start;
                block.visit_rows(entry, |row| visit(first + row))?;
            }
        }
        Ok(())
    }
}
