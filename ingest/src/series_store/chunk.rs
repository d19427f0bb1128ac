//! A chunk: the windows of neighbouring series of one kind, in columns.
//!
//! ```text
//! chunk        := kind:u8 series:varint windows:integers(series)  ; how many windows each series has
//!                 times values
//! times        := grids:varint                       ; series that were flushed together share one
//!                 lengths:integers(grids) grid_of_series:integers(series)
//!                 first:integers(grids) step:integers(grids)      ; step 0: listed, else first + i × step
//!                 listed:integers                    ; differences of the listed grids' ends, from their first
//! values       := counter, cumulative: floats                     ; one run a series
//!               | gauge: last:floats same:u8 [min:floats max:floats]   ; same 1: min = max = last throughout
//!               | distribution: counted:u8 [count:floats] sum:floats min:floats max:floats sketches
//!                                                    ; counted 1: every count is its sketch's
//!               | set: zstd( { tag:u8 [hash:u64 × tag] [register:u8 × 4096] }… )  ; tag 0–64: hashes, 255: registers
//! ```
//!
//! Times are in nanoseconds. `integers` and `floats` are those of the column module, `sketches` those of the sketch column.
//! Long runs compress best, so a chunk takes series of one name until it holds [`WINDOWS_WANTED`] windows; short ones
//! share it.

use taffrail_collector::model::distinct_set::{EXACT_MAX, REGISTERS};
use taffrail_collector::model::{DistinctSet, Distribution, SampleKind};

use super::column::{counts, floats, integers, put_counts, put_floats, put_integers, put_zstd, unzstd};
use super::points::{Levels, Points, Values, WindowEnds};
use super::sketch_column::{put_sketches, sketches};
use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

/// pco's ratio flattens out above this (measured: 8,640 windows beat 720 by 10 %), and a reader that wants one
/// series decodes this many in 0.05 ms.
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
        SampleKind::Counter | SampleKind::Cumulative => put_floats(&mut out, &each(series, numbers_of)),
        SampleKind::Gauge => put_gauges(&mut out, &each(series, levels_of)),
        SampleKind::Distribution => put_distributions(&mut out, &each(series, distributions_of)),
        SampleKind::Set => put_sets(&mut out, &each(series, sets_of)),
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
    let values: Vec<Values> = match kind {
        SampleKind::Counter => floats(&mut cursor, &lengths)?.into_iter().map(Values::Counter).collect(),
        SampleKind::Cumulative => floats(&mut cursor, &lengths)?.into_iter().map(Values::Cumulative).collect(),
        SampleKind::Gauge => gauges(&mut cursor, &lengths)?.into_iter().map(Values::Gauge).collect(),
        SampleKind::Distribution => {
            distributions(&mut cursor, &lengths)?.into_iter().map(Values::Distribution).collect()
        }
        SampleKind::Set => sets(&mut cursor, &lengths)?.into_iter().map(Values::Set).collect(),
    };
    cursor.finish()?;
    Ok(ends.into_iter().zip(values).map(|(ends, values)| Points::of(ends, values)).collect())
}

fn put_times(out: &mut Vec<u8>, series: &[Points]) {
    let mut grids: Vec<&WindowEnds> = Vec::new();
    let grid_of: Vec<usize> = series
        .iter()
        .map(|points| {
            // Neighbours mostly share the newest grid, so the search from the back ends at once.
            grids.iter().rposition(|grid| *grid == points.ends()).unwrap_or_else(|| {
                grids.push(points.ends());
                grids.len() - 1
            })
        })
        .collect();
    put_varint(out, grids.len() as u64);
    put_counts(out, &grids.iter().map(|grid| grid.len()).collect::<Vec<_>>());
    put_counts(out, &grid_of);
    let first: Vec<i64> = grids.iter().map(|grid| grid.first().unwrap_or(0)).collect();
    put_integers(out, &first);
    let (mut steps, mut listed) = (Vec::with_capacity(grids.len()), Vec::new());
    for grid in grids {
        match grid {
            // A single window needs no step: any will do.
            WindowEnds::Grid { step, count, .. } => steps.push(if *count < 2 { 1 } else { *step }),
            WindowEnds::Listed(list) => {
                steps.push(0);
                listed.extend(list.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
            }
        }
    }
    put_integers(out, &steps);
    put_integers(out, &listed);
}

fn times(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<WindowEnds>, Malformed> {
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
    let mut listed = integers(cursor, listed_count)?.into_iter();
    let mut decoded = Vec::with_capacity(grids);
    for ((first, step), count) in first.into_iter().zip(step).zip(grid_lengths) {
        let no_rise = Malformed("times do not rise");
        decoded.push(if step == 0 {
            let mut ends = Vec::with_capacity(count);
            let mut end = first;
            for place in 0..count {
                if place > 0 {
                    let ahead = listed.next().unwrap_or(0);
                    end = end.checked_add(ahead).filter(|&next| next > end).ok_or(no_rise)?;
                }
                ends.push(end);
            }
            WindowEnds::Listed(ends)
        } else {
            let last = step.checked_mul(count.saturating_sub(1) as i64).and_then(|ahead| first.checked_add(ahead));
            if step < 0 || last.is_none() {
                return Err(no_rise);
            }
            WindowEnds::Grid { first, step, count }
        });
    }
    grid_of
        .iter()
        .zip(lengths)
        .map(|(&grid, &length)| {
            let ends = decoded.get(grid).filter(|ends| ends.len() == length).cloned();
            ends.ok_or(Malformed("a series and its times differ"))
        })
        .collect()
}

/// The values of every series, which are of one kind.
fn each<'a, T>(series: &'a [Points], of: fn(&'a Values) -> Option<T>) -> Vec<T> {
    series.iter().map(|points| of(points.values()).expect("a chunk is of one kind")).collect()
}

fn numbers_of(values: &Values) -> Option<&[f64]> {
    match values {
        Values::Counter(list) | Values::Cumulative(list) => Some(list),
        _ => None,
    }
}

fn levels_of(values: &Values) -> Option<&Levels> {
    if let Values::Gauge(levels) = values { Some(levels) } else { None }
}

fn distributions_of(values: &Values) -> Option<&[Distribution]> {
    if let Values::Distribution(list) = values { Some(list) } else { None }
}

fn sets_of(values: &Values) -> Option<&[DistinctSet]> {
    if let Values::Set(list) = values { Some(list) } else { None }
}

fn put_gauges(out: &mut Vec<u8>, series: &[&Levels]) {
    let column = |of: fn(&Levels) -> &[f64]| series.iter().map(|levels| of(levels)).collect::<Vec<_>>();
    put_floats(out, &column(Levels::last));
    let same = series.iter().all(|levels| !levels.has_extremes());
    out.push(u8::from(same));
    if !same {
        put_floats(out, &column(Levels::min));
        put_floats(out, &column(Levels::max));
    }
}

fn gauges(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Levels>, Malformed> {
    let last = floats(cursor, lengths)?;
    match cursor.u8()? {
        0 => {
            let extremes = floats(cursor, lengths)?.into_iter().zip(floats(cursor, lengths)?);
            Ok(last.into_iter().zip(extremes).map(|(last, (min, max))| Levels::of(last, Some([min, max]))).collect())
        }
        1 => Ok(last.into_iter().map(|last| Levels::of(last, None)).collect()),
        _ => Err(Malformed("a gauge has an unknown form")),
    }
}

fn put_distributions(out: &mut Vec<u8>, series: &[&[Distribution]]) {
    let put = |out: &mut Vec<u8>, field: fn(&Distribution) -> f64| {
        let column: Vec<Vec<f64>> = series.iter().map(|windows| windows.iter().map(field).collect()).collect();
        put_floats(out, &column.iter().map(Vec::as_slice).collect::<Vec<_>>());
    };
    let is_counted = |window: &Distribution| window.count.to_bits() == window.sketch.count().to_bits();
    let counted = series.iter().copied().flatten().all(is_counted);
    out.push(u8::from(counted));
    if !counted {
        put(out, |window| window.count);
    }
    put(out, |window| window.sum);
    put(out, |window| window.min);
    put(out, |window| window.max);
    put_sketches(out, series);
}

fn distributions(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<Distribution>>, Malformed> {
    let count = match cursor.u8()? {
        0 => Some(floats(cursor, lengths)?),
        1 => None,
        _ => return Err(Malformed("a distribution has an unknown form")),
    };
    let [sum, min, max] = [floats(cursor, lengths)?, floats(cursor, lengths)?, floats(cursor, lengths)?];
    let sketches = sketches(cursor, lengths)?;
    let series = sketches.into_iter().enumerate().map(|(series, sketches)| {
        let windows = sketches.into_iter().enumerate().map(|(window, sketch)| Distribution {
            count: count.as_ref().map_or_else(|| sketch.count(), |count| count[series][window]),
            sum: sum[series][window],
            min: min[series][window],
            max: max[series][window],
            sketch,
        });
        windows.collect()
    });
    Ok(series.collect())
}

fn put_sets(out: &mut Vec<u8>, series: &[&[DistinctSet]]) {
    let mut bytes = Vec::new();
    for set in series.iter().copied().flatten() {
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
