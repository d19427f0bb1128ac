//! `top 5 path`, `rare user, status`: the commonest values, or the rarest, with their counts and shares.
//!
//! Rows that lack one of the fields do not count; a field that is an array counts with each different item.

use std::sync::Arc;

use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::Field;

use super::super::ParseError;
use super::super::memory::Memory;
use super::super::row::{Cell, Row, TableRow};
use super::arguments::{Arguments, error_at};
use super::function::Function;
use super::groups::{Grouping, Groups, Key, Missing, Part};
use super::head::COUNT_DEFAULT;
use super::shape::{ColumnKind, Fields, Shape};
use super::{Flow, Gather, Halt, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const TOP: Syntax = Syntax {
    name: "top",
    usage: "top [count] [by] field, …",
    purpose: "the commonest values, 10 when no count is given",
    parse: parse_top,
};

pub(super) const RARE: Syntax = Syntax {
    name: "rare",
    usage: "rare [count] [by] field, …",
    purpose: "the rarest values, 10 when no count is given",
    parse: parse_rare,
};

#[derive(Debug)]
struct Top {
    count: usize,
    rarest: bool,
    grouping: Arc<Grouping>,
}

fn parse_top(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    parse(arguments, false)
}

fn parse_rare(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    parse(arguments, true)
}

fn parse(arguments: &mut Arguments<'_>, rarest: bool) -> Result<Parsed, ParseError> {
    let count = arguments.count()?.unwrap_or(COUNT_DEFAULT);
    arguments.take_word("by");
    let grouping = counted(arguments, "top 5 path", &["count", "percent"])?;
    let names = grouping.keys.iter().map(|(name, _)| (name.clone(), ColumnKind::Text));
    let counts = ["count", "percent"].map(|name| (Arc::from(name), ColumnKind::Number));
    let shape = Shape::table(names.chain(counts));
    parsed(Top { count, rarest, grouping }, shape)
}

/// Reads names of fields: rows counted by their values.
pub(super) fn counted(arguments: &mut Arguments<'_>, how: &str, taken: &[&str]) -> Result<Arc<Grouping>, ParseError> {
    let mut keys: Vec<(Arc<str>, Key)> = Vec::new();
    for name in arguments.fields(how)? {
        if keys.iter().any(|(other, _)| **other == *name.text) {
            return Err(error_at(name.column, format!("`{}` stands here twice", name.text)));
        }
        if taken.contains(&name.text.as_str()) {
            let message = format!("the answer has a column `{}` of its own: rename this one first", name.text);
            return Err(error_at(name.column, message));
        }
        keys.push((name.text.as_str().into(), Key::Field(name.field())));
    }
    let functions = vec![(Arc::from("count"), Function::Count(None))];
    Ok(Arc::new(Grouping { keys, functions, missing: Missing::IsLeftOut }))
}

impl Stage for Top {
    fn reads(&self, _: Fields) -> Fields {
        Fields::only(self.grouping.fields())
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Groups(self)
    }

    fn ask_store(&self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Result<bool, Halt> {
        let [(_, Key::Field(field))] = self.grouping.keys.as_slice() else { return Ok(false) };
        let Some(mut groups) = from_facets(run, &[field], &self.grouping)? else { return Ok(false) };
        let groups = groups.pop().into_iter().collect();
        self.table(groups, run.range).into_iter().map(Row::Table).try_for_each(emit)?;
        Ok(true)
    }
}

/// Rows counted by each field alone, as the store counts them; none when there are too many values for it.
pub(super) fn from_facets(
    run: &Run<'_>,
    fields: &[&Field],
    grouping: &Arc<Grouping>,
) -> Result<Option<Vec<Groups>>, Halt> {
    // Moments are values of another kind, which the store gives as text.
    if fields.iter().any(|field| **field == Field::Time) {
        return Ok(None);
    }
    let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
    let (facets, ending) = run.store.facets(run.filter, run.range, &names, usize::MAX, run.scan)?;
    if facets.iter().any(|facet| facet.other > 0) {
        return Ok(None);
    }
    if let Some(why) = ending.stopped {
        run.stopped(why);
    }
    let gathered = facets.into_iter().map(|facet| {
        let mut groups = Groups::new(grouping.clone(), run.memory.clone());
        facet.values.iter().for_each(|(value, count)| groups.count(&[Part::Text(value.as_str().into())], *count));
        groups
    });
    Ok(Some(gathered.collect()))
}

impl Gather for Top {
    fn groups(&self, memory: &Arc<Memory>) -> Vec<Groups> {
        vec![Groups::new(self.grouping.clone(), memory.clone())]
    }

    fn table(&self, groups: Vec<Groups>, range: TimeRange) -> Vec<TableRow> {
        let rows = groups.into_iter().flat_map(|groups| groups.table(range));
        let mut rows: Vec<(u64, TableRow)> = rows.map(|row| (count_of(&row), row)).collect();
        let all: u64 = rows.iter().map(|(count, _)| count).sum();
        // Those of one count stay in the order of their values.
        match self.rarest {
            true => rows.sort_by_key(|(count, _)| *count),
            false => rows.sort_by_key(|(count, _)| std::cmp::Reverse(*count)),
        }
        rows.truncate(self.count);
        let percent = Arc::from("percent");
        let with_share = |(count, mut row): (u64, TableRow)| {
            // Two decimals say enough.
            let share = (count as f64 / all as f64 * 10_000.0).round() / 100.0;
            row.set(&percent, Cell::number(share));
            row
        };
        rows.into_iter().map(with_share).collect()
    }
}

/// The count in a row of groups that were counted.
pub(super) fn count_of(row: &TableRow) -> u64 {
    match row.get("count") {
        Some(Cell::Value(taffrail_collector::model::Value::Int(count))) => u64::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn the_commonest_and_the_rarest_values_come_with_their_shares() {
        check(
            "service:web | top status",
            &["status=200 count=6 percent=60", "status=404 count=2 percent=20", "status=500 count=2 percent=20"],
        );
        check("service:web | top 1 by (user)", &["user=ann count=5 percent=62.5"]);
        check("* | rare 1 service", &["service=db count=4 percent=28.57"]);
        check("service:web | where status:<500 | top 1 path, status", &["path=/cart status=200 count=3 percent=37.5"]);
        check(
            "service:web | top 3 tags",
            &["tags=web count=10 percent=50", "tags=early count=5 percent=25", "tags=late count=5 percent=25"],
        );
        check("nothing:here | top status", &[]);
        check("* | head 3 | top 1 host", &["host=b count=2 percent=66.67"]);
        check_refused("a | top", 8, "the name of a field is missing");
        check_refused("a | top b, b", 12, "twice");
        check_refused("a | top count", 9, "of its own");
    }
}
