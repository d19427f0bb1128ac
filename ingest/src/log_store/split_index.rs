//! What a split's tantivy index holds: one document a record, newest first, so that a document's number is the row's.
//!
//! | field | terms |
//! |---|---|
//! | `words` | folded words of the body |
//! | `attribute_words` | folded words of the record's own text attributes |
//! | `names` | names of the fields the record has |
//! | `values` | `name NUL tag value` of every field but message and time; of an array, of each item |
//! | `time`, `seq` | no terms: columns (fast fields) |
//!
//! Tags: `s` text, `b` truth value, `i` whole number, `f` other number (as they print), `l` text longer than
//! [`VALUE_BYTES_MAX`] (its value is left out: the record must be read), `n` a severity number (a letter from `a`).
//! A NUL inside a name is doubled, and no tag is NUL, so that no name is the beginning of another's terms.

use std::fmt::Write as _;

use taffrail_collector::model::{LogRecord, Severity, Value};
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field as IndexField, IndexRecordOption, Schema, SchemaBuilder, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::field::{self, is_there, visit_leaves};
use super::words::{fold_character, is_word_character};

/// Words are indexed up to this many bytes; longer ones are cut there and looked at in the record.
pub const WORD_BYTES_MAX: usize = 128;
/// Text values up to this many bytes stand in the dictionary as they are.
pub const VALUE_BYTES_MAX: usize = 256;
/// Fields with longer names stand under [`LONG_NAME`] only (tantivy's terms have a limit of 64 KiB).
pub const NAME_BYTES_MAX: usize = 1024;
/// Stands in `names` for a field whose name is too long.
pub const LONG_NAME: &str = "\0long";
/// The tokenizer's name in the schema.
pub const TOKENIZER: &str = "taffrail_words";

/// Tags of value terms.
pub mod tag {
    /// Text.
    pub const TEXT: u8 = b's';
    /// Text too long for a term.
    pub const LONG_TEXT: u8 = b'l';
    /// Truth value.
    pub const BOOL: u8 = b'b';
    /// Whole number.
    pub const INT: u8 = b'i';
    /// Other number.
    pub const FLOAT: u8 = b'f';
    /// Severity number.
    pub const SEVERITY: u8 = b'n';
}

/// The index's fields.
#[derive(Clone, Copy, Debug)]
pub struct IndexFields {
    /// Words of the body.
    pub words: IndexField,
    /// Words of text attributes.
    pub attribute_words: IndexField,
    /// Names of fields.
    pub names: IndexField,
    /// Values of fields.
    pub values: IndexField,
    /// Timestamps.
    pub time: IndexField,
    /// Sequence numbers.
    pub seq: IndexField,
}

/// The schema of a split's index.
pub fn schema() -> (Schema, IndexFields) {
    let text = |tokenizer: &str| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let mut schema = SchemaBuilder::new();
    let fields = IndexFields {
        words: schema.add_text_field("words", text(TOKENIZER)),
        attribute_words: schema.add_text_field("attribute_words", text(TOKENIZER)),
        names: schema.add_text_field("names", text("raw")),
        values: schema.add_text_field("values", text("raw")),
        time: schema.add_i64_field("time", FAST),
        seq: schema.add_u64_field("seq", FAST),
    };
    (schema.build(), fields)
}

/// The document of a record.
pub fn document(fields: &IndexFields, record: &LogRecord, seq: u64) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    document.add_i64(fields.time, record.timestamp.unix_nanos());
    document.add_u64(fields.seq, seq);
    document.add_text(fields.words, &record.body);
    for (_, value) in &record.attributes {
        visit_leaves(value, &mut |leaf| {
            if let Value::String(text) = leaf {
                document.add_text(fields.attribute_words, text);
            }
        });
    }
    field::visit_names(record, &mut |name| {
        document.add_text(fields.names, if name.len() > NAME_BYTES_MAX { LONG_NAME } else { name });
    });
    let mut term = String::new();
    let mut text = |name: &str, text: &str| {
        if !text.is_empty() {
            text_term(&mut term, name, text);
            document.add_text(fields.values, &term);
        }
    };
    text("level", record.severity.name());
    text("severity_text", &record.severity_text);
    text("host", &record.resource.host);
    text("service", &record.resource.service);
    if let Some(id) = record.trace_id {
        text("trace_id", &id.to_string());
    }
    if let Some(id) = record.span_id {
        text("span_id", &id.to_string());
    }
    document.add_text(fields.values, severity_term(record.severity));
    field::visit_attributes(record, &mut |name, value| {
        if name.len() <= NAME_BYTES_MAX && is_there(value) {
            visit_leaves(value, &mut |leaf| {
                value_term(&mut term, name, leaf);
                document.add_text(fields.values, &term);
            });
        }
    });
    document
}

/// The beginning of all value terms of a field.
pub fn value_prefix(name: &str) -> String {
    let mut term = String::new();
    start_term(&mut term, name);
    term
}

/// The term of a severity number.
pub fn severity_term(severity: Severity) -> String {
    format!("level\0{}{}", char::from(tag::SEVERITY), char::from(b'a' + severity.number()))
}

/// Makes `term` the term of a text value.
pub fn text_term(term: &mut String, name: &str, text: &str) {
    start_term(term, name);
    if text.len() > VALUE_BYTES_MAX {
        term.push(char::from(tag::LONG_TEXT));
    } else {
        term.push(char::from(tag::TEXT));
        term.push_str(text);
    }
}

/// The value that a term says, from its tag and what follows; none for tags that hold no value.
pub fn value_of_term(tag: u8, text: &str) -> Option<Value> {
    match tag {
        tag::TEXT => Some(Value::String(text.to_owned())),
        tag::BOOL => text.parse().ok().map(Value::Bool),
        tag::INT => text.parse().ok().map(Value::Int),
        tag::FLOAT => text.parse().ok().map(Value::Float),
        _ => None,
    }
}

/// Cuts a folded word to [`WORD_BYTES_MAX`]; says whether it may have been cut.
pub fn cut_word(word: &str) -> (&str, bool) {
    // A cut word ends less than one character short of the limit.
    if word.len() <= WORD_BYTES_MAX - 4 {
        (word, false)
    } else {
        (&word[..word.floor_char_boundary(WORD_BYTES_MAX)], true)
    }
}

fn value_term(term: &mut String, name: &str, leaf: &Value) {
    let tag = match leaf {
        Value::Bool(_) => tag::BOOL,
        Value::Int(_) => tag::INT,
        Value::Float(_) => tag::FLOAT,
        Value::String(text) => return text_term(term, name, text),
        Value::Null | Value::Array(_) => return,
    };
    start_term(term, name);
    term.push(char::from(tag));
    write!(term, "{leaf}").expect("writing to a String cannot fail");
}

fn start_term(term: &mut String, name: &str) {
    term.clear();
    for part in name.split_inclusive('\0') {
        term.push_str(part);
        if part.ends_with('\0') {
            term.push('\0');
        }
    }
    term.push('\0');
}

/// Cuts text into folded words, each at most [`WORD_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default)]
pub struct WordTokenizer {
    token: Token,
}

/// The words of one text.
pub struct WordStream<'a> {
    rest: &'a str,
    token: &'a mut Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { rest: text, token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(start) = self.rest.find(is_word_character) else { return false };
        let from = &self.rest[start..];
        let end = from.find(|character| !is_word_character(character)).unwrap_or(from.len());
        let text = &mut self.token.text;
        text.clear();
        text.extend(from[..end].chars().map(fold_character));
        text.truncate(text.floor_char_boundary(WORD_BYTES_MAX));
        self.token.position = self.token.position.wrapping_add(1);
        self.rest = &from[end..];
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
