//! The two sides of a comparison, and what is counted on each.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use taffrail_collector::model::{Distribution, SampleKind, Severity, Timestamp};
use taffrail_ingest::error_group::GROUP_FIELD;
use taffrail_ingest::log_store::{Field, Filter, GroupQuestion, LogStore, PatternId, PatternQuestion, Test};
use taffrail_ingest::series_store::{LabelMatcher, LabelTest, SeriesStore, SeriesStoreError, Values};
use taffrail_ingest::{Scan, StopReason, TimeRange};

use crate::api_error::ApiError;

/// Groups, services and levels that are told apart on a side.
const COUNTED_MAX: usize = 50_000;
/// Series of timers that are read.
const TIMERS_MAX: usize = 2_000;

/// Which records and series are looked at, and when.
pub struct Side {
    filter: Filter,
    matchers: Vec<LabelMatcher>,
    range: TimeRange,
}

/// Before and after; or the rest and the canary.
pub struct Both {
    /// What `after` is held against.
    pub before: Side,
    /// What is asked about.
    pub after: Side,
}

/// What was counted on both sides; pairs are (before, after).
#[derive(Default)]
pub struct Comparison {
    /// By service.
    pub services: BTreeMap<String, ServiceCounts>,
    /// Records by error group.
    pub errors: HashMap<String, (u64, u64)>,
    /// By pattern.
    pub patterns: HashMap<PatternId, PatternCounts>,
    /// By metric.
    pub timers: BTreeMap<String, TimerCounts>,
    /// Why something may be missing.
    pub stopped: Option<StopReason>,
}

/// What a service said.
#[derive(Default)]
pub struct ServiceCounts {
    /// All its records.
    pub records: (u64, u64),
    /// Those of level error and above.
    pub errors: (u64, u64),
}

/// A pattern of messages.
pub struct PatternCounts {
    /// How many.
    pub counts: (u64, u64),
    /// Its text.
    pub text: String,
    /// The worst level.
    pub level: &'static str,
}

/// What a timer measured.
pub struct TimerCounts {
    /// Its unit.
    pub unit: String,
    /// Before.
    pub before: Distribution,
    /// After.
    pub after: Distribution,
}

impl Side {
    /// The records and series of a service (of all when empty) with or without a field's value.
    pub fn of(service: &str, range: TimeRange, canary: Option<(&str, &str, bool)>) -> Side {
        let field =
            |name: &str, value: &str| Filter::Field { name: name.to_owned(), test: Test::Equals(value.to_owned()) };
        let equal =
            |name: &str, value: &str| LabelMatcher { name: name.to_owned(), test: LabelTest::Equal(value.to_owned()) };
        let (mut filters, mut matchers) = (Vec::new(), Vec::new());
        if !service.is_empty() {
            filters.push(field("service", service));
            matchers.push(equal("service", service));
        }
        if let Some((name, value, is_canary)) = canary {
            let has = field(name, value);
            filters.push(if is_canary { has } else { Filter::Not(Box::new(has)) });
            let test =
                if is_canary { LabelTest::Equal(value.to_owned()) } else { LabelTest::NotEqual(value.to_owned()) };
            matchers.push(LabelMatcher { name: name.to_owned(), test });
        }
        Side { filter: Filter::And(filters), matchers, range }
    }

    /// Counts the values of fields together, each once it is known which.
    fn count(
        &self,
        fields: &[&str],
        logs: &LogStore,
        scan: &Scan,
        mut each: impl FnMut(&[String], u64),
    ) -> Result<Option<StopReason>, ApiError> {
        let before = |moment: Timestamp| moment.saturating_sub(Duration::from_nanos(1));
        let bounds = [before(self.range.start), before(self.range.end)];
        let fields = fields.iter().map(|name| Field::named(name)).collect();
        let question = GroupQuestion { fields, bounds: bounds.to_vec().into(), groups_max: COUNTED_MAX };
        let counts = logs.count_groups(&self.filter, &question, scan)?;
        for group in &counts.groups {
            each(&group.values, group.counts.iter().map(|(_, count)| count).sum());
        }
        Ok(counts.ending.stopped)
    }
}

impl Comparison {
    /// Counts both sides.
    pub fn ask(
        both: &Both,
        logs: &LogStore,
        series: &SeriesStore,
        patterns_max: usize,
        scan: &Scan,
    ) -> Result<Comparison, ApiError> {
        let mut found = Comparison::default();
        for (side, is_after) in [(&both.before, false), (&both.after, true)] {
            fn of(pair: &mut (u64, u64), is_after: bool) -> &mut u64 {
                if is_after { &mut pair.1 } else { &mut pair.0 }
            }
            let stopped = side.count(&["service", "level"], logs, scan, |values, count| {
                let [service, level] = values else { return };
                let counts = found.services.entry(service.clone()).or_default();
                *of(&mut counts.records, is_after) += count;
                if Severity::from_word(level).is_some_and(|level| level >= Severity::ERROR) {
                    *of(&mut counts.errors, is_after) += count;
                }
            })?;
            found.stopped = found.stopped.or(stopped);
            let stopped = side.count(&[GROUP_FIELD], logs, scan, |values, count| {
                if let [id] = values
                    && !id.is_empty()
                {
                    *of(found.errors.entry(id.clone()).or_default(), is_after) += count;
                }
            })?;
            found.stopped = found.stopped.or(stopped);
            let width = side.range.end.saturating_since(side.range.start).max(Duration::from_secs(1));
            let question = PatternQuestion { origin: side.range.start, step: width, patterns_max };
            let patterns = logs.patterns(&side.filter, side.range, question, scan)?;
            found.stopped = found.stopped.or(patterns.ending.stopped);
            for pattern in patterns.patterns {
                let level = pattern.severities.last().map_or("", |(severity, _)| severity.name());
                let known = found.patterns.entry(pattern.id).or_insert_with(|| PatternCounts {
                    counts: (0, 0),
                    text: pattern.pattern.shown(),
                    level,
                });
                *of(&mut known.counts, is_after) += pattern.count;
            }
            found.read_timers(side, is_after, series, scan)?;
        }
        Ok(found)
    }

    fn read_timers(&mut self, side: &Side, is_after: bool, series: &SeriesStore, scan: &Scan) -> Result<(), ApiError> {
        let selection = match series.selection(&side.matchers, side.range, 0, scan) {
            Ok(selection) => selection,
            Err(error) => return self.stop(error),
        };
        let mut reader = selection.reader();
        let timers = (0..selection.len()).filter(|place| selection.series(*place).1 == SampleKind::Distribution);
        for place in timers.take(TIMERS_MAX) {
            let data = match reader.read(place, scan) {
                Ok(data) => data,
                Err(error) => return self.stop(error),
            };
            let Some(data) = data else { continue };
            let Values::Distribution(windows) = data.points.values() else { continue };
            let timer = self.timers.entry(data.labels.name().to_owned()).or_insert_with(|| TimerCounts {
                unit: data.unit.to_string(),
                before: Distribution::new(),
                after: Distribution::new(),
            });
            let into = if is_after { &mut timer.after } else { &mut timer.before };
            windows.iter().for_each(|window| into.merge(window));
        }
        Ok(())
    }

    /// A used up budget ends the reading, anything else the question.
    fn stop(&mut self, error: SeriesStoreError) -> Result<(), ApiError> {
        match error {
            SeriesStoreError::Stopped(reason) => {
                self.stopped = self.stopped.or(Some(reason));
                Ok(())
            }
            other => Err(ApiError::internal(other.to_string())),
        }
    }

    /// All records of both sides: what a canary and the rest had the chance to do.
    pub fn records(&self) -> (f64, f64) {
        let sum = |of: fn(&ServiceCounts) -> u64| self.services.values().map(of).sum::<u64>() as f64;
        (sum(|counts| counts.records.0), sum(|counts| counts.records.1))
    }
}
