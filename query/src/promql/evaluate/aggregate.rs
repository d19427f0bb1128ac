//! Aggregations that make one value of each group: `sum`, `avg`, `count`, `min`, `max`, `group`, `stddev`, `stdvar`,
//! `quantile`. Those that pick or sort values are in `rank`.

use std::collections::HashMap;
use std::sync::Arc;

use promql_parser::parser::token::{
    T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_LIMIT_RATIO, T_LIMITK, T_MAX, T_MIN, T_QUANTILE, T_STDDEV,
    T_STDVAR, T_SUM, T_TOPK, TokenId,
};
use promql_parser::parser::{AggregateExpr, Expr};
use taffrail_collector::model::LabelSet;

use super::super::PromqlError;
use super::super::labels::{group, value_text};
use super::super::summation::{Mean, Sum, quantile};
use super::{ABSENT, Evaluator, StepSeries, Steps, is_absent, rank};

/// The series of one group.
pub(super) struct Group {
    pub(super) labels: Arc<LabelSet>,
    /// Places of the group's series, in the order they came.
    pub(super) members: Vec<usize>,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregate: &AggregateExpr, steps: Steps) -> Result<Vec<StepSeries>, PromqlError> {
        let operator = aggregate.op.id();
        let parameter = || {
            aggregate
                .param
                .as_deref()
                .ok_or_else(|| PromqlError::Invalid(format!("{} wants a parameter", aggregate.op)))
        };
        if operator == T_COUNT_VALUES {
            return self.count_values(aggregate, parameter()?, steps);
        }
        if matches!(operator, T_TOPK | T_BOTTOMK | T_LIMITK | T_LIMIT_RATIO) {
            let wanted = self.numbers(parameter()?, steps)?;
            let wanted = if operator == T_LIMIT_RATIO {
                rank::Wanted::Ratio(self.checked_ratios(wanted)?)
            } else {
                rank::Wanted::Count(checked_counts(&wanted)?)
            };
            let series = self.vector(&aggregate.expr, steps)?;
            let groups = groups(&series, |labels| group(labels, aggregate.modifier.as_ref()));
            return Ok(rank::pick(operator, series, &groups, &wanted, steps.count));
        }
        let q = if operator == T_QUANTILE { self.checked_quantiles(parameter()?, steps)? } else { Vec::new() };
        let series = self.vector(&aggregate.expr, steps)?;
        let groups = groups(&series, |labels| group(labels, aggregate.modifier.as_ref()));
        self.hold(groups.len().saturating_mul(steps.count))?;
        let folded = groups.into_iter().map(|group| {
            let members = group.members.iter().map(|&member| &series[member].values[..]);
            if let Some(values) = fold_columns(operator, members, steps.count) {
                return StepSeries { values, labels: group.labels };
            }
            let mut values = Vec::with_capacity(group.members.len());
            let of_step = |step: usize| {
                values.clear();
                values.extend(group.members.iter().map(|&m| series[m].values[step]).filter(|&v| !is_absent(v)));
                match values.is_empty() {
                    true => ABSENT,
                    false if operator == T_QUANTILE => quantile(q[step], &mut values),
                    false => fold(operator, &values),
                }
            };
            StepSeries { values: (0..steps.count).map(of_step).collect(), labels: group.labels }
        });
        Ok(folded.collect())
    }

    fn checked_quantiles(&self, parameter: &Expr, steps: Steps) -> Result<Vec<f64>, PromqlError> {
        let q = self.numbers(parameter, steps)?;
        for &q in q.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            let message = format!("quantile value should be between 0 and 1, got {}", value_text(q));
            self.warn(&message, "quantile");
        }
        Ok(q)
    }

    fn checked_ratios(&self, ratios: Vec<f64>) -> Result<Vec<f64>, PromqlError> {
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return Err(PromqlError::Execution("Ratio value is NaN".to_owned()));
        }
        for &ratio in ratios.iter().filter(|ratio| ratio.abs() > 1.0) {
            let capped = value_text(ratio.clamp(-1.0, 1.0));
            let message =
                format!("ratio value should be between -1 and 1, got {}, capping to {capped}", value_text(ratio));
            self.warn(&message, "limit_ratio");
        }
        Ok(ratios.into_iter().map(|ratio| ratio.clamp(-1.0, 1.0)).collect())
    }

    /// A label's name as the query means it. In PromQL `\xc5` is a byte, but the parser reads it as the character U+00C5; so
    /// where the query has the escapes, their bytes must be UTF-8 together.
    fn label_name(&self, text: &str) -> Result<String, PromqlError> {
        let escaped: String = text
            .chars()
            .map(|c| if matches!(c, '\u{80}'..='\u{FF}') { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() })
            .collect();
        let name = if escaped != text && self.query.to_ascii_lowercase().contains(&escaped.to_ascii_lowercase()) {
            text.chars()
                .map(|c| u8::try_from(c).ok())
                .collect::<Option<Vec<u8>>>()
                .and_then(|b| String::from_utf8(b).ok())
        } else {
            Some(text.to_owned())
        };
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| PromqlError::Execution(format!("invalid label name \"{escaped}\"")))
    }

    fn count_values(
        &self,
        aggregate: &AggregateExpr,
        parameter: &Expr,
        steps: Steps,
    ) -> Result<Vec<StepSeries>, PromqlError> {
        let label = self.label_name(&self.text(parameter, steps)?)?;
        let series = self.vector(&aggregate.expr, steps)?;
        let mut places: HashMap<LabelSet, usize> = HashMap::new();
        let mut counted: Vec<StepSeries> = Vec::new();
        for one in &series {
            let labels = group(&one.labels, aggregate.modifier.as_ref());
            for (step, &value) in one.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
                let labels = super::super::labels::with(&labels, &label, &value_text(value));
                let place = *places.entry(labels).or_insert_with_key(|labels| {
                    counted.push(StepSeries { labels: Arc::new(labels.clone()), values: vec![ABSENT; steps.count] });
                    counted.len() - 1
                });
                let cell = &mut counted[place].values[step];
                *cell = if is_absent(*cell) { 1.0 } else { *cell + 1.0 };
            }
            self.hold(counted.len().saturating_mul(steps.count) / series.len().max(1))?;
        }
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
            groups.push(Group { labels: Arc::new(labels.clone()), members: Vec::new() });
            groups.len() - 1
        });
        groups[place].members.push(member);
    }
    groups
}

/// One value a step of a group whose series have these values; none when the operator wants all values of a step at once.
/// Memory is read as it lies, series by series.
fn fold_columns<'s>(operator: TokenId, members: impl Iterator<Item = &'s [f64]>, steps: usize) -> Option<Vec<f64>> {
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
    Some(match operator {
        T_SUM => each(members, steps, Sum::starting_at, Sum::add, Sum::total),
        T_AVG => each(members, steps, Mean::starting_at, Mean::add, Mean::value),
        T_COUNT => each(members, steps, |_| 1.0, |count, _| *count += 1.0, |count| count),
        T_GROUP => each(members, steps, |_| 1.0, |_, _| (), |one| one),
        // A NaN gives way to anything else.
        T_MIN => {
            let lower = |least: &mut f64, value: f64| {
                if value < *least || least.is_nan() {
                    *least = value
                }
            };
            each(members, steps, |value| value, lower, |least| least)
        }
        T_MAX => {
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
fn fold(operator: TokenId, values: &[f64]) -> f64 {
    match operator {
        T_STDVAR => variance(values),
        T_STDDEV => variance(values).sqrt(),
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
