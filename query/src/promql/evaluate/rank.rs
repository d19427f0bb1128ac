//! Aggregations that pick series of each group and leave them as they are: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use promql_parser::parser::token::{T_BOTTOMK, T_TOPK, TokenId};
use taffrail_collector::model::LabelSet;

use super::aggregate::Group;
use super::{ABSENT, StepSeries, is_absent};

/// How many are wanted at each step.
pub(super) enum Wanted {
    /// So many; fewer than 1 is none.
    Count(Vec<i64>),
    /// A share from −1 to 1; a negative one takes what the positive rest would leave.
    Ratio(Vec<f64>),
}

/// The picked series; at a single step by rank within each group.
pub(super) fn pick(
    operator: TokenId,
    mut series: Vec<StepSeries>,
    groups: &[Group],
    wanted: &Wanted,
    steps: usize,
) -> Vec<StepSeries> {
    let mut order: Vec<usize> = Vec::with_capacity(series.len());
    let mut keep = vec![false; series.len()];
    for group in groups {
        for step in 0..steps {
            let mut present: Vec<usize> =
                group.members.iter().copied().filter(|&member| !is_absent(series[member].values[step])).collect();
            let count = match wanted {
                Wanted::Count(counts) => usize::try_from(counts[step]).unwrap_or(0),
                Wanted::Ratio(ratios) => {
                    present.retain(|&member| sampled(&series[member].labels, ratios[step]));
                    usize::MAX
                }
            };
            if operator == T_TOPK || operator == T_BOTTOMK {
                let value = |member: &usize| series[*member].values[step];
                present.sort_by(|a, b| rank(operator, value(a), value(b)));
            }
            present.truncate(count);
            if steps == 1 {
                order.extend(&present);
            }
            present.iter().for_each(|&member| keep[member] = true);
            for &member in &group.members {
                if !keep[member] {
                    series[member].values[step] = ABSENT;
                }
            }
            present.iter().for_each(|&member| keep[member] = false);
        }
    }
    if steps == 1 {
        return order.into_iter().map(|member| series[member].clone()).collect();
    }
    series.retain(|series| series.values.iter().any(|&value| !is_absent(value)));
    series
}

/// Largest first for `topk`, smallest first for `bottomk`; NaN last in both.
fn rank(operator: TokenId, a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let rising = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if operator == T_TOPK { rising.reverse() } else { rising }
        }
    }
}

/// Whether a series belongs to a share of all series: its labels' hash says so, the same at every step and in every query.
fn sampled(labels: &LabelSet, ratio: f64) -> bool {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    let place = hasher.finish() as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}
