//! Matchers of labels as Alertmanager writes them: `severity="page"`, `team=~"a|b"`, `{a="b", c!~"d"}`
//! (<https://prometheus.io/docs/alerting/latest/configuration/#matcher>).
//!
//! A label that is not there has the empty value. Regular expressions match the whole value.

use std::fmt;

use regex::{Regex, RegexBuilder};
use taffrail_query::alert::state::Labels;

/// How large a compiled regular expression may be: what people type is far smaller.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How its value is compared.
    pub operator: Operator,
    /// What it is compared with.
    pub value: String,
    regex: Option<Regex>,
}

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

impl Matcher {
    /// The condition, or what is wrong with it.
    pub fn new(name: &str, operator: Operator, value: &str) -> Result<Matcher, String> {
        if name.is_empty() {
            return Err("a matcher needs the name of a label".to_owned());
        }
        let regex = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::NotMatches => {
                let whole = format!("^(?s:{value})$");
                let built = RegexBuilder::new(&whole).size_limit(REGEX_BYTES_MAX).build();
                Some(
                    built
                        .map_err(|_| format!("{value:?} is no regular expression (RE2 syntax, without look-around)"))?,
                )
            }
        };
        Ok(Matcher { name: name.to_owned(), operator, value: value.to_owned(), regex })
    }

    /// Whether the labels pass.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        match (self.operator, &self.regex) {
            (Operator::Equal, _) => value == self.value,
            (Operator::NotEqual, _) => value != self.value,
            (Operator::Matches, regex) => regex.as_ref().is_some_and(|regex| regex.is_match(value)),
            (Operator::NotMatches, regex) => !regex.as_ref().is_some_and(|regex| regex.is_match(value)),
        }
    }
}

/// Whether the labels pass all of them.
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// The matchers as one text in braces, as Alertmanager's keys have them.
pub fn write_matchers(matchers: &[Matcher]) -> String {
    let all: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    format!("{{{}}}", all.join(","))
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.operator.sign(), self.value)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Operator {
    /// As it is written.
    pub const fn sign(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Matches => "=~",
            Operator::NotMatches => "!~",
        }
    }
}

/// Reads one or several matchers, with or without braces around them: `a="b"`, `a=b, c=~"d|e"`, `{a="b"}`. Names and values may
/// stand in quotes, and must when they hold one of `{}!=~,\"'` or a space.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let trimmed = text.trim();
    let inner = match (trimmed.strip_prefix('{'), trimmed.strip_suffix('}')) {
        (Some(rest), Some(_)) => &rest[..rest.len() - 1],
        (None, None) => trimmed,
        (Some(_), None) => return Err(format!("{text:?}: the brace is not closed")),
        // A bare value may not end in a brace, so this one was never opened.
        (None, Some(_)) => return Err(format!("{text:?}: the brace was never opened")),
    };
    let mut reader = Reader { rest: inner };
    let mut matchers = Vec::new();
    loop {
        reader.skip_spaces();
        if reader.rest.is_empty() {
            return Ok(matchers);
        }
        let matcher = reader.matcher().map_err(|message| format!("{text:?}: {message}"))?;
        matchers.push(matcher);
        reader.skip_spaces();
        if !reader.rest.is_empty() && !reader.take(",") {
            return Err(format!("{text:?}: matchers stand apart by commas, here stands {:?}", reader.rest));
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn matcher(&mut self) -> Result<Matcher, String> {
        let name = self.word()?;
        self.skip_spaces();
        let signs = [Operator::Matches, Operator::NotMatches, Operator::NotEqual, Operator::Equal];
        let operator = signs.into_iter().find(|operator| self.take(operator.sign()));
        let operator = operator.ok_or("after the label stands one of = != =~ !~")?;
        self.skip_spaces();
        let value = self.word()?;
        Matcher::new(&name, operator, &value)
    }

    /// A word in quotes, or up to the next sign. An empty one is fine as a value.
    fn word(&mut self) -> Result<String, String> {
        if !self.take("\"") {
            let end = self.rest.find(|c: char| c.is_whitespace() || "{}!=~,\\\"'`".contains(c));
            let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest;
            return Ok(word.to_owned());
        }
        let mut word = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(word);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => word.push('\n'),
                    Some('t') => word.push('\t'),
                    Some(c @ ('"' | '\\')) => word.push(c),
                    // As in Alertmanager: an unknown escape stays as it is, so that \d in a pattern needs no second backslash.
                    Some(c) => word.extend(['\\', c]),
                    None => break,
                },
                c => word.push(c),
            }
        }
        Err("a quote is not closed".to_owned())
    }

    fn take(&mut self, sign: &str) -> bool {
        self.rest.strip_prefix(sign).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_as_alertmanager_reads_them() {
        let check = |text: &str, expected: &str| {
            let found = parse_matchers(text).map(|matchers| write_matchers(&matchers));
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        };
        check("severity=page", r#"{severity="page"}"#);
        check(r#"severity = "page""#, r#"{severity="page"}"#);
        check(r#"{a="b",c!~"d|e"}"#, r#"{a="b",c!~"d|e"}"#);
        check(r#"a!=b, c=~"x,y}", "#, r#"{a!="b",c=~"x,y}"}"#);
        check(r#"team="""#, r#"{team=""}"#);
        check("team=", r#"{team=""}"#);
        check(r#""host name"="a \"b\" \\ c""#, r#"{host name="a \"b\" \\ c"}"#);
        check(r#"code=~"5\d\d""#, r#"{code=~"5\\d\\d"}"#);
        check("übung=ja", r#"{übung="ja"}"#);
        check("{}", "{}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, expected: &str| {
            let found = parse_matchers(text).expect_err(text);
            assert!(found.contains(expected), "{text}: {found}");
        };
        check("severity", "one of = != =~ !~");
        check("=page", "name of a label");
        check(r#"a="b"#, "a quote is not closed");
        check(r#"{a="b""#, "not closed");
        check("a=b}", "never opened");
        check("a=b c=d", "commas");
        check(r#"a=~"(""#, "no regular expression");
    }

    #[test]
    fn patterns_match_whole_values_and_absent_labels_are_empty() {
        let labels: Labels = [("a", "one"), ("b", "two\nlines")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let check = |text: &str, expected: bool| {
            assert_eq!(all_match(&parse_matchers(text).unwrap(), &labels), expected, "{text}");
        };
        check("a=one", true);
        check("a!=one", false);
        check("a=~on", false);
        check("a=~on.|x", true);
        check("a=~o|ne", false);
        check("a!~o.*", false);
        check("b=~two.*", true);
        check("c=", true);
        check(r#"c=~".+""#, false);
        check(r#"c!=x,a=one"#, true);
        check("a=one,b=one", false);
        check("", true);
    }
}
