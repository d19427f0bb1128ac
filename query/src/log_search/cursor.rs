//! The characters of a query and where one stands in them: words, quoted text, regular expressions and keywords.

use super::ast::{Piece, is_name_character, is_special};
use super::{ParseError, TEXT_BYTES_MAX};

/// A place in the text.
pub(super) struct Cursor {
    characters: Vec<char>,
    at: usize,
}

/// Which characters end a word besides those that always do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Surroundings {
    /// Spaces, parentheses, quotes, `|` and `&&` alone.
    Open,
    /// Inside `[…]` or `{…}`: the closing brackets too.
    Range,
    /// Inside `IN […]`: the closing brackets and commas too.
    List,
}

impl Cursor {
    /// At the start of the text, unless that is too long.
    pub(super) fn new(text: &str) -> Result<Cursor, ParseError> {
        if text.len() > TEXT_BYTES_MAX {
            let column = text.char_indices().take_while(|(at, _)| *at < TEXT_BYTES_MAX).count() + 1;
            return Err(ParseError { message: format!("a query holds at most {} KiB", TEXT_BYTES_MAX >> 10), column });
        }
        Ok(Cursor { characters: text.chars().collect(), at: 0 })
    }

    /// The column of the next character, from 1.
    pub(super) fn column(&self) -> usize {
        self.at + 1
    }

    /// The characters from one place to another.
    pub(super) fn text(&self, from: usize, to: usize) -> String {
        self.characters[from..to].iter().collect()
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> Option<char> {
        self.characters.get(self.at + by).copied()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let character = self.peek();
        self.at += usize::from(character.is_some());
        character
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.characters.len()
    }

    /// Takes the text when it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let there = self.looks_at(text);
        if there {
            self.at += text.chars().count();
        }
        there
    }

    pub(super) fn looks_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(by, wanted)| self.ahead(by) == Some(wanted))
    }

    /// Whether this upper-case keyword comes next as a word of its own: in capitals, or in small letters when something
    /// follows that it can refer to (a lone `not` at the end is a word).
    pub(super) fn looks_at_keyword(&self, keyword: &str) -> bool {
        let length = keyword.chars().count();
        let whole = self.ahead(length).is_none_or(|c| c.is_whitespace() || "()\"".contains(c));
        if !whole {
            return false;
        }
        if self.looks_at(keyword) {
            return true;
        }
        let mut rest = self.characters[(self.at + length).min(self.characters.len())..].iter();
        self.looks_at(&keyword.to_ascii_lowercase())
            && rest.find(|c| !c.is_whitespace()).is_some_and(|c| !")|".contains(*c))
    }

    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let there = self.looks_at_keyword(keyword);
        if there {
            self.at += keyword.chars().count();
        }
        there
    }

    /// A field's name, without looking at what follows; the cursor stays when there is none.
    pub(super) fn name(&mut self) -> Option<String> {
        let start = self.at;
        let mut name = String::new();
        if self.take("@") {
            name.push('@');
        }
        let first = self.at;
        while let Some(c) = self.peek() {
            match (c, self.ahead(1)) {
                ('\\', Some(escaped)) if is_special(escaped) => {
                    name.push(escaped);
                    self.at += 2;
                }
                (c, _) if is_name_character(c) => {
                    if self.at == first && !(c.is_alphabetic() || c == '_') {
                        break;
                    }
                    name.push(c);
                    self.at += 1;
                }
                _ => break,
            }
        }
        if self.at == first {
            self.at = start;
            return None;
        }
        Some(name)
    }

    /// Text in quotes; the cursor stands on the opening one. `\"` and `\\` are escapes, any other backslash stands for
    /// itself, so that Windows paths can be pasted.
    pub(super) fn quoted(&mut self) -> Result<String, ParseError> {
        let column = self.column();
        self.at += 1;
        let mut text = String::new();
        loop {
            match (self.bump(), self.peek()) {
                (Some('"'), _) => return Ok(text),
                (Some('\\'), Some(escaped @ ('"' | '\\'))) => {
                    text.push(escaped);
                    self.at += 1;
                }
                (Some(c), _) => text.push(c),
                (None, _) => {
                    let message = "this quotation mark is not closed: write \"some words\", and \\\" for a mark inside";
                    return Err(ParseError { message: message.to_owned(), column });
                }
            }
        }
    }

    /// What stands between slashes, when the slash the cursor is on opens a regular expression and not a path.
    pub(super) fn regex(&mut self) -> Option<String> {
        let start = self.at;
        let mut pattern = String::new();
        self.at += 1;
        while let Some(c) = self.bump() {
            match c {
                '\\' => match self.bump() {
                    Some('/') => pattern.push('/'),
                    Some(escaped) => pattern.extend(['\\', escaped]),
                    None => break,
                },
                '/' => {
                    let ends = self.peek().is_none_or(|c| c.is_whitespace() || ")]}|,".contains(c));
                    if ends && !pattern.is_empty() {
                        return Some(pattern);
                    }
                    break;
                }
                c => pattern.push(c),
            }
        }
        self.at = start;
        None
    }

    /// A word and its wildcards; empty when none starts here.
    pub(super) fn word(&mut self, surroundings: Surroundings) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        while let Some(c) = self.peek() {
            let piece = match c {
                c if self.ends_word(c, surroundings) => break,
                '*' => Some(Piece::Many),
                '?' => Some(Piece::One),
                '\\' => {
                    let escaped = self.ahead(1).filter(|&c| is_special(c));
                    self.at += usize::from(escaped.is_some());
                    text.push(escaped.unwrap_or(c));
                    None
                }
                c => {
                    text.push(c);
                    None
                }
            };
            self.at += 1;
            if let Some(piece) = piece {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                // Two stars say what one says.
                if !(piece == Piece::Many && pieces.last() == Some(&Piece::Many)) {
                    pieces.push(piece);
                }
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces
    }

    fn ends_word(&self, c: char, surroundings: Surroundings) -> bool {
        c.is_whitespace()
            || "()\"|".contains(c)
            || (c == '&' && self.ahead(1) == Some('&'))
            || (surroundings != Surroundings::Open && "]}".contains(c))
            || (surroundings == Surroundings::List && c == ',')
    }
}
