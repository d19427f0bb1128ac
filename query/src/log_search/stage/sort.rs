//! `sort took_ms desc, service`: rows in another order.
//!
//! Rows that wait stand in a heap of as many as are wanted behind this stage, so that `sort … | head 100` keeps a hundred. Records by
//! time alone come from the store in that order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use taffrail_ingest::log_store::{Field, Order};

use super::super::ParseError;
use super::super::row::{Row, SortKey};
use super::super::run::only_cancelled;
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

/// Rows that are sorted between two looks at whether anybody still listens: a few milliseconds' work.
const RUN_ROWS: usize = 8 << 10;

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

    /// Sorts short runs and merges them, so that nobody who went away keeps a thread for longer than a run takes.
    fn finish(&mut self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let mut rows = std::mem::take(&mut self.rows).into_vec();
        let mut runs = Vec::new();
        while !rows.is_empty() {
            run.scan.touch(0, 0).or_else(only_cancelled)?;
            let mut part = rows.split_off(rows.len().saturating_sub(RUN_ROWS));
            part.sort_unstable();
            runs.push(part.into_iter());
        }
        let first = |(of, run): (usize, &mut std::vec::IntoIter<Waiting>)| run.next().map(|row| Reverse((row, of)));
        let mut heads: BinaryHeap<Reverse<(Waiting, usize)>> = runs.iter_mut().enumerate().filter_map(first).collect();
        while let Some(Reverse((waiting, of))) = heads.pop() {
            heads.extend(runs[of].next().map(|next| Reverse((next, of))));
            emit(waiting.row)?;
        }
        Ok(())
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
    use std::sync::Arc;

    use proptest::prelude::*;
    use taffrail_collector::model::Value;
    use taffrail_ingest::log_store::Filter;
    use taffrail_ingest::{Scan, StopReason, TimeRange};

    use super::super::super::cases::{MORNING, check, check_refused};
    use super::super::super::memory::Memory;
    use super::super::super::row::{Cell, TableRow};
    use super::super::{Gaps, Halt};
    use super::*;

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

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]
        #[test]
        fn more_rows_than_a_run_has_come_in_their_order(
            numbers in proptest::collection::vec(0..1_000i64, 0..3 * RUN_ROWS), most in prop_oneof![Just(usize::MAX), 0..20_000usize],
        ) {
            let by = [(Field::named("n"), true)];
            let mut sorter = Sorter { by: &by, most, rows: BinaryHeap::new(), taken: 0 };
            let (memory, gaps, scan) = (Arc::new(Memory::new(1 << 30)), Gaps::default(), Scan::unlimited());
            let run = Run {
                store: MORNING.ingest.logs(), filter: &Filter::All, range: TimeRange::ALL, order: Order::OldestFirst,
                scan: &scan, memory: &memory, gaps: &gaps,
            };
            let row = |(at, number): (i64, &i64)| {
                let cells = [("n", *number), ("at", at)].map(|(name, value)| (name.into(), Cell::Value(value.into())));
                Row::Table(TableRow(cells.into()))
            };
            for row in (0..).zip(&numbers).map(row) {
                prop_assert!(sorter.take(row, &run, &mut |_| Ok(())).is_ok());
            }
            let mut expected: Vec<(i64, i64)> = numbers.iter().copied().zip(0..).collect();
            expected.sort_by_key(|(number, at)| (Reverse(*number), *at));
            expected.truncate(most);
            let mut found = Vec::new();
            let mut keep = |row: Row| {
                let Row::Table(row) = row else { panic!("a table") };
                let number = |name| match row.get(name) {
                    Some(Cell::Value(Value::Int(number))) => *number,
                    other => panic!("{other:?}"),
                };
                found.push((number("n"), number("at")));
                Ok(())
            };
            prop_assert!(sorter.finish(&run, &mut keep).is_ok());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn who_went_away_is_sorted_for_no_more() {
        let by = [(Field::named("n"), false)];
        let mut sorter = Sorter { by: &by, most: usize::MAX, rows: BinaryHeap::new(), taken: 0 };
        let (memory, gaps, scan) = (Arc::new(Memory::new(1 << 30)), Gaps::default(), Scan::unlimited());
        let run = Run {
            store: MORNING.ingest.logs(),
            filter: &Filter::All,
            range: TimeRange::ALL,
            order: Order::OldestFirst,
            scan: &scan,
            memory: &memory,
            gaps: &gaps,
        };
        let row = Row::Table(TableRow(vec![("n".into(), Cell::count(1))]));
        assert!(sorter.take(row, &run, &mut |_| Ok(())).is_ok());
        scan.cancel();
        let ended = sorter.finish(&run, &mut |_| panic!("nobody listens"));
        assert!(matches!(ended, Err(Halt::Stopped(StopReason::Cancelled))));
    }

    #[test]
    fn a_field_is_needed() {
        check_refused("a | sort", 9, "the name of a field is missing");
        check_refused("a | sort by b,", 15, "the name of a field is missing");
        check_refused("a | stats count() | sort cuont", 26, "did you mean `count`?");
    }
}
