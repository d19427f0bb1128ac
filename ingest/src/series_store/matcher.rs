//! Conditions on labels, as PromQL has them: an absent label has the empty value.

use std::fmt;
use std::sync::Arc;

use taffrail_collector::model::LabelSet;

/// A condition on one label; an absent label has the empty value, as in Prometheus.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    /// The label.
    pub name: String,
    /// The condition.
    pub test: LabelTest,
}

/// A condition on a label's value.
#[derive(Clone, Debug)]
pub enum LabelTest {
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `=~`, anchored at both ends (compiled by the query room).
    Matches(LabelRegex),
    /// `!~`
    NotMatches(LabelRegex),
}

/// A compiled, anchored label pattern: any `Fn(&str) -> bool` that is shared between threads.
#[derive(Clone)]
pub struct LabelRegex(pub Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl LabelTest {
    /// Whether a label with this value (empty when absent) passes.
    pub fn passes(&self, value: &str) -> bool {
        match self {
            LabelTest::Equal(wanted) => wanted == value,
            LabelTest::NotEqual(unwanted) => unwanted != value,
            LabelTest::Matches(regex) => (regex.0)(value),
            LabelTest::NotMatches(regex) => !(regex.0)(value),
        }
    }
}

impl LabelMatcher {
    /// Whether a series with these labels passes.
    pub fn passes(&self, labels: &LabelSet) -> bool {
        self.test.passes(labels.get(&self.name))
    }
}

impl fmt::Debug for LabelRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabelRegex")
    }
}
