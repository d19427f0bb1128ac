//! Comma-separated values (RFC 4180) of stored text, which is hostile: what a spreadsheet would run as a formula gets an
//! apostrophe before it (OWASP, "CSV injection"). Plain numbers stay numbers.

/// One row, with its end.
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut row = String::new();
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            row.push(',');
        }
        push_cell(cell, &mut row);
    }
    row.push_str("\r\n");
    row
}

fn push_cell(text: &str, into: &mut String) {
    let guard = if is_formula(text) { "'" } else { "" };
    if !text.contains(['"', ',', '\r', '\n']) {
        into.push_str(guard);
        into.push_str(text);
        return;
    }
    into.push('"');
    into.push_str(guard);
    into.push_str(&text.replace('"', "\"\""));
    into.push('"');
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number(text)
}

/// `-12.5`, `+3`: digits with at most one point between them.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_formulas_are_disarmed() {
        let check = |cells: &[&str], expected: &str| {
            assert_eq!(row(cells.iter().copied()), format!("{expected}\r\n"), "{cells:?}");
        };
        check(&[], "");
        check(&["a", "", "b c"], "a,,b c");
        check(&["a,b", "say \"no\"", "two\nlines"], "\"a,b\",\"say \"\"no\"\"\",\"two\nlines\"");
        check(&["=1+1", "+cmd", "-x", "@sum", "\tx"], "'=1+1,'+cmd,'-x,'@sum,'\tx");
        check(&["=A1,B1", "\r1"], "\"'=A1,B1\",\"'\r1\"");
        check(&["-1", "+2", "-1.5", "-", "-1.", "--1", "-1e5"], "-1,+2,-1.5,'-,'-1.,'--1,'-1e5");
    }
}
