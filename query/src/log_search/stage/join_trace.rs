//! `level:error | join_trace`: every record of the traces that the rows belong to, of all services and hosts, in order of time.
//!
//! Traces are shown whole, also what of them lies outside the question's time. Rows without a trace fall away.

use std::collections::BTreeMap;

use taffrail_collector::model::TraceId;
use taffrail_ingest::log_store::{Order, RecordId, StoredRecord};

use super::super::ParseError;
use super::super::row::Row;
use super::arguments::Arguments;
use super::context::records_only;
use super::shape::{Fields, Shape};
use super::{Flow, Halt, Operator, Parsed, Run, Stage, Syntax, Work, parsed};
use crate::trace;

pub(super) const SYNTAX: Syntax = Syntax {
    name: "join_trace",
    usage: "join_trace",
    purpose: "every record of the traces that the rows belong to",
    parse,
};

/// Traces that are looked up: each costs a search.
const TRACES_MAX: usize = 1_000;

#[derive(Debug)]
struct JoinTrace;

struct Traces {
    ids: Vec<TraceId>,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let column = arguments.column();
    records_only(arguments, column, "join_trace")?;
    parsed(JoinTrace, Shape::Records)
}

impl Stage for JoinTrace {
    fn reads(&self, _: Fields) -> Fields {
        Fields::only(["trace_id"])
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Ordered(Box::new(Traces { ids: Vec::new() }))
    }
}

impl Operator for Traces {
    fn take(&mut self, row: Row, run: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let Row::Record(stored) = row else { return Ok(()) };
        let Some(id) = stored.record.trace_id.filter(|id| !self.ids.contains(id)) else { return Ok(()) };
        if self.ids.len() == TRACES_MAX {
            run.gap("join_trace takes 1000 traces at most: put `head` before it");
            return Err(Halt::Enough);
        }
        self.ids.push(id);
        Ok(())
    }

    fn finish(&mut self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let mut lines: BTreeMap<RecordId, StoredRecord> = BTreeMap::new();
        'traces: for id in std::mem::take(&mut self.ids) {
            let (records, ending) = run.store.trace(id, trace::RECORDS_MAX, run.scan)?;
            if let Some(why) = ending.stopped {
                run.stopped(why);
                break;
            }
            if records.len() == trace::RECORDS_MAX {
                run.gap("of a trace 10000 records are taken at most");
            }
            for stored in records {
                if !run.memory.take(Row::Record(Box::new(stored.clone())).bytes()) {
                    break 'traces;
                }
                lines.insert(stored.id, stored);
            }
        }
        let mut tell = |stored| emit(Row::Record(Box::new(stored)));
        match run.order {
            Order::OldestFirst => lines.into_values().try_for_each(&mut tell),
            Order::NewestFirst => lines.into_values().rev().try_for_each(&mut tell),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn traces_are_shown_whole() {
        check("n:3 | join_trace | fields service, n", &["service=web n=3", "service=db n=", "service=web n=0"]);
        check("status:500 | join_trace", &["GET 9 500", "GET 6 200"]);
        check("n:1 | join_trace", &[]);
        check(
            "* | join_trace | stats count() by trace_id",
            &["trace_id=00000000000000000000000000000001 count=3", "trace_id=00000000000000000000000000000002 count=2"],
        );
        check_refused("a | top n | join_trace", 23, "needs whole records");
    }
}
