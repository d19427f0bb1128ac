//! `facets level, service`, `facets 5`: the commonest values of each field, below each other.
//!
//! Without names these are the fields that the rows have, except those whose values hardly repeat: the time, the message and the
//! ids of traces and spans.

use std::collections::BTreeMap;
use std::sync::Arc;

use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::Field;
use taffrail_ingest::log_store::field::visit_names;

use super::super::ParseError;
use super::super::memory::Memory;
use super::super::row::{Cell, Row, RowView, TableRow};
use super::arguments::{Arguments, error_at};
use super::function::Function;
use super::groups::{Grouping, Groups, Key, Missing};
use super::head::COUNT_DEFAULT;
use super::shape::{ColumnKind, Fields, Shape};
use super::top::{count_of, from_facets};
use super::{Flow, Gather, Halt, Operator, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "facets",
    usage: "facets [count] [field, …]",
    purpose: "the commonest values of each of these fields, or of every field; 10 when no count is given",
    parse,
};

/// Fields that are looked at when none are named.
const FIELDS_MAX: usize = 100;
/// Their values are different in every record, or nearly so.
const UNREPEATED: [&str; 4] = ["time", "message", "trace_id", "span_id"];

#[derive(Debug)]
struct Facets {
    count: usize,
    /// None: every field there is.
    fields: Vec<Field>,
}

/// Counts every field of rows that come in order.
struct AllFields<'a> {
    stage: &'a Facets,
    fields: BTreeMap<String, Groups>,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let count = arguments.count()?.unwrap_or(COUNT_DEFAULT);
    arguments.take_word("by");
    let mut fields: Vec<Field> = Vec::new();
    if !arguments.at_end() {
        for name in arguments.fields("facets 5 level, service")? {
            if fields.iter().any(|field| field.name() == name.text) {
                return Err(error_at(name.column, format!("`{}` stands here twice", name.text)));
            }
            fields.push(name.field());
        }
    }
    let columns = [("field", ColumnKind::Text), ("value", ColumnKind::Text), ("count", ColumnKind::Number)]
        .map(|(name, kind)| (name, kind));
    parsed(Facets { count, fields }, Shape::table(columns))
}

/// Rows counted by one field.
fn grouping(field: &Field) -> Arc<Grouping> {
    Arc::new(Grouping {
        keys: vec![(Arc::from("value"), Key::Field(field.clone()))],
        functions: vec![(Arc::from("count"), Function::Count(None))],
        missing: Missing::IsLeftOut,
    })
}

impl Stage for Facets {
    fn reads(&self, _: Fields) -> Fields {
        if self.fields.is_empty() { Fields::All } else { Fields::only(self.fields.iter().map(Field::name)) }
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        match self.fields.is_empty() {
            true => Work::Ordered(Box::new(AllFields { stage: self, fields: BTreeMap::new() })),
            false => Work::Groups(self),
        }
    }

    fn ask_store(&self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Result<bool, Halt> {
        let mut fields = self.fields.clone();
        if fields.is_empty() {
            let (names, ending) = run.store.field_names(run.filter, run.range, run.scan)?;
            if let Some(why) = ending.stopped {
                run.stopped(why);
            }
            let mut names: Vec<String> = names.into_iter().map(|(name, _)| name).filter(|name| repeats(name)).collect();
            names.sort_unstable();
            if names.len() > FIELDS_MAX {
                return Ok(false);
            }
            fields = names.iter().map(|name| Field::named(name)).collect();
        }
        let wanted: Vec<&Field> = fields.iter().collect();
        let Some(groups) = from_facets(run, &wanted, &grouping(&Field::Message))? else { return Ok(false) };
        let named = fields.iter().map(Field::name).zip(groups);
        named.flat_map(|(name, groups)| self.rows(name, groups, run.range)).map(Row::Table).try_for_each(emit)?;
        Ok(true)
    }
}

impl Facets {
    fn rows(&self, field: &str, groups: Groups, range: TimeRange) -> Vec<TableRow> {
        let mut rows = groups.table(range);
        rows.sort_by_key(|row| std::cmp::Reverse(count_of(row)));
        rows.truncate(self.count);
        let (name, field) = (Arc::from("field"), Cell::Value(field.into()));
        rows.iter_mut().for_each(|row| row.0.insert(0, (Arc::clone(&name), field.clone())));
        rows
    }
}

impl Gather for Facets {
    fn groups(&self, memory: &Arc<Memory>) -> Vec<Groups> {
        self.fields.iter().map(|field| Groups::new(grouping(field), memory.clone())).collect()
    }

    fn table(&self, groups: Vec<Groups>, range: TimeRange) -> Vec<TableRow> {
        let named = self.fields.iter().map(Field::name).zip(groups);
        named.flat_map(|(name, groups)| self.rows(name, groups, range)).collect()
    }
}

impl Operator for AllFields<'_> {
    fn take(&mut self, row: Row, run: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let view = row.view();
        let mut names: Vec<String> = Vec::new();
        match view {
            RowView::Record(_, record) => visit_names(record, &mut |name| names.push(name.to_owned())),
            RowView::Table(row) => names.extend(row.0.iter().map(|(name, _)| name.to_string())),
        }
        for name in names.into_iter().filter(|name| repeats(name)) {
            if !self.fields.contains_key(&name) {
                if self.fields.len() == FIELDS_MAX {
                    run.gap("facets looks at 100 fields at most: name those that you want");
                    continue;
                }
                let groups = Groups::new(grouping(&Field::named(&name)), run.memory.clone());
                self.fields.insert(name.clone(), groups);
            }
            if let Some(groups) = self.fields.get_mut(&name) {
                groups.add(view);
            }
        }
        Ok(())
    }

    fn finish(&mut self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let fields = std::mem::take(&mut self.fields);
        let rows = fields.into_iter().flat_map(|(name, groups)| self.stage.rows(&name, groups, run.range));
        rows.map(Row::Table).try_for_each(emit)
    }
}

fn repeats(name: &str) -> bool {
    !UNREPEATED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{MORNING, check, check_refused};

    #[test]
    fn values_of_each_field_stand_below_each_other() {
        check(
            "service:web | facets level, user",
            &[
                "field=level value=info count=8",
                "field=level value=error count=2",
                "field=user value=ann count=5",
                "field=user value=bob count=3",
            ],
        );
        check(
            "service:web | where n:<4 | facets 1 by (path, host)",
            &["field=path value=/cart count=2", "field=host value=a count=2"],
        );
        check("* | stats count() by service, level | facets 1 service", &["field=service value=web count=2"]);
        check_refused("a | facets b, b", 15, "twice");
    }

    #[test]
    fn without_names_every_field_is_looked_at() {
        let expected = [
            "field=host value=c count=4",
            "field=level value=debug count=4",
            "field=rows value=0 count=1",
            "field=service value=db count=4",
            "field=took value=1s count=1",
        ];
        check("service:db | facets 1", &expected);
        // The same by way of the rows.
        assert_eq!(MORNING.ask("service:db | head 100 | facets 1", 100).0, expected);
    }
}
