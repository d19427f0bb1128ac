//! The rules at work on the records of one source.

use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::field::{self, Memory};
use super::rule::{Changes, Decision, Rule, Rules};
use crate::enrich::notes::Notes;
use crate::model::{LogRecord, Resource, Severity, Timestamp};

/// Resources whose scope is remembered before the memory is emptied.
const RESOURCES_MAX: usize = 4096;

/// Applies the rules that are for one source. A clone remembers for itself and shares the rules.
#[derive(Clone, Debug, Default)]
pub(in crate::enrich) struct Shaper {
    rules: Arc<Rules>,
    /// Those that are for this source.
    mine: Vec<Mine>,
}

#[derive(Clone, Debug)]
struct Mine {
    index: usize,
    /// Whether the rule is for a resource, by its address; the resource is held so that no other gets the address.
    scopes: RapidHashMap<usize, (Arc<Resource>, bool)>,
}

impl Shaper {
    /// For the records of any source, until [`Shaper::of_source`] says of which.
    pub(in crate::enrich) fn new(rules: Arc<Rules>) -> Shaper {
        let mine = |index| Mine { index, scopes: RapidHashMap::default() };
        Shaper { mine: (0..rules.iter().count()).map(mine).collect(), rules }
    }

    /// Leaves out the rules that are for other sources.
    pub(in crate::enrich) fn of_source(&mut self, kind: &str) {
        let rules = &self.rules;
        self.mine.retain(|mine| {
            let sources = &rules.of(mine.index).sources;
            sources.is_empty() || sources.iter().any(|source| source == kind)
        });
    }

    /// The rules, those for other sources included.
    pub(in crate::enrich) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Whether no rule is for this source.
    #[inline]
    pub(in crate::enrich) fn is_idle(&self) -> bool {
        self.mine.is_empty()
    }

    /// The record as the rules leave it; none when one drops it.
    pub(in crate::enrich) fn shape(
        &mut self,
        mut record: LogRecord,
        notes: &mut Notes,
        memory: &mut Memory<'_>,
    ) -> Option<LogRecord> {
        let mut is_kept = false;
        for mine in &mut self.mine {
            let rule = self.rules.of(mine.index);
            if !mine.is_for(rule, &record) {
                continue;
            }
            match &rule.decision {
                Decision::Keep if !is_kept => {
                    is_kept = true;
                    notes.add_effect(&rule.name, "kept", 1);
                }
                decision if !is_kept => {
                    if let Some(effect) = decision.drops(rule, &record, memory.setting.arrival) {
                        notes.add_effect(&rule.name, effect, 1);
                        return None;
                    }
                }
                _ => {}
            }
            if rule.changes.apply(&mut record, memory) {
                notes.add_effect(&rule.name, "changed", 1);
            }
        }
        Some(record)
    }
}

impl Mine {
    fn is_for(&mut self, rule: &Rule, record: &LogRecord) -> bool {
        (rule.scope.is_all() || self.holds(rule, &record.resource))
            && rule.conditions.iter().all(|condition| condition.holds(record))
    }

    fn holds(&mut self, rule: &Rule, resource: &Arc<Resource>) -> bool {
        let address = Arc::as_ptr(resource).addr();
        if let Some((_, holds)) = self.scopes.get(&address) {
            return *holds;
        }
        if self.scopes.len() >= RESOURCES_MAX {
            self.scopes.clear();
        }
        let holds = rule.scope.holds(resource);
        self.scopes.insert(address, (Arc::clone(resource), holds));
        holds
    }
}

impl Decision {
    /// How the record is dropped, if it is.
    fn drops(&self, rule: &Rule, record: &LogRecord, arrival: Timestamp) -> Option<&'static str> {
        let effect = match self {
            Decision::None | Decision::Keep => return None,
            Decision::Drop => return Some("dropped"),
            Decision::Sample { sampler, errors_too } => {
                let is_error = record.severity >= Severity::ERROR;
                if (is_error && !errors_too) || sampler.keeps(record.trace_id) {
                    return None;
                }
                "sampled_out"
            }
            Decision::Limit { rate, bucket } => {
                if bucket.lock().take(*rate, arrival) {
                    return None;
                }
                "limited"
            }
        };
        rule.dropped.lock().add(arrival, &record.resource.service);
        Some(effect)
    }
}

impl Changes {
    /// Makes the changes; whether there was one.
    fn apply(&self, record: &mut LogRecord, memory: &mut Memory<'_>) -> bool {
        let mut is_changed = false;
        for (from, to) in &self.copy {
            if let Some(value) = field::value(record, from) {
                is_changed |= field::set(record, to, value, memory).is_ok();
            }
        }
        for (from, to) in &self.rename {
            let Some(value) = field::take(record, from) else { continue };
            match field::set(record, to, value, memory) {
                Ok(()) => is_changed = true,
                // It is no time, no level, no id: it stays what it was.
                Err(value) => record.attributes.push((from.as_str().into(), value)),
            }
        }
        if !self.drop.is_empty() {
            let before = record.attributes.len();
            record.attributes.retain(|(name, _)| !self.drop.iter().any(|dropped| dropped.is(name)));
            is_changed |= record.attributes.len() < before;
        }
        for (name, value) in &self.add {
            is_changed |= field::set(record, name, value.clone(), memory).is_ok();
        }
        is_changed
    }
}
