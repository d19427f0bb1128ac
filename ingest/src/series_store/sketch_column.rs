//! The sketches of distributions, compressed.
//!
//! ```text
//! sketches := zero:floats positive negative
//! positive,
//! negative := group…                       ; of each series its windows, GROUP_WINDOWS at a time
//! group    := 0                            ; no bins at all
//!           | 1 bins:counts index:integers weight:floats       ; listed. Of each bin its index less the one before
//!                                          ; (a window's first: less the first of the window before)
//!           | 2 first:zigzag columns:varint class:counts cells:integers…   ; as a table
//! ```
//!
//! Written as a table, a group has a row for each window and a column for each bin from `first` on. The number of
//! observations in one bin, window after window, is close to a Poisson variable whose mean is the bin's own; so columns
//! of about the same mean (the `class`; 0: the column is empty) are packed together, one after the other, each class with an
//! entropy code that fits it. That comes within a few per cent of what the observations' distribution allows, where one
//! code for all bins takes half as much again. A sketch with weights that are no whole numbers is listed.

use taffrail_collector::model::sketch::BINS_MAX;
use taffrail_collector::model::{Distribution, Sketch};

use super::column::{counts, floats, integers, put_counts, put_floats, put_integers};
use crate::byte_cursor::{ByteCursor, Malformed, put_signed, put_varint};

/// Windows whose bins are packed together: enough for the codes to pay, few enough that a bin's mean stays what it is.
const GROUP_WINDOWS: usize = 1_024;

/// Fewer windows are listed.
const TABLE_WINDOWS_MIN: usize = 24;

/// A table is made where at least one cell in so many of its columns in use is not zero …
const CELLS_OF_A_BIN: usize = 64;

/// … and when it has no more columns than this, those not in use included.
const COLUMNS_MAX: usize = 4_096;

/// The greatest class: a mean of 2^20 observations a window.
const CLASS_MAX: usize = 64;

const EMPTY: u8 = 0;
const LISTED: u8 = 1;
const TABLE: u8 = 2;

type Bins = Vec<(i32, f64)>;

/// Writes the sketches of each series' windows.
pub(super) fn put_sketches(out: &mut Vec<u8>, series: &[&[Distribution]]) {
    let zeros: Vec<Vec<f64>> =
        series.iter().map(|windows| windows.iter().map(|window| window.sketch.zero()).collect()).collect();
    put_floats(out, &zeros.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for side in [Sketch::positive, Sketch::negative] {
        for windows in series.iter().flat_map(|windows| windows.chunks(GROUP_WINDOWS)) {
            let bins: Vec<&[(i32, f64)]> = windows.iter().map(|window| side(&window.sketch)).collect();
            put_group(out, &bins);
        }
    }
}

/// Reads the sketches of series with so many windows each.
pub(super) fn sketches(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<Sketch>>, Malformed> {
    let zeros = floats(cursor, lengths)?;
    let mut side = || -> Result<Vec<Bins>, Malformed> {
        let mut windows = Vec::new();
        for &length in lengths {
            for from in (0..length).step_by(GROUP_WINDOWS) {
                windows.extend(group(cursor, GROUP_WINDOWS.min(length - from))?);
            }
        }
        Ok(windows)
    };
    let mut bins = side()?.into_iter().zip(side()?);
    zeros
        .into_iter()
        .map(|zeros| {
            let sketches = zeros.into_iter().map(|zero| {
                let (positive, negative) = bins.next().unwrap_or_default();
                Sketch::from_parts(zero, positive, negative).ok_or(Malformed("a sketch is damaged"))
            });
            sketches.collect()
        })
        .collect()
}

fn put_group(out: &mut Vec<u8>, windows: &[&[(i32, f64)]]) {
    let all = || windows.iter().copied().flatten();
    let (Some(first), Some(last)) = (all().map(|bin| bin.0).min(), all().map(|bin| bin.0).max()) else {
        out.push(EMPTY);
        return;
    };
    let columns = last.abs_diff(first) as usize + 1;
    let is_whole = |weight: f64| weight.fract() == 0.0 && weight <= f64::from(i32::MAX);
    let may_be_table = windows.len() >= TABLE_WINDOWS_MIN && columns <= COLUMNS_MAX && all().all(|bin| is_whole(bin.1));
    let mut in_use = vec![false; if may_be_table { columns } else { 0 }];
    if may_be_table {
        all().for_each(|bin| in_use[bin.0.abs_diff(first) as usize] = true);
    }
    let cells = in_use.iter().filter(|used| **used).count() * windows.len();
    if may_be_table && cells <= CELLS_OF_A_BIN * all().count() {
        out.push(TABLE);
        put_table(out, windows, first, &in_use);
    } else {
        out.push(LISTED);
        put_listed(out, windows);
    }
}

fn group(cursor: &mut ByteCursor<'_>, windows: usize) -> Result<Vec<Bins>, Malformed> {
    match cursor.u8()? {
        EMPTY => Ok(vec![Vec::new(); windows]),
        LISTED => listed(cursor, windows),
        TABLE => table(cursor, windows),
        _ => Err(Malformed("sketches have an unknown form")),
    }
}

fn put_listed(out: &mut Vec<u8>, windows: &[&[(i32, f64)]]) {
    let (mut index, mut weights) = (Vec::new(), Vec::new());
    let mut first_before = 0;
    for window in windows {
        let mut before = first_before;
        for (place, &(bin, weight)) in window.iter().enumerate() {
            index.push(i64::from(bin) - before);
            before = i64::from(bin);
            if place == 0 {
                first_before = before;
            }
            weights.push(weight);
        }
    }
    put_counts(out, &windows.iter().map(|window| window.len()).collect::<Vec<_>>());
    put_integers(out, &index);
    put_floats(out, &[&weights]);
}

fn listed(cursor: &mut ByteCursor<'_>, windows: usize) -> Result<Vec<Bins>, Malformed> {
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
                .map(|place| {
                    before = before.wrapping_add(index.next().unwrap_or(0));
                    if place == 0 {
                        first_before = before;
                    }
                    let bin = i32::try_from(before).map_err(|_| Malformed("a sketch's bin is out of range"))?;
                    Ok((bin, weights.next().unwrap_or(0.0)))
                })
                .collect()
        })
        .collect()
}

fn put_table(out: &mut Vec<u8>, windows: &[&[(i32, f64)]], first: i32, in_use: &[bool]) {
    let rows = windows.len();
    // Where the cells of each column start; those not in use have none.
    let mut next = 0;
    let starts: Vec<usize> = in_use
        .iter()
        .map(|&used| {
            let start = next;
            next += if used { rows } else { 0 };
            start
        })
        .collect();
    let mut cells = vec![0i64; next];
    for (row, window) in windows.iter().enumerate() {
        for &(bin, weight) in *window {
            cells[starts[bin.abs_diff(first) as usize] + row] = weight as i64; // whole, and at most i32::MAX
        }
    }
    let column = |place: usize| &cells[starts[place]..starts[place] + rows];
    let classes: Vec<usize> =
        in_use.iter().enumerate().map(|(place, &used)| if used { class_of(column(place)) } else { 0 }).collect();
    put_signed(out, i64::from(first));
    put_varint(out, classes.len() as u64);
    put_counts(out, &classes);
    for class in classes_in_use(&classes) {
        let of_class: Vec<i64> = columns_of(&classes, class).flat_map(|place| column(place).iter().copied()).collect();
        put_integers(out, &of_class);
    }
}

fn table(cursor: &mut ByteCursor<'_>, windows: usize) -> Result<Vec<Bins>, Malformed> {
    let first = cursor.signed()?;
    let columns = cursor.count(0, COLUMNS_MAX)?;
    let classes = counts(cursor, columns, CLASS_MAX)?;
    let mut cells: Vec<Vec<i64>> = Vec::new();
    // Of each column in use, by its place: its class' cells, and which of them.
    let mut used: Vec<(usize, usize, usize)> = Vec::new();
    for class in classes_in_use(&classes) {
        let before = used.len();
        used.extend(columns_of(&classes, class).enumerate().map(|(nth, place)| (place, cells.len(), nth * windows)));
        cells.push(integers(cursor, (used.len() - before) * windows)?);
    }
    used.sort_unstable();
    let mut lengths = vec![0; windows];
    for &(_, class, start) in &used {
        let column = &cells[class][start..start + windows];
        lengths.iter_mut().zip(column).for_each(|(length, &cell)| *length += usize::from(cell != 0));
    }
    let mut bins: Vec<Bins> = lengths.into_iter().map(Vec::with_capacity).collect();
    for (place, class, start) in used {
        let bin =
            i32::try_from(first.wrapping_add(place as i64)).map_err(|_| Malformed("a sketch's bin is out of range"))?;
        for (bins, &cell) in bins.iter_mut().zip(&cells[class][start..start + windows]) {
            if cell != 0 {
                bins.push((bin, cell as f64));
            }
        }
    }
    Ok(bins)
}

/// Means that lie within a factor of √2 share a class; 0 is for a mean of 0.
fn class_of(column: &[i64]) -> usize {
    let total: i64 = column.iter().sum();
    if total == 0 {
        return 0;
    }
    let mean = total as f64 / column.len() as f64;
    (2.0 * mean.log2() + 22.0).clamp(1.0, CLASS_MAX as f64) as usize
}

fn classes_in_use(classes: &[usize]) -> impl Iterator<Item = usize> {
    (1..=CLASS_MAX).filter(|class| classes.contains(class))
}

/// The places of a class' columns.
fn columns_of(classes: &[usize], class: usize) -> impl Iterator<Item = usize> {
    classes.iter().enumerate().filter(move |&(_, &of)| of == class).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(series: &[Vec<Distribution>]) -> usize {
        let mut out = Vec::new();
        put_sketches(&mut out, &series.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut cursor = ByteCursor(&out);
        let lengths: Vec<usize> = series.iter().map(Vec::len).collect();
        let back = sketches(&mut cursor, &lengths).unwrap();
        cursor.finish().unwrap();
        for (windows, back) in series.iter().zip(back) {
            assert!(windows.iter().map(|window| &window.sketch).eq(&back));
        }
        out.len()
    }

    fn window(values: impl IntoIterator<Item = f64>, weight: f64) -> Distribution {
        let mut window = Distribution::new();
        values.into_iter().for_each(|value| window.observe(value, weight));
        window
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn sketches_come_back(
            series in prop::collection::vec(
                prop::collection::vec(prop::collection::vec((-20i8..60, prop_oneof![9 => Just(1.0), 1 => Just(0.5)]), 0..9), 0..70),
                0..4,
            ),
        ) {
            let window_of = |observations: &Vec<(i8, f64)>| {
                let mut window = Distribution::new();
                observations.iter().for_each(|&(value, weight)| window.observe(f64::from(value), weight));
                window
            };
            check(&series.iter().map(|windows| windows.iter().map(window_of).collect()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn more_windows_than_a_group_and_bins_far_apart_come_back() {
        check(&[(0..2_500).map(|i| window([1.0 + f64::from(i % 7), 3.0], 1.0)).collect()]);
        check(&[(0..40).map(|i| window([1e-300 * f64::from(i + 1), 1e300], 1.0)).collect()]);
    }

    #[test]
    fn the_same_few_values_in_every_window_take_next_to_nothing() {
        let bytes = check(&[(0..1_000).map(|_| window([1.0, 20.0, 20.0, 300.0], 1.0)).collect()]);
        assert!(bytes < 200, "{bytes} bytes");
    }
}
