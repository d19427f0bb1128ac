//! A rule checked and compiled, and what all sources share of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::GlobMatcher;
use parking_lot::Mutex;
use serde_json::Value as Json;

use super::condition::{Condition, Scope, glob};
use super::config::Config;
use super::dropped::Dropped;
use super::field::OWN;
use super::rate_limit::{Bucket, Rate};
use super::sampling::Sampler;
use crate::enrich::KEY_BYTES_MAX;
use crate::model::{LogRecord, Resource, Timestamp, Value};
use crate::source::StartError;

/// The kinds of sources that rules can be for.
const SOURCES: [&str; 5] = ["files", "journald", "syslog", "stdin", "json_lines"];

/// The rules of `[[collector.shape]]`, in their order; shared by all sources.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) sources: Vec<String>,
    pub(super) scope: Scope,
    pub(super) conditions: Vec<Condition>,
    pub(super) decision: Decision,
    pub(super) changes: Changes,
    /// What its sampling or its limit dropped and no record has said yet.
    pub(super) dropped: Mutex<Dropped>,
}

/// What becomes of a record that matches.
#[derive(Debug)]
pub(super) enum Decision {
    /// The next rule decides.
    None,
    Keep,
    Drop,
    Sample {
        sampler: Sampler,
        errors_too: bool,
    },
    Limit {
        rate: Rate,
        bucket: Mutex<Bucket>,
    },
}

/// What is changed in a record that stays.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) copy: Vec<(String, Arc<str>)>,
    pub(super) rename: Vec<(String, Arc<str>)>,
    pub(super) drop: Vec<Named>,
    pub(super) add: Vec<(Arc<str>, Value)>,
}

/// A name, or a pattern of names.
#[derive(Debug)]
pub(super) enum Named {
    Exactly(String),
    Like(GlobMatcher),
}

impl Rules {
    /// Compiles the rules; `variable` looks up a variable of the environment.
    ///
    /// # Errors
    /// Which rule is wrong, and how.
    pub fn compile(configs: &[Config], variable: impl Fn(&str) -> Option<String>) -> Result<Rules, StartError> {
        let mut rules: Vec<Rule> = Vec::new();
        for (at, config) in configs.iter().enumerate() {
            let name = if config.name.is_empty() { format!("shape-{}", at + 1) } else { config.name.clone() };
            let wrong = |message| StartError {
                setting: "collector.shape",
                message: format!("rule {} ({name}): {message}", at + 1),
            };
            if rules.iter().any(|rule| *rule.name == *name) {
                return Err(wrong("another rule has its name, and effects are counted by name".to_owned()));
            }
            rules.push(Rule::compile(config, &name, &variable).map_err(wrong)?);
        }
        Ok(Rules(rules))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    pub(super) fn of(&self, index: usize) -> &Rule {
        &self.0[index]
    }

    /// Whether any of them samples or limits, and so has something to report.
    pub fn report_anything(&self) -> bool {
        self.0.iter().any(|rule| rule.decision.name_of_report().is_some())
    }

    /// The records that say what was dropped by sampling and limits, of the rules whose last one is long enough ago, or, `at_end`, of
    /// all that dropped something. They are said by `host`.
    pub fn reports(&self, now: Timestamp, at_end: bool, host: &Arc<Resource>) -> Vec<LogRecord> {
        let report =
            |rule: &Rule| rule.dropped.lock().report(&rule.name, rule.decision.name_of_report()?, now, at_end, host);
        self.0.iter().filter_map(report).collect()
    }
}

impl Decision {
    fn name_of_report(&self) -> Option<&'static str> {
        match self {
            Decision::Sample { .. } => Some("sampling"),
            Decision::Limit { .. } => Some("limit"),
            Decision::None | Decision::Keep | Decision::Drop => None,
        }
    }
}

impl Rule {
    fn compile(config: &Config, name: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Rule, String> {
        if let Some(unknown) = config.source.iter().find(|source| !SOURCES.contains(&source.as_str())) {
            return Err(format!("source: {unknown:?} is none of {}", SOURCES.join(", ")));
        }
        let decision = decision(config)?;
        let changes = Changes::compile(config, variable)?;
        if matches!(decision, Decision::None) && changes.is_empty() {
            return Err("it does nothing: say keep, drop_records, sample, limit, copy, rename, drop or add".to_owned());
        }
        if matches!(decision, Decision::Drop) && !changes.is_empty() {
            return Err("drop_records leaves nothing to change".to_owned());
        }
        Ok(Rule {
            name: name.into(),
            sources: config.source.clone(),
            scope: Scope::new(&config.service, &config.path)?,
            conditions: config
                .fields
                .iter()
                .map(|(field, wanted)| Condition::new(field, wanted))
                .collect::<Result<_, _>>()?,
            decision,
            changes,
            dropped: Mutex::default(),
        })
    }
}

fn decision(config: &Config) -> Result<Decision, String> {
    let mut decisions = Vec::new();
    if config.keep {
        decisions.push(Decision::Keep);
    }
    if config.drop_records {
        decisions.push(Decision::Drop);
    }
    match config.sample {
        Some(part) => {
            decisions.push(Decision::Sample { sampler: Sampler::new(part)?, errors_too: config.sample_errors });
        }
        None if config.sample_errors => return Err("sample_errors says nothing without sample".to_owned()),
        None => {}
    }
    match &config.limit {
        Some(limit) => {
            let rate = Rate::read(limit, config.burst)?;
            decisions.push(Decision::Limit { rate, bucket: Mutex::new(Bucket::new(rate)) });
        }
        None if config.burst.is_some() => return Err("burst says nothing without limit".to_owned()),
        None => {}
    }
    if decisions.len() > 1 {
        return Err("keep, drop_records, sample and limit are decisions: one rule can make one".to_owned());
    }
    Ok(decisions.pop().unwrap_or(Decision::None))
}

impl Changes {
    fn compile(config: &Config, variable: &impl Fn(&str) -> Option<String>) -> Result<Changes, String> {
        let targets = config.copy.keys().chain(config.rename.values()).chain(config.add.keys());
        if let Some(name) = targets.into_iter().find(|name| name.is_empty() || name.len() > KEY_BYTES_MAX) {
            return Err(format!("{name:?}: a field's name has 1 to {KEY_BYTES_MAX} bytes"));
        }
        if let Some(own) = config.rename.keys().chain(&config.drop).find(|name| OWN.contains(&name.as_str())) {
            return Err(format!(
                "{own} is a part that every record has: it can be copied and set, not renamed or dropped"
            ));
        }
        Ok(Changes {
            copy: config.copy.iter().map(|(new, old)| (old.clone(), new.as_str().into())).collect(),
            rename: pairs(&config.rename),
            drop: config.drop.iter().map(|name| Named::compile(name)).collect::<Result<_, _>>()?,
            add: config
                .add
                .iter()
                .map(|(name, value)| Ok((name.as_str().into(), constant(name, value, variable)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copy.is_empty() && self.rename.is_empty() && self.drop.is_empty() && self.add.is_empty()
    }
}

fn pairs(names: &BTreeMap<String, String>) -> Vec<(String, Arc<str>)> {
    names.iter().map(|(old, new)| (old.clone(), new.as_str().into())).collect()
}

impl Named {
    fn compile(name: &str) -> Result<Named, String> {
        match name.contains('*') {
            true => glob(name).map(Named::Like).map_err(|error| format!("drop: {error}")),
            false => Ok(Named::Exactly(name.to_owned())),
        }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        match self {
            Named::Exactly(exactly) => exactly == name,
            Named::Like(glob) => glob.is_match(name),
        }
    }
}

fn constant(name: &str, value: &Json, variable: &impl Fn(&str) -> Option<String>) -> Result<Value, String> {
    Ok(match value {
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Float(number),
            (None, None) => return Err(format!("add.{name}: the number is too large")),
        },
        Json::String(text) => Value::String(expanded(text, variable).map_err(|error| format!("add.{name}: {error}"))?),
        Json::Null | Json::Array(_) | Json::Object(_) => {
            return Err(format!("add.{name}: write a text, a number, true or false"));
        }
    })
}

/// The text with `${NAME}` and `${NAME:-instead}` replaced.
fn expanded(text: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("${") {
        let (inside, after) = behind.split_once('}').ok_or("${ has no } behind it")?;
        let (name, instead) = inside.split_once(":-").map_or((inside, None), |(name, text)| (name, Some(text)));
        expanded.push_str(before);
        match (variable(name), instead) {
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(instead)) => expanded.push_str(instead),
            (None, None) => {
                return Err(format!("the variable {name} is not set; ${{{name}:-something}} stands in for it"));
            }
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}
