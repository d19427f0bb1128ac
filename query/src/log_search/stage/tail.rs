//! `tail 100`: the last rows, in the order in which they come.

use std::collections::VecDeque;

use taffrail_ingest::log_store::Order;

use super::super::ParseError;
use super::super::row::Row;
use super::arguments::Arguments;
use super::head::COUNT_DEFAULT;
use super::shape::Fields;
use super::{Flow, Halt, Operator, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax =
    Syntax { name: "tail", usage: "tail [count]", purpose: "the last rows, 10 when no count is given", parse };

#[derive(Debug)]
struct Tail(usize);

/// Keeps the last rows that it was given.
struct Last {
    count: usize,
    rows: VecDeque<Row>,
}

/// Takes the first rows of the search turned round, and turns them back.
struct FirstTurned {
    count: usize,
    rows: Vec<Row>,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let count = arguments.count()?.unwrap_or(COUNT_DEFAULT);
    let shape = arguments.shape().clone();
    parsed(Tail(count), shape)
}

impl Stage for Tail {
    fn reads(&self, wanted: Fields) -> Fields {
        wanted
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Ordered(Box::new(Last { count: self.0, rows: VecDeque::new() }))
    }

    fn in_order(&self, order: Order, _: Option<usize>) -> Option<(Order, Box<dyn Operator>)> {
        let turned = match order {
            Order::NewestFirst => Order::OldestFirst,
            Order::OldestFirst => Order::NewestFirst,
        };
        Some((turned, Box::new(FirstTurned { count: self.0, rows: Vec::new() })))
    }
}

impl Operator for Last {
    fn take(&mut self, row: Row, run: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let bytes = row.bytes();
        if self.rows.len() == self.count || !run.memory.take(bytes) {
            match self.rows.pop_front() {
                Some(gone) => run.memory.give_back(gone.bytes()),
                None => return Ok(()),
            }
            if !run.memory.take(bytes) {
                return Ok(());
            }
        }
        self.rows.push_back(row);
        Ok(())
    }

    fn finish(&mut self, _: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        self.rows.drain(..).try_for_each(emit)
    }
}

impl Operator for FirstTurned {
    fn take(&mut self, row: Row, run: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        if self.rows.len() == self.count || !run.memory.take(row.bytes()) {
            return Err(Halt::Enough);
        }
        self.rows.push(row);
        if self.rows.len() == self.count { Err(Halt::Enough) } else { Ok(()) }
    }

    fn finish(&mut self, _: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        self.rows.drain(..).rev().try_for_each(emit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::check;

    #[test]
    fn the_last_rows_keep_their_order() {
        check("service:web | tail 2", &["GET 1 200", "GET 0 200"]);
        check("service:web | head 5 | tail 2", &["GET 6 200", "GET 5 200"]);
        check("service:web | where status:404 | tail 1", &["GET 2 404"]);
        check("* | stats count() by service | tail 1", &["service=web count=10"]);
        check("* | tail 0", &[]);
    }
}
