//! One error group and its states.
//!
//! ```text
//!            resolve (now, or in a version)               ignore until a moment
//!   open ─────────────────────────────────▶ resolved   open ─────────────────▶ ignored
//!    ▲                                          │        ▲                        │
//!    └── regressed: it came after that ─────────┘        └── the moment is over ──┘
//! ```

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::version;

/// Versions that are remembered of a group, the newest.
const VERSIONS_MAX: usize = 50;
/// Regressions that are remembered, the newest.
const REGRESSIONS_MAX: usize = 20;

/// Nanoseconds since the Unix epoch.
pub type Nanos = i64;

/// What is known of a group, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The service that fails.
    pub service: String,
    /// The exception's type; empty when there is none.
    pub kind: String,
    /// Its message when it was first seen.
    pub message: String,
    /// The own function that failed, or else the innermost.
    pub culprit: String,
    /// The language of its trace; empty without one.
    pub language: String,
    /// When its oldest error happened.
    pub first_seen: Nanos,
    /// When its newest error happened.
    pub last_seen: Nanos,
    /// Its errors, ever.
    pub count: u64,
    /// The newest record of it.
    pub last_record: String,
    /// The version in which it was first seen; empty when none is told.
    pub first_version: String,
    /// Versions in which it was seen, in the order in which they came.
    pub versions: Vec<String>,
    /// What was decided.
    pub state: State,
    /// When it came back after it was resolved.
    pub regressions: Vec<Regression>,
}

/// What people decided about a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing, or it is over.
    #[default]
    Open,
    /// It is mended.
    Resolved {
        /// When that was said.
        at: Nanos,
        /// In this version; empty: from that moment on.
        version: String,
        /// Who said so.
        by: String,
        /// The versions it was seen in before.
        before: Vec<String>,
    },
    /// Nobody wants to hear of it.
    Ignored {
        /// Until then.
        until: Nanos,
        /// Who said so.
        by: String,
    },
}

/// A resolved group came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regression {
    /// When the error happened that brought it back.
    pub at: Nanos,
    /// In which version; empty when none is told.
    pub version: String,
    /// When it had been resolved.
    pub resolved_at: Nanos,
}

/// A record of a group, as far as the group needs to know it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'r> {
    /// When it happened.
    pub time: Nanos,
    /// The record's name.
    pub record: &'r str,
    /// The version that it tells of; empty when it tells of none.
    pub version: &'r str,
}

impl Group {
    /// Takes in a record; whether it brought a resolved group back.
    pub fn take(&mut self, seen: Seen<'_>) -> bool {
        if self.count == 0 {
            (self.first_seen, self.last_seen) = (seen.time, seen.time);
            self.first_version = seen.version.to_owned();
            self.last_record = seen.record.to_owned();
        }
        self.count += 1;
        self.first_seen = self.first_seen.min(seen.time);
        if seen.time >= self.last_seen {
            self.last_seen = seen.time;
            seen.record.clone_into(&mut self.last_record);
        }
        let is_back = self.is_back(seen);
        if !seen.version.is_empty() && !self.versions.iter().any(|known| known == seen.version) {
            if self.versions.len() == VERSIONS_MAX {
                self.versions.remove(0);
            }
            self.versions.push(seen.version.to_owned());
        }
        if let (true, State::Resolved { at, .. }) = (is_back, &self.state) {
            if self.regressions.len() == REGRESSIONS_MAX {
                self.regressions.remove(0);
            }
            self.regressions.push(Regression { at: seen.time, version: seen.version.to_owned(), resolved_at: *at });
            self.state = State::Open;
        }
        is_back
    }

    /// Whether the record shows that it was not resolved for good.
    fn is_back(&self, seen: Seen<'_>) -> bool {
        let State::Resolved { at, version, before, .. } = &self.state else { return false };
        if seen.time <= *at {
            return false;
        }
        if version.is_empty() || seen.version.is_empty() {
            return version.is_empty();
        }
        match version::compare(seen.version, version) {
            Some(order) => order != Ordering::Less,
            // Names that tell no order: what was there before is older.
            None => seen.version == version || !before.iter().any(|old| old == seen.version),
        }
    }

    /// The state in one word, at this moment.
    pub fn state_name(&self, now: Nanos) -> &'static str {
        match &self.state {
            State::Resolved { .. } => "resolved",
            State::Ignored { until, .. } if now < *until => "ignored",
            State::Open | State::Ignored { .. } if self.regressions.is_empty() => "open",
            State::Open | State::Ignored { .. } => "regressed",
        }
    }

    /// Says that it is mended, from now on or in a version.
    pub fn resolve(&mut self, now: Nanos, version: &str, by: &str) {
        let before = self.versions.clone();
        self.state = State::Resolved { at: now, version: version.to_owned(), by: by.to_owned(), before };
    }

    /// Says that nobody wants to hear of it until a moment.
    pub fn ignore(&mut self, until: Nanos, by: &str) {
        self.state = State::Ignored { until, by: by.to_owned() };
    }

    /// Takes back what was decided; regressions are dealt with by that too.
    pub fn reopen(&mut self) {
        self.state = State::Open;
        self.regressions.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(time: Nanos, version: &str) -> Seen<'_> {
        Seen { time, record: "r", version }
    }

    #[test]
    fn a_group_knows_when_and_where_it_was_seen() {
        let mut group = Group::default();
        for (time, version) in [(20, "1.0"), (10, ""), (30, "1.1"), (25, "1.0")] {
            assert!(!group.take(seen(time, version)));
        }
        assert_eq!((group.first_seen, group.last_seen, group.count), (10, 30, 4));
        assert_eq!(
            (group.first_version.as_str(), group.versions.as_slice()),
            ("1.0", &["1.0".into(), "1.1".into()][..])
        );
    }

    #[test]
    fn a_resolved_group_is_back_when_it_comes_after_that() {
        // Resolved at 100 in a version, having been seen in these; a record then, and whether it is back.
        let check = |version: &str, before: &[&str], (time, of): (Nanos, &str), expected: bool| {
            let mut group = Group::default();
            before.iter().for_each(|version| {
                group.take(seen(50, version));
            });
            group.resolve(100, version, "ann");
            assert_eq!(group.take(seen(time, of)), expected, "{version} {before:?} {time} {of}");
            assert_eq!(group.state_name(200), if expected { "regressed" } else { "resolved" });
        };
        check("", &["1.0"], (101, "1.0"), true);
        check("", &["1.0"], (100, "1.0"), false);
        check("1.2", &["1.0"], (101, "1.1"), false);
        check("1.2", &["1.0"], (101, "1.2"), true);
        check("1.2", &["1.0"], (101, "1.10"), true);
        check("1.2", &["1.0"], (101, ""), false);
        check("fa17", &["be11"], (101, "be11"), false);
        check("fa17", &["be11"], (101, "fa17"), true);
        check("fa17", &["be11"], (101, "c0de"), true);
    }

    #[test]
    fn states_follow_what_is_said() {
        let mut group = Group::default();
        group.take(seen(1, ""));
        assert_eq!(group.state_name(1), "open");
        group.ignore(50, "ann");
        assert_eq!((group.state_name(49), group.state_name(50)), ("ignored", "open"));
        assert!(!group.take(seen(60, "")));
        group.resolve(70, "", "ann");
        assert_eq!(group.state_name(71), "resolved");
        assert!(group.take(seen(80, "2")));
        assert_eq!(group.regressions, [Regression { at: 80, version: "2".into(), resolved_at: 70 }]);
        assert!(!group.take(seen(81, "2")), "it is back once");
        assert_eq!(group.state_name(90), "regressed");
        group.reopen();
        assert_eq!(group.state_name(90), "open");
        let kept = serde_json::to_string(&group).unwrap();
        assert_eq!(serde_json::from_str::<Group>(&kept).unwrap(), group);
    }
}
