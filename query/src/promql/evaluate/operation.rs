//! What an operator makes of two values, numbers or histograms.

use std::sync::Arc;

use super::super::annotation::{self, Annotation};
use super::super::histogram::{Histogram, ResetHint};
use super::super::syntax::{Comparison, Operator, Span};
use super::{Cell, Evaluator};

/// An arithmetic or comparison operator.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) operator: Operator,
    /// `bool`: a comparison gives 0 or 1 instead of filtering.
    pub(super) truth: bool,
}

impl Operation {
    pub(super) fn filters(self) -> bool {
        self.operator.compares() && !self.truth
    }

    /// Whether numbers on both sides make no sense.
    pub(super) fn only_of_histograms(self) -> bool {
        matches!(self.operator, Operator::TrimUpper | Operator::TrimLower)
    }

    /// Whether the result is another metric than the left side, so that its name goes.
    pub(super) fn renames(self) -> bool {
        !self.filters() && !self.only_of_histograms()
    }

    /// The result; none where a comparison filters the value out.
    pub(super) fn apply(self, left: f64, right: f64) -> Option<f64> {
        if self.only_of_histograms() {
            return None;
        }
        if !self.operator.compares() {
            return Some(self.of_numbers(left, right));
        }
        let holds = self.of_numbers(left, right) != 0.0;
        if self.truth { Some(f64::from(holds)) } else { holds.then_some(left) }
    }

    /// The result between numbers; comparisons give 0 or 1.
    pub(super) fn of_numbers(self, left: f64, right: f64) -> f64 {
        match self.operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            Operator::Modulo => left % right,
            Operator::Power => left.powf(right),
            Operator::Atan2 => left.atan2(right),
            Operator::Compare(comparison) => f64::from(match comparison {
                Comparison::Equal => left == right,
                Comparison::NotEqual => left != right,
                Comparison::Greater => left > right,
                Comparison::Less => left < right,
                Comparison::GreaterOrEqual => left >= right,
                Comparison::LessOrEqual => left <= right,
            }),
            Operator::And | Operator::Or | Operator::Unless | Operator::TrimUpper | Operator::TrimLower => f64::NAN,
        }
    }

    /// The result between any two values. What cannot be is left out and noted.
    pub(super) fn of_cells(self, evaluator: &Evaluator<'_>, left: &Cell, right: &Cell, span: Span) -> Cell {
        let incompatible = |left, right| {
            let operator = self.operator.symbol();
            evaluator.annotate(&Annotation::IncompatibleTypes { left, operator, right }, span);
            Cell::Absent
        };
        match (left, right) {
            (Cell::Absent, _) | (_, Cell::Absent) => Cell::Absent,
            (Cell::Number(left), Cell::Number(right)) => match self.operator {
                Operator::TrimUpper | Operator::TrimLower => incompatible("float", "float"),
                _ => self.apply(*left, *right).map_or(Cell::Absent, Cell::Number),
            },
            (Cell::Number(factor), Cell::Histogram(histogram)) => match self.operator {
                Operator::Multiply => changed(histogram, |histogram| histogram.multiply(*factor)),
                _ => incompatible("float", "histogram"),
            },
            (Cell::Histogram(histogram), Cell::Number(number)) => match self.operator {
                Operator::Multiply => changed(histogram, |histogram| histogram.multiply(*number)),
                Operator::Divide => changed(histogram, |histogram| histogram.divide(*number)),
                Operator::TrimUpper => Cell::Histogram(Arc::new(histogram.trimmed(*number, false))),
                Operator::TrimLower => Cell::Histogram(Arc::new(histogram.trimmed(*number, true))),
                _ => incompatible("histogram", "float"),
            },
            (Cell::Histogram(left), Cell::Histogram(right)) => match self.operator {
                Operator::Add | Operator::Subtract => self.joined(evaluator, left, right, span),
                Operator::Compare(comparison @ (Comparison::Equal | Comparison::NotEqual)) => {
                    let holds = left.same_values(right) == (comparison == Comparison::Equal);
                    match (self.truth, holds) {
                        (true, _) => Cell::Number(f64::from(holds)),
                        (false, true) => Cell::Histogram(left.clone()),
                        (false, false) => Cell::Absent,
                    }
                }
                _ => incompatible("histogram", "histogram"),
            },
        }
    }

    fn joined(self, evaluator: &Evaluator<'_>, left: &Histogram, right: &Histogram, span: Span) -> Cell {
        let mut joined = left.clone();
        let (combined, operation) = if self.operator == Operator::Add {
            (joined.add(right), annotation::Operation::Addition)
        } else {
            (joined.subtract(right), annotation::Operation::Subtraction)
        };
        let Ok(combined) = combined else {
            evaluator.annotate(&Annotation::IncompatibleLayout(self.operator.symbol()), span);
            return Cell::Absent;
        };
        if combined.reset_collision {
            evaluator.annotate(&Annotation::ResetCollision(operation), span);
        }
        if combined.bounds_reconciled {
            evaluator.annotate(&Annotation::ReconciledBounds(operation), span);
        }
        if self.operator == Operator::Subtract {
            joined.hint = ResetHint::Gauge;
        }
        Cell::Histogram(Arc::new(joined))
    }
}

fn changed(histogram: &Arc<Histogram>, change: impl Fn(&mut Histogram)) -> Cell {
    let mut changed = Histogram::clone(histogram);
    change(&mut changed);
    Cell::Histogram(Arc::new(changed))
}
