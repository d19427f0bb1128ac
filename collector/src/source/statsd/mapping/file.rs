//! The YAML of a mapping file, and what can be wrong with it, each with its place.
//!
//! YAML is read by `serde-saphyr`, as rules files are: it is maintained, forbids `unsafe`, bounds aliases and nesting, and says the
//! line and column of every value (`serde_yaml` is archived, and says neither).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::{Location, Spanned};

use super::glob::Globs;
use super::template::Template;
use super::{Mapping, Rule};
use crate::config::span;
use crate::model::SampleKind;
use crate::model::label_set::NAME_LABEL;

/// The longest file that is read, in bytes: a hundred thousand rules.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Everything that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

/// Reads the rules of a file.
///
/// # Errors
/// What is wrong, as `file:line:column: sentence`.
pub fn read(path: &Path) -> Result<Mapping, Mistakes> {
    let unreadable = |why: String| Mistakes(vec![format!("{}: {why}", path.display())]);
    let length = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(unreadable(format!("{length} bytes are more than the {FILE_BYTES_MAX} that are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&path.display().to_string(), &text)
}

/// Reads rules from a text; `file` is what mistakes call it.
///
/// # Errors
/// What is wrong, as `file:line:column: sentence`.
pub fn parse(file: &str, text: &str) -> Result<Mapping, Mistakes> {
    // Only true and false are truth values: a label may be called "on".
    let options = serde_saphyr::options! { strict_booleans: true };
    let raw: Option<RawFile> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        Mistakes(vec![format!("{file}:{}:{}: {}", place.0, place.1, sentence(&error))])
    })?;
    let raw = raw.unwrap_or_default();
    let mut reading = Reading { file, mistakes: Vec::new() };
    let mapping = reading.mapping(&raw);
    if reading.mistakes.is_empty() { Ok(mapping) } else { Err(Mistakes(reading.mistakes)) }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawFile {
    defaults: RawDefaults,
    mappings: Vec<Spanned<RawRule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawDefaults {
    match_type: Option<Spanned<String>>,
    glob_disable_ordering: bool,
    ttl: Option<Spanned<String>>,
    observer_type: Option<Spanned<String>>,
    timer_type: Option<Spanned<String>>,
    #[serde(rename = "buckets")]
    _buckets: IgnoredAny,
    #[serde(rename = "quantiles")]
    _quantiles: IgnoredAny,
    #[serde(rename = "summary_options")]
    _summary_options: IgnoredAny,
    #[serde(rename = "histogram_options")]
    _histogram_options: IgnoredAny,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawRule {
    #[serde(rename = "match")]
    pattern: Option<Spanned<String>>,
    match_type: Option<Spanned<String>>,
    match_metric_type: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    labels: Option<BTreeMap<String, Spanned<String>>>,
    honor_labels: bool,
    action: Option<Spanned<String>>,
    ttl: Option<Spanned<String>>,
    observer_type: Option<Spanned<String>>,
    timer_type: Option<Spanned<String>>,
    scale: Option<Spanned<String>>,
    #[serde(rename = "help")]
    _help: IgnoredAny,
    #[serde(rename = "buckets")]
    _buckets: IgnoredAny,
    #[serde(rename = "quantiles")]
    _quantiles: IgnoredAny,
    #[serde(rename = "summary_options")]
    _summary_options: IgnoredAny,
    #[serde(rename = "histogram_options")]
    _histogram_options: IgnoredAny,
}

/// The step from what is written to rules, which goes on after a mistake so that all are told at once.
struct Reading<'a> {
    file: &'a str,
    mistakes: Vec<String>,
}

/// What a pattern captures.
struct Captures {
    count: usize,
    names: Vec<Option<String>>,
}

impl Reading<'_> {
    fn mapping(&mut self, raw: &RawFile) -> Mapping {
        let defaults = &raw.defaults;
        let mut mapping = Mapping { globs: Globs::new(defaults.glob_disable_ordering), ..Mapping::default() };
        let ttl = self.ttl(defaults.ttl.as_ref());
        self.observer_type(defaults.observer_type.as_ref());
        self.observer_type(defaults.timer_type.as_ref());
        for rule in &raw.mappings {
            self.rule(rule, defaults, ttl, &mut mapping);
        }
        mapping
    }

    fn rule(&mut self, raw: &Spanned<RawRule>, defaults: &RawDefaults, ttl: Option<Duration>, mapping: &mut Mapping) {
        let number = u32::try_from(mapping.rules.len()).unwrap_or(u32::MAX);
        let place = raw.referenced;
        let raw = &raw.value;
        let Some(pattern) = &raw.pattern else {
            return self.mistake(place, "a mapping needs `match`");
        };
        let kind = self.kind(raw.match_metric_type.as_ref());
        self.observer_type(raw.observer_type.as_ref());
        self.observer_type(raw.timer_type.as_ref());
        if let Some(scale) = &raw.scale {
            let advice = "`scale` is not supported: values are stored as they were sent; multiply them in the question";
            self.mistake(scale.referenced, advice);
        }
        let match_type = raw.match_type.as_ref().or(defaults.match_type.as_ref());
        let captures = match match_type.map_or("glob", |word| word.value.as_str()) {
            "glob" | "" => {
                self.glob(pattern);
                mapping.globs.add(&pattern.value, kind, number);
                Some(Captures {
                    count: pattern.value.split('.').filter(|part| *part == "*").count(),
                    names: Vec::new(),
                })
            }
            "regex" => self.regex(pattern).map(|regex| {
                let names: Vec<Option<String>> =
                    regex.capture_names().skip(1).map(|name| name.map(str::to_owned)).collect();
                mapping.regexes.push((number, regex));
                Captures { count: names.len(), names }
            }),
            other => {
                let place = match_type.map_or(place, |word| word.referenced);
                return self.mistake(place, &format!("match_type is `glob` or `regex`, not `{other}`"));
            }
        };
        let Some(captures) = captures else { return };
        let drops = match raw.action.as_ref().map_or("map", |action| action.value.as_str()) {
            "map" | "" => false,
            "drop" => true,
            other => {
                let place = raw.action.as_ref().map_or(place, |action| action.referenced);
                return self.mistake(place, &format!("action is `map` or `drop`, not `{other}`"));
            }
        };
        let name = match &raw.name {
            _ if drops => None,
            Some(name) if !name.value.is_empty() => Some(self.template(name, &captures)),
            _ => return self.mistake(place, "a mapping needs `name`, unless its action is `drop`"),
        };
        let mut labels = Vec::new();
        for (key, value) in raw.labels.iter().flatten() {
            if key.is_empty() || key == NAME_LABEL || key.chars().any(char::is_control) {
                self.mistake(value.referenced, &format!("`{key}` cannot be the name of a label"));
            }
            labels.push((key.as_str().into(), self.template(value, &captures)));
        }
        let ttl = if raw.ttl.is_some() { self.ttl(raw.ttl.as_ref()) } else { ttl };
        let pattern = pattern.value.as_str().into();
        mapping.rules.push(Rule { pattern, name, labels, honor_labels: raw.honor_labels, ttl, kind });
    }

    fn glob(&mut self, pattern: &Spanned<String>) {
        for part in pattern.value.split('.') {
            if part.is_empty() || (part.contains('*') && part != "*") {
                let advice = format!(
                    "`{}`: in a glob, `*` stands for one whole part between dots, and no part is empty; \
                     match_type: regex can do more",
                    pattern.value
                );
                return self.mistake(pattern.referenced, &advice);
            }
        }
    }

    fn regex(&mut self, pattern: &Spanned<String>) -> Option<Regex> {
        match Regex::new(&pattern.value) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.mistake(pattern.referenced, &format!("`{}` is no regular expression: {why}", pattern.value));
                None
            }
        }
    }

    fn template(&mut self, text: &Spanned<String>, captures: &Captures) -> Template {
        let names: Vec<Option<&str>> = captures.names.iter().map(Option::as_deref).collect();
        if text.value.chars().any(char::is_control) {
            self.mistake(text.referenced, "control characters cannot be part of a name or label");
        }
        Template::parse(&text.value, captures.count, &names).unwrap_or_else(|why| {
            self.mistake(text.referenced, &why);
            Template::default()
        })
    }

    fn kind(&mut self, word: Option<&Spanned<String>>) -> Option<SampleKind> {
        let word = word?;
        match word.value.as_str() {
            "" => None,
            "counter" => Some(SampleKind::Counter),
            "gauge" => Some(SampleKind::Gauge),
            "observer" | "timer" => Some(SampleKind::Distribution),
            "set" => Some(SampleKind::Set),
            other => {
                let advice = format!("match_metric_type is `counter`, `gauge`, `observer` or `set`, not `{other}`");
                self.mistake(word.referenced, &advice);
                None
            }
        }
    }

    fn observer_type(&mut self, word: Option<&Spanned<String>>) {
        if let Some(word) = word.filter(|word| !matches!(word.value.as_str(), "" | "summary" | "histogram")) {
            self.mistake(word.referenced, &format!("observer_type is `summary` or `histogram`, not `{}`", word.value));
        }
    }

    fn ttl(&mut self, text: Option<&Spanned<String>>) -> Option<Duration> {
        let text = text?;
        if matches!(text.value.as_str(), "" | "0" | "0s") {
            return None;
        }
        let ttl = span::parse(&text.value);
        if ttl.is_none() {
            self.mistake(text.referenced, &format!("`{}` is not a span of time like 1m20s", text.value));
        }
        ttl
    }

    fn mistake(&mut self, place: Location, what: &str) {
        self.mistakes.push(format!("{}:{}:{}: {what}", self.file, place.line(), place.column()));
    }
}

/// What is wrong, without the excerpt that the crate draws around it.
fn sentence(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or(first).to_owned()
}
