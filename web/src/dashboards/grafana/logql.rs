//! Simple selectors of Loki in the search language: `{service="shop"} |= "timeout"` becomes `service:"shop" "timeout"`.
//! (<https://grafana.com/docs/loki/latest/query/log_queries/>)

/// The question, and the part that could not be mapped; none when not even the selector is one.
pub fn map(text: &str) -> Option<(String, Option<String>)> {
    let rest = text.trim().strip_prefix('{')?;
    let mut clauses = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.starts_with('}') {
        let end = rest.find(['=', '!'])?;
        let name = rest[..end].trim();
        let (operator, behind) = operator_of(&rest[end..], &["=~", "!~", "!=", "="])?;
        let (value, behind) = quoted(behind.trim_start())?;
        clauses.push(match operator {
            "=" => format!("{name}:\"{value}\""),
            "!=" => format!("-{name}:\"{value}\""),
            "=~" => format!("{name}:/{}/", value.replace('/', "\\/")),
            _ => format!("-{name}:/{}/", value.replace('/', "\\/")),
        });
        rest = behind.trim_start().trim_start_matches(',').trim_start();
    }
    let mut rest = rest[1..].trim_start();
    while let Some((operator, behind)) = operator_of(rest, &["|=", "|~", "!=", "!~"]) {
        let Some((value, behind)) = quoted(behind.trim_start()) else { break };
        let pattern = value.replace('/', "\\/");
        clauses.push(match operator {
            "|=" => format!("\"{value}\""),
            "!=" => format!("-\"{value}\""),
            "|~" => format!("/{pattern}/"),
            _ => format!("-/{pattern}/"),
        });
        rest = behind.trim_start();
    }
    let left = (!rest.is_empty()).then(|| rest.to_owned());
    Some((clauses.join(" "), left))
}

fn operator_of<'a>(text: &'a str, operators: &[&'static str]) -> Option<(&'static str, &'a str)> {
    operators.iter().find_map(|operator| text.strip_prefix(operator).map(|behind| (*operator, behind)))
}

/// The inside of a text in quotes or backquotes, and what stands behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| ['"', '`'].contains(mark))?;
    let inner = &text[1..];
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            '\\' if mark == '"' && !escaped => escaped = true,
            c if c == mark && !escaped => return Some((&inner[..at], &inner[at + 1..])),
            _ => escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_and_line_filters_become_conditions() {
        let check = |text: &str, question: &str, left: Option<&str>| {
            assert_eq!(map(text), Some((question.to_owned(), left.map(str::to_owned))), "{text}");
        };
        check(r#"{a="b"}"#, r#"a:"b""#, None);
        check(r#"{a="b", c!="d",e=~"f/g"} |= "x" != `y`"#, r#"a:"b" -c:"d" e:/f\/g/ "x" -"y""#, None);
        check(r#"{a="$a"} |~ "t.*" | json | level="error""#, r#"a:"$a" /t.*/"#, Some(r#"| json | level="error""#));
        assert_eq!(map(r#"sum(count_over_time({a="b"}[1m]))"#), None);
        assert_eq!(map(r#"{a="b"#), None);
    }
}
