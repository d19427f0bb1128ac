//! From the conditions of a selector to those that sources know.

use std::sync::Arc;

use regex::Regex;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_ingest::series_store::{LabelMatcher, LabelRegex, LabelTest};

use super::PromqlError;
use super::syntax::{Expression, Kind, Matcher, Selector, Test, parse};

/// The matchers of every selector in the query, in the order they are written (for `query_exemplars`, and for `match[]`
/// parameters, which are a selector each).
pub fn selectors(query: &str) -> Result<Vec<Vec<LabelMatcher>>, PromqlError> {
    fn collect(expression: &Expression, found: &mut Vec<Vec<LabelMatcher>>) -> Result<(), PromqlError> {
        if let Kind::Selector(selector) | Kind::Range { selector, .. } = &expression.kind {
            found.push(matchers(selector)?);
        }
        expression.children().into_iter().try_for_each(|child| collect(child, found))
    }
    let mut found = Vec::new();
    collect(&parse(query)?, &mut found)?;
    Ok(found)
}

/// The matchers of a text that is one selector and nothing else.
pub fn only_selector(text: &str) -> Result<Vec<LabelMatcher>, PromqlError> {
    match parse(text)?.kind {
        Kind::Selector(selector) if selector.at.is_none() && selector.offset.is_none() => matchers(&selector),
        _ => Err(PromqlError::Invalid(format!("{text:?} is not one series selector"))),
    }
}

/// The conditions of a selector, its name included.
pub(super) fn matchers(selector: &Selector) -> Result<Vec<LabelMatcher>, PromqlError> {
    let name = selector
        .name
        .iter()
        .map(|name| Ok(LabelMatcher { name: NAME_LABEL.to_owned(), test: LabelTest::Equal(name.clone()) }));
    name.chain(selector.matchers.iter().map(matcher)).collect()
}

/// One condition.
pub(super) fn matcher(matcher: &Matcher) -> Result<LabelMatcher, PromqlError> {
    let value = || matcher.value.clone();
    let regex = || anchored(&matcher.value).map_err(PromqlError::Invalid);
    let test = match matcher.test {
        Test::Equal => LabelTest::Equal(value()),
        Test::NotEqual => LabelTest::NotEqual(value()),
        Test::Matches => LabelTest::Matches(as_test(regex()?, &matcher.value)),
        Test::NotMatches => LabelTest::NotMatches(as_test(regex()?, &matcher.value)),
    };
    Ok(LabelMatcher { name: matcher.label.clone(), test })
}

fn as_test(regex: Regex, pattern: &str) -> LabelRegex {
    // Of a million names few begin as a completion's pattern does: those are not even shown to the expression.
    let prefix = literal_prefix(pattern).to_owned();
    LabelRegex(Arc::new(move |value| value.starts_with(&prefix) && regex.is_match(value)))
}

/// Text that everything begins with that the pattern matches; less than there is, perhaps.
fn literal_prefix(pattern: &str) -> &str {
    if pattern.contains('|') {
        return "";
    }
    let end = pattern.find(['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$']).unwrap_or(pattern.len());
    let (prefix, rest) = pattern.split_at(end);
    match rest.chars().next() {
        // The last character may be missing.
        Some('*' | '?' | '{') => prefix.char_indices().next_back().map_or("", |(last, _)| &prefix[..last]),
        _ => prefix,
    }
}

/// Anchored at both ends, and `.` is any character, as in Prometheus.
pub(super) fn anchored(pattern: &str) -> Result<Regex, String> {
    let compiled = |pattern: &str| Regex::new(&format!("^(?s:{pattern})$"));
    // Go takes a `{` that opens no repetition for itself.
    let compiled = compiled(pattern).or_else(|_| compiled(&with_plain_braces(pattern)));
    compiled.map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

fn with_plain_braces(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len() + 4);
    let mut escaped = false;
    for (at, character) in pattern.char_indices() {
        let counts = || {
            let inside = pattern[at + 1..].split('}').next().unwrap_or("");
            !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
        };
        if character == '{' && !escaped && !counts() {
            plain.push('\\');
        }
        escaped = character == '\\' && !escaped;
        plain.push(character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_begins_with_text_that_all_its_matches_begin_with() {
        let check = |pattern: &str, expected: &str| assert_eq!(literal_prefix(pattern), expected, "{pattern}");
        check("shop_disk_12.*", "shop_disk_12");
        check("shop", "shop");
        check("a|ab", "");
        check("(?i)shop", "");
        check("abc*", "ab");
        check("abé?d", "ab");
        check("abc{2}", "ab");
        check("abc+", "abc");
        check(r"web\.hits", "web");
        check("", "");
        for (pattern, value) in [("abc*", "ab"), ("abé?d", "abd"), ("abc{0}d", "abd"), ("abc+", "abcc"), ("a|b", "b")]
        {
            let test = as_test(anchored(pattern).unwrap(), pattern);
            assert!((test.0)(value), "{pattern} {value}");
        }
    }

    #[test]
    fn selectors_are_found_in_writing_order() {
        let found = selectors(r#"rate({"web.hits", env="prod"}[5m]) / x{a!~"b.*"} + 1"#).unwrap();
        let names: Vec<Vec<&str>> = found.iter().map(|m| m.iter().map(|m| m.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["__name__", "env"], vec!["__name__", "a"]]);
        assert!(!found[1][1].test.passes("b\nc"));
        assert!(found[1][1].test.passes("ab"));
        assert!(only_selector("x{a=\"b\"}").is_ok());
        assert!(only_selector("x + y").is_err());
    }

    #[test]
    fn regular_expressions_are_read_as_go_does() {
        assert!(anchored("a{b").unwrap().is_match("a{b"));
        assert!(anchored("a{2}").unwrap().is_match("aa"));
        assert!(anchored("[").unwrap_err().contains("error parsing regexp"));
    }
}
