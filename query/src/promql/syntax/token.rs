//! Words, numbers, texts and signs of a query.

use super::{Span, SyntaxError};

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) span: Span,
    pub(super) kind: TokenKind,
}

/// What a token is. Words are kept as they are written: what is a keyword depends on where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A name, with or without colons.
    Word(String),
    Number(f64),
    /// Milliseconds.
    Duration(i64),
    Text(String),
    /// An operator, bracket or other sign.
    Sign(&'static str),
    End,
}

/// Signs, the longer ones first.
const SIGNS: [&str; 30] = [
    "==", "!=", "=~", "!~", ">=", "<=", ">/", "</", "=", ">", "<", "+", "-", "*", "/", "%", "^", "(", ")", "[", "]",
    "{", "}", ",", ":", "@", "!", "&", "|", ";",
];

/// The tokens of a text, [`TokenKind::End`] last.
pub(super) fn tokens(query: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut lexer = Lexer { query, at: 0, brackets: 0, braces: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let is_end = token.kind == TokenKind::End;
        tokens.push(token);
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'q> {
    query: &'q str,
    at: usize,
    /// `[` that are open: inside, `:` is a sign of its own.
    brackets: usize,
    /// `{` that are open: inside, names are label names.
    braces: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Token, SyntaxError> {
        self.skip_blanks();
        let start = self.at;
        let rest = &self.query[start..];
        let Some(first) = rest.chars().next() else { return Ok(self.token(start, 0, TokenKind::End)) };
        if first == '"' || first == '\'' || first == '`' {
            return self.text(start, first);
        }
        let second = rest.chars().nth(1);
        if first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit())) {
            return self.number(start);
        }
        let is_colon_name =
            first == ':' && self.brackets == 0 && self.braces == 0 && second.is_some_and(|c| is_word(c) || c == ':');
        if first.is_ascii_alphabetic() || first == '_' || is_colon_name {
            let colons = self.brackets == 0 && self.braces == 0;
            let length = rest.find(|c: char| !(is_word(c) || (colons && c == ':'))).unwrap_or(rest.len()).max(1);
            let word = &rest[..length];
            let kind = match word.to_ascii_lowercase().as_str() {
                "inf" if self.braces == 0 => TokenKind::Number(f64::INFINITY),
                "nan" if self.braces == 0 => TokenKind::Number(f64::NAN),
                _ => TokenKind::Word(word.to_owned()),
            };
            return Ok(self.token(start, length, kind));
        }
        // Between matchers `>/` and the like mean nothing.
        match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(&sign) if !matches!(sign, "!" | "&" | "|" | ";") => {
                match sign {
                    "[" => self.brackets += 1,
                    "]" => self.brackets = self.brackets.saturating_sub(1),
                    "{" => self.braces += 1,
                    "}" => self.braces = self.braces.saturating_sub(1),
                    _ => {}
                }
                Ok(self.token(start, sign.len(), TokenKind::Sign(sign)))
            }
            _ => {
                let span = Span { start, end: start + first.len_utf8() };
                let inside = if self.braces > 0 { " inside braces" } else { "" };
                Err(SyntaxError::new(span, format!("unexpected character{inside}: {first:?}")))
            }
        }
    }

    fn token(&mut self, start: usize, length: usize, kind: TokenKind) -> Token {
        self.at = start + length;
        Token { span: Span { start, end: start + length }, kind }
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = &self.query[self.at..];
            let blanks = rest.find(|c: char| !matches!(c, ' ' | '\t' | '\n' | '\r')).unwrap_or(rest.len());
            self.at += blanks;
            let rest = &rest[blanks..];
            if !rest.starts_with('#') {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn text(&mut self, start: usize, quote: char) -> Result<Token, SyntaxError> {
        let rest = &self.query[start..];
        let mut escaped = false;
        for (at, character) in rest.char_indices().skip(1) {
            if escaped {
                escaped = false;
            } else if character == '\\' && quote != '`' {
                escaped = true;
            } else if character == '\n' && quote != '`' {
                break;
            } else if character == quote {
                let span = Span { start, end: start + at + 1 };
                let text = super::unquote(&rest[..at + 1]);
                let text = text.map_err(|_| SyntaxError::new(span, "error unquoting string: invalid syntax"))?;
                return Ok(self.token(start, at + 1, TokenKind::Text(text)));
            }
        }
        let kind = if quote == '`' { "raw" } else { "quoted" };
        Err(SyntaxError::new(Span { start, end: self.query.len() }, format!("unterminated {kind} string")))
    }

    /// A number (`1`, `.5`, `1e3`, `0x1F`, `1_000`) or a duration (`1h30m`).
    fn number(&mut self, start: usize) -> Result<Token, SyntaxError> {
        let rest = &self.query[start..];
        let bytes = rest.as_bytes();
        let is_hex = bytes[0] == b'0' && bytes.get(1).is_some_and(|x| matches!(x, b'x' | b'X'));
        let mut length = 0;
        while let Some(&byte) = bytes.get(length) {
            let after_exponent = length > 0 && !is_hex && matches!(bytes[length - 1], b'e' | b'E');
            let belongs = byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'_')
                || (matches!(byte, b'+' | b'-') && after_exponent);
            if !belongs {
                break;
            }
            length += 1;
        }
        let text = &rest[..length];
        let span = Span { start, end: start + length };
        if let Some(number) = number(text) {
            return Ok(self.token(start, length, TokenKind::Number(number)));
        }
        match duration_ms(text) {
            Some(Ok(ms)) => Ok(self.token(start, length, TokenKind::Duration(ms))),
            Some(Err(message)) => Err(SyntaxError::new(span, message)),
            None => Err(SyntaxError::new(span, format!("bad number or duration syntax: {text:?}"))),
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// A number without a sign, as Go reads it.
pub(super) fn number(text: &str) -> Option<f64> {
    let well_placed = |digits: fn(&u8) -> bool| {
        let bytes = text.as_bytes();
        bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'_')
            .all(|(at, _)| at > 0 && bytes.get(at - 1).is_some_and(digits) && bytes.get(at + 1).is_some_and(digits))
    };
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let digits: String = hex.strip_prefix('_').unwrap_or(hex).chars().filter(|&c| c != '_').collect();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        return Some(digits.chars().filter_map(|digit| digit.to_digit(16)).fold(0.0, |v, d| v * 16.0 + f64::from(d)));
    }
    if !well_placed(u8::is_ascii_digit) {
        return None;
    }
    // A whole number that begins with 0 is octal in old queries and durations alike: it is read as decimal.
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    let is_plain = plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    plain.parse().ok().filter(|_| is_plain)
}

/// Milliseconds of `1y2w3d4h5m6s7ms`: units from long to short, each once. None when it does not look like a duration.
pub(super) fn duration_ms(text: &str) -> Option<Result<i64, String>> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("ms", 1),
        ("m", 60_000),
        ("s", 1_000),
    ];
    let mut rest = text;
    let mut total: Option<i64> = Some(0);
    let mut before = i64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let count: Option<i64> = rest[..digits].parse().ok();
        rest = &rest[digits..];
        let (unit, length) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        if *length >= before {
            return Some(Err(format!("not a valid duration string: {text:?}")));
        }
        before = *length;
        rest = &rest[unit.len()..];
        total = count.and_then(|count| count.checked_mul(*length)).zip(total).and_then(|(a, b)| a.checked_add(b));
    }
    // As far as Go's nanoseconds reach.
    let total = total.filter(|&ms| ms <= i64::MAX / 1_000_000);
    Some(total.ok_or_else(|| "duration out of range".to_owned()))
}

impl TokenKind {
    /// As Prometheus' messages say it.
    pub(super) fn describe(&self, text: &str) -> String {
        match self {
            TokenKind::Word(word) => match word.to_ascii_lowercase().as_str() {
                keyword @ ("by" | "without" | "on" | "ignoring" | "group_left" | "group_right" | "bool" | "offset"
                | "anchored" | "smoothed" | "fill" | "fill_left" | "fill_right") => format!("<{keyword}>"),
                operator @ ("and" | "or" | "unless" | "atan2") => format!("<op:{operator}>"),
                aggregator if super::Aggregator::named(aggregator).is_some() => format!("<aggr:{aggregator}>"),
                _ => format!("identifier {word:?}"),
            },
            TokenKind::Number(_) => format!("number {text:?}"),
            TokenKind::Duration(_) => format!("duration {text:?}"),
            TokenKind::Text(_) => format!("string {text}"),
            TokenKind::Sign(sign @ ("(" | ")" | "[" | "]" | "{" | "}" | "," | ":" | "=")) => format!("{sign:?}"),
            TokenKind::Sign("@") => "<op:@>".to_owned(),
            TokenKind::Sign(sign) => format!("<op:{sign}>"),
            TokenKind::End => "end of input".to_owned(),
        }
    }
}
