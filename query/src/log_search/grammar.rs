//! The tree of a search from the characters: recursive descent over the grammar that the folder's documentation draws.
//!
//! Error messages say how to write what was probably meant; their column is the first character that cannot stand.

use std::net::IpAddr;

use super::ast::{Bound, Clause, Piece, Query, Value, is_keyword, is_name_character, is_plain_name};
use super::cursor::{Cursor, Surroundings};
use super::{CLAUSES_MAX, NESTING_MAX, ParseError};

/// Reads a search up to the `|` of its first stage, or to the end of the text.
pub(super) fn search(cursor: &mut Cursor, conditions: &mut usize) -> Result<Query, ParseError> {
    cursor.skip_spaces();
    if cursor.peek().is_none_or(|next| next == '|') && !cursor.looks_at("||") {
        return Ok(Query::All);
    }
    let mut parser = Parser { cursor, scope: None, nesting: 0, start: 1, conditions };
    let query = parser.or()?;
    match parser.cursor.peek() {
        None | Some('|') => Ok(query),
        Some(_) => Err(parser.error("this parenthesis closes nothing: take it out, or quote it to look for it: \")\"")),
    }
}

struct Parser<'c> {
    cursor: &'c mut Cursor,
    /// The field before the parentheses we are in (`status:(500 OR 502)`): the outer `Some` says that there is one, the
    /// inner is none for `*:(…)`.
    scope: Option<Option<String>>,
    nesting: usize,
    /// Where the condition starts that is being read.
    start: usize,
    /// Conditions of the whole question so far.
    conditions: &'c mut usize,
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Query, ParseError> {
        let mut parts = vec![self.and()?];
        while self.take_operator("OR", "||") {
            self.expect_clause("OR")?;
            parts.push(self.and()?);
        }
        Ok(one_or(parts, Query::Or, |query| match query {
            Query::Or(parts) => Ok(parts),
            other => Err(other),
        }))
    }

    fn and(&mut self) -> Result<Query, ParseError> {
        let mut parts = vec![self.unary()?];
        loop {
            self.cursor.skip_spaces();
            let ends = match self.cursor.peek() {
                None | Some(')') => true,
                Some('|') => true,
                Some(_) => self.cursor.looks_at_keyword("OR"),
            };
            if ends {
                break;
            }
            if self.take_operator("AND", "&&") {
                self.expect_clause("AND")?;
            }
            parts.push(self.unary()?);
        }
        Ok(one_or(parts, Query::And, |query| match query {
            Query::And(parts) => Ok(parts),
            other => Err(other),
        }))
    }

    fn unary(&mut self) -> Result<Query, ParseError> {
        self.cursor.skip_spaces();
        if self.takes_negation() {
            self.cursor.skip_spaces();
            self.expect_clause("NOT")?;
            self.enter()?;
            let inner = self.unary()?;
            self.nesting -= 1;
            return Ok(Query::Not(Box::new(inner)));
        }
        for (keyword, sign) in [("AND", "&&"), ("OR", "||")] {
            let capitals = self.cursor.looks_at_keyword(keyword) && self.cursor.looks_at(keyword);
            if capitals || self.cursor.looks_at(sign) {
                return Err(self.error(&format!(
                    "{keyword} joins two conditions, and there is none before it; to look for the word, quote it"
                )));
            }
        }
        if self.cursor.peek() == Some('(') {
            return self.group();
        }
        self.clause()
    }

    /// What stands in parentheses; the cursor is on the opening one.
    fn group(&mut self) -> Result<Query, ParseError> {
        let opening = self.cursor.column();
        self.enter()?;
        self.cursor.bump();
        self.cursor.skip_spaces();
        if self.cursor.peek() == Some(')') {
            return Err(error_at(opening, "these parentheses hold nothing; quote them to look for them: \"()\""));
        }
        if self.cursor.at_end() {
            return Err(error_at(opening, "this parenthesis is not closed"));
        }
        let inner = self.or()?;
        match self.cursor.peek() {
            Some(')') => self.cursor.bump(),
            Some(_) => return Err(self.error("stages (|) cannot stand inside parentheses")),
            None => return Err(error_at(opening, "this parenthesis is not closed")),
        };
        self.nesting -= 1;
        Ok(inner)
    }

    fn clause(&mut self) -> Result<Query, ParseError> {
        self.start = self.cursor.column();
        if let Some(field) = self.scope.clone() {
            return self.value(field);
        }
        let start = self.cursor.place();
        if self.cursor.peek() == Some('"') {
            let column = self.cursor.column();
            let text = self.cursor.quoted()?;
            if self.at_field_colon() {
                return self.after_colon(text);
            }
            return self.phrase(None, text, column);
        }
        if self.cursor.take("*:") {
            self.cursor.skip_spaces();
            return self.value(None);
        }
        if self.cursor.peek() == Some(':') {
            return Err(self.error("a field's name is missing before the colon: write field:value, or quote the text"));
        }
        if let Some(name) = self.cursor.name() {
            if self.at_field_colon() {
                return self.after_colon(name);
            }
            let after_name = self.cursor.place();
            self.cursor.skip_spaces();
            if let Some(query) = self.comparison(Some(&name))? {
                return Ok(query);
            }
            if self.cursor.place() > after_name && self.at_list() {
                return self.list(Some(name));
            }
            self.cursor.go_back(start);
        }
        self.value(None)
    }

    /// Whether a colon that ends a field's name comes next, and not one inside `http://` or `std::string`.
    fn at_field_colon(&self) -> bool {
        self.cursor.peek() == Some(':') && !self.cursor.looks_at("://") && !self.cursor.looks_at("::")
    }

    fn after_colon(&mut self, name: String) -> Result<Query, ParseError> {
        self.cursor.bump();
        self.cursor.skip_spaces();
        let column = self.cursor.column();
        if name != "_exists_" {
            return self.value(Some(name));
        }
        let field = match self.cursor.peek() {
            Some('"') => Some(self.cursor.quoted()?),
            _ => self.cursor.name(),
        };
        match field {
            Some(field) => self.finish(Some(field), Value::Exists, column),
            None => Err(self.error("the name of a field is missing: write _exists_:field")),
        }
    }

    /// What may follow `field:`, or stand alone when there is no field.
    fn value(&mut self, field: Option<String>) -> Result<Query, ParseError> {
        let column = self.cursor.column();
        if let Some(query) = self.comparison(field.as_ref())? {
            return Ok(query);
        }
        let capitals = |keyword| self.cursor.looks_at(keyword) && self.cursor.looks_at_keyword(keyword);
        let missing = match self.cursor.peek() {
            None | Some(')') => true,
            Some('|') => true,
            Some(_) => field.is_some() && (capitals("AND") || capitals("OR") || self.cursor.looks_at("&&")),
        };
        if missing {
            return Err(self.value_missing(field.as_deref()));
        }
        match self.cursor.peek() {
            Some('"') => {
                let text = self.cursor.quoted()?;
                self.phrase(field, text, column)
            }
            Some('(') => {
                let outer = self.scope.replace(field);
                let inner = self.group();
                self.scope = outer;
                inner
            }
            Some('[' | '{') => self.range(field),
            Some('!') if field.is_some() && self.cursor.ahead(1).is_some_and(|c| !c.is_whitespace()) => {
                self.cursor.bump();
                self.enter()?;
                let inner = self.value(field)?;
                self.nesting -= 1;
                Ok(Query::Not(Box::new(inner)))
            }
            _ if self.at_list() => self.list(field),
            _ => self.word_or_regex(field, Surroundings::Open),
        }
    }

    /// Text in quotes that was just read; with a star right behind it (`"connection re"*`) what starts so.
    fn phrase(&mut self, field: Option<String>, text: String, column: usize) -> Result<Query, ParseError> {
        let value = match !text.is_empty() && self.cursor.take("*") {
            true => Value::Pattern(vec![Piece::Text(text), Piece::Many]),
            false => Value::Phrase(text),
        };
        self.finish(field, value, column)
    }

    fn word_or_regex(&mut self, field: Option<String>, surroundings: Surroundings) -> Result<Query, ParseError> {
        let column = self.cursor.column();
        if self.cursor.peek() == Some('/')
            && let Some(pattern) = self.cursor.regex()
        {
            return self.finish(field, Value::Regex(pattern), column);
        }
        let mut pieces = self.cursor.word(surroundings);
        if let [Piece::Text(before), Piece::Many | Piece::One, Piece::Text(after), ..] = &pieces[..]
            && field.is_none()
            && is_plain_name(before)
            && after.split_once(':').is_some_and(|(rest, _)| rest.chars().all(is_name_character))
        {
            let message =
                "the name of a field takes no wildcard: write *:value to look in every field, or quote the text";
            return Err(error_at(column, message));
        }
        let value = match &mut pieces[..] {
            [] => return Err(self.error("this character cannot stand here; quote it to look for it")),
            [Piece::Many] => Value::Exists,
            [Piece::Text(text)] => {
                let text = std::mem::take(text);
                match (network(&text), &field) {
                    (Some(Err(message)), Some(_)) => return Err(error_at(column, &message)),
                    (Some(Ok((address, length))), Some(_)) => Value::Network(address, length),
                    _ if field.is_none() && is_keyword(&text) => Value::Phrase(text),
                    _ => Value::Word(text),
                }
            }
            _ => Value::Pattern(pieces),
        };
        self.finish(field, value, column)
    }

    /// `>= 500` and its kin, when one comes next. Without a field it is an error.
    fn comparison(&mut self, field: Option<&String>) -> Result<Option<Query>, ParseError> {
        let operators = [">=", "<=", "!=", "==", ">", "<", "="];
        let column = self.cursor.column();
        let Some(operator) = operators.into_iter().find(|operator| self.cursor.looks_at(operator)) else {
            return Ok(None);
        };
        let Some(field) = field else {
            let message =
                format!("a comparison needs a field: write status{operator}500, or quote the text: \"{operator}\"");
            return Err(self.error(&message));
        };
        self.cursor.take(operator);
        self.cursor.skip_spaces();
        let Some((text, _)) = self.scalar(Surroundings::Open)? else {
            return Err(self.error(&format!("a value is missing after {operator}: write {field}{operator}500")));
        };
        let bound = |included| Some(Bound { text: text.clone(), included });
        let value = match operator {
            ">" => Value::Range { low: bound(false), high: None },
            ">=" => Value::Range { low: bound(true), high: None },
            "<" => Value::Range { low: None, high: bound(false) },
            "<=" => Value::Range { low: None, high: bound(true) },
            _ => Value::Equals(text),
        };
        let clause = self.finish(Some(field.clone()), value, column)?;
        Ok(Some(if operator == "!=" { Query::Not(Box::new(clause)) } else { clause }))
    }

    /// A word or quoted text taken as it is, and whether it was quoted; none when neither comes next.
    fn scalar(&mut self, surroundings: Surroundings) -> Result<Option<(String, bool)>, ParseError> {
        if self.cursor.peek() == Some('"') {
            return self.cursor.quoted().map(|text| Some((text, true)));
        }
        let pieces = self.cursor.word(surroundings);
        let text: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Many => "*",
                Piece::One => "?",
            })
            .collect();
        Ok((!text.is_empty()).then_some((text, false)))
    }

    /// `[low TO high}`; the cursor is on the opening bracket.
    fn range(&mut self, field: Option<String>) -> Result<Query, ParseError> {
        let column = self.cursor.column();
        let how = "a range is written field:[400 TO 499], a list field:IN [500, 502]; quote brackets to look for them";
        let Some(field) = field else { return Err(error_at(column, how)) };
        let low_included = self.cursor.bump() == Some('[');
        self.cursor.skip_spaces();
        let low = self.scalar(Surroundings::Range)?;
        self.cursor.skip_spaces();
        if !(self.cursor.take("TO") || self.cursor.take("to")) || !self.cursor.peek().is_some_and(char::is_whitespace) {
            return Err(error_at(column, how));
        }
        self.cursor.skip_spaces();
        let high = self.scalar(Surroundings::Range)?;
        self.cursor.skip_spaces();
        let high_included = match self.cursor.peek() {
            Some(']') => true,
            Some('}') => false,
            _ => return Err(self.error("a range ends with ] (the upper end belongs to it) or } (it does not)")),
        };
        let (Some(low), Some(high)) = (low, high) else { return Err(self.error(how)) };
        self.cursor.bump();
        let bound =
            |(text, quoted): (String, bool), included| (quoted || text != "*").then_some(Bound { text, included });
        let value = match (bound(low, low_included), bound(high, high_included)) {
            (None, None) => Value::Exists,
            (low, high) => Value::Range { low, high },
        };
        self.finish(Some(field), value, column)
    }

    /// Whether `IN [` comes next.
    fn at_list(&mut self) -> bool {
        let start = self.cursor.place();
        let keyword = self.cursor.take("IN") || self.cursor.take("in");
        self.cursor.skip_spaces();
        let list = keyword && self.cursor.peek() == Some('[');
        self.cursor.go_back(start);
        list
    }

    /// `IN [a, b]`; the cursor is on the keyword.
    fn list(&mut self, field: Option<String>) -> Result<Query, ParseError> {
        let column = self.cursor.column();
        let Some(field) = field else {
            return Err(error_at(column, "a list needs a field: write status:IN [500, 502]"));
        };
        self.cursor.bump();
        self.cursor.bump();
        self.cursor.skip_spaces();
        self.cursor.bump();
        let mut parts = Vec::new();
        loop {
            while self.cursor.peek().is_some_and(|c| c.is_whitespace() || c == ',') {
                self.cursor.bump();
            }
            match self.cursor.peek() {
                Some(']') => break,
                None => return Err(error_at(column, "this list is not closed: write status:IN [500, 502]")),
                Some('"') => {
                    let column = self.cursor.column();
                    let text = self.cursor.quoted()?;
                    parts.push(self.finish(Some(field.clone()), Value::Phrase(text), column)?);
                }
                Some(_) => parts.push(self.word_or_regex(Some(field.clone()), Surroundings::List)?),
            }
        }
        self.cursor.bump();
        if parts.is_empty() {
            return Err(error_at(column, "this list is empty, so nothing could match: write status:IN [500, 502]"));
        }
        Ok(one_or(parts, Query::Or, Err))
    }

    fn finish(&mut self, field: Option<String>, value: Value, column: usize) -> Result<Query, ParseError> {
        *self.conditions += 1;
        if *self.conditions > CLAUSES_MAX {
            return Err(error_at(column, &format!("a query holds at most {CLAUSES_MAX} conditions")));
        }
        match (field, value) {
            (None, Value::Exists) => Ok(Query::All),
            (field, value) => {
                let (start, end) = (self.start.min(column), self.cursor.column());
                Ok(Query::Clause(Clause { field, value, column, start, end }))
            }
        }
    }

    /// Takes `OR`, `or` or `||`.
    fn take_operator(&mut self, keyword: &str, sign: &str) -> bool {
        self.cursor.skip_spaces();
        self.cursor.take_keyword(keyword) || self.cursor.take(sign)
    }

    /// Takes `NOT`, `not`, or a `-` or `!` that stands before something. Before a digit in `field:(…)` a `-` is a sign, and
    /// `--`, `->` are text.
    fn takes_negation(&mut self) -> bool {
        if self.cursor.take_keyword("NOT") {
            return true;
        }
        let next = self.cursor.ahead(1);
        let negates = match self.cursor.peek() {
            Some('-') => {
                let sign = self.scope.is_some() && next.is_some_and(|c| c.is_ascii_digit());
                !sign && !next.is_some_and(|c| "->=".contains(c))
            }
            Some('!') => next != Some('='),
            _ => false,
        };
        let negates = negates && next.is_some_and(|c| !c.is_whitespace() && !")|".contains(c));
        if negates {
            self.cursor.bump();
        }
        negates
    }

    fn expect_clause(&mut self, operator: &str) -> Result<(), ParseError> {
        self.cursor.skip_spaces();
        match self.cursor.peek() {
            None | Some(')' | '|') => Err(self.error(&format!(
                "a condition is missing after {operator}; to look for the word itself, quote it: \"{operator}\""
            ))),
            Some(_) => Ok(()),
        }
    }

    fn value_missing(&self, field: Option<&str>) -> ParseError {
        match field {
            Some(field) => self.error(&format!(
                "a value is missing: write {field}:value, {field}:* for any value, or quote the text: \"{field}:\""
            )),
            None => self.error("a condition is missing here"),
        }
    }

    fn enter(&mut self) -> Result<(), ParseError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.error(&format!("parentheses and negations nest at most {NESTING_MAX} deep")));
        }
        Ok(())
    }

    fn error(&self, message: &str) -> ParseError {
        error_at(self.cursor.column(), message)
    }
}

fn error_at(column: usize, message: &str) -> ParseError {
    ParseError { message: message.to_owned(), column }
}

/// The only part, or all of them with parts of the same kind taken apart.
fn one_or(
    mut parts: Vec<Query>,
    kind: fn(Vec<Query>) -> Query,
    apart: fn(Query) -> Result<Vec<Query>, Query>,
) -> Query {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match apart(part) {
            Ok(inner) => flat.extend(inner),
            Err(whole) => flat.push(whole),
        }
    }
    kind(flat)
}

/// An IP network; none when the text is nothing of the kind.
fn network(text: &str) -> Option<Result<(IpAddr, u8), String>> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    Some(match length.parse::<u8>() {
        Ok(length) if length <= longest => Ok((address, length)),
        _ => {
            Err(format!("the prefix length of this network is a number from 0 to {longest}: write {address}/{longest}"))
        }
    })
}
