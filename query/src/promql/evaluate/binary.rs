//! Arithmetic and comparison: between numbers, between series and a number, and between matched series. What two values give
//! is worked out in `operation`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use taffrail_collector::model::LabelSet;

use super::super::PromqlError;
use super::super::labels::{in_braces, only, with, without, without_name};
use super::super::syntax::{Binary, Cardinality, Grouping, Span};
use super::matching::Signatures;
use super::operation::Operation;
use super::{ABSENT, Cell, Evaluator, StepSeries, Steps, Value, is_absent, set_operator};

impl Evaluator<'_> {
    pub(super) fn binary(&self, binary: &Binary, span: Span, steps: Steps) -> Result<Value, PromqlError> {
        let left = self.evaluate(&binary.left, steps)?;
        let right = self.evaluate(&binary.right, steps)?;
        let operation = Operation { operator: binary.operator, truth: binary.truth };
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let values = left.iter().zip(&right).map(|(&left, &right)| operation.of_numbers(left, right));
                Ok(Value::Scalar(values.collect()))
            }
            (Value::Vector(series), Value::Scalar(numbers)) => {
                self.with_numbers(series, &numbers, operation, span, false)
            }
            (Value::Scalar(numbers), Value::Vector(series)) => {
                self.with_numbers(series, &numbers, operation, span, true)
            }
            (Value::Vector(left), Value::Vector(right)) => {
                self.hold(steps.count.saturating_mul(left.len().max(right.len())))?;
                let series = if binary.operator.is_set_operator() {
                    let how = (steps.count, self.dialect().delayed_names);
                    set_operator::apply(binary.operator, left, right, binary.matching.as_ref(), how)?
                } else {
                    Matching { evaluator: self, binary, operation, span, steps: steps.count }.matched(left, right)?
                };
                Ok(Value::Vector(series))
            }
            _ => Err(PromqlError::Invalid("text stands in a binary expression".to_owned())),
        }
    }

    /// A series and a number at each step; `swapped` when the number stands on the left.
    fn with_numbers(
        &self,
        mut series: Vec<StepSeries>,
        numbers: &[f64],
        operation: Operation,
        span: Span,
        swapped: bool,
    ) -> Result<Value, PromqlError> {
        for one in &mut series {
            if one.histograms.is_some() || operation.only_of_histograms() {
                for (step, &number) in
                    numbers.iter().enumerate().filter(|(step, _)| one.is_there(*step)).collect::<Vec<_>>()
                {
                    let (value, number) = (one.cell(step), Cell::Number(number));
                    let (left, right) = if swapped { (&number, &value) } else { (&value, &number) };
                    // A filter keeps the series' value, on whichever side it stands.
                    let cell = match operation.of_cells(self, left, right, span) {
                        Cell::Number(_) if operation.filters() => value,
                        cell => cell,
                    };
                    one.put(step, cell);
                }
                continue;
            }
            for (value, &number) in one.values.iter_mut().zip(numbers).filter(|(value, _)| !is_absent(**value)) {
                let result = if swapped { operation.apply(number, *value) } else { operation.apply(*value, number) };
                *value = match result {
                    Some(_) if operation.filters() => *value,
                    Some(result) => result,
                    None => ABSENT,
                };
            }
        }
        if operation.renames() {
            return self.renamed(series);
        }
        series.retain(StepSeries::is_anywhere);
        Ok(Value::Vector(series))
    }
}

/// Pairs of series. "Many" and "one" are the sides' roles: without `group_left` or `group_right` the left side is the many
/// side, and may have only one series a match group too.
struct Matching<'a, 'e> {
    evaluator: &'a Evaluator<'e>,
    binary: &'a Binary,
    operation: Operation,
    span: Span,
    steps: usize,
}

impl Matching<'_, '_> {
    fn matched(&self, left: Vec<StepSeries>, right: Vec<StepSeries>) -> Result<Vec<StepSeries>, PromqlError> {
        let cardinality = &self.binary.cardinality;
        let swapped = matches!(cardinality, Cardinality::OneToMany(_));
        let one_to_one = matches!(cardinality, Cardinality::OneToOne);
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let (fill_many, fill_one) = match swapped {
            true => (self.binary.fill_right, self.binary.fill_left),
            false => (self.binary.fill_left, self.binary.fill_right),
        };
        let signatures = Signatures::new(&many, &one, self.binary.matching.as_ref());
        let mut results =
            Results { matching: self, places: HashMap::new(), by_labels: HashMap::new(), series: Vec::new() };
        let groups = signatures.labels.len();
        // For each match group: the step at which the rest of the entry holds.
        let mut ones = vec![(usize::MAX, 0); groups];
        let mut taken = vec![usize::MAX; groups];
        let mut produced: HashSet<(usize, usize)> = HashSet::new();
        let nothing = Arc::new(LabelSet::default());
        for step in 0..self.steps {
            let here = |series: &StepSeries| series.is_there(step);
            let (any_many, any_one) = (many.iter().any(here), one.iter().any(here));
            if (!any_many && fill_many.is_none()) || (!any_one && fill_one.is_none()) {
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
                let (theirs, partner) = match (at == step, fill_one) {
                    (true, _) => (one[partner].cell(step), Some(partner)),
                    (false, Some(fill)) => (Cell::Number(fill), None),
                    (false, None) => continue,
                };
                let mine = series.cell(step);
                let (left, right) = if swapped { (&theirs, &mine) } else { (&mine, &theirs) };
                let cell = self.operation.of_cells(self.evaluator, left, right, self.span);
                let labels = partner.map_or(&nothing, |partner| &one[partner].labels);
                let drop_name = series.drop_name;
                let result = results.place((Some(place), partner), (&series.labels, labels), drop_name);
                if one_to_one {
                    if taken[group] == step {
                        let message = "multiple matches for labels: many-to-one matching must be explicit \
                                       (group_left/group_right)";
                        return Err(PromqlError::Execution(message.to_owned()));
                    }
                } else if !produced.insert((group, result)) {
                    let message = "multiple matches for labels: grouping labels must ensure unique matches";
                    return Err(PromqlError::Execution(message.to_owned()));
                }
                taken[group] = step;
                results.put(result, step, cell)?;
            }
            let Some(fill) = fill_many else { continue };
            for (place, series) in one.iter().enumerate().filter(|(_, series)| here(series)) {
                let group = signatures.right[place];
                if taken[group] == step {
                    continue;
                }
                let (mine, theirs) = (Cell::Number(fill), series.cell(step));
                let (left, right) = if swapped { (&theirs, &mine) } else { (&mine, &theirs) };
                let cell = self.operation.of_cells(self.evaluator, left, right, self.span);
                let labels = Arc::new(signatures.labels[group].clone());
                let result = results.place((None, Some(place)), (&labels, &series.labels), false);
                results.put(result, step, cell)?;
            }
        }
        let present = results.series.into_iter().filter(StepSeries::is_anywhere);
        Ok(present.collect())
    }
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

/// Places of a pair's series; none where a number is filled in.
type Pair = (Option<usize>, Option<usize>);

/// The series that come out, made as pairs are met.
struct Results<'a> {
    matching: &'a Matching<'a, 'a>,
    places: HashMap<Pair, usize>,
    by_labels: HashMap<Arc<LabelSet>, usize>,
    series: Vec<StepSeries>,
}

impl Results<'_> {
    /// Which result the pair's values go to; of its labels the many side's come first.
    fn place(&mut self, pair: Pair, (many, one): (&Arc<LabelSet>, &LabelSet), drop_name: bool) -> usize {
        if let Some(&place) = self.places.get(&pair) {
            return place;
        }
        let labels = self.labels(many, one);
        let next = self.series.len();
        let place = *self.by_labels.entry(labels.clone()).or_insert(next);
        if place == next {
            let mut series = StepSeries::empty(labels, self.matching.steps);
            series.drop_name = drop_name;
            self.series.push(series);
        }
        self.places.insert(pair, place);
        place
    }

    /// The many side's labels, less the name where the operator computes; matched one to one, only what was matched by.
    fn labels(&self, many: &Arc<LabelSet>, one: &LabelSet) -> Arc<LabelSet> {
        let binary = self.matching.binary;
        let mut labels = if self.matching.operation.renames() { without_name(many) } else { many.clone() };
        match (&binary.cardinality, &binary.matching) {
            (Cardinality::OneToOne, Some(Grouping::Only(names))) => labels = Arc::new(only(&labels, names)),
            (Cardinality::OneToOne, Some(Grouping::AllBut(names))) => labels = Arc::new(without(&labels, names)),
            (Cardinality::ManyToOne(included) | Cardinality::OneToMany(included), _) => {
                for name in included {
                    labels = Arc::new(with(&labels, name, one.get(name)));
                }
            }
            _ => {}
        }
        labels
    }

    fn put(&mut self, place: usize, step: usize, cell: Cell) -> Result<(), PromqlError> {
        if cell == Cell::Absent {
            return Ok(());
        }
        if self.series[place].is_there(step) {
            return Err(PromqlError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
        }
        self.series[place].put(step, cell);
        Ok(())
    }
}
