//! Which series of two sides belong together: by equal signatures, worked out once for all steps.

use std::collections::HashMap;

use taffrail_collector::model::LabelSet;

use super::super::labels::signature;
use super::super::syntax::Grouping;
use super::StepSeries;

/// The signatures of two sides, as numbers.
pub(super) struct Signatures {
    /// For each series of the left side the number of its signature.
    pub(super) left: Vec<usize>,
    /// The same of the right side.
    pub(super) right: Vec<usize>,
    /// What each number stands for.
    pub(super) labels: Vec<LabelSet>,
}

impl Signatures {
    pub(super) fn new(left: &[StepSeries], right: &[StepSeries], modifier: Option<&Grouping>) -> Signatures {
        let mut numbers: HashMap<LabelSet, usize> = HashMap::new();
        let mut number = |series: &StepSeries| {
            let next = numbers.len();
            *numbers.entry(signature(&series.labels, modifier)).or_insert(next)
        };
        let left = left.iter().map(&mut number).collect();
        let right = right.iter().map(&mut number).collect();
        let mut labels = vec![LabelSet::default(); numbers.len()];
        numbers.into_iter().for_each(|(signature, number)| labels[number] = signature);
        Signatures { left, right, labels }
    }
}
