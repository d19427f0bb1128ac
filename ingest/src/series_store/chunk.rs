//! A chunk: the windows of neighbouring series of one kind, in columns.
//!
//! ```text
//! chunk        := kind:u8 series:varint windows:integers(series)  ; how many windows each series has
//!                 times values
//! times        := grids:varint                       ; series that were flushed together share one
//!                 lengths:integers(grids) grid_of_series:integers(series)
//!                 first:integers(grids) step:integers(grids)      ; step 0: listed, else first + i × step
//!                 listed:integers                    ; differences of the listed grids' ends, from their first
//! values       := counter: floats                    ; one run a series
//!               | gauge: last:floats same:u8 [min:floats max:floats]   ; same 1: min = max = last throughout
//!               | distribution: count:floats sum:floats min:floats max:floats
//!                 zero:floats positive negative
//!               | cumulative: floats                 ; one run a series
//!               | set: zstd( { tag:u8 [hash:u64 × tag] [register:u8 × 4096] }… )  ; tag 0–64: hashes, 255: registers
//! positive, negative := bins:integers(windows) index:integers weight:floats
//!                      ; of each bin its index less the one before (the first: less the first of the window before)
//! ```
//!
//! Times are in nanoseconds. `integers` and `floats` are those of the column module. Long runs compress best, so a chunk
//! takes series of one name until it holds [`WINDOWS_WANTED`] windows; short ones share it.

use taffrail_collector::model::distinct_set::{EXACT_MAX, REGISTERS};
use taffrail_collector::model::sketch::BINS_MAX;
use taffrail_collector::model::{DistinctSet, Distribution, SampleKind, Sketch};

use super::GaugeWindow;
use super::column::{counts, floats, integers, put_counts, put_floats, put_integers, put_zstd, unzstd};
use super::points::{End, Points, Total};
use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

/// pco's ratio flattens out above this (measured: 8,640 windows beat 720 by 10 %), and a reader that wants one
/// series decodes this many in 0.1 ms.
pub(super) const WINDOWS_WANTED: usize = 8_192;

/// Series in a chunk, at most.
pub(super) const SERIES_MAX: usize = 64;

/// Windows of one row of the series table, at most; the writer spreads more of them over several rows.
pub(super) const ROW_WINDOWS_MAX: usize = 1 << 20;

/// Windows in a chunk, at most: bounds what a reader allocates.
const WINDOWS_MAX: usize = ROW_WINDOWS_MAX + WINDOWS_WANTED;

const REGISTERS_TAG: u8 = 255;

/// Writes the windows of series of one kind.
///
/// # Panics
/// When they are not of one kind, or when there is none.
pub(super) fn encode(series: &[Points]) -> Vec<u8> {
    let kind = series.first().expect("a chunk has series").kind();
    let mut out = vec![kind as u8];
    put_varint(&mut out, series.len() as u64);
    put_counts(&mut out, &series.iter().map(Points::len).collect::<Vec<_>>());
    put_times(&mut out, series);
    match kind {
        SampleKind::Counter => put_floats(&mut out, &runs(series, counter_of)),
        SampleKind::Gauge => put_gauges(&mut out, series),
        SampleKind::Distribution => put_distributions(&mut out, series),
        SampleKind::Set => put_sets(&mut out, series),
        SampleKind::Cumulative => put_floats(&mut out, &runs(series, total_of)),
    }
    out
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Points>, Malformed> {
    let mut cursor = ByteCursor(bytes);
    let kind = SampleKind::from_number(cursor.u8()?).ok_or(Malformed("a chunk is of an unknown kind"))?;
    let series = cursor.count(0, SERIES_MAX)?;
    let lengths = counts(&mut cursor, series, WINDOWS_MAX)?;
    let total: usize = lengths.iter().sum();
    if total > WINDOWS_MAX {
        return Err(Malformed("a chunk holds too many windows"));
    }
    let ends = times(&mut cursor, &lengths)?;
    let points = match kind {
        SampleKind::Counter => {
            let sums = floats(&mut cursor, &lengths)?;
            zip_each(ends, sums).map(Points::Counter).collect()
        }
        SampleKind::Gauge => zip_each(ends, gauges(&mut cursor, &lengths)?).map(Points::Gauge).collect(),
        SampleKind::Distribution => {
            zip_each(ends, distributions(&mut cursor, &lengths)?).map(Points::Distribution).collect()
        }
        SampleKind::Set => zip_each(ends, sets(&mut cursor, &lengths)?).map(Points::Set).collect(),
        SampleKind::Cumulative => {
            let totals = floats(&mut cursor, &lengths)?;
            let totals = totals.into_iter().map(|run| run.into_iter().map(Total).collect()).collect();
            zip_each(ends, totals).map(Points::Cumulative).collect()
        }
    };
    cursor.finish()?;
    Ok(points)
}

fn zip_each<T>(ends: Vec<Vec<End>>, values: Vec<Vec<T>>) -> impl Iterator<Item = Vec<(End, T)>> {
    ends.into_iter().zip(values).map(|(ends, values)| ends.into_iter().zip(values).collect())
}

fn put_times(out: &mut Vec<u8>, series: &[Points]) {
    let mut grids: Vec<Vec<End>> = Vec::new();
    let grid_of: Vec<usize> = series
        .iter()
        .map(|points| {
            let ends = points.ends();
            // Neighbours mostly share the newest grid, so the search from the back ends at once.
            grids.iter().rposition(|grid| *grid == ends).unwrap_or_else(|| {
                grids.push(ends);
                grids.len() - 1
            })
        })
        .collect();
    put_varint(out, grids.len() as u64);
    put_counts(out, &grids.iter().map(Vec::len).collect::<Vec<_>>());
    put_counts(out, &grid_of);
    let first: Vec<i64> = grids.iter().map(|grid| grid.first().copied().unwrap_or(0)).collect();
    let step: Vec<i64> = grids.iter().map(|grid| constant_step(grid)).collect();
    put_integers(out, &first);
    put_integers(out, &step);
    let listed: Vec<i64> = grids
        .iter()
        .zip(&step)
        .filter(|&(_, &step)| step == 0)
        .flat_map(|(grid, _)| grid.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])))
        .collect();
    put_integers(out, &listed);
}

/// The step of a grid without gaps, or 0. A single window needs none: any will do.
fn constant_step(grid: &[End]) -> i64 {
    let [first, second, ..] = grid else { return 1 };
    let step = second.wrapping_sub(*first);
    if grid.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) { step } else { 0 }
}

fn times(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<End>>, Malformed> {
    let grids = cursor.count(0, SERIES_MAX)?;
    let grid_lengths = counts(cursor, grids, WINDOWS_MAX)?;
    let grid_of = counts(cursor, lengths.len(), grids.saturating_sub(1))?;
    // Before anything is allocated by them: the grids' lengths are those of their series.
    let of_a_series = |grid: usize| grid_of.iter().zip(lengths).any(|(&of, &n)| of == grid && n == grid_lengths[grid]);
    if !(0..grids).all(of_a_series) {
        return Err(Malformed("a chunk's times do not fit its series"));
    }
    let first = integers(cursor, grids)?;
    let step = integers(cursor, grids)?;
    let listed_count =
        step.iter().zip(&grid_lengths).filter(|&(&step, _)| step == 0).map(|(_, &n)| n.saturating_sub(1)).sum();
    let listed = integers(cursor, listed_count)?;
    let mut listed = listed.into_iter();
    let mut decoded = Vec::with_capacity(grids);
    for grid in 0..grids {
        let mut end = first[grid];
        let mut ends = Vec::with_capacity(grid_lengths[grid]);
        for i in 0..grid_lengths[grid] {
            if i > 0 {
                let ahead = if step[grid] == 0 { listed.next().unwrap_or(0) } else { step[grid] };
                end = end.checked_add(ahead).filter(|&next| next > end).ok_or(Malformed("times do not rise"))?;
            }
            ends.push(end);
        }
        decoded.push(ends);
    }
    grid_of
        .iter()
        .zip(lengths)
        .map(|(&grid, &length)| {
            let ends = &decoded[grid];
            if ends.len() == length { Ok(ends.clone()) } else { Err(Malformed("a series and its times differ")) }
        })
        .collect()
}

/// One run of numbers a series.
fn runs(series: &[Points], of: impl Fn(&Points) -> Vec<f64>) -> Vec<Vec<f64>> {
    series.iter().map(of).collect()
}

fn counter_of(points: &Points) -> Vec<f64> {
    let Points::Counter(list) = points else { unreachable!("a chunk is of one kind") };
    list.iter().map(|point| point.1).collect()
}

fn total_of(points: &Points) -> Vec<f64> {
    let Points::Cumulative(list) = points else { unreachable!("a chunk is of one kind") };
    list.iter().map(|point| point.1.0).collect()
}

fn gauge_of(field: fn(&GaugeWindow) -> f64) -> impl Fn(&Points) -> Vec<f64> {
    move |points| {
        let Points::Gauge(list) = points else { unreachable!("a chunk is of one kind") };
        list.iter().map(|point| field(&point.1)).collect()
    }
}

fn distribution_of(field: fn(&Distribution) -> f64) -> impl Fn(&Points) -> Vec<f64> {
    move |points| windows_of(points).map(field).collect()
}

fn windows_of(points: &Points) -> impl Iterator<Item = &Distribution> {
    let Points::Distribution(list) = points else { unreachable!("a chunk is of one kind") };
    list.iter().map(|point| &point.1)
}

fn put_gauges(out: &mut Vec<u8>, series: &[Points]) {
    let [last, min, max] = [
        runs(series, gauge_of(|window| window.last)),
        runs(series, gauge_of(|window| window.min)),
        runs(series, gauge_of(|window| window.max)),
    ];
    put_floats(out, &last);
    let bits = |runs: &[Vec<f64>]| runs.iter().flatten().map(|value| value.to_bits()).collect::<Vec<_>>();
    let same = bits(&last) == bits(&min) && bits(&last) == bits(&max);
    out.push(u8::from(same));
    if !same {
        put_floats(out, &min);
        put_floats(out, &max);
    }
}

fn gauges(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<GaugeWindow>>, Malformed> {
    let last = floats(cursor, lengths)?;
    let (min, max) = match cursor.u8()? {
        0 => (floats(cursor, lengths)?, floats(cursor, lengths)?),
        1 => (last.clone(), last.clone()),
        _ => return Err(Malformed("a gauge has an unknown form")),
    };
    let series = last.into_iter().zip(min).zip(max).map(|((last, min), max)| {
        let windows = last.into_iter().zip(min).zip(max);
        windows.map(|((last, min), max)| GaugeWindow { last, min, max }).collect()
    });
    Ok(series.collect())
}

fn put_distributions(out: &mut Vec<u8>, series: &[Points]) {
    put_floats(out, &runs(series, distribution_of(|window| window.count)));
    put_floats(out, &runs(series, distribution_of(|window| window.sum)));
    put_floats(out, &runs(series, distribution_of(|window| window.min)));
    put_floats(out, &runs(series, distribution_of(|window| window.max)));
    put_floats(out, &runs(series, distribution_of(|window| window.sketch.zero())));
    put_bins(out, series, Sketch::positive);
    put_bins(out, series, Sketch::negative);
}

fn put_bins(out: &mut Vec<u8>, series: &[Points], side: fn(&Sketch) -> &[(i32, f64)]) {
    let (mut bins, mut index, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let mut first_before = 0i64;
    for window in series.iter().flat_map(windows_of) {
        let side = side(&window.sketch);
        bins.push(side.len());
        let mut before = first_before;
        for (i, &(bin, weight)) in side.iter().enumerate() {
            index.push(i64::from(bin) - before);
            before = i64::from(bin);
            if i == 0 {
                first_before = before;
            }
            weights.push(weight);
        }
    }
    put_counts(out, &bins);
    put_integers(out, &index);
    put_floats(out, &[weights]);
}

fn bins(cursor: &mut ByteCursor<'_>, windows: usize) -> Result<Vec<Vec<(i32, f64)>>, Malformed> {
    let counts = counts(cursor, windows, BINS_MAX)?;
    let total = counts.iter().sum();
    let mut index = integers(cursor, total)?.into_iter();
    let mut weights = floats(cursor, &[total])?.into_iter().flatten();
    let mut first_before = 0i64;
    counts
        .into_iter()
        .map(|count| {
            let mut before = first_before;
            (0..count)
                .map(|i| {
                    before = before.wrapping_add(index.next().unwrap_or(0));
                    if i == 0 {
                        first_before = before;
                    }
                    let bin = i32::try_from(before).map_err(|_| Malformed("a sketch's bin is out of range"))?;
                    Ok((bin, weights.next().unwrap_or(0.0)))
                })
                .collect()
        })
        .collect()
}

fn distributions(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<Distribution>>, Malformed> {
    let [count, sum, min, max, zero] = [
        floats(cursor, lengths)?,
        floats(cursor, lengths)?,
        floats(cursor, lengths)?,
        floats(cursor, lengths)?,
        floats(cursor, lengths)?,
    ];
    let windows = lengths.iter().sum();
    let mut positive = bins(cursor, windows)?.into_iter();
    let mut negative = bins(cursor, windows)?.into_iter();
    (0..lengths.len())
        .map(|series| {
            (0..lengths[series])
                .map(|i| {
                    let (positive, negative) =
                        (positive.next().unwrap_or_default(), negative.next().unwrap_or_default());
                    let sketch = Sketch::from_parts(zero[series][i], positive, negative)
                        .ok_or(Malformed("a sketch is damaged"))?;
                    Ok(Distribution {
                        count: count[series][i],
                        sum: sum[series][i],
                        min: min[series][i],
                        max: max[series][i],
                        sketch,
                    })
                })
                .collect()
        })
        .collect()
}

fn put_sets(out: &mut Vec<u8>, series: &[Points]) {
    let mut bytes = Vec::new();
    for points in series {
        let Points::Set(list) = points else { unreachable!("a chunk is of one kind") };
        for (_, set) in list {
            match set {
                DistinctSet::Exact(hashes) => {
                    bytes.push(u8::try_from(hashes.len()).expect("an exact set holds at most EXACT_MAX hashes"));
                    hashes.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
                }
                DistinctSet::Estimated(registers) => {
                    bytes.push(REGISTERS_TAG);
                    bytes.extend_from_slice(&**registers);
                }
            }
        }
    }
    put_zstd(out, &bytes);
}

fn sets(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<DistinctSet>>, Malformed> {
    let windows: usize = lengths.iter().sum();
    let bytes = unzstd(cursor, windows.saturating_mul(REGISTERS + 1))?;
    let mut inner = ByteCursor(&bytes);
    let sets =
        lengths.iter().map(|&length| (0..length).map(|_| set(&mut inner)).collect()).collect::<Result<_, _>>()?;
    inner.finish()?;
    Ok(sets)
}

fn set(cursor: &mut ByteCursor<'_>) -> Result<DistinctSet, Malformed> {
    match cursor.u8()? {
        REGISTERS_TAG => {
            let registers: [u8; REGISTERS] =
                cursor.bytes(REGISTERS)?.try_into().map_err(|_| Malformed("a set's registers are cut"))?;
            Ok(DistinctSet::Estimated(Box::new(registers)))
        }
        count if usize::from(count) <= EXACT_MAX => {
            let hashes = (0..count).map(|_| cursor.u64()).collect::<Result<Vec<_>, _>>()?;
            if hashes.windows(2).all(|pair| pair[0] < pair[1]) {
                Ok(DistinctSet::Exact(hashes))
            } else {
                Err(Malformed("a set's hashes are not sorted"))
            }
        }
        _ => Err(Malformed("a set has an unknown form")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series_store::test_samples::{points, points_of_kind};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn chunks_come_back(series in (1u8..6).prop_flat_map(|kind| prop::collection::vec(points_of_kind(kind), 1..6))) {
            prop_assert_eq!(decode(&encode(&series)).unwrap(), series);
        }

        #[test]
        fn damaged_chunks_are_read_or_refused(series in points(), at: prop::sample::Index, xor in 1u8..) {
            let mut bytes = encode(&[series]);
            let at = at.index(bytes.len());
            bytes[at] ^= xor;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..at]);
        }
    }
}
