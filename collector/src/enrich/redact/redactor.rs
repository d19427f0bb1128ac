//! The rules at work on records.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use super::rule::{NAMES, Rule};
use super::{Found, MARKER, card, named_value, prefilter};
use crate::enrich::notes::Notes;
use crate::enrich::pattern::compiled;
use crate::model::{LogRecord, Value};

/// A text is looked at again at most so often.
const ROUNDS_MAX: usize = 8;

/// Replaces secrets by what names their rule. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::enrich) struct Redactor(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    /// The name of each rule, own ones behind; none of one that is switched off.
    names: Vec<Option<Arc<str>>>,
    own: Vec<Regex>,
}

/// Off.
impl Default for Redactor {
    fn default() -> Redactor {
        Redactor(None)
    }
}

/// The text as the built-in rules leave it, for what is shown of lines beside the records (examples of problems).
pub(crate) fn censored(text: &str) -> Cow<'_, str> {
    if !prefilter::suspects(text) && card::find(text, 0).is_none() {
        return Cow::Borrowed(text);
    }
    let names = NAMES.iter().map(|name| Some(Arc::from(*name))).collect();
    let rules = Rules { names, own: Vec::new() };
    rules.redacted(text, &mut |_| {}).map_or(Cow::Borrowed(text), Cow::Owned)
}

impl Redactor {
    /// With the built-in rules but these, and own ones: what they match, or the first group of it, is replaced.
    pub(in crate::enrich) fn new(
        except: &[String],
        own: &BTreeMap<String, String>,
    ) -> Result<Redactor, (&'static str, String)> {
        if let Some(unknown) = except.iter().find(|name| !NAMES.contains(&name.as_str())) {
            let message = format!("{unknown:?} is no rule: the rules are {}", NAMES.join(", "));
            return Err(("collector.lines.redact_except", message));
        }
        let is_on = |name: &&str| !except.iter().any(|except| except == *name);
        let mut names: Vec<_> =
            NAMES.iter().map(|name| Some(name).filter(|name| is_on(name)).map(|name| Arc::from(*name))).collect();
        let mut patterns = Vec::new();
        for (name, pattern) in own {
            let wrong = |message| ("collector.lines.redact_patterns", format!("{name}: {message}"));
            if NAMES.contains(&name.as_str())
                || name.is_empty()
                || !name.bytes().all(|b| super::is_word_byte(b) || b == b'-')
            {
                return Err(wrong("call it by letters, digits, - and _, and not as a built-in rule".to_owned()));
            }
            let regex = compiled(pattern).map_err(|error| wrong(error.in_text(pattern).to_string()))?;
            if regex.is_match("") {
                return Err(wrong("it matches nothing at all, and so everywhere".to_owned()));
            }
            patterns.push(regex);
            names.push(Some(Arc::from(name.as_str())));
        }
        Ok(Redactor(Some(Arc::new(Rules { names, own: patterns }))))
    }

    /// Replaces the secrets in the record that `line` became, and counts them. What the record has from elsewhere
    /// (`is_all_of_line` is false then) is looked at by itself.
    #[inline]
    pub(in crate::enrich) fn redact(
        &self,
        record: &mut LogRecord,
        line: &str,
        is_all_of_line: bool,
        notes: &mut Notes,
    ) {
        let Some(rules) = &self.0 else { return };
        if !rules.own.is_empty()
            || prefilter::suspects(line)
            || card::find(&record.body, 0).is_some()
            || record.attributes.iter().any(|(_, value)| suspects_value(value, is_all_of_line))
        {
            rules.redact(record, notes);
        }
    }
}

impl Redactor {
    /// Replaces the secrets in a record that was no line, by its text, its values and their names, and counts them.
    pub(in crate::enrich) fn redact_record(&self, record: &mut LogRecord, notes: &mut Notes) {
        if let Some(rules) = &self.0 {
            rules.redact(record, notes);
        }
    }
}

/// Whether a value may hold a card number, or, when the line did not show it, anything else.
#[inline]
fn suspects_value(value: &Value, is_of_line: bool) -> bool {
    match value {
        Value::String(text) => card::find(text, 0).is_some() || (!is_of_line && prefilter::suspects(text)),
        Value::Array(items) => items.iter().any(|item| suspects_value(item, is_of_line)),
        // A card number is one of 14 digits or more.
        Value::Int(number) => *number >= 30_000_000_000_000 && *number < 10_000_000_000_000_000,
        Value::Null | Value::Bool(_) | Value::Float(_) => false,
    }
}

impl Rules {
    #[cold]
    fn redact(&self, record: &mut LogRecord, notes: &mut Notes) {
        let mut count = |rule: &Arc<str>| notes.add_effect(rule, "redacted", 1);
        if let Some(body) = self.redacted(&record.body, &mut count) {
            record.body = body;
        }
        for (name, value) in &mut record.attributes {
            self.redact_value(name, value, &mut count);
        }
    }

    fn redact_value(&self, name: &str, value: &mut Value, count: &mut impl FnMut(&Arc<str>)) {
        let kind = named_value::kind_of(name);
        match value {
            Value::String(text) => {
                let by_name = kind.and_then(|kind| named_value::find_in_attribute(kind, text));
                let is_id = card::names_no_card(name.as_bytes());
                if let Some(redacted) = self.redacted_with(text, by_name, !is_id, count) {
                    *text = redacted;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(name, item, count)),
            Value::Int(number) => {
                let text = number.to_string();
                let is_card = !card::names_no_card(name.as_bytes()) && card::find(&text, 0).is_some();
                let rule = match kind {
                    Some(named_value::Kind::Password) if named_value::may_be_password(name, *number) => Rule::Password,
                    _ if is_card => Rule::Card,
                    _ => return,
                };
                if let Some(name) = self.name(rule) {
                    count(name);
                    *value = Value::String(format!("{MARKER}{name}]"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Float(_) => {}
        }
    }

    /// The text without its secrets; none when there are none.
    fn redacted(&self, text: &str, count: &mut impl FnMut(&Arc<str>)) -> Option<String> {
        self.redacted_with(text, None, true, count)
    }

    /// The same when a place is known already. What is replaced may leave something standing by itself that was part of
    /// something else before: it is looked at until nothing more is found.
    fn redacted_with(
        &self,
        text: &str,
        known: Option<Found>,
        with_cards: bool,
        count: &mut impl FnMut(&Arc<str>),
    ) -> Option<String> {
        let mut redacted = self.redacted_once(text, known, with_cards, count)?;
        for _ in 0..ROUNDS_MAX {
            match self.redacted_once(&redacted, None, with_cards, count) {
                Some(again) => redacted = again,
                None => break,
            }
        }
        Some(redacted)
    }

    fn redacted_once(
        &self,
        text: &str,
        known: Option<Found>,
        with_cards: bool,
        count: &mut impl FnMut(&Arc<str>),
    ) -> Option<String> {
        let mut found: Vec<Found> = known.into_iter().collect();
        prefilter::find(text, &mut found);
        let mut from = 0;
        while with_cards && let Some((start, end)) = card::find(text, from) {
            found.push(Found { start, end, rule: Rule::Card });
            from = end;
        }
        for (number, regex) in self.own.iter().enumerate() {
            for captures in regex.captures_iter(text) {
                let place = captures.get(1).or_else(|| captures.get(0));
                let Some(place) = place.filter(|place| !place.is_empty() && !place.as_str().contains(MARKER)) else {
                    continue;
                };
                found.push(Found { start: place.start(), end: place.end(), rule: Rule::Own(number) });
            }
        }
        found.retain(|found| self.name(found.rule).is_some());
        if found.is_empty() {
            return None;
        }
        // Of two that overlap the one that begins first goes, the longer one when they begin together.
        found.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
        let (mut redacted, mut done) = (String::with_capacity(text.len()), 0);
        for Found { start, end, rule } in found {
            let Some(name) = self.name(rule).filter(|_| start >= done) else { continue };
            redacted.push_str(&text[done..start]);
            redacted.push_str(MARKER);
            redacted.push_str(name);
            redacted.push(']');
            count(name);
            done = end;
        }
        redacted.push_str(&text[done..]);
        Some(redacted)
    }

    fn name(&self, rule: Rule) -> Option<&Arc<str>> {
        self.names.get(rule.index())?.as_ref()
    }
}
