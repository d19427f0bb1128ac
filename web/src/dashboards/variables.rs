//! Names in questions: `$host`, `${host}`, `${host:regex}`. The page puts their values in; here they are only found and, so that
//! a question can be checked without anybody choosing, replaced by something that any grammar takes.

/// Names that every dashboard has, as Grafana writes them: they depend on the time range.
pub const OWN_NAMES: [&str; 9] = [
    "__rate_interval",
    "__interval",
    "__interval_ms",
    "__range",
    "__range_s",
    "__range_ms",
    "__from",
    "__to",
    "__auto",
];

/// A name in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use<'a> {
    /// The name.
    pub name: &'a str,
    /// What it replaces, in bytes of the text.
    pub start: usize,
    /// The end of that.
    pub end: usize,
}

/// The names in a text, from the left. `$$` and a `$` before anything else are no names: regular expressions end in one.
pub fn uses(text: &str) -> Vec<Use<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
        let rest = &text[dollar + 1..];
        at = dollar + 1;
        let (name, length) = match rest.strip_prefix('{') {
            Some(inner) => match inner.split_once('}') {
                Some((inside, _)) => (inside.split(':').next().unwrap_or_default(), inside.len() + 2),
                None => continue,
            },
            None => {
                let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (&rest[..length], length)
            }
        };
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            found.push(Use { name, start: dollar, end: dollar + 1 + length });
            at = dollar + 1 + length;
        }
    }
    found
}

/// Whether a text could be what `parse` reads, whatever is chosen: with words in the names' places, or else with numbers.
///
/// # Errors
/// What is wrong with it when words stand there.
pub fn check_filled<T, E>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<(), E> {
    let Err(error) = parse(&filled(text, "x")) else { return Ok(()) };
    if uses(text).is_empty() { Err(error) } else { parse(&filled(text, "1")).map(drop).map_err(|_| error) }
}

/// The text with every name replaced: those of spans of time by one, numbers by one, others by `word`.
fn filled(text: &str, word: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut at = 0;
    for one in uses(text) {
        filled.push_str(&text[at..one.start]);
        let inside_brackets = filled.rfind('[') > filled.rfind(']');
        let after_offset = filled.trim_end().ends_with("offset");
        filled.push_str(match one.name {
            "__range_s" | "__range_ms" | "__interval_ms" | "__from" | "__to" => "1000",
            name if name.starts_with("__") || inside_brackets || after_offset => "1m",
            _ => word,
        });
        at = one.end;
    }
    filled.push_str(&text[at..]);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_both_spellings_and_nothing_else_is_one() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(uses(text).iter().map(|one| one.name).collect::<Vec<_>>(), expected, "{text}");
        };
        check("a{b=~\"$host\", c=\"${env:raw}\"}[$__rate_interval]", &["host", "env", "__rate_interval"]);
        check("/timeout$/ OR x:\"^a$\" $5 $$ ${", &[]);
        check("$a$b", &["a", "b"]);
    }

    #[test]
    fn a_filled_question_is_one_that_grammars_take() {
        let check = |text: &str, expected: &str| assert_eq!(filled(text, "x"), expected);
        check("rate(x{h=~\"$host\"}[$__rate_interval])", "rate(x{h=~\"x\"}[1m])");
        check("increase(x[$window] offset $back) / $__range_s", "increase(x[1m] offset 1m) / 1000");
        check("host:$host error", "host:x error");
    }

    #[test]
    fn a_name_may_stand_for_a_word_or_a_number() {
        let check = |text: &str, expected: bool| {
            let read = check_filled(text, taffrail_query::promql::format);
            assert_eq!(read.is_ok(), expected, "{text}");
        };
        check("topk($n, up)", true);
        check("rate($metric[5m])", true);
        check("topk($n, up", false);
        check("sum(", false);
    }
}
