//! A template's text cut into plain text and the tokens between `{{` and `}}`.

use super::TemplateError;

/// A piece of the template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// Plain text, trimmed where `{{-` and `-}}` say so.
    Text(String),
    /// What stands between the braces.
    Action(Vec<Token>),
}

/// A token, and whether a space stands before it (`.a .b` are two values, `.a.b` is one).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub spaced: bool,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// `.name`
    Field(String),
    /// `$name`, without the sign; empty for `$` itself.
    Variable(String),
    /// A function's name or a keyword.
    Identifier(String),
    Text(String),
    Int(i64),
    Float(f64),
    Dot,
    Pipe,
    Open,
    Close,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Comma,
}

/// Cuts the template into pieces.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim_start = false;
    loop {
        let (plain, action) = match rest.split_once("{{") {
            Some((plain, action)) => (plain, Some(action)),
            None => (rest, None),
        };
        let mut plain = if trim_start { plain.trim_start() } else { plain };
        // `{{-` is a trim mark only when a space follows; `{{-3}}` is a number.
        let trimmed = action.and_then(|action| action.strip_prefix('-').filter(|a| a.starts_with(char::is_whitespace)));
        if trimmed.is_some() {
            plain = plain.trim_end();
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.to_owned()));
        }
        let Some(action) = trimmed.or(action) else { return Ok(pieces) };
        let (tokens, after, trims) = self::action(action)?;
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens));
        }
        trim_start = trims;
        rest = after;
    }
}

/// The tokens up to `}}` (none for a comment), what follows, and whether its leading space goes.
fn action(text: &str) -> Result<(Option<Vec<Token>>, &str, bool), TemplateError> {
    let unclosed = || TemplateError("an action that starts with {{ does not end with }}".to_owned());
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        let (_, after) =
            comment.split_once("*/").ok_or_else(|| TemplateError("a comment is not closed: */".to_owned()))?;
        return match closing(after.trim_start()).or_else(|| closing(after)) {
            Some((after, trims)) => Ok((None, after, trims)),
            None => Err(TemplateError("nothing may follow a comment but }}".to_owned())),
        };
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        if spaced && let Some((after, true)) = closing(trimmed) {
            return Ok((Some(tokens), after, true));
        }
        if let Some(after) = trimmed.strip_prefix("}}") {
            return Ok((Some(tokens), after, false));
        }
        let first = trimmed.chars().next().ok_or_else(unclosed)?;
        let (kind, after) = token(first, trimmed)?;
        tokens.push(Token { kind, spaced });
        rest = after;
    }
}

/// What follows `}}` or `-}}`, and whether it was the latter.
fn closing(text: &str) -> Option<(&str, bool)> {
    match text.strip_prefix("}}") {
        Some(after) => Some((after, false)),
        None => text.strip_prefix("-}}").map(|after| (after, true)),
    }
}

fn token(first: char, text: &str) -> Result<(TokenKind, &str), TemplateError> {
    let name_end = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let single = |kind| Ok((kind, &text[first.len_utf8()..]));
    match first {
        '|' => single(TokenKind::Pipe),
        '(' => single(TokenKind::Open),
        ')' => single(TokenKind::Close),
        ',' => single(TokenKind::Comma),
        '=' => single(TokenKind::Assign),
        ':' if text.starts_with(":=") => Ok((TokenKind::Declare, &text[2..])),
        '"' => quoted(text),
        '`' => match text[1..].split_once('`') {
            Some((raw, after)) => Ok((TokenKind::Text(raw.to_owned()), after)),
            None => Err(TemplateError("text in ` is not closed".to_owned())),
        },
        '\'' => {
            let mut inside = text[1..].chars();
            match (inside.next(), inside.next()) {
                (Some(c), Some('\'')) if c != '\\' => {
                    Ok((TokenKind::Int(i64::from(u32::from(c))), &text[c.len_utf8() + 2..]))
                }
                _ => Err(TemplateError("a character in '' is one character; texts stand in \"\"".to_owned())),
            }
        }
        '$' => {
            let end = 1 + name_end(&text[1..]);
            Ok((TokenKind::Variable(text[1..end].to_owned()), &text[end..]))
        }
        '.' if text[1..].starts_with(|c: char| c.is_ascii_digit()) => number(text),
        '.' => {
            let end = 1 + name_end(&text[1..]);
            let kind = if end == 1 { TokenKind::Dot } else { TokenKind::Field(text[1..end].to_owned()) };
            Ok((kind, &text[end..]))
        }
        c if c.is_ascii_digit() || matches!(c, '-' | '+') => number(text),
        c if c.is_alphabetic() || c == '_' => {
            let end = name_end(text);
            Ok((TokenKind::Identifier(text[..end].to_owned()), &text[end..]))
        }
        c => Err(TemplateError(format!("{c:?} means nothing in an action"))),
    }
}

fn number(text: &str) -> Result<(TokenKind, &str), TemplateError> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let mut end = sign;
    let bytes = text.as_bytes();
    while end < bytes.len() {
        let exponent_sign = matches!(bytes[end], b'-' | b'+') && matches!(bytes[end - 1], b'e' | b'E') && end > sign;
        if !(bytes[end].is_ascii_alphanumeric() || matches!(bytes[end], b'.' | b'_') || exponent_sign) {
            break;
        }
        end += 1;
    }
    let written = &text[..end];
    let plain = written.replace('_', "");
    let hexadecimal = plain.get(sign..).and_then(|digits| digits.strip_prefix("0x").or(digits.strip_prefix("0X")));
    let kind = if let Some(digits) = hexadecimal {
        let number = i64::from_str_radix(digits, 16).ok();
        number.map(|number| TokenKind::Int(if plain.starts_with('-') { -number } else { number }))
    } else if let Ok(number) = plain.parse::<i64>() {
        Some(TokenKind::Int(number))
    } else {
        let digit =
            plain.get(sign..).is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        plain.parse::<f64>().ok().filter(|number| digit && number.is_finite()).map(TokenKind::Float)
    };
    match kind {
        Some(kind) => Ok((kind, &text[end..])),
        None => Err(TemplateError(format!("{written:?} is no number"))),
    }
}

/// Text in double quotes with Go's escapes.
fn quoted(text: &str) -> Result<(TokenKind, &str), TemplateError> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((TokenKind::Text(value), &text[at + 1..])),
            '\n' => break,
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, escaped @ ('"' | '\\' | '\''))) => value.push(escaped),
                Some((at, digits @ ('x' | 'u' | 'U'))) => {
                    let length = match digits {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let code = text.get(at + 1..at + 1 + length).and_then(|code| u32::from_str_radix(code, 16).ok());
                    let decoded = code.and_then(char::from_u32);
                    value.push(decoded.ok_or_else(|| TemplateError(format!("\\{digits} needs {length} digits")))?);
                    characters.nth(length - 1);
                }
                other => {
                    let written = other.map_or(String::new(), |(_, c)| c.to_string());
                    return Err(TemplateError(format!(
                        "\\{written} is no escape: write \\\\ for a backslash, or use `…`"
                    )));
                }
            },
            c => value.push(c),
        }
    }
    Err(TemplateError("a text in \" is not closed".to_owned()))
}
