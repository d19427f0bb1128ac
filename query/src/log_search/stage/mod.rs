//! Stages: what stands behind the `|` of a question, one file each.
//!
//! A stage takes rows from the one before it and hands rows to the next. What flows is described by [`shape`], read by
//! [`arguments`]; what the rows are says [`row`](super::row). Stages: `where`, `fields`, `drop`, `rename`, `extract`,
//! `parse_json`, `parse_logfmt` (each row becomes one or none); `sort`, `head` (`limit` too), `tail`, `dedup`,
//! `context`, `join_trace` (rows in their order); `stats` with its `function`s and how far they have come (`accumulator`), `top` (`rare` too), `uniq`, `facets` (rows in
//! [`groups`]); `patterns` (like messages).
//!
//! # How a stage is added
//!
//! 1. A file of its name here with a type that implements [`Stage`], a `pub(super) const SYNTAX: Syntax` whose `parse` reads
//!    its [`Arguments`] up to the next `|`, and its cases beside it: `check(question, expected)` over
//!    the small store of `cases.rs`.
//! 2. Its `SYNTAX` joins [`STAGES`], its example the language's documentation (`query/search-language.md`), where a test runs it.
//! 3. [`Stage::work`] says how it works: [`Work::Each`] when a row is treated alone, so that it can run wherever rows are read;
//!    [`Work::Groups`] when partial results of several threads can be joined; [`Work::Ordered`] when the order of the rows
//!    counts.
//! 4. What it can say beforehand makes it fast: [`Stage::reads`] (which fields, so that others are not read),
//!    [`Stage::rows`] (how many rows are enough), [`Stage::in_order`] (that another order suits it better).
//! 5. A stage that the store can answer itself when it follows a search directly implements [`Stage::ask_store`]: counts
//!    (`stats`, `top`, `facets`) and clusters of messages go that way. It must give what the rows would give.

pub mod arguments;
pub mod groups;
pub mod shape;

mod accumulator;
mod context;
mod dedup;
mod drop;
mod each;
mod extract;
mod facets;
mod fields;
mod function;
mod head;
mod join_trace;
mod parse_json;
mod parse_logfmt;
mod patterns;
mod rename;
mod sort;
mod stats;
mod tail;
mod top;
mod uniq;
mod r#where;

use std::fmt::Debug;

use taffrail_ingest::log_store::{LogStoreError, Order};
use taffrail_ingest::{Scan, StopReason, TimeRange};

pub use each::Each;

use super::ParseError;
use super::memory::Memory;
use super::near::did_you_mean;
use super::row::{Row, TableRow};
use arguments::{Arguments, error_at};
use groups::Groups;
use shape::{Fields, Shape};
use taffrail_ingest::log_store::{Filter, LogStore};

/// All stages.
pub const STAGES: &[Syntax] = &[
    r#where::SYNTAX,
    fields::SYNTAX,
    drop::SYNTAX,
    rename::SYNTAX,
    extract::SYNTAX,
    parse_json::SYNTAX,
    parse_logfmt::SYNTAX,
    sort::SYNTAX,
    head::HEAD,
    head::LIMIT,
    tail::SYNTAX,
    dedup::SYNTAX,
    stats::SYNTAX,
    top::TOP,
    top::RARE,
    uniq::SYNTAX,
    facets::SYNTAX,
    patterns::SYNTAX,
    context::SYNTAX,
    join_trace::SYNTAX,
];

/// How a stage is written.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    /// Its name.
    pub name: &'static str,
    /// How it is written, as in `sort by field [desc], …`.
    pub usage: &'static str,
    /// What it does, in half a sentence.
    pub purpose: &'static str,
    pub(super) parse: fn(&mut Arguments<'_>) -> Result<Parsed, ParseError>,
}

/// A stage that was read, and what comes out of it.
pub struct Parsed {
    /// The stage.
    pub stage: Box<dyn Stage>,
    /// What comes out of it, given what comes in.
    pub shape: Shape,
}

/// A stage of a question.
pub trait Stage: Debug + Send + Sync {
    /// Which fields of its input it needs, when these of its output are needed.
    fn reads(&self, wanted: Fields) -> Fields;

    /// How many rows of its input are enough for so many of its output; none when that cannot be said.
    fn rows(&self, _wanted: Option<usize>) -> Option<usize> {
        None
    }

    /// How it works. At most `wanted` rows of its output are looked at.
    fn work(&self, wanted: Option<usize>) -> Work<'_>;

    /// An order of the search in which there is less to do, and what is to be done then. `order` is the one in which the rows
    /// would come otherwise. Only asked when records come straight from the search.
    fn in_order(&self, _order: Order, _wanted: Option<usize>) -> Option<(Order, Box<dyn Operator>)> {
        None
    }

    /// What the stage gives, straight from the store; false when that has to come from the rows. Only asked when nothing but a
    /// search stands before it, and it has emitted nothing when it says false.
    fn ask_store(&self, _run: &Run<'_>, _emit: &mut dyn FnMut(Row) -> Flow) -> Result<bool, Halt> {
        Ok(false)
    }
}

/// How a stage works.
pub enum Work<'a> {
    /// Each row becomes one or none, whatever stands around it.
    Each(&'a dyn Each),
    /// Rows are gathered in groups, in any order.
    Groups(&'a dyn Gather),
    /// Rows come one after the other in their order.
    Ordered(Box<dyn Operator + 'a>),
}

/// A stage that gathers rows in groups.
pub trait Gather: Sync {
    /// Groups without anything in them.
    fn groups(&self, memory: &std::sync::Arc<Memory>) -> Vec<Groups>;

    /// Whether the order of the rows counts after all.
    fn needs_order(&self) -> bool {
        false
    }

    /// The rows that the groups make.
    fn table(&self, groups: Vec<Groups>, range: TimeRange) -> Vec<TableRow>;
}

/// A stage at work on rows in their order.
pub trait Operator {
    /// Takes a row and emits what it makes of it.
    fn take(&mut self, row: Row, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow;

    /// Emits what is left when no more rows come.
    fn finish(&mut self, _run: &Run<'_>, _emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        Ok(())
    }
}

/// Whether to go on.
pub type Flow = Result<(), Halt>;

/// Why not.
#[derive(Debug)]
pub enum Halt {
    /// Nobody wants more rows.
    Enough,
    /// The question's budget is used up, or nobody waits for the answer.
    Stopped(StopReason),
    /// The store failed.
    Failed(LogStoreError),
}

/// What stages work with while a question is answered.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Where records come from.
    pub store: &'a LogStore,
    /// The search before the first stage.
    pub filter: &'a Filter,
    /// From when to when.
    pub range: TimeRange,
    /// In which order records come.
    pub order: Order,
    /// The question's budget.
    pub scan: &'a Scan,
    /// What it may keep in memory.
    pub memory: &'a std::sync::Arc<Memory>,
    /// Why the answer is not whole.
    pub gaps: &'a Gaps,
}

/// Why an answer is not whole.
#[derive(Debug, Default)]
pub struct Gaps {
    stopped: parking_lot::Mutex<Option<StopReason>>,
    reasons: parking_lot::Mutex<Vec<String>>,
}

impl Run<'_> {
    /// Notes why the answer is not whole.
    pub fn gap(&self, why: &str) {
        let mut reasons = self.gaps.reasons.lock();
        if !reasons.iter().any(|known| known == why) {
            reasons.push(why.to_owned());
        }
    }

    /// Notes that the budget ended a part of the work.
    pub fn stopped(&self, why: StopReason) {
        self.gaps.stopped.lock().get_or_insert(why);
    }
}

impl Gaps {
    /// The budget that was used up, and what else there is.
    pub fn into_reasons(self) -> (Option<StopReason>, Vec<String>) {
        (self.stopped.into_inner(), self.reasons.into_inner())
    }
}

impl From<LogStoreError> for Halt {
    fn from(error: LogStoreError) -> Halt {
        Halt::Failed(error)
    }
}

impl From<StopReason> for Halt {
    fn from(reason: StopReason) -> Halt {
        Halt::Stopped(reason)
    }
}

/// Reads one stage; the cursor stands behind its `|`.
pub(super) fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let column = arguments.column();
    let names = || STAGES.iter().map(|syntax| syntax.name);
    let all = || names().collect::<Vec<_>>().join(", ");
    let Some(name) = arguments.any_name()? else {
        return Err(error_at(column, format!("a stage is missing after |; there are {}", all())));
    };
    let Some(syntax) = STAGES.iter().find(|syntax| syntax.name.eq_ignore_ascii_case(&name.text)) else {
        let near = did_you_mean(&name.text, names());
        let message = format!(
            "there is no stage `{}`{near}; there are {}; to look for the character |, quote it: \"|\"",
            name.text,
            all()
        );
        return Err(error_at(column, message));
    };
    let parsed = (syntax.parse)(arguments)?;
    if !arguments.at_end() {
        return Err(arguments.error(format!("the stage `{}` ends before this: write {}", syntax.name, syntax.usage)));
    }
    Ok(parsed)
}

/// A stage as it is handed on.
pub(super) fn parsed(stage: impl Stage + 'static, shape: Shape) -> Result<Parsed, ParseError> {
    Ok(Parsed { stage: Box::new(stage), shape })
}
