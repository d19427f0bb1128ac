//! Dotted names become names with labels, by the rules of a file that `statsd_exporter` reads too.
//!
//! ```yaml
//! defaults: {match_type: glob, ttl: 0}
//! mappings:
//! - match: shop.*.orders.*            # each * is one part between dots
//!   name: orders
//!   labels: {shop: $1, outcome: $2}
//! - match: ^debug\.(?<what>.+)$
//!   match_type: regex
//!   action: drop
//! ```
//! As there: globs are asked before regular expressions; of the globs that match the first in the file wins (or the most exact, with
//! `glob_disable_ordering`), of the regular expressions the first; a label of a rule replaces a tag of that key unless the rule has
//! `honor_labels`. A name that no rule matches stays verbatim. What only says how an exporter shows a timer (`observer_type`,
//! buckets, quantiles) and `help` is read over: every timer keeps a sketch. Source: `prometheus/statsd_exporter:README.md` and
//! `pkg/mapper/mapper.go`.
//!
//! Rules are asked once for each series and spelling, never for each line. Reading order: [`file`](mod@file) (the YAML and what can be wrong with it),
//! [`glob`] (the automaton), [`template`] (`$1` in names and labels), [`mapper`] (the rules at work, and a changed file).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use self::glob::Globs;
use self::template::Template;
use crate::model::label_set::NAME_LABEL;
use crate::model::{LabelSet, SampleKind};

pub mod file;
mod glob;
pub mod mapper;
mod template;

/// The rules of a file.
#[derive(Debug, Default)]
pub struct Mapping {
    rules: Vec<Rule>,
    globs: Globs,
    /// Rules that are regular expressions, in their order.
    regexes: Vec<(u32, Regex)>,
}

/// What a series becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Identified {
    /// Its name and labels.
    pub labels: LabelSet,
    /// How long it is remembered while it is silent, when the rule says so.
    pub ttl: Option<Duration>,
}

/// Why a series is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The `match` of the rule that says so.
    pub rule: Arc<str>,
}

#[derive(Debug)]
struct Rule {
    pattern: Arc<str>,
    /// None drops what matches.
    name: Option<Template>,
    labels: Vec<(Box<str>, Template)>,
    honor_labels: bool,
    ttl: Option<Duration>,
    /// The kind it is for; none is any.
    kind: Option<SampleKind>,
}

impl Mapping {
    /// The labels of a series with this name and these tags; of a tag that stands twice the last counts, and one without a value is
    /// none.
    ///
    /// # Errors
    /// The rule that drops it.
    pub fn identify<'a>(
        &self,
        name: &'a str,
        tags: impl Iterator<Item = (&'a str, &'a str)>,
        kind: SampleKind,
    ) -> Result<Identified, Dropped> {
        let Some((rule, captures)) = self.find(name, kind) else {
            return Ok(Identified { labels: LabelSet::new(tags.chain([(NAME_LABEL, name)])), ttl: None });
        };
        let Some(template) = &rule.name else { return Err(Dropped { rule: Arc::clone(&rule.pattern) }) };
        let mut pairs: Vec<(&str, Cow<'_, str>)> = tags.map(|(key, value)| (key, value.into())).collect();
        let of_rule = rule.labels.iter().map(|(key, value)| (&**key, value.fill(&captures).into()));
        // Of two pairs with one key the later stands.
        let at = if rule.honor_labels { 0 } else { pairs.len() };
        pairs.splice(at..at, of_rule);
        let mapped = template.fill(&captures);
        pairs.push((NAME_LABEL, if mapped.is_empty() { name.into() } else { mapped.into() }));
        Ok(Identified { labels: LabelSet::new(pairs), ttl: rule.ttl })
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule that decides, and what its wildcards or groups hold.
    fn find<'n>(&self, name: &'n str, kind: SampleKind) -> Option<(&Rule, Vec<&'n str>)> {
        if let Some(rule) = self.globs.find(name, kind) {
            let rule = &self.rules[rule as usize];
            return Some((rule, glob::captures(&rule.pattern, name)));
        }
        self.regexes.iter().find_map(|(rule, regex)| {
            let rule = &self.rules[*rule as usize];
            if rule.kind.is_some_and(|only| only != kind) {
                return None;
            }
            let found = regex.captures(name)?;
            Some((rule, found.iter().skip(1).map(|group| group.map_or("", |group| group.as_str())).collect()))
        })
    }
}

#[cfg(test)]
mod tests;
