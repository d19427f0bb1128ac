//! How a source's lines are read: the notation of the `parse` settings, and what it becomes once, at the start.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::grok;
use super::pattern::{Pattern, PatternError};

/// How lines are read, as it stands in the configuration (`"auto"`, `"nginx"`, `"grok:%{IP:client} %{WORD:verb}"` …).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parse {
    /// As JSON, an access log or logfmt where it is one, else as text.
    #[default]
    Auto,
    /// As JSON where it is an object, else as text.
    Json,
    /// As logfmt where it is, else as text.
    Logfmt,
    /// As text: nothing becomes an attribute, but time, severity and trace context are still looked for.
    None,
    /// Access and error logs of nginx.
    Nginx,
    /// Access and error logs of Apache.
    Apache,
    /// A syslog header (RFC 3164 or 5424, with or without the priority), and behind it as `auto` does.
    Syslog,
    /// By a grok pattern.
    Grok(String),
    /// By a regular expression with named groups.
    Regex(String),
}

/// The same, compiled.
#[derive(Clone, Debug, Default)]
pub(super) enum Format {
    #[default]
    Auto,
    Json,
    Logfmt,
    None,
    Nginx,
    Apache,
    Syslog,
    Pattern(Arc<Pattern>),
}

impl Parse {
    /// Compiles its pattern, if it has one, with these names for grok.
    pub(super) fn compile(&self, names: &grok::Names) -> Result<Format, PatternError> {
        Ok(match self {
            Parse::Auto => Format::Auto,
            Parse::Json => Format::Json,
            Parse::Logfmt => Format::Logfmt,
            Parse::None => Format::None,
            Parse::Nginx => Format::Nginx,
            Parse::Apache => Format::Apache,
            Parse::Syslog => Format::Syslog,
            Parse::Grok(pattern) => Format::Pattern(Arc::new(names.compile(pattern)?)),
            Parse::Regex(pattern) => Format::Pattern(Arc::new(Pattern::of_regex(pattern)?)),
        })
    }
}

impl FromStr for Parse {
    type Err = String;

    fn from_str(text: &str) -> Result<Parse, String> {
        Ok(match text {
            "auto" => Parse::Auto,
            "json" => Parse::Json,
            "logfmt" => Parse::Logfmt,
            "none" => Parse::None,
            "nginx" => Parse::Nginx,
            "apache" => Parse::Apache,
            "syslog" => Parse::Syslog,
            _ => match text.split_once(':') {
                Some(("grok", pattern)) => Parse::Grok(pattern.to_owned()),
                Some(("regex", pattern)) => Parse::Regex(pattern.to_owned()),
                _ => {
                    return Err(format!(
                        "`{text}` is none of auto, json, logfmt, nginx, apache, syslog, grok:PATTERN, regex:PATTERN, none"
                    ));
                }
            },
        })
    }
}

impl fmt::Display for Parse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Parse::Auto => "auto",
            Parse::Json => "json",
            Parse::Logfmt => "logfmt",
            Parse::None => "none",
            Parse::Nginx => "nginx",
            Parse::Apache => "apache",
            Parse::Syslog => "syslog",
            Parse::Grok(pattern) => return write!(f, "grok:{pattern}"),
            Parse::Regex(pattern) => return write!(f, "regex:{pattern}"),
        })
    }
}

impl Serialize for Parse {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Parse {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Parse, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_as_they_are_written() {
        let check = |text: &str, expected: Parse| {
            let parse: Parse = text.parse().unwrap();
            assert_eq!(parse, expected);
            assert_eq!(parse.to_string(), text);
        };
        check("auto", Parse::Auto);
        check("syslog", Parse::Syslog);
        check("grok:%{IP:client}: %{WORD}", Parse::Grok("%{IP:client}: %{WORD}".to_owned()));
        check("regex:^(?<a>x:y)$", Parse::Regex("^(?<a>x:y)$".to_owned()));
        let error = "ngnix".parse::<Parse>().unwrap_err();
        assert!(error.starts_with("`ngnix` is none of auto, json"), "{error}");
    }
}
