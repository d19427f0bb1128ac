//! Which records a rule is for.

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use regex::Regex;
use serde_json::Value as Json;

use super::field;
use crate::enrich::pattern::compiled;
use crate::model::{LogRecord, Resource, Severity, Value};

/// What a resource must be.
#[derive(Debug)]
pub(super) struct Scope {
    service: Option<GlobSet>,
    path: Option<GlobSet>,
}

impl Scope {
    pub(super) fn new(service: &[String], path: &[String]) -> Result<Scope, String> {
        Ok(Scope { service: globs("service", service, false)?, path: globs("path", path, true)? })
    }

    /// Whether it is every resource.
    pub(super) fn is_all(&self) -> bool {
        self.service.is_none() && self.path.is_none()
    }

    pub(super) fn holds(&self, resource: &Resource) -> bool {
        let path = resource.attributes.iter().find(|(name, _)| &**name == "log.file.path");
        let path = path.and_then(|(_, path)| path.as_str());
        self.service.as_ref().is_none_or(|globs| globs.is_match(&*resource.service))
            && self.path.as_ref().is_none_or(|globs| path.is_some_and(|path| globs.is_match(path)))
    }
}

fn globs(key: &str, patterns: &[String], is_path: bool) -> Result<Option<GlobSet>, String> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(is_path).build();
        set.add(glob.map_err(|error| format!("{key}: {error}"))?);
    }
    set.build().map(Some).map_err(|error| format!("{key}: {error}"))
}

/// A pattern in which `*` stands for anything.
pub(super) fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(false).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.to_string())
}

/// What a field must hold: any of these.
#[derive(Debug)]
pub(super) struct Condition {
    field: String,
    any_of: Vec<Wanted>,
}

#[derive(Debug)]
enum Wanted {
    Text(String),
    Glob(GlobMatcher),
    Regex(Regex),
    Number(Comparison, f64),
    Level(Comparison, Severity),
    Bool(bool),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    MoreOrEqual,
    More,
}

impl Condition {
    pub(super) fn new(field: &str, wanted: &Json) -> Result<Condition, String> {
        let items = match wanted {
            Json::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let any_of = items.iter().map(|item| Wanted::new(field, item)).collect::<Result<_, _>>();
        any_of
            .map(|any_of| Condition { field: field.to_owned(), any_of })
            .map_err(|error| format!("where.{field}: {error}"))
    }

    pub(super) fn holds(&self, record: &LogRecord) -> bool {
        if self.field == "level" {
            return self.any_of.iter().any(|wanted| wanted.holds_for_level(record.severity));
        }
        match field::own_text(record, &self.field) {
            Some(text) => self.any_of.iter().any(|wanted| wanted.holds_for_text(&text)),
            None => record.attribute(&self.field).is_some_and(|value| self.holds_for(value)),
        }
    }

    fn holds_for(&self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| self.holds_for(item)),
            value => self.any_of.iter().any(|wanted| wanted.holds_for(value)),
        }
    }
}

impl Wanted {
    fn new(field: &str, wanted: &Json) -> Result<Wanted, String> {
        let text = match wanted {
            Json::Bool(truth) => return Ok(Wanted::Bool(*truth)),
            Json::Number(number) => return Ok(Wanted::Number(Comparison::Equal, number.as_f64().unwrap_or(f64::NAN))),
            Json::String(text) => text.as_str(),
            Json::Null | Json::Array(_) | Json::Object(_) => {
                return Err("write a text, a number, true or false".to_owned());
            }
        };
        if let Some(pattern) = text.strip_prefix('/').and_then(|text| text.strip_suffix('/')).filter(|p| !p.is_empty())
        {
            return compiled(pattern).map(Wanted::Regex).map_err(|error| error.in_text(pattern).to_string());
        }
        let (comparison, operand) = Comparison::read(text);
        if field == "level" {
            let word = operand.trim();
            let level = Severity::from_word(word).ok_or_else(|| format!("{word:?} is no level"))?;
            return Ok(Wanted::Level(comparison, level));
        }
        if operand.len() < text.len()
            && let Ok(number) = operand.trim().parse()
        {
            return Ok(Wanted::Number(comparison, number));
        }
        if text.contains(['*', '?', '[', '{']) {
            glob(text).map(Wanted::Glob)
        } else {
            Ok(Wanted::Text(text.to_owned()))
        }
    }

    /// A level by itself means all that have its name (`info` is also `notice`).
    fn holds_for_level(&self, severity: Severity) -> bool {
        match self {
            Wanted::Level(Comparison::Equal, level) => level.name() == severity.name(),
            Wanted::Level(comparison, level) => {
                severity != Severity::UNSPECIFIED
                    && comparison.holds(f64::from(severity.number()), f64::from(level.number()))
            }
            wanted => wanted.holds_for_text(severity.name()),
        }
    }

    fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Wanted::Text(wanted) => wanted == text,
            Wanted::Glob(glob) => glob.is_match(text),
            Wanted::Regex(regex) => regex.is_match(text),
            Wanted::Number(comparison, number) => text.parse().is_ok_and(|text| comparison.holds(text, *number)),
            Wanted::Bool(truth) => text == if *truth { "true" } else { "false" },
            Wanted::Level(..) => false,
        }
    }

    fn holds_for(&self, value: &Value) -> bool {
        match (self, value) {
            (wanted, Value::String(text)) => wanted.holds_for_text(text),
            (Wanted::Number(comparison, number), value) => {
                value.as_f64().is_some_and(|value| comparison.holds(value, *number))
            }
            (wanted, value) => wanted.holds_for_text(&value.to_string()),
        }
    }
}

impl Comparison {
    /// The comparison that a text starts with, and what stands behind it.
    fn read(text: &str) -> (Comparison, &str) {
        let signs = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::MoreOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        let found = signs.into_iter().find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)));
        found.unwrap_or((Comparison::Equal, text))
    }

    fn holds(self, value: f64, wanted: f64) -> bool {
        match self {
            Comparison::Less => value < wanted,
            Comparison::LessOrEqual => value <= wanted,
            Comparison::Equal => value == wanted,
            Comparison::MoreOrEqual => value >= wanted,
            Comparison::More => value > wanted,
        }
    }
}
