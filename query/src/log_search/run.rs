//! A question's answer: rows from the store through the stages, no more of them than are wanted.
//!
//! ```text
//! store ──counts────────────────────────────▶ stage ─▶ …      the store knows it (Stage::ask_store)
//! store ──fold: each row ─▶ groups, by thread ▶ rows ─▶ …     rows in groups, in any order
//! store ──search in order──▶ stage ─▶ stage ─▶ …              everything else
//! ```
//!
//! Whatever the way, the answer is the one that all records, put through the stages one by one, would give.

use std::ops::ControlFlow;
use std::sync::Arc;

use taffrail_collector::model::LogRecord;
use taffrail_ingest::log_store::{Fold, LogStore, LogStoreError, Order, Projection, RecordId, Search, StoredRecord};
use taffrail_ingest::{Scan, StopReason, TimeRange};

use super::memory::Memory;
use super::question::Question;
use super::row::{Row, RowView};
use super::stage::groups::Groups;
use super::stage::shape::{Fields, Shape};
use super::stage::{Each, Flow, Gaps, Gather, Halt, Operator, Run, Stage, Work};

/// What is asked besides the question itself.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// From when to when.
    pub range: TimeRange,
    /// In which order records come.
    pub order: Order,
    /// Only records that come after this one in that order.
    pub after: Option<RecordId>,
    /// Rows of the answer at most.
    pub limit: usize,
    /// Bytes that the question may keep in memory (`query.memory_bytes_max`).
    pub memory_bytes_max: u64,
}

/// What became of a question besides its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Rows of the answer.
    pub rows: u64,
    /// Whether the answer would have had more rows than its limit.
    pub more: bool,
    /// The last record, when the answer is of records in the search's order and can go on after it.
    pub last: Option<RecordId>,
    /// Why the search ended early.
    pub stopped: Option<StopReason>,
    /// Why else the answer is not whole.
    pub gaps: Vec<String>,
}

/// Answers a question. `take` is given its rows in order and breaks when it wants no more. Blocks.
pub fn run(
    question: &Question,
    store: &LogStore,
    asked: &Asked,
    scan: &Scan,
    take: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<Outcome, LogStoreError> {
    let memory = Arc::new(Memory::new(asked.memory_bytes_max));
    let gaps = Gaps::default();
    let run = Run {
        store,
        filter: &question.filter,
        range: asked.range,
        order: asked.order,
        scan,
        memory: &memory,
        gaps: &gaps,
    };
    let plan = Plan::new(question, asked);
    let mut outcome = Outcome { last: asked.after.filter(|_| plan.goes_on), ..Outcome::default() };
    let mut sink = |row: Row| {
        if outcome.rows == asked.limit as u64 {
            outcome.more = true;
            return Err(Halt::Enough);
        }
        let id = match &row {
            Row::Record(stored) if plan.goes_on => Some(stored.id),
            Row::Record(_) | Row::Table(_) => None,
        };
        match take(row) {
            ControlFlow::Break(()) => return Err(Halt::Stopped(StopReason::Cancelled)),
            ControlFlow::Continue(()) => {}
        }
        outcome.rows += 1;
        outcome.last = id.or(outcome.last);
        if plan.goes_on && outcome.rows == asked.limit as u64 {
            outcome.more = true;
            return Err(Halt::Enough);
        }
        Ok(())
    };
    let ended = plan.answer(&run, asked, &mut sink);
    let stopped = match ended {
        Ok(()) | Err(Halt::Enough) => None,
        Err(Halt::Stopped(why)) => Some(why),
        Err(Halt::Failed(error)) => return Err(error),
    };
    let (noted, mut reasons) = gaps.into_reasons();
    outcome.stopped = stopped.or(noted);
    if memory.was_full() {
        reasons.push(format!(
            "out of memory: query.memory_bytes_max = {} bytes did not hold all groups or rows of this question",
            memory.bytes_max()
        ));
    }
    outcome.gaps = reasons;
    Ok(outcome)
}

/// The stages, and what each of them has to give.
struct Plan<'q> {
    question: &'q Question,
    /// Which fields come into each stage; behind the last one those of the answer.
    fields: Vec<Fields>,
    /// How many rows of each stage's input are enough; behind the last one of the answer.
    rows: Vec<Option<usize>>,
    /// Whether an answer of records goes on after its last one.
    goes_on: bool,
}

impl<'q> Plan<'q> {
    fn new(question: &'q Question, asked: &Asked) -> Plan<'q> {
        let of_answer = match &question.shape {
            Shape::Table { columns, open: false } => Fields::only(columns.iter().map(|column| &*column.name)),
            Shape::Table { open: true, .. } | Shape::Records => Fields::All,
        };
        let goes_on = question.shape == Shape::Records
            && question.stages.iter().all(|named| matches!(named.stage.work(None), Work::Each(_)));
        // One row more tells whether there are more; where the answer can go on, nobody looks for it in vain.
        let mut fields = vec![of_answer];
        let mut rows = vec![Some(if goes_on { asked.limit } else { asked.limit.saturating_add(1) })];
        for named in question.stages.iter().rev() {
            let wanted = rows.last().copied().flatten();
            fields.push(named.stage.reads(fields.last().expect("starts with one").clone()));
            rows.push(named.stage.rows(wanted));
        }
        fields.reverse();
        rows.reverse();
        Plan { question, fields, rows, goes_on }
    }

    fn stage(&self, at: usize) -> &'q dyn Stage {
        &*self.question.stages[at].stage
    }

    /// How the stage works, given how many rows of its output are wanted.
    fn work(&self, at: usize) -> Work<'q> {
        self.stage(at).work(self.rows[at + 1])
    }

    fn answer(&self, run: &Run<'_>, asked: &Asked, sink: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let count = self.question.stages.len();
        if count > 0 {
            let mut rest = self.operators(1, run);
            if self.stage(0).ask_store(run, &mut |row| feed(&mut rest, row, run, sink)).or_else(enough)? {
                return finish(&mut rest, run, sink);
            }
        }
        let leading = (0..count).take_while(|at| matches!(self.work(*at), Work::Each(_))).count();
        if leading < count
            && let Work::Groups(gather) = self.work(leading)
            && !gather.needs_order()
        {
            return self.answer_groups(leading, gather, run, sink);
        }
        let mut asked = *asked;
        let mut operators = self.operators(0, run);
        if leading < count
            && let Some((order, operator)) = self.stage(leading).in_order(asked.order, self.rows[leading + 1])
        {
            asked.order = order;
            operators[leading] = operator;
        }
        let wanted = Search {
            filter: self.question.filter.clone(),
            range: asked.range,
            order: asked.order,
            after: asked.after,
            limit: self.rows[0].unwrap_or(usize::MAX),
        };
        let mut flow = Ok(());
        let ending = run.store.search_fields(
            &wanted,
            &projection(&self.fields[0]),
            run.scan,
            &mut |stored| match feed(&mut operators, Row::Record(Box::new(stored)), run, sink) {
                Ok(()) => ControlFlow::Continue(()),
                halt => {
                    flow = halt;
                    ControlFlow::Break(())
                }
            },
        )?;
        flow.or_else(|halt| enough(halt).map(|_| ()))?;
        if let Some(why) = ending.stopped {
            run.stopped(why);
        }
        finish(&mut operators, run, sink)
    }

    /// Rows in groups right behind stages that treat each row alone: by several threads where the records are read.
    fn answer_groups(&self, at: usize, gather: &dyn Gather, run: &Run<'_>, sink: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let each: Vec<&dyn Each> = (0..at)
            .filter_map(|at| match self.work(at) {
                Work::Each(each) => Some(each),
                Work::Groups(_) | Work::Ordered(_) => None,
            })
            .collect();
        let gathering = Gathering { each: &each, groups: gather.groups(run.memory) };
        let fields = projection(&self.fields[0]);
        let (gathered, ending) = run.store.fold(run.filter, run.range, &fields, gathering, run.scan)?;
        if let Some(why) = ending.stopped {
            run.stopped(why);
        }
        let mut rest = self.operators(at + 1, run);
        let rows = gather.table(gathered.groups, run.range).into_iter().map(Row::Table);
        for row in rows {
            if let Err(halt) = feed(&mut rest, row, run, sink) {
                enough(halt)?;
                break;
            }
        }
        finish(&mut rest, run, sink)
    }

    /// The stages from one on, at work on rows in order.
    fn operators(&self, from: usize, run: &Run<'_>) -> Vec<Box<dyn Operator + 'q>> {
        (from..self.question.stages.len())
            .map(|at| match self.work(at) {
                Work::Each(each) => Box::new(each) as Box<dyn Operator + 'q>,
                Work::Groups(gather) => Box::new(InGroups { gather, groups: gather.groups(run.memory) }),
                Work::Ordered(operator) => operator,
            })
            .collect()
    }
}

/// Puts a row through the operators and what comes out into the sink.
fn feed(operators: &mut [Box<dyn Operator + '_>], row: Row, run: &Run<'_>, sink: &mut dyn FnMut(Row) -> Flow) -> Flow {
    match operators.split_first_mut() {
        None => sink(row),
        Some((first, rest)) => first.take(row, run, &mut |row| feed(rest, row, run, sink)),
    }
}

/// Tells each operator in turn that no more rows come.
fn finish(operators: &mut [Box<dyn Operator + '_>], run: &Run<'_>, sink: &mut dyn FnMut(Row) -> Flow) -> Flow {
    let mut operators = operators;
    while let Some((first, rest)) = operators.split_first_mut() {
        let mut emit = |row| {
            run.scan.touch(0, 0).or_else(only_cancelled)?;
            feed(rest, row, run, sink)
        };
        if let Err(halt) = first.finish(run, &mut emit) {
            enough(halt)?;
        }
        operators = rest;
    }
    Ok(())
}

/// That nobody wants more rows is no failure: what stands behind has still to be finished.
fn enough(halt: Halt) -> Result<bool, Halt> {
    match halt {
        Halt::Enough => Ok(true),
        other => Err(other),
    }
}

/// What was found until the budget ended is still told; not so when nobody listens.
pub(super) fn only_cancelled(reason: StopReason) -> Flow {
    match reason {
        StopReason::Cancelled => Err(Halt::Stopped(reason)),
        StopReason::OutOfTime | StopReason::OutOfRows => Ok(()),
    }
}

fn projection(fields: &Fields) -> Projection {
    match fields {
        Fields::All => Projection::All,
        Fields::Only(names) => Projection::Only(names.iter().cloned().collect()),
    }
}

/// Records put through stages that treat each alone, and gathered in groups.
struct Gathering<'a> {
    each: &'a [&'a dyn Each],
    groups: Vec<Groups>,
}

impl Fold for Gathering<'_> {
    fn fresh(&self) -> Self {
        Gathering { each: self.each, groups: self.groups.iter().map(Groups::fresh).collect() }
    }

    fn record(&mut self, id: RecordId, record: &LogRecord) {
        if self.each.is_empty() {
            return self.groups.iter_mut().for_each(|groups| groups.add(RowView::Record(id, record)));
        }
        let row = Row::Record(Box::new(StoredRecord { id, record: record.clone() }));
        if let Some(row) = self.each.iter().try_fold(row, |row, each| each.each(row)) {
            self.groups.iter_mut().for_each(|groups| groups.add(row.view()));
        }
    }

    fn merge(&mut self, other: Self) {
        self.groups.iter_mut().zip(other.groups).for_each(|(groups, other)| groups.merge(other));
    }
}

/// Groups of rows that come in order.
struct InGroups<'a> {
    gather: &'a dyn Gather,
    groups: Vec<Groups>,
}

impl Operator for InGroups<'_> {
    fn take(&mut self, row: Row, _: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        self.groups.iter_mut().for_each(|groups| groups.add(row.view()));
        Ok(())
    }

    fn finish(&mut self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let rows = self.gather.table(std::mem::take(&mut self.groups), run.range);
        rows.into_iter().map(Row::Table).try_for_each(emit)
    }
}
