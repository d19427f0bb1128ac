//! Arithmetic and comparison: between numbers, between series and a number, and between matched series.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB, TokenId,
};
use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};
use taffrail_collector::model::LabelSet;

use super::super::PromqlError;
use super::super::labels::{in_braces, only, with, without, without_name};
use super::matching::Signatures;
use super::{ABSENT, Evaluator, StepSeries, Steps, Value, is_absent, join_same_labels, set_operator};

impl Evaluator<'_> {
    pub(super) fn binary(&self, binary: &BinaryExpr, steps: Steps) -> Result<Value, PromqlError> {
        let left = self.evaluate(&binary.lhs, steps)?;
        let right = self.evaluate(&binary.rhs, steps)?;
        let operator = Operator { token: binary.op.id(), truth: binary.return_bool() };
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let values = left.iter().zip(&right).map(|(&left, &right)| operator.of_numbers(left, right));
                Ok(Value::Scalar(values.collect()))
            }
            (Value::Vector(series), Value::Scalar(numbers)) => {
                with_numbers(series, &numbers, operator, |value, number| operator.apply(value, number))
            }
            (Value::Scalar(numbers), Value::Vector(series)) => {
                with_numbers(series, &numbers, operator, |value, number| match operator.apply(number, value) {
                    // A filter keeps the series' value, on whichever side it stands.
                    kept if operator.filters() => kept.map(|_| value),
                    computed => computed,
                })
            }
            (Value::Vector(left), Value::Vector(right)) => {
                let modifier = binary.modifier.clone().unwrap_or_default();
                if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
                    return Err(PromqlError::Execution("the fill modifiers are not supported".to_owned()));
                }
                self.hold(steps.count.saturating_mul(left.len().max(right.len())))?;
                let series = if binary.op.is_set_operator() {
                    set_operator::apply(operator.token, left, right, modifier.matching.as_ref(), steps.count)?
                } else {
                    matched(left, right, operator, &modifier, steps.count)?
                };
                Ok(Value::Vector(series))
            }
            _ => Err(PromqlError::Invalid("text stands in a binary expression".to_owned())),
        }
    }
}

/// An arithmetic or comparison operator.
#[derive(Clone, Copy)]
struct Operator {
    token: TokenId,
    /// `bool`: a comparison gives 0 or 1 instead of filtering.
    truth: bool,
}

impl Operator {
    fn compares(self) -> bool {
        matches!(self.token, T_EQLC | T_NEQ | T_GTR | T_LSS | T_GTE | T_LTE)
    }

    fn filters(self) -> bool {
        self.compares() && !self.truth
    }

    /// Whether the result is another metric than the left side, so that its name goes.
    fn renames(self) -> bool {
        !self.filters()
    }

    /// The result; none where a comparison filters the value out.
    fn apply(self, left: f64, right: f64) -> Option<f64> {
        if !self.compares() {
            return Some(self.of_numbers(left, right));
        }
        let holds = self.of_numbers(left, right) != 0.0;
        if self.truth { Some(f64::from(holds)) } else { holds.then_some(left) }
    }

    /// The result between numbers; comparisons give 0 or 1.
    fn of_numbers(self, left: f64, right: f64) -> f64 {
        match self.token {
            T_ADD => left + right,
            T_SUB => left - right,
            T_MUL => left * right,
            T_DIV => left / right,
            T_MOD => left % right,
            T_POW => left.powf(right),
            T_ATAN2 => left.atan2(right),
            T_EQLC => f64::from(left == right),
            T_NEQ => f64::from(left != right),
            T_GTR => f64::from(left > right),
            T_LSS => f64::from(left < right),
            T_GTE => f64::from(left >= right),
            T_LTE => f64::from(left <= right),
            _ => f64::NAN,
        }
    }
}

fn with_numbers(
    mut series: Vec<StepSeries>,
    numbers: &[f64],
    operator: Operator,
    apply: impl Fn(f64, f64) -> Option<f64>,
) -> Result<Value, PromqlError> {
    for one in &mut series {
        if operator.renames() {
            one.labels = without_name(&one.labels);
        }
        for (value, &number) in one.values.iter_mut().zip(numbers) {
            if !is_absent(*value) {
                *value = apply(*value, number).unwrap_or(ABSENT);
            }
        }
    }
    series.retain(|one| one.values.iter().any(|&value| !is_absent(value)));
    join_same_labels(series).map(Value::Vector)
}

/// What matched pairs give. "Many" and "one" are the sides' roles: without `group_left` or `group_right` the left side is
/// the many side, and may have only one series a match group too.
fn matched(
    left: Vec<StepSeries>,
    right: Vec<StepSeries>,
    operator: Operator,
    modifier: &BinModifier,
    steps: usize,
) -> Result<Vec<StepSeries>, PromqlError> {
    let swapped = matches!(modifier.card, VectorMatchCardinality::OneToMany(_));
    let one_to_one = matches!(modifier.card, VectorMatchCardinality::OneToOne);
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let signatures = Signatures::new(&many, &one, modifier.matching.as_ref());
    let mut results = Results::new(&many, &one, operator, modifier, steps);
    let groups = signatures.labels.len();
    // For each match group: the step at which the rest of the entry holds.
    let mut ones = vec![(usize::MAX, 0); groups];
    let mut taken = vec![usize::MAX; groups];
    let mut produced: HashSet<(usize, usize)> = HashSet::new();
    for step in 0..steps {
        let here = |series: &StepSeries| !is_absent(series.values[step]);
        if !many.iter().any(here) || !one.iter().any(here) {
            continue;
        }
        for (place, series) in one.iter().enumerate().filter(|(_, series)| here(series)) {
            let group = signatures.right[place];
            if ones[group].0 == step {
                let side = if swapped { "left" } else { "right" };
                let labels = &signatures.labels[group];
                return Err(duplicates(side, labels, &one[ones[group].1].labels, &series.labels));
            }
            ones[group] = (step, place);
        }
        produced.clear();
        for (place, series) in many.iter().enumerate().filter(|(_, series)| here(series)) {
            let group = signatures.left[place];
            let (at, partner) = ones[group];
            if at != step {
                continue;
            }
            let (mine, theirs) = (series.values[step], one[partner].values[step]);
            let value = if swapped { operator.apply(theirs, mine) } else { operator.apply(mine, theirs) };
            let result = results.place(place, partner);
            if one_to_one {
                if taken[group] == step {
                    let message = "multiple matches for labels: many-to-one matching must be explicit \
                                   (group_left/group_right)";
                    return Err(PromqlError::Execution(message.to_owned()));
                }
                taken[group] = step;
            } else if !produced.insert((group, result)) {
                let message = "multiple matches for labels: grouping labels must ensure unique matches";
                return Err(PromqlError::Execution(message.to_owned()));
            }
            if let Some(value) = value {
                results.put(result, step, value)?;
            }
        }
    }
    Ok(results.into_series())
}

fn duplicates(side: &str, group: &LabelSet, a: &LabelSet, b: &LabelSet) -> PromqlError {
    let mut found = [in_braces(a), in_braces(b)];
    found.sort();
    PromqlError::Execution(format!(
        "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
         many-to-many matching not allowed: matching labels must be unique on one side",
        in_braces(group),
        found[0],
        found[1]
    ))
}

/// The series that come out, made as pairs are met.
struct Results<'a> {
    many: &'a [StepSeries],
    one: &'a [StepSeries],
    operator: Operator,
    modifier: &'a BinModifier,
    steps: usize,
    places: HashMap<(usize, usize), usize>,
    by_labels: HashMap<Arc<LabelSet>, usize>,
    series: Vec<StepSeries>,
}

impl<'a> Results<'a> {
    fn new(
        many: &'a [StepSeries],
        one: &'a [StepSeries],
        operator: Operator,
        modifier: &'a BinModifier,
        steps: usize,
    ) -> Results<'a> {
        let (places, by_labels) = (HashMap::new(), HashMap::new());
        Results { many, one, operator, modifier, steps, places, by_labels, series: Vec::new() }
    }

    /// Which result the pair's values go to.
    fn place(&mut self, many: usize, one: usize) -> usize {
        if let Some(&place) = self.places.get(&(many, one)) {
            return place;
        }
        let labels = self.labels(&self.many[many].labels, &self.one[one].labels);
        let next = self.series.len();
        let place = *self.by_labels.entry(labels.clone()).or_insert(next);
        if place == next {
            self.series.push(StepSeries { labels, values: vec![ABSENT; self.steps] });
        }
        self.places.insert((many, one), place);
        place
    }

    /// The many side's labels, less the name where the operator computes; matched one to one, only what was matched by.
    fn labels(&self, many: &Arc<LabelSet>, one: &LabelSet) -> Arc<LabelSet> {
        let mut labels = if self.operator.renames() { without_name(many) } else { many.clone() };
        match (&self.modifier.card, &self.modifier.matching) {
            (VectorMatchCardinality::OneToOne, Some(LabelModifier::Include(names))) => {
                labels = Arc::new(only(&labels, &names.labels));
            }
            (VectorMatchCardinality::OneToOne, Some(LabelModifier::Exclude(names))) => {
                labels = Arc::new(without(&labels, &names.labels));
            }
            (VectorMatchCardinality::ManyToOne(included) | VectorMatchCardinality::OneToMany(included), _) => {
                for name in &included.labels {
                    labels = Arc::new(with(&labels, name, one.get(name)));
                }
            }
            _ => {}
        }
        labels
    }

    fn put(&mut self, place: usize, step: usize, value: f64) -> Result<(), PromqlError> {
        let cell = &mut self.series[place].values[step];
        if !is_absent(*cell) {
            return Err(PromqlError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
        }
        *cell = value;
        Ok(())
    }

    fn into_series(self) -> Vec<StepSeries> {
        let present = |series: &StepSeries| series.values.iter().any(|&value| !is_absent(value));
        self.series.into_iter().filter(present).collect()
    }
}
