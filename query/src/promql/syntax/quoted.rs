//! Text in quotes: double and single ones know Go's escapes, back quotes none.

/// What the text in quotes stands for. The error says what is wrong with it.
pub(crate) fn unquote(quoted: &str) -> Result<String, String> {
    let wrong = || "invalid syntax".to_owned();
    let quote = quoted.chars().next().filter(|quote| ['"', '\'', '`'].contains(quote)).ok_or_else(wrong)?;
    let inside = quoted[1..].strip_suffix(quote).ok_or_else(wrong)?;
    if quote == '`' {
        return if inside.contains('`') { Err(wrong()) } else { Ok(inside.replace('\r', "")) };
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(character) = rest.next() {
        if character == '\n' || character == quote {
            return Err(wrong());
        }
        if character != '\\' {
            bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.next().ok_or_else(wrong)?;
        let digits = |rest: &mut std::str::Chars<'_>, count: usize, radix: u32, first: u32| {
            (0..count).try_fold(first, |value, _| {
                rest.next().and_then(|digit| digit.to_digit(radix)).map(|digit| value * radix + digit).ok_or_else(wrong)
            })
        };
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            '\'' | '"' if escape == quote => bytes.push(quote as u8),
            'x' => bytes.push(digits(&mut rest, 2, 16, 0)? as u8),
            'u' | 'U' => {
                let code = digits(&mut rest, if escape == 'u' { 4 } else { 8 }, 16, 0)?;
                let character = char::from_u32(code).ok_or_else(wrong)?;
                bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            '0'..='7' => {
                let first = escape.to_digit(8).ok_or_else(wrong)?;
                bytes.push(u8::try_from(digits(&mut rest, 2, 8, first)?).map_err(|_| wrong())?);
            }
            _ => return Err(wrong()),
        }
    }
    // Bytes that are no UTF-8 stand as U+FFFD: they are refused where a name is wanted.
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The text in double quotes, as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            control if u32::from(control) < 0x20 || control == '\u{7f}' => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
