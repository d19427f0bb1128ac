//! `head 100`, or `limit 100`: the first rows; the search stops when it has them.

use super::super::ParseError;
use super::super::row::Row;
use super::arguments::Arguments;
use super::shape::Fields;
use super::{Flow, Halt, Operator, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const HEAD: Syntax =
    Syntax { name: "head", usage: "head [count]", purpose: "the first rows, 10 when no count is given", parse };

pub(super) const LIMIT: Syntax = Syntax { name: "limit", usage: "limit [count]", purpose: "the same as head", parse };

/// Rows when no count is given.
pub(super) const COUNT_DEFAULT: usize = 10;

#[derive(Debug)]
struct Head(usize);

/// Lets so many rows pass.
pub(super) struct First {
    pub(super) left: usize,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let count = arguments.count()?.unwrap_or(COUNT_DEFAULT);
    let shape = arguments.shape().clone();
    parsed(Head(count), shape)
}

impl Stage for Head {
    fn reads(&self, wanted: Fields) -> Fields {
        wanted
    }

    fn rows(&self, wanted: Option<usize>) -> Option<usize> {
        Some(wanted.map_or(self.0, |wanted| wanted.min(self.0)))
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Ordered(Box::new(First { left: self.0 }))
    }
}

impl Operator for First {
    fn take(&mut self, row: Row, _: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        if self.left == 0 {
            return Err(Halt::Enough);
        }
        self.left -= 1;
        emit(row)?;
        if self.left == 0 { Err(Halt::Enough) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{MORNING, check, check_refused};

    #[test]
    fn the_first_rows_are_enough() {
        check("service:web | head 2", &["GET 9 500", "GET 8 200"]);
        check("service:web | limit 1 | head 3", &["GET 9 500"]);
        check("service:web | head 0", &[]);
        check("service:web | head 2 | where n:8", &["GET 8 200"]);
        check("service:web | where n:<3 | head 1", &["GET 2 404"]);
        check("* | stats count() by service | head 1", &["service=db count=4"]);
        assert_eq!(MORNING.ask("service:web | head", 1_000).0.len(), 10);
    }

    #[test]
    fn the_answers_own_limit_tells_whether_there_is_more() {
        let more = |text: &str, limit| (MORNING.ask(text, limit).0.len(), MORNING.ask(text, limit).1.more);
        assert_eq!(more("service:web | head 5", 5), (5, false));
        assert_eq!(more("service:web | head 5", 4), (4, true));
        assert_eq!(more("* | stats count() by n", 3), (3, true));
    }

    #[test]
    fn a_count_is_a_whole_number() {
        check_refused("a | head 1.5", 10, "no whole number");
        check_refused("a | head 9999999999", 10, "no whole number");
        check_refused("a | head ten", 10, "ends before this: write head [count]");
    }
}
