//! Aggregations that make one value of each group: `sum`, `avg`, `count`, `min`, `max`, `group`, `stddev`, `stdvar`,
//! `quantile`. Those that pick or sort values are in `rank`.

use std::collections::HashMap;
use std::sync::Arc;

use taffrail_collector::model::LabelSet;

use super::super::PromqlError;
use super::super::annotation::{Annotation, Operation};
use super::super::histogram::{Histogram, ResetHint};
use super::super::labels::{group, value_text};
use super::super::summation::{Mean, Sum, quantile};
use super::super::syntax::{Aggregation, Aggregator, Expression, Span};
use super::log_counts::LabelsWanted;
use super::{ABSENT, Cell, Evaluator, StepSeries, Steps, is_absent, rank};

/// The series of one group.
pub(super) struct Group {
    pub(super) labels: Arc<LabelSet>,
    /// Places of the group's series, in the order they came.
    pub(super) members: Vec<usize>,
    /// Its name is to go, since that of one of its series is.
    drop_name: bool,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregation: &Aggregation, steps: Steps) -> Result<Vec<StepSeries>, PromqlError> {
        let aggregator = aggregation.aggregator;
        let span = aggregation.of.span;
        let grouping = aggregation.grouping.as_ref();
        let parameter = || {
            let missing = || PromqlError::Invalid(format!("{} wants a parameter", aggregator.name()));
            aggregation.parameter.as_ref().ok_or_else(missing)
        };
        if aggregator == Aggregator::CountValues {
            return self.count_values(aggregation, parameter()?, steps);
        }
        if matches!(aggregator, Aggregator::TopK | Aggregator::BottomK | Aggregator::LimitK | Aggregator::LimitRatio) {
            let span = parameter()?.span;
            let wanted = self.numbers(parameter()?, steps)?;
            let wanted = if aggregator == Aggregator::LimitRatio {
                rank::Wanted::Ratio(self.checked_ratios(wanted, span)?)
            } else {
                rank::Wanted::Count(checked_counts(&wanted)?)
            };
            let series = self.members(aggregation, steps)?;
            if matches!(aggregator, Aggregator::TopK | Aggregator::BottomK) {
                self.note_ignored(&series, aggregator, aggregation.of.span);
            }
            let groups = groups(&series, |labels| group(labels, grouping));
            return Ok(rank::pick(aggregator, series, &groups, &wanted, steps.count));
        }
        let q = match aggregator {
            Aggregator::Quantile => self.checked_quantiles(parameter()?, steps)?,
            _ => Vec::new(),
        };
        let series = self.members(aggregation, steps)?;
        let groups = groups(&series, |labels| group(labels, grouping));
        self.hold(groups.len().saturating_mul(steps.count))?;
        let takes_histograms =
            matches!(aggregator, Aggregator::Sum | Aggregator::Avg | Aggregator::Count | Aggregator::Group);
        if !takes_histograms {
            self.note_ignored(&series, aggregator, span);
        }
        let folded = groups.into_iter().map(|group| {
            let members = || group.members.iter().map(|&member| &series[member]);
            if takes_histograms && members().any(|series| series.histograms.is_some()) {
                let members: Vec<&StepSeries> = members().collect();
                let mut folded = StepSeries::empty(group.labels.clone(), steps.count);
                (0..steps.count).for_each(|step| folded.put(step, self.fold_mixed(aggregator, &members, step, span)));
                folded.drop_name = group.drop_name;
                return folded;
            }
            let mut values = Vec::with_capacity(group.members.len());
            let of_step = |step: usize| {
                values.clear();
                values.extend(group.members.iter().map(|&m| series[m].values[step]).filter(|&v| !is_absent(v)));
                match values.is_empty() {
                    true => ABSENT,
                    false if aggregator == Aggregator::Quantile => quantile(q[step], &mut values),
                    false => fold(aggregator, &values),
                }
            };
            let values = fold_columns(aggregator, members().map(|series| &series.values[..]), steps.count)
                .unwrap_or_else(|| (0..steps.count).map(of_step).collect());
            StepSeries { drop_name: group.drop_name, ..StepSeries::of_numbers(group.labels, values) }
        });
        Ok(folded.filter(StepSeries::is_anywhere).collect())
    }

    /// The series that are aggregated.
    fn members(&self, aggregation: &Aggregation, steps: Steps) -> Result<Vec<StepSeries>, PromqlError> {
        self.wanting_labels(LabelsWanted::of(aggregation), || self.vector(&aggregation.of, steps))
    }

    /// Says so when an aggregation passes histograms over.
    fn note_ignored(&self, series: &[StepSeries], aggregator: Aggregator, span: Span) {
        let has_histograms = |one: &StepSeries| one.histograms.iter().flatten().any(Option::is_some);
        if series.iter().any(has_histograms) {
            self.annotate(&Annotation::IgnoredInAggregation(aggregator.name()), span);
        }
    }

    /// One value of a group at a step where some of its series may have histograms.
    fn fold_mixed(&self, aggregator: Aggregator, members: &[&StepSeries], step: usize, span: Span) -> Cell {
        let histograms: Vec<&Arc<Histogram>> = members.iter().filter_map(|series| series.histogram(step)).collect();
        let numbers: Vec<f64> =
            members.iter().map(|series| series.values[step]).filter(|value| !is_absent(*value)).collect();
        let present = histograms.len() + numbers.len();
        if present == 0 {
            return Cell::Absent;
        }
        match aggregator {
            Aggregator::Count => return Cell::Number(present as f64),
            Aggregator::Group => return Cell::Number(1.0),
            _ => {}
        }
        if histograms.is_empty() {
            let folded = fold_columns(aggregator, numbers.iter().map(std::slice::from_ref), 1);
            return folded.map_or(Cell::Absent, |folded| Cell::Number(folded[0]));
        }
        if !numbers.is_empty() {
            self.annotate(&Annotation::MixedInAggregation, span);
            return Cell::Absent;
        }
        match self.histogram_sum(histograms.iter().copied(), "", span) {
            Some(mut sum) => {
                if aggregator == Aggregator::Avg {
                    sum.divide(present as f64);
                }
                Cell::Histogram(Arc::new(sum))
            }
            None => Cell::Absent,
        }
    }

    /// The sum of histograms, none when some list their bounds and others do not; what is to be said of it is noted.
    pub(in super::super) fn histogram_sum<'h>(
        &self,
        mut histograms: impl Iterator<Item = &'h Arc<Histogram>> + Clone,
        metric: &str,
        span: Span,
    ) -> Option<Histogram> {
        let hints = |wanted: ResetHint| histograms.clone().any(|histogram| histogram.hint == wanted);
        if hints(ResetHint::Reset) && hints(ResetHint::NotReset) {
            self.annotate(&Annotation::ResetCollision(Operation::Aggregation), span);
        }
        let mut sum = Histogram::clone(histograms.next()?);
        let mut totals = (Sum::starting_at(sum.count), Sum::starting_at(sum.sum));
        for histogram in histograms {
            let Ok(combined) = sum.add(histogram) else {
                self.annotate(&Annotation::MixedExponentialCustom(metric), span);
                return None;
            };
            totals.0.add(histogram.count);
            totals.1.add(histogram.sum);
            if combined.bounds_reconciled {
                self.annotate(&Annotation::ReconciledBounds(Operation::Aggregation), span);
            }
        }
        (sum.count, sum.sum) = (totals.0.total(), totals.1.total());
        Some(sum)
    }

    /// Numbers between 0 and 1; others are noted.
    pub(in super::super) fn checked_quantiles(
        &self,
        parameter: &Expression,
        steps: Steps,
    ) -> Result<Vec<f64>, PromqlError> {
        let q = self.numbers(parameter, steps)?;
        for &q in q.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.annotate(&Annotation::InvalidQuantile(q), parameter.span);
        }
        Ok(q)
    }

    fn checked_ratios(&self, ratios: Vec<f64>, span: Span) -> Result<Vec<f64>, PromqlError> {
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return Err(PromqlError::Execution("Ratio value is NaN".to_owned()));
        }
        for &ratio in ratios.iter().filter(|ratio| ratio.abs() > 1.0) {
            self.annotate(&Annotation::InvalidRatio(ratio, ratio.clamp(-1.0, 1.0)), span);
        }
        Ok(ratios.into_iter().map(|ratio| ratio.clamp(-1.0, 1.0)).collect())
    }

    fn count_values(
        &self,
        aggregation: &Aggregation,
        parameter: &Expression,
        steps: Steps,
    ) -> Result<Vec<StepSeries>, PromqlError> {
        let label = self.text(parameter, steps)?;
        if label.is_empty() || label.contains('\u{FFFD}') {
            // Bytes that are no text are shown as they were written.
            let written = parameter.bare().span;
            let shown = match label.is_empty() {
                true => "\"\"",
                false => self.query.get(written.start..written.end).unwrap_or_default(),
            };
            return Err(PromqlError::Execution(format!("invalid label name {shown}")));
        }
        let series = self.members(aggregation, steps)?;
        let mut places: HashMap<LabelSet, usize> = HashMap::new();
        let mut counted: Vec<StepSeries> = Vec::new();
        for one in &series {
            let labels = group(&one.labels, aggregation.grouping.as_ref());
            for step in 0..steps.count {
                let text = match one.histogram(step) {
                    Some(histogram) => histogram.to_string(),
                    None if is_absent(one.values[step]) => continue,
                    None => value_text(one.values[step]),
                };
                let labels = super::super::labels::with(&labels, &label, &text);
                let place = *places.entry(labels).or_insert_with_key(|labels| {
                    counted.push(StepSeries::empty(Arc::new(labels.clone()), steps.count));
                    counted.len() - 1
                });
                counted[place].drop_name |= one.drop_name;
                let cell = &mut counted[place].values[step];
                *cell = if is_absent(*cell) { 1.0 } else { *cell + 1.0 };
            }
            self.hold(counted.len().saturating_mul(steps.count) / series.len().max(1))?;
        }
        // Which value was met first depends on the steps that are asked for.
        counted.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(counted)
    }
}

fn checked_counts(counts: &[f64]) -> Result<Vec<i64>, PromqlError> {
    let whole = |&count: &f64| {
        if count.is_nan() {
            Err(PromqlError::Execution("Parameter value is NaN".to_owned()))
        } else if count.abs() >= 9.2e18 {
            Err(PromqlError::Execution(format!("Scalar value {} overflows int64", value_text(count))))
        } else {
            Ok(count as i64)
        }
    };
    counts.iter().map(whole).collect()
}

/// The series by what they are grouped by, groups in the order they are met.
fn groups(series: &[StepSeries], by: impl Fn(&LabelSet) -> LabelSet) -> Vec<Group> {
    let mut places: HashMap<LabelSet, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (member, one) in series.iter().enumerate() {
        let place = *places.entry(by(&one.labels)).or_insert_with_key(|labels| {
            groups.push(Group { labels: Arc::new(labels.clone()), members: Vec::new(), drop_name: false });
            groups.len() - 1
        });
        groups[place].drop_name |= one.drop_name;
        groups[place].members.push(member);
    }
    groups
}

/// One value a step of a group whose series have these values; none when the operator wants all values of a step at once.
/// Memory is read as it lies, series by series.
fn fold_columns<'s>(
    aggregator: Aggregator,
    members: impl Iterator<Item = &'s [f64]>,
    steps: usize,
) -> Option<Vec<f64>> {
    fn each<'s, T: Clone>(
        members: impl Iterator<Item = &'s [f64]>,
        steps: usize,
        start: impl Fn(f64) -> T,
        mut add: impl FnMut(&mut T, f64),
        end: impl Fn(T) -> f64,
    ) -> Vec<f64> {
        let mut folded: Vec<Option<T>> = vec![None; steps];
        for values in members {
            for (folded, &value) in folded.iter_mut().zip(values).filter(|(_, value)| !is_absent(**value)) {
                match folded {
                    Some(folded) => add(folded, value),
                    none => *none = Some(start(value)),
                }
            }
        }
        folded.into_iter().map(|folded| folded.map_or(ABSENT, &end)).collect()
    }
    Some(match aggregator {
        Aggregator::Sum => each(members, steps, Sum::starting_at, Sum::add, Sum::total),
        Aggregator::Avg => each(members, steps, Mean::starting_at, Mean::add, Mean::value),
        Aggregator::Count => each(members, steps, |_| 1.0, |count, _| *count += 1.0, |count| count),
        Aggregator::Group => each(members, steps, |_| 1.0, |_, _| (), |one| one),
        // A NaN gives way to anything else.
        Aggregator::Min => {
            let lower = |least: &mut f64, value: f64| {
                if value < *least || least.is_nan() {
                    *least = value
                }
            };
            each(members, steps, |value| value, lower, |least| least)
        }
        Aggregator::Max => {
            let higher = |most: &mut f64, value: f64| {
                if value > *most || most.is_nan() {
                    *most = value
                }
            };
            each(members, steps, |value| value, higher, |most| most)
        }
        _ => return None,
    })
}

/// One value of a group's values at a step, of which there is at least one.
fn fold(aggregator: Aggregator, values: &[f64]) -> f64 {
    match aggregator {
        Aggregator::Stdvar => variance(values),
        Aggregator::Stddev => variance(values).sqrt(),
        _ => f64::NAN,
    }
}

/// Welford's method from the first value on; not finite as soon as one value is not.
fn variance(values: &[f64]) -> f64 {
    let mut mean = values[0];
    let mut squares = if mean.is_finite() { 0.0 } else { f64::NAN };
    for (before, &value) in values.iter().enumerate().skip(1) {
        let delta = value - mean;
        mean += delta / (before + 1) as f64;
        squares += delta * (value - mean);
    }
    squares / values.len() as f64
}
