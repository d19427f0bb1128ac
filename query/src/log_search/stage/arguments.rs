//! What stands behind a stage's name: names, numbers, texts and small words, each with its column for errors.

use std::time::Duration;

use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::Field;

use super::super::ast::{Query, is_name_character};
use super::super::cursor::Cursor;
use super::super::near::did_you_mean;
use super::super::{ParseError, grammar, plan, quantity};
use super::shape::Shape;
use crate::time_range::parse_span;

/// The text behind a stage's name, read from left to right.
pub struct Arguments<'a> {
    pub(in super::super) cursor: &'a mut Cursor,
    /// Conditions of the whole question so far.
    pub(in super::super) conditions: &'a mut usize,
    /// What comes into the stage.
    pub(in super::super) shape: &'a Shape,
    /// Relative times are seen from here.
    pub(in super::super) now: Timestamp,
}

/// A name that was typed.
#[derive(Clone, Debug)]
pub struct Name {
    /// The name, its alias resolved.
    pub text: String,
    /// Where it starts.
    pub column: usize,
}

impl Name {
    /// The field of this name.
    pub fn field(&self) -> Field {
        Field::named(&self.text)
    }
}

impl Arguments<'_> {
    /// What comes into the stage.
    pub fn shape(&self) -> &Shape {
        self.shape
    }

    /// Whether the stage's text ends here.
    pub fn at_end(&mut self) -> bool {
        self.cursor.skip_spaces();
        self.cursor.peek().is_none_or(|next| next == '|')
    }

    /// Whether this character comes next.
    pub fn looks_at(&mut self, character: char) -> bool {
        self.cursor.skip_spaces();
        self.cursor.peek() == Some(character)
    }

    /// Takes this sign when it comes next.
    pub fn take(&mut self, sign: &str) -> bool {
        self.cursor.skip_spaces();
        self.cursor.take(sign)
    }

    /// Takes this sign, which has to come.
    pub fn expect(&mut self, sign: &str, how: &str) -> Result<(), ParseError> {
        if self.take(sign) { Ok(()) } else { Err(self.error(format!("`{sign}` is missing here: write {how}"))) }
    }

    /// Takes this word (in small letters or capitals) when it comes next.
    pub fn take_word(&mut self, word: &str) -> bool {
        self.cursor.skip_spaces();
        let length = word.chars().count();
        let same =
            word.chars().enumerate().all(|(by, c)| self.cursor.ahead(by).is_some_and(|n| n.eq_ignore_ascii_case(&c)));
        let whole = self.cursor.ahead(length).is_none_or(|c| !is_name_character(c) && !":=".contains(c));
        if same && whole {
            for _ in 0..length {
                self.cursor.bump();
            }
        }
        same && whole
    }

    /// The column of what comes next.
    pub fn column(&mut self) -> usize {
        self.cursor.skip_spaces();
        self.cursor.column()
    }

    /// Any name, bare or in quotes; none when no name comes next.
    pub fn any_name(&mut self) -> Result<Option<Name>, ParseError> {
        let column = self.column();
        let text = match self.cursor.peek() {
            Some('"') => Some(self.cursor.quoted()?),
            _ => self.cursor.name(),
        };
        Ok(text.filter(|text| !text.is_empty()).map(|text| Name { text, column }))
    }

    /// The name of a field of the rows that come in; of a table it has to be one of its columns.
    pub fn field(&mut self, how: &str) -> Result<Name, ParseError> {
        match self.any_name()? {
            Some(name) => self.known(name),
            None => Err(self.error(format!("the name of a field is missing here: write {how}"))),
        }
    }

    /// The name of a field that the stage makes.
    pub fn new_name(&mut self, how: &str) -> Result<Name, ParseError> {
        let name = self.any_name()?;
        name.ok_or_else(|| self.error(format!("a name is missing here: write {how}")))
    }

    /// Names of fields, separated by commas or spaces, in parentheses or not; at least one.
    pub fn fields(&mut self, how: &str) -> Result<Vec<Name>, ParseError> {
        let parentheses = self.take("(");
        let mut names = vec![self.field(how)?];
        loop {
            let comma = self.take(",");
            match self.any_name()? {
                Some(name) => names.push(self.known(name)?),
                None if comma => return Err(self.error(format!("the name of a field is missing here: write {how}"))),
                None => break,
            }
        }
        if parentheses {
            self.expect(")", how)?;
        }
        Ok(names)
    }

    /// The field that is meant, if there can be one.
    pub fn known(&self, name: Name) -> Result<Name, ParseError> {
        match self.shape {
            Shape::Records => Ok(Name { text: plan::field_name(&name.text).to_owned(), ..name }),
            Shape::Table { columns, open } => {
                if *open || columns.iter().any(|column| *column.name == name.text) {
                    return Ok(name);
                }
                let names = || columns.iter().map(|column| &*column.name);
                let near = did_you_mean(&name.text, names());
                let all = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                Err(error_at(name.column, format!("there is no column `{}` here{near}; there are {all}", name.text)))
            }
        }
    }

    /// A whole number, if one comes next.
    pub fn count(&mut self) -> Result<Option<usize>, ParseError> {
        let column = self.column();
        if !self.cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Ok(None);
        }
        let text = self.word();
        match text.parse::<u32>() {
            Ok(number) => Ok(Some(number as usize)),
            Err(_) => Err(error_at(column, format!("`{text}` is no whole number up to {}", u32::MAX))),
        }
    }

    /// A number with or without a fraction.
    pub fn number(&mut self, how: &str) -> Result<f64, ParseError> {
        let column = self.column();
        let text = self.word();
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| error_at(column, format!("a number is missing here: write {how}")))
    }

    /// A length of time of a millisecond or more.
    pub fn span(&mut self) -> Result<Duration, ParseError> {
        let column = self.column();
        let text = self.word();
        let span = parse_span(&text).map_err(|message| error_at(column, message))?;
        if span < Duration::from_millis(1) {
            return Err(error_at(column, "the least length of time is a millisecond: write time:1ms"));
        }
        Ok(span)
    }

    /// A number, with a unit where the field's name says in which (`took_ms:1s`) or it is a size.
    pub fn step(&mut self, field: &str) -> Result<f64, ParseError> {
        let column = self.column();
        let text = self.word();
        let number = quantity::number_in(field, &text).filter(|number| number.is_finite());
        number.ok_or_else(|| error_at(column, format!("`{text}` is no number: write {field}:100")))
    }

    /// Text in quotes.
    pub fn quoted(&mut self, how: &str) -> Result<String, ParseError> {
        if !self.looks_at('"') {
            return Err(self.error(format!("text in quotes is missing here: write {how}")));
        }
        self.cursor.quoted()
    }

    /// What stands between slashes, if that comes next.
    pub fn regex(&mut self) -> Option<String> {
        self.looks_at('/').then(|| self.cursor.regex()).flatten()
    }

    /// A search, as it may stand before the first stage.
    pub fn search(&mut self) -> Result<Query, ParseError> {
        grammar::search(self.cursor, self.conditions)
    }

    /// The moment that relative times are seen from.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// An error at what comes next.
    pub fn error(&mut self, message: impl Into<String>) -> ParseError {
        error_at(self.column(), message)
    }

    /// Everything up to a space, a comma or a parenthesis.
    fn word(&mut self) -> String {
        self.cursor.skip_spaces();
        let mut text = String::new();
        while let Some(c) = self.cursor.peek().filter(|c| !c.is_whitespace() && !"(),|\"".contains(*c)) {
            text.push(c);
            self.cursor.bump();
        }
        text
    }
}

/// An error at a column.
pub fn error_at(column: usize, message: impl Into<String>) -> ParseError {
    ParseError { message: message.into(), column }
}
