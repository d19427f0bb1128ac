//! `logs_count`: the records of the log store as a metric.
//!
//! ```text
//! logs_count{service="shop", level="error", path=~"/api/.*", query="timeout -debug"}
//! ```
//!
//! Labels are fields of records: `service`, `host` and `level` of every series, and any other field that a condition or the
//! `by (…)` around names. `query` is a question in the search language. It behaves as a counter that nobody has to scrape:
//!
//! | | at the moment `t` |
//! |---|---|
//! | `increase(logs_count[d])`, `sum_over_time`, `count_over_time` | how many records there are with `t - d < time <= t`, exactly |
//! | `rate(logs_count[d])` | that by the seconds of `d`, not extrapolated |
//! | `logs_count` | how many there are of the last five minutes (or of `lookback_delta`) |
//! | `present_over_time`, `absent_over_time` | whether there is a record at all |
//!
//! A series is 0 for five minutes after its last record left the window, and then not there. One whose labels are all known
//! without a look at records, by `=` or because they were summed away (`sum(increase(logs_count{…}[1d]))`), is always there,
//! so that silence can be alerted on. A sum right around a count is made by the store: no series is made only to be added up.

use std::sync::Arc;

use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_ingest::log_store::{
    Field, Filter, GroupCount, GroupCounts, GroupQuestion, LogStore, Test as FieldTest, TextMatch,
};

use super::super::selection::anchored;
use super::super::syntax::{Aggregation, Aggregator, Expression, Grouping, Kind, Matcher, Selector, Test};
use super::super::{LOOKBACK_MS, PromqlError};
use super::{ABSENT, Evaluator, StepSeries, Steps};
use crate::log_search;

/// The metric's name.
pub const LOGS_COUNT: &str = "logs_count";

/// The label that holds a question in the search language.
pub const QUERY_LABEL: &str = "query";

/// Labels of every series.
pub const LABELS: [&str; 3] = ["service", "host", "level"];

/// The functions that count records, whose sum is the sum of the counts.
const COUNTING: [&str; 4] = ["rate", "increase", "sum_over_time", "count_over_time"];

/// Series of one selector, at most.
const SERIES_MAX: usize = 10_000;

/// What the expression around a selector asks of its labels.
#[derive(Clone, Debug, Default)]
pub(super) enum LabelsWanted {
    /// Nothing.
    #[default]
    Own,
    /// These too.
    Also(Vec<String>),
    /// Only these: the rest is added up at once.
    Only(Vec<String>),
}

/// Records of a series at each step: how many, or [`ABSENT`].
pub(crate) struct Counted {
    /// Its labels, without a name.
    pub(crate) labels: LabelSet,
    /// One for each step.
    pub(crate) counts: Vec<f64>,
}

impl LabelsWanted {
    /// What an aggregation asks of what it is made of.
    pub(super) fn of(aggregation: &Aggregation) -> LabelsWanted {
        let names = |names: &Vec<String>| !names.iter().any(|name| name == NAME_LABEL);
        let sums = aggregation.aggregator == Aggregator::Sum && is_count(&aggregation.of);
        match &aggregation.grouping {
            None if sums => LabelsWanted::Only(Vec::new()),
            Some(Grouping::Only(by)) if sums && names(by) => LabelsWanted::Only(by.clone()),
            Some(Grouping::Only(by)) => LabelsWanted::Also(by.clone()),
            None | Some(Grouping::AllBut(_)) => LabelsWanted::Own,
        }
    }

    /// The labels of the series of a selector with these conditions.
    fn names(&self, matchers: &[Matcher]) -> Vec<String> {
        let own = || LABELS.iter().map(|name| (*name).to_owned());
        let asked = || matchers.iter().map(|matcher| matcher.label.clone());
        let mut names: Vec<String> = match self {
            LabelsWanted::Own => own().chain(asked()).collect(),
            LabelsWanted::Also(more) => own().chain(asked()).chain(more.iter().cloned()).collect(),
            LabelsWanted::Only(names) => names.clone(),
        };
        names.retain(|name| name != NAME_LABEL);
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Whether an expression is nothing but a selector or a count of what one selects.
fn is_count(expression: &Expression) -> bool {
    match &expression.bare().kind {
        Kind::Selector(_) => true,
        Kind::Call(call) => {
            let of_range = |argument: &Expression| matches!(argument.bare().kind, Kind::Range { .. });
            COUNTING.contains(&call.function.name) && call.arguments.iter().all(of_range)
        }
        _ => false,
    }
}

impl<'a> Evaluator<'a> {
    /// The store whose records a selector means; none when it means series.
    pub(crate) fn logs_of(&self, selector: &Selector) -> Option<&'a LogStore> {
        let named = |matcher: &Matcher| {
            matcher.label == NAME_LABEL && matcher.test == Test::Equal && matcher.value == LOGS_COUNT
        };
        let is_meant = match &selector.name {
            Some(name) => name == LOGS_COUNT,
            None => selector.matchers.iter().any(named),
        };
        if is_meant { self.source.logs() } else { None }
    }

    /// The records of a selector in the windows of `range_ms` that end at the steps.
    pub(crate) fn counted(
        &self,
        (logs, selector): (&LogStore, &Selector),
        range_ms: i64,
        steps: Steps,
    ) -> Result<Vec<Counted>, PromqlError> {
        let ends = self.moments(steps, selector.at, selector.offset.as_ref())?;
        let matchers: Vec<Matcher> =
            selector.matchers.iter().filter(|matcher| matcher.label != NAME_LABEL).cloned().collect();
        let names = self.labels_wanted.lock().names(&matchers);
        let (fields, constant) = names.iter().cloned().partition::<Vec<String>, _>(|name| name != QUERY_LABEL);
        let query = matchers.iter().find(|matcher| matcher.label == QUERY_LABEL && !constant.is_empty());
        let windows = Bounds::new(&ends, range_ms);
        self.hold(windows.all.len())?;
        let question = GroupQuestion {
            fields: fields.iter().map(|name| field(name)).collect(),
            bounds: windows.all.clone(),
            groups_max: SERIES_MAX,
        };
        let now = Timestamp::from_unix_millis(self.query_bounds().1);
        let filter = filter(&matchers, now)?;
        let found = logs.count_groups(&filter, &question, self.scan);
        let GroupCounts { mut groups, other, ending } =
            found.map_err(|error| PromqlError::Execution(error.to_string()))?;
        if let Some(reason) = ending.stopped {
            return Err(PromqlError::Stopped(reason));
        }
        if other > 0 {
            return Err(PromqlError::Execution(format!(
                "logs_count makes more than {SERIES_MAX} series here: sum it by fewer labels, or ask for fewer records"
            )));
        }
        let fixed: Option<Vec<String>> = fields.iter().map(|name| fixed_value(name, &matchers)).collect();
        let is_always_there = fixed.as_ref().is_some_and(|fixed| groups.iter().all(|group| group.values == *fixed));
        if let Some(fixed) = fixed.filter(|_| is_always_there && groups.is_empty()) {
            groups.push(GroupCount { values: fixed, counts: Vec::new() });
        }
        let mut series = Vec::with_capacity(groups.len());
        for GroupCount { values, counts } in groups {
            self.hold(steps.count)?;
            let known = fields.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_str()));
            let query = query.map(|matcher| (QUERY_LABEL, matcher.value.as_str()));
            let labels = LabelSet::new(known.chain(query).filter(|(_, value)| !value.is_empty()));
            let counts = windows.counts(&counts, is_always_there);
            series.push(Counted { labels, counts });
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    /// The value of a selector of records at every step.
    pub(super) fn instant_counts(
        &self,
        logs: &LogStore,
        selector: &Selector,
        steps: Steps,
        times: bool,
    ) -> Result<Vec<StepSeries>, PromqlError> {
        let moments = self.moments(steps, selector.at, selector.offset.as_ref())?;
        let shown = self.counted((logs, selector), self.dialect().lookback_ms, steps)?.into_iter().map(|counted| {
            let name = [(NAME_LABEL, LOGS_COUNT)];
            let labels = LabelSet::new(counted.labels.iter().chain(name));
            let mut series = StepSeries::of_numbers(Arc::new(labels), counted.counts);
            if times {
                let there = series.values.iter_mut().zip(&moments).filter(|(value, _)| !super::is_absent(**value));
                there.for_each(|(value, moment)| *value = *moment as f64 / 1000.0);
            }
            series
        });
        Ok(shown.filter(StepSeries::is_anywhere).collect())
    }
}

/// Moments at which counts are cut.
struct Bounds {
    /// All of them, rising.
    all: Arc<[Timestamp]>,
    /// Of each step the places of the window's end, of its start, and of the moment since which a record keeps a series there.
    places: Vec<[usize; 3]>,
}

impl Bounds {
    fn new(ends_ms: &[i64], range_ms: i64) -> Bounds {
        let of_step = |end: &i64| {
            let start = end.saturating_sub(range_ms);
            [*end, start, start.saturating_sub(LOOKBACK_MS)].map(Timestamp::from_unix_millis)
        };
        let moments: Vec<[Timestamp; 3]> = ends_ms.iter().map(of_step).collect();
        let mut all: Vec<Timestamp> = moments.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let place = |moment: Timestamp| all.partition_point(|bound| *bound < moment);
        let places = moments.iter().map(|moments| moments.map(place)).collect();
        Bounds { all: all.into(), places }
    }

    /// From counts by stretch, rising, to counts by window.
    fn counts(&self, counts: &[(usize, u64)], is_always_there: bool) -> Vec<f64> {
        // How many records there are up to each bound.
        let mut through = vec![0u64; self.all.len()];
        for (stretch, count) in counts {
            if let Some(slot) = through.get_mut(*stretch) {
                *slot += count;
            }
        }
        let mut sum = 0;
        for slot in &mut through {
            sum += *slot;
            *slot = sum;
        }
        let of_step = |[end, start, alive]: &[usize; 3]| {
            let is_there = is_always_there || through[*end] > through[*alive];
            if is_there { (through[*end] - through[*start]) as f64 } else { ABSENT }
        };
        self.places.iter().map(of_step).collect()
    }
}

/// The field that a label stands for. Rules of elsewhere call the level a severity.
pub(in super::super) fn field(label: &str) -> Field {
    Field::named(if label == "severity" { "level" } else { label })
}

/// The only value that a label can have under these conditions, if it is but one.
fn fixed_value(label: &str, matchers: &[Matcher]) -> Option<String> {
    let fixes = |matcher: &&Matcher| matcher.label == label && matcher.test == Test::Equal && !matcher.value.is_empty();
    matchers.iter().find(fixes).map(|matcher| matcher.value.clone())
}

/// Which records conditions select.
fn filter(matchers: &[Matcher], now: Timestamp) -> Result<Filter, PromqlError> {
    matchers.iter().map(|matcher| condition(matcher, now)).collect::<Result<_, _>>().map(Filter::And)
}

fn condition(matcher: &Matcher, now: Timestamp) -> Result<Filter, PromqlError> {
    let invalid = |message: String| PromqlError::Invalid(message);
    if matcher.label == QUERY_LABEL {
        return match matcher.test {
            Test::Equal => log_search::parse_at(&matcher.value, now)
                .map_err(|error| invalid(format!("the query {:?} of logs_count: {error}", matcher.value))),
            _ => Err(invalid("logs_count takes a query by = only: put the negation into the query".to_owned())),
        };
    }
    let name = field(&matcher.label).name().to_owned();
    let tested = |test| Filter::Field { name: name.clone(), test };
    let not = |filter| Filter::Not(Box::new(filter));
    let is = match matcher.test {
        // A label that is empty is none.
        Test::Equal | Test::NotEqual if matcher.value.is_empty() => not(tested(FieldTest::Exists)),
        Test::Equal | Test::NotEqual => tested(FieldTest::Equals(matcher.value.clone())),
        Test::Matches | Test::NotMatches => {
            let pattern = anchored(&matcher.value).map_err(invalid)?;
            let text = TextMatch::Regex(pattern.as_str().to_owned());
            let matches = tested(FieldTest::Text(text, matcher.value.clone()));
            match pattern.is_match("") {
                true => Filter::Or(vec![matches, not(tested(FieldTest::Exists))]),
                false => matches,
            }
        }
    };
    Ok(match matcher.test {
        Test::Equal | Test::Matches => is,
        Test::NotEqual | Test::NotMatches => not(is),
    })
}
