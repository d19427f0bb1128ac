//! `uniq host, service`: the different values there are, with how many rows have them.

use std::sync::Arc;

use taffrail_ingest::TimeRange;

use super::super::ParseError;
use super::super::memory::Memory;
use super::super::row::{Row, TableRow};
use super::arguments::Arguments;
use super::groups::{Grouping, Groups, Key};
use super::shape::{ColumnKind, Fields, Shape};
use super::top::{counted, from_facets};
use super::{Flow, Gather, Halt, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "uniq",
    usage: "uniq [by] field, …",
    purpose: "the different values, in order, with their counts",
    parse,
};

#[derive(Debug)]
struct Uniq(Arc<Grouping>);

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    arguments.take_word("by");
    let grouping = counted(arguments, "uniq host, service", &["count"])?;
    let names = grouping.keys.iter().map(|(name, _)| (name.clone(), ColumnKind::Text));
    let shape = Shape::table(names.chain([(Arc::from("count"), ColumnKind::Number)]));
    parsed(Uniq(grouping), shape)
}

impl Stage for Uniq {
    fn reads(&self, _: Fields) -> Fields {
        Fields::only(self.0.fields())
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Groups(self)
    }

    fn ask_store(&self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Result<bool, Halt> {
        let [(_, Key::Field(field))] = self.0.keys.as_slice() else { return Ok(false) };
        let Some(groups) = from_facets(run, &[field], &self.0)? else { return Ok(false) };
        self.table(groups, run.range).into_iter().map(Row::Table).try_for_each(emit)?;
        Ok(true)
    }
}

impl Gather for Uniq {
    fn groups(&self, memory: &Arc<Memory>) -> Vec<Groups> {
        vec![Groups::new(self.0.clone(), memory.clone())]
    }

    fn table(&self, groups: Vec<Groups>, range: TimeRange) -> Vec<TableRow> {
        groups.into_iter().flat_map(|groups| groups.table(range)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn different_values_stand_in_order() {
        check("* | uniq service", &["service=db count=4", "service=web count=10"]);
        check("* | uniq by (host, service) | where host:c", &["host=c service=db count=4"]);
        check("service:web | where n:<4 | uniq user", &["user=ann count=2", "user=bob count=1"]);
        check_refused("a | uniq", 9, "the name of a field is missing");
    }
}
