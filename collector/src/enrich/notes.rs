//! Counts of what had to be adjusted in lines, until a source writes them into its tally.

use std::sync::Arc;

use crate::source::Tally;

/// Bytes kept of the line that a note was first made for.
const EXAMPLE_BYTES_MAX: usize = 200;

/// Adjustments since the last report, by reason, and what rules did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    adjustments: Vec<Note>,
    effects: Vec<Effect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    reason: &'static str,
    count: u64,
    example: Vec<u8>,
}

/// What one rule did in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Effect {
    rule: Arc<str>,
    what: &'static str,
    count: u64,
}

impl Notes {
    /// Counts one adjustment made to `line`.
    pub fn add(&mut self, reason: &'static str, line: &[u8]) {
        match self.adjustments.iter_mut().find(|note| note.reason == reason) {
            Some(note) => note.count += 1,
            None => {
                self.adjustments.push(Note {
                    reason,
                    count: 1,
                    example: line[..line.len().min(EXAMPLE_BYTES_MAX)].to_vec(),
                });
            }
        }
    }

    /// How often `reason` was noted.
    pub fn count(&self, reason: &str) -> u64 {
        self.adjustments.iter().find(|note| note.reason == reason).map_or(0, |note| note.count)
    }

    /// Counts what a rule did to records (`dropped`, `changed` …).
    pub(super) fn add_effect(&mut self, rule: &Arc<str>, what: &'static str, count: u64) {
        let same = |effect: &&mut Effect| Arc::ptr_eq(&effect.rule, rule) && effect.what == what;
        match self.effects.iter_mut().find(same) {
            Some(effect) => effect.count += count,
            None => self.effects.push(Effect { rule: Arc::clone(rule), what, count }),
        }
    }

    /// How often a rule did this.
    pub fn effect(&self, rule: &str, what: &str) -> u64 {
        let found = self.effects.iter().find(|effect| *effect.rule == *rule && effect.what == what);
        found.map_or(0, |effect| effect.count)
    }

    /// Whether nothing was adjusted and no rule did anything.
    pub fn is_empty(&self) -> bool {
        self.adjustments.is_empty() && self.effects.is_empty()
    }

    /// Writes the counts into a tally and starts again at none.
    pub fn report(&mut self, tally: &Tally) {
        for note in self.adjustments.drain(..) {
            tally.problem(note.reason, note.count, &note.example);
        }
        for effect in self.effects.drain(..) {
            tally.rule_did(&effect.rule, effect.what, effect.count);
        }
    }
}
