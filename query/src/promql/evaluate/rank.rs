//! Aggregations that pick series of each group and leave them as they are: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;

use taffrail_collector::model::LabelSet;

use super::super::syntax::Aggregator;
use super::aggregate::Group;
use super::{StepSeries, is_absent};

/// How many are wanted at each step.
pub(super) enum Wanted {
    /// So many; fewer than 1 is none.
    Count(Vec<i64>),
    /// A share from −1 to 1; a negative one takes what the positive rest would leave.
    Ratio(Vec<f64>),
}

/// The picked series; at a single step by rank within each group.
pub(super) fn pick(
    aggregator: Aggregator,
    mut series: Vec<StepSeries>,
    groups: &[Group],
    wanted: &Wanted,
    steps: usize,
) -> Vec<StepSeries> {
    // Histograms have no rank.
    let by_value = matches!(aggregator, Aggregator::TopK | Aggregator::BottomK);
    let mut order: Vec<usize> = Vec::with_capacity(series.len());
    let mut keep = vec![false; series.len()];
    for group in groups {
        for step in 0..steps {
            let is_ranked = |series: &StepSeries| match by_value {
                true => !is_absent(series.values[step]) && series.histogram(step).is_none(),
                false => series.is_there(step),
            };
            let mut present: Vec<usize> =
                group.members.iter().copied().filter(|&member| is_ranked(&series[member])).collect();
            let count = match wanted {
                Wanted::Count(counts) => usize::try_from(counts[step]).unwrap_or(0),
                Wanted::Ratio(ratios) => {
                    present.retain(|&member| sampled(&series[member].labels, ratios[step]));
                    usize::MAX
                }
            };
            if by_value {
                let value = |member: &usize| series[*member].values[step];
                present.sort_by(|a, b| rank(aggregator, value(a), value(b)));
            }
            present.truncate(count);
            if steps == 1 {
                order.extend(&present);
            }
            present.iter().for_each(|&member| keep[member] = true);
            for &member in &group.members {
                if !keep[member] {
                    series[member].remove(step);
                }
            }
            present.iter().for_each(|&member| keep[member] = false);
        }
    }
    if steps == 1 {
        return order.into_iter().map(|member| series[member].clone()).collect();
    }
    series.retain(StepSeries::is_anywhere);
    series
}

/// Largest first for `topk`, smallest first for `bottomk`; NaN last in both.
fn rank(aggregator: Aggregator, a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let rising = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if aggregator == Aggregator::TopK { rising.reverse() } else { rising }
        }
    }
}

/// Whether a series belongs to a share of all series: its labels' hash says so, the same at every step and in every query,
/// and the same as Prometheus'.
fn sampled(labels: &LabelSet, ratio: f64) -> bool {
    let mut bytes = Vec::with_capacity(128);
    for (name, value) in labels.iter() {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length) if length < 255 => bytes.push(length),
                _ => bytes.extend([255, text.len() as u8, (text.len() >> 8) as u8, (text.len() >> 16) as u8]),
            }
            bytes.extend(text.as_bytes());
        }
    }
    let place = xxh64(&bytes) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}

/// XXH64 with seed 0 (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).
fn xxh64(bytes: &[u8]) -> u64 {
    const P: [u64; 5] = [
        0x9E37_79B1_85EB_CA87,
        0xC2B2_AE3D_27D4_EB4F,
        0x1656_67B1_9E37_79F9,
        0x85EB_CA77_C2B2_AE63,
        0x27D4_EB2F_1656_67C5,
    ];
    let round = |lane: u64, word: u64| lane.wrapping_add(word.wrapping_mul(P[1])).rotate_left(31).wrapping_mul(P[0]);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    let stripes = bytes.chunks_exact(32);
    let rest = stripes.remainder();
    let mut hash = if bytes.len() < 32 {
        P[4]
    } else {
        let mut lanes = [P[0].wrapping_add(P[1]), P[1], 0, P[0].wrapping_neg()];
        for stripe in stripes {
            for (lane, bytes) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round(*lane, word(bytes));
            }
        }
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        let start = turned.fold(0u64, u64::wrapping_add);
        lanes.iter().fold(start, |hash, &lane| (hash ^ round(0, lane)).wrapping_mul(P[0]).wrapping_add(P[3]))
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    let words = rest.chunks_exact(8);
    let mut rest = words.remainder();
    for bytes in words {
        hash = (hash ^ round(0, word(bytes))).rotate_left(27).wrapping_mul(P[0]).wrapping_add(P[3]);
    }
    if let Some((half, after)) = rest.split_at_checked(4) {
        hash = (hash ^ word(half).wrapping_mul(P[0])).rotate_left(23).wrapping_mul(P[1]).wrapping_add(P[2]);
        rest = after;
    }
    for &byte in rest {
        hash = (hash ^ u64::from(byte).wrapping_mul(P[4])).rotate_left(11).wrapping_mul(P[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(P[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(P[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specification() {
        assert_eq!(xxh64(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxh64(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(xxh64(b"abc"), 0x44BC_2CF5_AD77_0999);
        assert_eq!(xxh64(b"Nobody inspects the spammish repetition"), 0xFBCE_A83C_8A37_8BF1);
    }
}
