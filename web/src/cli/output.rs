//! Answers in the form that `-o` asks for: lines, a table, bare text, JSON or CSV. [`RecordPrinter`] takes records, [`RowPrinter`] rows
//! of any columns; both write as they go, a table a page at a time, so that an answer of any size takes no memory.

use std::borrow::Cow;
use std::io;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::terminal::{Format, harmless, is_terminal, print_line, print_verbatim, record_line, width};
use super::text_table::{Cell, Column, Table, gives_way, left, right};
use crate::csv;

/// Rows from which the widths of a table's columns are learned, and which are then shown at once.
const PAGE_ROWS: usize = 500;

/// What answers look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line a record: time, level, host, service, message
    Lines,
    /// Columns below headings
    Table,
    /// Of records the message alone, of rows the values with tabs between them
    Raw,
    /// JSON, an object a line
    Json,
    /// Comma-separated values with headings; what a spreadsheet would run as a formula is disarmed
    Csv,
}

/// `-o` and its short form.
#[derive(Args, Clone, Debug)]
pub struct OutputChoice {
    /// How the answer is written
    #[arg(short, long, value_name = "FORMAT", value_enum, conflicts_with = "json")]
    output: Option<Output>,
    /// The same as -o json
    #[arg(long)]
    json: bool,
}

impl OutputChoice {
    /// What was asked for, if anything was.
    pub fn chosen(&self) -> Option<Output> {
        if self.json { Some(Output::Json) } else { self.output }
    }

    /// What was asked for, or lines.
    pub fn for_records(&self) -> Output {
        self.chosen().unwrap_or(Output::Lines)
    }

    /// What was asked for, or a table.
    pub fn for_rows(&self) -> Output {
        self.chosen().unwrap_or(Output::Table)
    }
}

/// Prints rows whose columns are known before the first of them.
#[derive(Debug)]
pub struct RowPrinter {
    output: Output,
    columns: Vec<String>,
    /// Rows of a table that wait for its page to be full.
    page: Vec<Vec<Value>>,
    widths: Vec<usize>,
    is_begun: bool,
}

impl RowPrinter {
    /// Prints rows with these columns.
    pub fn new(output: Output, columns: Vec<String>) -> RowPrinter {
        RowPrinter { output, columns, page: Vec::new(), widths: Vec::new(), is_begun: false }
    }

    /// Prints an object as a row; what it has no value for stays empty.
    pub fn object(&mut self, mut row: Map<String, Value>) -> io::Result<()> {
        if self.output == Output::Json {
            return print_line(&Value::Object(row).to_string());
        }
        let values = self.columns.iter().map(|column| row.remove(column).unwrap_or_default()).collect();
        self.row(values)
    }

    /// Prints a row with a value for each column.
    pub fn row(&mut self, values: Vec<Value>) -> io::Result<()> {
        let began = std::mem::replace(&mut self.is_begun, true);
        match self.output {
            Output::Json => {
                let row: Map<String, Value> = self.columns.iter().cloned().zip(values).collect();
                print_line(&Value::Object(row).to_string())
            }
            Output::Csv => {
                if !began {
                    print_verbatim(&csv::row(self.columns.iter().map(String::as_str)))?;
                }
                let cells: Vec<_> = values.iter().map(text_of).collect();
                print_verbatim(&csv::row(cells.iter().map(|cell| &**cell)))
            }
            Output::Lines | Output::Raw => {
                let cells: Vec<_> = values.iter().map(|value| harmless(&text_of(value), Format::Plain)).collect();
                print_line(&cells.join("\t"))
            }
            Output::Table => {
                self.page.push(values);
                if self.page.len() < PAGE_ROWS { Ok(()) } else { self.flush() }
            }
        }
    }

    /// Shows what waits for a full page.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.page.is_empty() {
            return Ok(());
        }
        let page = std::mem::take(&mut self.page);
        let mut table = Table::new(self.table_columns(&page));
        for row in page {
            table.row(row.iter().map(|value| Cell::new(text_of(value))).collect());
        }
        let width = width().unwrap_or(usize::MAX);
        table.lines_below(width, &mut self.widths).iter().try_for_each(|line| print_line(line.trim_end()))
    }

    /// Columns of nothing but numbers stand to the right; the last one, if it is text, gives way on a narrow terminal.
    fn table_columns(&self, page: &[Vec<Value>]) -> Vec<Column> {
        let last = self.columns.len().saturating_sub(1);
        let column = |(at, name): (usize, &String)| {
            let stands = match page.iter().all(|row| row[at].is_number() || row[at].is_null()) {
                true => right(""),
                false if at == last => gives_way(""),
                false => left(""),
            };
            stands.named(name)
        };
        self.columns.iter().enumerate().map(column).collect()
    }
}

/// Prints records.
#[derive(Debug)]
pub struct RecordPrinter {
    output: Output,
    fields: Vec<String>,
    rows: RowPrinter,
}

impl RecordPrinter {
    /// Prints records and, of their attributes, these.
    pub fn new(output: Output, fields: Vec<String>) -> RecordPrinter {
        let names = ["time", "level", "host", "service"].into_iter().map(str::to_owned);
        let mut columns: Vec<String> = names.collect();
        columns.extend(fields.iter().filter(|field| *field != "message").cloned());
        if output == Output::Csv && !columns.iter().any(|column| column == "trace_id") {
            columns.push("trace_id".to_owned());
        }
        columns.push("message".to_owned());
        RecordPrinter { output, fields, rows: RowPrinter::new(output, columns) }
    }

    /// Prints a record, as the server sent it.
    pub fn print(&mut self, record: &Value) -> io::Result<()> {
        match self.output {
            Output::Lines => {
                let format = if is_terminal() { Format::Terminal } else { Format::Plain };
                print_line(&record_line(record, &self.fields, format))
            }
            Output::Json => print_line(&record.to_string()),
            Output::Raw if is_terminal() => {
                print_line(&harmless(record["message"].as_str().unwrap_or_default(), Format::Terminal))
            }
            Output::Raw => {
                print_verbatim(record["message"].as_str().unwrap_or_default())?;
                print_verbatim("\n")
            }
            Output::Table | Output::Csv => {
                let value = |name: &String| match &record[name] {
                    Value::Null => record["attributes"][name].clone(),
                    value => value.clone(),
                };
                let values = self.rows.columns.iter().map(value).collect();
                self.rows.row(values)
            }
        }
    }

    /// Shows what waits for a full page.
    pub fn flush(&mut self) -> io::Result<()> {
        self.rows.flush()
    }
}

/// A value as a cell shows it: texts as they are, nothing for null.
fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_pages_below_each_other() {
        let columns = ["service", "count", "example"].map(str::to_owned).to_vec();
        let mut printer = RowPrinter::new(Output::Table, columns);
        let mut page = |rows: Vec<Vec<Value>>| {
            let mut table = Table::new(printer.table_columns(&rows));
            for row in rows {
                table.row(row.iter().map(|value| Cell::new(text_of(value))).collect());
            }
            let lines = table.lines_below(80, &mut printer.widths);
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect::<Vec<_>>()
        };
        let first = page(vec![
            vec![json!("web"), json!(12), json!("a\x1b[2J")],
            vec![json!(null), json!(3.5), json!(["x", 1])],
        ]);
        assert_eq!(first, ["service  count  example", "web         12  a\\x1b[2J", "           3.5  [\"x\",1]"]);
        let second = page(vec![vec![json!("checkout"), json!(1), json!("")]]);
        assert_eq!(second, ["checkout      1  "]);
    }
}
