//! From text to an expression and from its matchers to ours. The grammar is the `promql-parser` crate's; what it would let
//! pass, or would not survive, is refused here.

use std::sync::Arc;

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use regex::Regex;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_ingest::series_store::{LabelMatcher, LabelRegex, LabelTest};

use super::PromqlError;

/// Brackets and operators in an expression, at most: bounds how deep it nests, since walks over it recurse (2 MiB of stack,
/// which the runtime's threads have, are used up by the parser's layout of some 800).
const OPERATORS_MAX: usize = 400;

/// The expression that a text stands for.
pub fn parse(query: &str) -> Result<Expr, PromqlError> {
    if operators(query) > OPERATORS_MAX {
        return Err(PromqlError::Invalid(format!(
            "the expression has more than {OPERATORS_MAX} operators and brackets: split it into recording rules"
        )));
    }
    // The parser panics on some numbers that are no durations (`x[1e99]`); that must not cost the thread.
    let parsed = std::panic::catch_unwind(|| parser::parse(query));
    let parsed = parsed.unwrap_or_else(|_| Err("a duration is out of range".to_owned()));
    parsed.map_err(|message| PromqlError::Invalid(format!("invalid expression: {message}")))
}

/// The query laid out over lines, as Prometheus' `format_query` does.
pub fn format(query: &str) -> Result<String, PromqlError> {
    parse(query).map(|expression| expression.prettify())
}

/// The matchers of every selector in the query, in the order they are written (for `query_exemplars`, and for `match[]`
/// parameters, which are a selector each).
pub fn selectors(query: &str) -> Result<Vec<Vec<LabelMatcher>>, PromqlError> {
    let mut collector = SelectorCollector(Vec::new());
    walk_expr(&mut collector, &parse(query)?)?;
    Ok(collector.0)
}

struct SelectorCollector(Vec<Vec<LabelMatcher>>);

impl ExprVisitor for SelectorCollector {
    type Error = PromqlError;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, PromqlError> {
        match expression {
            Expr::VectorSelector(selector) => self.0.push(matchers(selector)?),
            Expr::MatrixSelector(selector) => self.0.push(matchers(&selector.vs)?),
            _ => {}
        }
        Ok(true)
    }
}

/// The conditions of a selector, its name included.
pub(super) fn matchers(selector: &VectorSelector) -> Result<Vec<LabelMatcher>, PromqlError> {
    let Matchers { matchers, or_matchers } = &selector.matchers;
    if !or_matchers.is_empty() {
        return Err(PromqlError::Invalid("invalid expression: `or` does not stand between label matchers".to_owned()));
    }
    let name = selector
        .name
        .iter()
        .map(|name| LabelMatcher { name: NAME_LABEL.to_owned(), test: LabelTest::Equal(name.clone()) });
    let tests = matchers.iter().map(|matcher| {
        let value = || matcher.value.clone();
        let test = match &matcher.op {
            MatchOp::Equal => LabelTest::Equal(value()),
            MatchOp::NotEqual => LabelTest::NotEqual(value()),
            MatchOp::Re(regex) => LabelTest::Matches(anchored(&matcher.value, regex)),
            MatchOp::NotRe(regex) => LabelTest::NotMatches(anchored(&matcher.value, regex)),
        };
        LabelMatcher { name: matcher.name.clone(), test }
    });
    Ok(name.chain(tests).collect())
}

/// Anchored at both ends, and `.` is any character, as in Prometheus. The parser's own regex stands in for those patterns
/// that only Go's syntax knows and that it rewrites.
fn anchored(pattern: &str, parsed: &Regex) -> LabelRegex {
    let regex = Regex::new(&format!("^(?s:{pattern})$")).unwrap_or_else(|_| parsed.clone());
    LabelRegex(Arc::new(move |value| regex.is_match(value)))
}

/// What can nest or chain expressions: brackets, operators and the operators that are words, outside strings, comments and
/// names.
fn operators(query: &str) -> usize {
    const WORDS: [&str; 4] = ["and", "or", "unless", "atan2"];
    let mut rest = query;
    let mut count = 0;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '`' => string_length(rest, first),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                count += usize::from(WORDS.iter().any(|word| rest[..length].eq_ignore_ascii_case(word)));
                length
            }
            '(' | '[' | '+' | '-' | '*' | '/' | '%' | '^' | '<' | '>' => {
                count += 1;
                1
            }
            _ if rest.starts_with("==") || rest.starts_with("!=") => {
                count += 1;
                2
            }
            other => other.len_utf8(),
        };
        rest = &rest[length..];
    }
    count
}

/// Bytes of the string at the start of the text, its quotes included; all of the text when it is not closed.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' && quote != '`' {
            escaped = true;
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Where the word `name` first stands in the text, as `line:column`, both from 1 (for annotations).
pub(super) fn position_of(query: &str, name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '.';
    let found = query
        .to_ascii_lowercase()
        .match_indices(name)
        .map(|(at, _)| at)
        .find(|&at| !query[..at].ends_with(is_word) && !query[at + name.len()..].starts_with(is_word));
    let before = &query[..found.unwrap_or(0)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::super::Series;
    use super::*;
    use taffrail_ingest::Scan;

    #[test]
    fn what_is_no_promql_is_refused_and_nothing_panics() {
        let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
        let chain = vec!["x"; 5_000].join(" or ");
        for query in
            ["", "sum(", "x[1e99]", "x[NaN]", "x offset 1e40", "{}", "1 +", &deep, &chain, "x{a=~\"[\"}", "\u{0}"]
        {
            assert!(matches!(parse(query), Err(PromqlError::Invalid(_))), "{query:.40}");
        }
    }

    #[test]
    fn only_operators_count_as_operators() {
        let check = |query: &str, expected| assert_eq!(operators(query), expected, "{query}");
        check(r#"{a="or and (", b='\'or', c=`\`, d!="or"} or x"#, 2);
        check("floor_order + random:sandbox", 1);
        check("a AND b Or c unless d atan2 e == 1or 2", 6);
        check("x # or \"\n or y (", 2);
        let long = format!("{{a=~\"{}\"}}", vec!["error"; 2 * OPERATORS_MAX].join("|"));
        assert!(parse(&long).is_ok());
    }

    #[test]
    fn what_nests_as_deep_as_it_may_is_evaluated_or_refused_on_a_small_stack() {
        use super::super::{SeriesSource, instant};
        struct Nothing;
        impl SeriesSource for Nothing {
            fn select(&self, _: &[LabelMatcher], _: i64, _: i64, _: &Scan) -> Result<Vec<Series>, PromqlError> {
                Ok(Vec::new())
            }
        }
        let most = OPERATORS_MAX - 2;
        let queries = [
            format!("{}1{}", "(".repeat(most), ")".repeat(most)),
            format!("{}x", "-".repeat(most)),
            vec!["x"; most].join(" or "),
            vec!["x"; most].join(" + "),
            format!("{}x{}", "abs(".repeat(most / 2), ")".repeat(most / 2)),
            format!("{}x{}", "max_over_time(".repeat(most / 2), "[1m:1s])".repeat(most / 2)),
            format!("{}1", "2 ^ ".repeat(most)),
        ];
        let evaluate = move || {
            for query in &queries {
                let time = taffrail_collector::model::Timestamp::from_unix_seconds(1_700_000_000);
                let _ = instant(query, time, &Nothing, &Scan::unlimited());
                let _ = format(query);
                let _ = selectors(query);
            }
        };
        // As much as a thread of the runtime has.
        std::thread::Builder::new().stack_size(2 << 20).spawn(evaluate).unwrap().join().unwrap();
    }

    #[test]
    fn selectors_are_found_in_writing_order() {
        let found = selectors(r#"rate({"web.hits", env="prod"}[5m]) / x{a!~"b.*"} + 1"#).unwrap();
        let names: Vec<Vec<&str>> = found.iter().map(|m| m.iter().map(|m| m.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["__name__", "env"], vec!["__name__", "a"]]);
        assert!(!found[1][1].test.passes("b\nc"));
        assert!(found[1][1].test.passes("ab"));
    }

    #[test]
    fn positions_count_lines_and_columns_from_one() {
        assert_eq!(position_of("sort(x)", "sort"), "1:1");
        assert_eq!(position_of("sum(sort(x))", "sort"), "1:5");
        assert_eq!(position_of("sum(\n  sort_x,\n  sort(x))", "sort"), "3:3");
    }
}
