//! A promise not to be told of some alerts for a while: by whom, why, and until when. A silence always ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::state::Labels;

use super::matcher::{Matcher, Operator, all_match, write_matchers};

/// The most silences that are kept, ended ones included.
pub const SILENCES_MAX: usize = 10_000;

/// How long an ended silence can still be looked at, as in Alertmanager.
pub const KEEP_ENDED: Duration = Duration::from_secs(120 * 3600);

/// People are warned this long before the end, or at half time of a silence that is shorter than twice as long.
pub const WARNING: Duration = Duration::from_secs(3600);

/// One silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Silence {
    /// Its name for machines.
    pub id: String,
    /// Which alerts: those that pass all of them.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Whether its end was announced.
    pub warned: bool,
}

/// Where a silence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceState {
    /// Its time is to come.
    Pending,
    /// Alerts are silenced.
    Active,
    /// It is over.
    Expired,
}

impl Silence {
    /// What is wrong with it, in a sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.matchers.is_empty() {
            return Err("a silence needs a matcher, as in severity=\"page\"".to_owned());
        }
        // Alertmanager's rule: one that every alert passes is a mistake.
        if self.matchers.iter().all(|matcher| matcher.matches(&Labels::new())) {
            return Err(format!(
                "{} matches alerts without these labels too, which is everything: one matcher must ask for a value",
                write_matchers(&self.matchers)
            ));
        }
        if self.starts_at >= self.ends_at {
            return Err("a silence ends after it starts".to_owned());
        }
        if self.created_by.trim().is_empty() {
            return Err("a silence says who wants it: createdBy (--author)".to_owned());
        }
        if self.comment.trim().is_empty() {
            return Err("a silence says why: comment (--reason)".to_owned());
        }
        Ok(())
    }

    /// Where it stands at this moment.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        match () {
            () if now < self.starts_at => SilenceState::Pending,
            () if now < self.ends_at => SilenceState::Active,
            () => SilenceState::Expired,
        }
    }

    /// Whether an alert with these labels is not told now.
    pub fn silences(&self, labels: &Labels, now: Timestamp) -> bool {
        self.state(now) == SilenceState::Active && all_match(&self.matchers, labels)
    }

    /// When people are warned of its end.
    pub fn warns_at(&self) -> Timestamp {
        let length = self.ends_at.saturating_since(self.starts_at);
        self.ends_at.saturating_sub(WARNING.min(length / 2))
    }

    /// The next moment after `now` at which something about it changes.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let warning = (!self.warned).then(|| self.warns_at());
        [Some(self.starts_at), warning, Some(self.ends_at)].into_iter().flatten().filter(|at| *at > now).min()
    }
}

impl SilenceState {
    /// In Alertmanager's word.
    pub const fn name(self) -> &'static str {
        match self {
            SilenceState::Pending => "pending",
            SilenceState::Active => "active",
            SilenceState::Expired => "expired",
        }
    }
}

/// A silence in the catalog.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    id: String,
    matchers: Vec<WrittenMatcher>,
    starts_at: i64,
    ends_at: i64,
    updated_at: i64,
    created_by: String,
    comment: String,
    #[serde(default)]
    warned: bool,
}

/// A matcher as Alertmanager's API has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WrittenMatcher {
    /// The label.
    pub name: String,
    /// What it is compared with.
    pub value: String,
    /// Whether that is a pattern.
    #[serde(default)]
    pub is_regex: bool,
    /// False for "anything but".
    #[serde(default = "yes")]
    pub is_equal: bool,
}

const fn yes() -> bool {
    true
}

impl TryFrom<WrittenMatcher> for Matcher {
    type Error = String;

    fn try_from(written: WrittenMatcher) -> Result<Matcher, String> {
        let operator = match (written.is_regex, written.is_equal) {
            (false, true) => Operator::Equal,
            (false, false) => Operator::NotEqual,
            (true, true) => Operator::Matches,
            (true, false) => Operator::NotMatches,
        };
        Matcher::new(&written.name, operator, &written.value)
    }
}

impl From<&Matcher> for WrittenMatcher {
    fn from(matcher: &Matcher) -> WrittenMatcher {
        WrittenMatcher {
            name: matcher.name.clone(),
            value: matcher.value.clone(),
            is_regex: matches!(matcher.operator, Operator::Matches | Operator::NotMatches),
            is_equal: matches!(matcher.operator, Operator::Equal | Operator::Matches),
        }
    }
}

impl TryFrom<Written> for Silence {
    type Error = String;

    fn try_from(written: Written) -> Result<Silence, String> {
        Ok(Silence {
            id: written.id,
            matchers: written.matchers.into_iter().map(Matcher::try_from).collect::<Result<_, _>>()?,
            starts_at: Timestamp::from_unix_nanos(written.starts_at),
            ends_at: Timestamp::from_unix_nanos(written.ends_at),
            updated_at: Timestamp::from_unix_nanos(written.updated_at),
            created_by: written.created_by,
            comment: written.comment,
            warned: written.warned,
        })
    }
}

impl From<Silence> for Written {
    fn from(silence: Silence) -> Written {
        Written {
            matchers: silence.matchers.iter().map(WrittenMatcher::from).collect(),
            id: silence.id,
            starts_at: silence.starts_at.unix_nanos(),
            ends_at: silence.ends_at.unix_nanos(),
            updated_at: silence.updated_at.unix_nanos(),
            created_by: silence.created_by,
            comment: silence.comment,
            warned: silence.warned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::routing::matcher::parse_matchers;

    fn silence(matchers: &str, starts: i64, ends: i64) -> Silence {
        Silence {
            id: "1".to_owned(),
            matchers: parse_matchers(matchers).unwrap(),
            starts_at: Timestamp::from_unix_seconds(starts),
            ends_at: Timestamp::from_unix_seconds(ends),
            updated_at: Timestamp::from_unix_seconds(starts),
            created_by: "ann".to_owned(),
            comment: "new disks".to_owned(),
            warned: false,
        }
    }

    #[test]
    fn a_silence_starts_warns_and_ends() {
        let check = |silence: &Silence, second: i64, state: SilenceState, next: Option<i64>| {
            let now = Timestamp::from_unix_seconds(second);
            assert_eq!(silence.state(now), state, "at {second}");
            assert_eq!(silence.next_change(now), next.map(Timestamp::from_unix_seconds), "at {second}");
            let labels = Labels::from([("a".to_owned(), "b".to_owned())]);
            assert_eq!(silence.silences(&labels, now), state == SilenceState::Active);
            assert!(!silence.silences(&Labels::new(), now));
        };
        let long = silence("a=b", 10_000, 20_000);
        check(&long, 9_999, SilenceState::Pending, Some(10_000));
        check(&long, 10_000, SilenceState::Active, Some(16_400));
        check(&long, 16_400, SilenceState::Active, Some(20_000));
        check(&long, 20_000, SilenceState::Expired, None);
        check(&silence("a=b", 0, 100), 1, SilenceState::Active, Some(50));
    }

    #[test]
    fn who_why_and_until_when_are_asked_for() {
        let check = |silence: Silence, expected: &str| {
            let found = silence.check().expect_err(expected);
            assert!(found.contains(expected), "{found}");
        };
        assert_eq!(silence("a=b", 0, 1).check(), Ok(()));
        check(silence("", 0, 1), "needs a matcher");
        check(silence("a=~.*,b=", 0, 1), "everything");
        check(silence("a=b", 1, 1), "ends after");
        check(Silence { created_by: " ".into(), ..silence("a=b", 0, 1) }, "who wants it");
        check(Silence { comment: String::new(), ..silence("a=b", 0, 1) }, "says why");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let silence = silence(r#"a=b,c!="d",e=~"f|g",h!~i"#, 5, 6);
        let text = serde_json::to_string(&silence).unwrap();
        assert_eq!(serde_json::from_str::<Silence>(&text).unwrap(), silence);
    }
}
