//! `where status:>=500 -path:/health`: the rows that match a search.

use taffrail_ingest::log_store::{CompiledFilter, Filter};

use super::super::row::Row;
use super::super::{ParseError, plan};
use super::arguments::{Arguments, Name, error_at};
use super::shape::{Fields, Shape};
use super::{Each, Parsed, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "where",
    usage: "where search",
    purpose: "keeps rows that match a search, of records and of tables",
    parse,
};

#[derive(Debug)]
struct Where {
    filter: CompiledFilter,
    reads: Fields,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let column = arguments.column();
    if arguments.at_end() {
        return Err(error_at(column, "a condition is missing here: write where status:>=500"));
    }
    let query = arguments.search()?;
    if let Shape::Table { .. } = arguments.shape() {
        for (name, column) in query.fields() {
            arguments.known(Name { text: plan::field_name(name).to_owned(), column })?;
        }
    }
    let filter = plan::filter(&query, arguments.now())?;
    let reads = fields_of(&filter);
    let filter = filter.compile().map_err(|error| error_at(column, error.to_string()))?;
    parsed(Where { filter, reads }, arguments.shape().clone())
}

impl Stage for Where {
    fn reads(&self, wanted: Fields) -> Fields {
        wanted.union(self.reads.clone())
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Each(self)
    }
}

impl Each for Where {
    fn each(&self, row: Row) -> Option<Row> {
        let matches = match &row {
            Row::Record(stored) => self.filter.matches(&stored.record),
            Row::Table(row) => self.filter.matches(&row.to_record()),
        };
        matches.then_some(row)
    }
}

/// The fields that the filter looks at.
fn fields_of(filter: &Filter) -> Fields {
    let none = Fields::only([]);
    match filter {
        Filter::All | Filter::Nothing => none,
        Filter::And(filters) | Filter::Or(filters) => filters.iter().map(fields_of).fold(none, Fields::union),
        Filter::Not(filter) => fields_of(filter),
        Filter::Text { everywhere: true, .. } | Filter::Pattern(_) => Fields::All,
        Filter::Text { everywhere: false, .. } => Fields::only(["message"]),
        Filter::Field { name, .. } => Fields::only([name.as_str()]),
        Filter::SeverityBetween(..) => Fields::only(["level"]),
        Filter::Trace(_) => Fields::only(["trace_id"]),
        Filter::Span(_) => Fields::only(["span_id"]),
        Filter::Time(_) => Fields::only(["time"]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn rows_are_kept_that_match() {
        check("status:>=400 | where status:<500", &["GET 7 404", "GET 2 404"]);
        check("service:web | where -user:* took_ms:>50ms", &["GET 7 404"]);
        check("* | where level:error OR took:2s | head 2", &["GET 9 500", "GET 4 500"]);
        check("* | stats count() by service | where count:>5", &["service=web count=10"]);
        check("* | where took:>2500ms | fields took", &["took=4s", "took=3s"]);
        check("* | stats count() by level | where level:>=info", &["level=error count=2", "level=info count=8"]);
        check(
            "service:db | stats count() by time:5m | where time:<2024-11-21T07:05:00Z",
            &["time=2024-11-21T07:00:00.000Z count=3"],
        );
    }

    #[test]
    fn conditions_are_checked_where_they_stand() {
        check_refused("a | where", 10, "a condition is missing");
        check_refused("a | where level:loud", 17, "no level");
        check_refused("a | where (b", 11, "not closed");
        check_refused("a | stats count() by host | where hots:x", 35, "did you mean `host`?");
    }
}
