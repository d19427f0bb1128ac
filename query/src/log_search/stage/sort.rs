//! `sort took_ms desc, service`: rows in another order.
//!
//! Rows that wait stand in a heap of as many as are wanted behind this stage, so that `sort … | head 100` keeps a hundred. Records by
//! time alone come from the store in that order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use taffrail_ingest::log_store::{Field, Order};

use super::super::ParseError;
use super::super::row::{Row, SortKey};
use super::arguments::Arguments;
use super::head::First;
use super::shape::{Fields, Shape};
use super::{Flow, Operator, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "sort",
    usage: "sort [by] field [asc|desc], …",
    purpose: "orders rows; numbers by size, what is missing last",
    parse,
};

#[derive(Debug)]
struct Sort {
    /// By which fields, and whether falling.
    by: Vec<(Field, bool)>,
    of_records: bool,
}

struct Sorter<'a> {
    by: &'a [(Field, bool)],
    /// Rows that are wanted.
    most: usize,
    rows: BinaryHeap<Waiting>,
    taken: u64,
}

/// A row in the heap, which gives the greatest first: the row that stands last.
struct Waiting {
    keys: Box<[Sorted]>,
    /// Rows that stand alike keep their order.
    number: u64,
    row: Row,
}

#[derive(Debug, PartialEq, Eq)]
struct Sorted {
    key: SortKey,
    falling: bool,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    const HOW: &str = "sort took_ms desc";
    arguments.take_word("by");
    let parentheses = arguments.take("(");
    let mut by = Vec::new();
    loop {
        let minus = arguments.take("-");
        let name = arguments.field(HOW)?;
        let falling = arguments.take_word("desc");
        if !falling {
            arguments.take_word("asc");
        }
        by.push((name.field(), falling || minus));
        if !arguments.take(",") {
            break;
        }
    }
    if parentheses {
        arguments.expect(")", HOW)?;
        if arguments.take_word("desc") {
            by.iter_mut().for_each(|(_, falling)| *falling = true);
        }
    }
    let shape = arguments.shape().clone();
    parsed(Sort { by, of_records: shape == Shape::Records }, shape)
}

impl Stage for Sort {
    fn reads(&self, wanted: Fields) -> Fields {
        wanted.and(self.by.iter().map(|(field, _)| field.name()))
    }

    fn work(&self, wanted: Option<usize>) -> Work<'_> {
        let most = wanted.unwrap_or(usize::MAX);
        Work::Ordered(Box::new(Sorter { by: &self.by, most, rows: BinaryHeap::new(), taken: 0 }))
    }

    fn in_order(&self, _: Order, wanted: Option<usize>) -> Option<(Order, Box<dyn Operator>)> {
        let (Field::Time, falling) = self.by.first().filter(|_| self.of_records)? else { return None };
        // No two records have one place: what stands behind the time decides nothing.
        let order = if *falling { Order::NewestFirst } else { Order::OldestFirst };
        Some((order, Box::new(First { left: wanted.unwrap_or(usize::MAX) })))
    }
}

impl Operator for Sorter<'_> {
    fn take(&mut self, row: Row, run: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let key = |(field, falling): &(Field, bool)| Sorted { key: row.view().sort_key(field), falling: *falling };
        let keys: Box<[Sorted]> = self.by.iter().map(key).collect();
        let waiting = Waiting { keys, number: self.taken, row };
        self.taken += 1;
        if self.rows.len() >= self.most && self.rows.peek().is_none_or(|last| waiting >= *last) {
            return Ok(());
        }
        let bytes = waiting.bytes();
        let mut room = run.memory.take(bytes);
        if self.rows.len() >= self.most || !room {
            // The last one makes room for a better one.
            if self.rows.peek().is_none_or(|last| waiting >= *last) {
                if room {
                    run.memory.give_back(bytes);
                }
                return Ok(());
            }
            if let Some(gone) = self.rows.pop() {
                run.memory.give_back(gone.bytes());
            }
            room = room || run.memory.take(bytes);
        }
        if room {
            self.rows.push(waiting);
        }
        Ok(())
    }

    fn finish(&mut self, _: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let rows = std::mem::take(&mut self.rows).into_sorted_vec();
        rows.into_iter().map(|waiting| waiting.row).try_for_each(emit)
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        size_of::<Waiting>() + self.keys.len() * size_of::<Sorted>() + self.row.bytes()
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> Ordering {
        self.keys.cmp(&other.keys).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl Ord for Sorted {
    fn cmp(&self, other: &Sorted) -> Ordering {
        match (self.key.is_missing(), other.key.is_missing()) {
            (false, false) if self.falling => other.key.cmp(&self.key),
            // What is missing comes last either way.
            _ => self.key.cmp(&other.key),
        }
    }
}

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Sorted) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{MORNING, check, check_refused};

    #[test]
    fn rows_stand_in_the_order_asked_for() {
        check("service:web | sort took_ms | head 2", &["GET 0 200", "GET 1 200"]);
        check("service:web | sort by (status desc, n) | head 3", &["GET 4 500", "GET 9 500", "GET 2 404"]);
        check("service:web | sort -status, -n | head 2", &["GET 9 500", "GET 4 500"]);
        check("service:web | sort time | head 2", &["GET 0 200", "GET 1 200"]);
        check("service:web | fields n, time | sort time | head 1 | drop time", &["n=0"]);
        check("service:db | sort took desc | fields took", &["took=4s", "took=3s", "took=2s", "took=1s"]);
        check(
            "* | stats count() by host | sort count desc, host",
            &["host=a count=5", "host=b count=5", "host=c count=4"],
        );
    }

    #[test]
    fn what_is_missing_comes_last_either_way() {
        for order in ["", " desc"] {
            let rows = MORNING.ask(&format!("service:web | sort user{order} | fields user | tail 2"), 100).0;
            assert_eq!(rows, ["user=", "user="], "{order}");
        }
    }

    #[test]
    fn a_field_is_needed() {
        check_refused("a | sort", 9, "the name of a field is missing");
        check_refused("a | sort by b,", 15, "the name of a field is missing");
        check_refused("a | stats count() | sort cuont", 26, "did you mean `count`?");
    }
}
