//! Columns of numbers, compressed.
//!
//! ```text
//! integers    := 0 value:zigzag                 ; all the same (or none at all: value 0)
//!              | 1 delta:zigzag…                ; few of them: differences to the one before, the first to 0
//!              | 2 length:varint pco            ; standalone pco of i64
//! floats      := exponents:integers             ; one for each run: decimal places 0–15, or 255 for binary64
//!                mantissas:integers             ; of all runs with decimal places, one after the other
//!                ( 0 bits:u64 | 2 length:varint pco ) ; of all other runs: all the same, or standalone pco of f64
//! ```
//!
//! A run (one series' values) whose every value `v` is bit for bit `m ÷ 10^e` for an integer `m` and one small `e` is
//! kept as the integers `m`: that is what measurements mostly are, and what compresses (VictoriaMetrics keeps
//! floats so; the gain over XOR is the factor 2–5). The others stay binary64.

use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, data_types::Number};

use crate::byte_cursor::{ByteCursor, Malformed, put_prefixed, put_signed, put_varint};

const SAME: u8 = 0;
const FEW: u8 = 1;
const PCO: u8 = 2;

/// Below this many numbers plain differences are tried too: pco's head takes some 30 bytes.
const FEW_MAX: usize = 256;

/// The exponent that says "binary64".
const BINARY: i64 = 255;

/// More decimal places than measurements have; 10^15 × 1 still fits 53 bits.
const EXPONENT_MAX: i64 = 15;

/// Integers up to this are exact in binary64.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

/// Writes integers.
pub(super) fn put_integers(out: &mut Vec<u8>, values: &[i64]) {
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|&value| value == first) {
        out.push(SAME);
        put_signed(out, first);
        return;
    }
    let mut few = Vec::new();
    if values.len() <= FEW_MAX {
        let mut before = 0i64;
        for &value in values {
            put_signed(&mut few, value.wrapping_sub(before));
            before = value;
        }
    }
    let dense = compress(values);
    if !few.is_empty() && few.len() <= dense.len() {
        out.push(FEW);
        out.extend(few);
    } else {
        out.push(PCO);
        put_prefixed(out, &dense);
    }
}

/// Reads `count` integers.
pub(super) fn integers(cursor: &mut ByteCursor<'_>, count: usize) -> Result<Vec<i64>, Malformed> {
    match cursor.u8()? {
        SAME => Ok(vec![cursor.signed()?; count]),
        FEW => {
            if count > FEW_MAX {
                return Err(Malformed("a short column is too long"));
            }
            let mut before = 0i64;
            (0..count)
                .map(|_| {
                    before = before.wrapping_add(cursor.signed()?);
                    Ok(before)
                })
                .collect()
        }
        PCO => decompress(cursor.prefixed()?, count),
        _ => Err(Malformed("a column has an unknown form")),
    }
}

/// Writes runs of floats.
pub(super) fn put_floats(out: &mut Vec<u8>, runs: &[Vec<f64>]) {
    let mut exponents = Vec::with_capacity(runs.len());
    let mut mantissas = Vec::new();
    let mut binary = Vec::new();
    for run in runs {
        match decimal_run(run) {
            Some((exponent, integers)) => {
                exponents.push(exponent);
                mantissas.extend(integers);
            }
            None => {
                exponents.push(BINARY);
                binary.extend_from_slice(run);
            }
        }
    }
    put_integers(out, &exponents);
    put_integers(out, &mantissas);
    let bits = binary.first().map_or(0, |value| value.to_bits());
    if binary.iter().all(|value| value.to_bits() == bits) {
        out.push(SAME);
        out.extend(bits.to_le_bytes());
    } else {
        out.push(PCO);
        put_prefixed(out, &compress(&binary));
    }
}

/// Reads runs of floats of these lengths.
pub(super) fn floats(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<f64>>, Malformed> {
    let exponents = integers(cursor, lengths.len())?;
    if exponents.iter().any(|&e| e != BINARY && !(0..=EXPONENT_MAX).contains(&e)) {
        return Err(Malformed("a column has an unknown exponent"));
    }
    let of = |wanted: bool| {
        exponents.iter().zip(lengths).filter(|&(&e, _)| (e == BINARY) == wanted).map(|(_, &length)| length).sum()
    };
    let mantissas = integers(cursor, of(false))?;
    let binary = match cursor.u8()? {
        SAME => vec![f64::from_bits(cursor.u64()?); of(true)],
        PCO => decompress(cursor.prefixed()?, of(true))?,
        _ => return Err(Malformed("a column has an unknown form")),
    };
    let (mut mantissas, mut binary) = (&mantissas[..], &binary[..]);
    let runs = exponents.iter().zip(lengths).map(|(&exponent, &length)| {
        if exponent == BINARY {
            let (run, rest) = binary.split_at(length);
            binary = rest;
            return run.to_vec();
        }
        let (run, rest) = mantissas.split_at(length);
        mantissas = rest;
        let scale = power_of_ten(exponent);
        run.iter().map(|&mantissa| mantissa as f64 / scale).collect()
    });
    Ok(runs.collect())
}

/// The run as integers and their common number of decimal places, if that gives back every bit.
fn decimal_run(run: &[f64]) -> Option<(i64, Vec<i64>)> {
    let mut exponent = 0;
    for &value in run {
        while !is_decimal(value, exponent) {
            exponent += 1;
            if exponent > EXPONENT_MAX || value.abs() > MANTISSA_MAX || !value.is_finite() {
                return None;
            }
        }
    }
    // A value that fits few places fits more of them, as long as its mantissa does: hence the second look.
    let fits = run.iter().all(|&value| is_decimal(value, exponent));
    let scale = power_of_ten(exponent);
    fits.then(|| (exponent, run.iter().map(|&value| (value * scale).round() as i64).collect()))
}

fn is_decimal(value: f64, exponent: i64) -> bool {
    let scale = power_of_ten(exponent);
    let mantissa = (value * scale).round();
    mantissa.abs() <= MANTISSA_MAX && (mantissa as i64 as f64 / scale).to_bits() == value.to_bits()
}

/// Exact: powers of ten up to 10^22 are.
fn power_of_ten(exponent: i64) -> f64 {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    POWERS[exponent as usize]
}

fn compress<T: Number>(values: &[T]) -> Vec<u8> {
    simple_compress(values, &ChunkConfig::default()).expect("the default configuration is valid and memory takes all")
}

fn decompress<T: Number + Default>(bytes: &[u8], count: usize) -> Result<Vec<T>, Malformed> {
    let mut values = vec![T::default(); count];
    let progress = simple_decompress_into(bytes, &mut values).map_err(|_| Malformed("a column is damaged"))?;
    if progress.n_processed != count || !progress.finished {
        return Err(Malformed("a column has another length"));
    }
    Ok(values)
}

/// Writes counts, which are small.
pub(super) fn put_counts(out: &mut Vec<u8>, counts: &[usize]) {
    put_integers(out, &counts.iter().map(|&count| count as i64).collect::<Vec<_>>());
}

/// Reads `count` counts, each at most `most`.
pub(super) fn counts(cursor: &mut ByteCursor<'_>, count: usize, most: usize) -> Result<Vec<usize>, Malformed> {
    integers(cursor, count)?
        .into_iter()
        .map(|value| usize::try_from(value).ok().filter(|&value| value <= most))
        .collect::<Option<_>>()
        .ok_or(Malformed("a count is too large"))
}

/// Writes bytes compressed by zstd, after their lengths.
pub(super) fn put_zstd(out: &mut Vec<u8>, bytes: &[u8]) {
    let packed = zstd::bulk::compress(bytes, 3).expect("memory takes all that zstd writes");
    put_varint(out, bytes.len() as u64);
    put_prefixed(out, &packed);
}

/// Reads bytes that [`put_zstd`] wrote; more than `most` are refused.
pub(super) fn unzstd(cursor: &mut ByteCursor<'_>, most: usize) -> Result<Vec<u8>, Malformed> {
    let length = cursor.count(0, most)?;
    let bytes =
        zstd::bulk::decompress(cursor.prefixed()?, length).map_err(|_| Malformed("compressed bytes are damaged"))?;
    if bytes.len() == length { Ok(bytes) } else { Err(Malformed("compressed bytes have another length")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip_floats(runs: &[Vec<f64>]) -> usize {
        let mut out = Vec::new();
        put_floats(&mut out, runs);
        let mut cursor = ByteCursor(&out);
        let lengths: Vec<usize> = runs.iter().map(Vec::len).collect();
        let back = floats(&mut cursor, &lengths).unwrap();
        cursor.finish().unwrap();
        let bits = |runs: &[Vec<f64>]| runs.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(runs));
        out.len()
    }

    proptest! {
        #[test]
        fn integers_come_back(values in prop::collection::vec(prop_oneof![any::<i64>(), -5i64..5], 0..700)) {
            let mut out = Vec::new();
            put_integers(&mut out, &values);
            let mut cursor = ByteCursor(&out);
            prop_assert_eq!(integers(&mut cursor, values.len()).unwrap(), values);
            prop_assert!(cursor.finish().is_ok());
        }

        #[test]
        fn floats_come_back_bit_for_bit(
            runs in prop::collection::vec(
                prop::collection::vec(prop_oneof![any::<f64>(), (-1e6f64..1e6).prop_map(|v| (v * 1000.0).round() / 1000.0)], 0..40),
                0..6,
            ),
        ) {
            round_trip_floats(&runs);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, count in 0usize..2_000) {
            let _ = integers(&mut ByteCursor(&bytes), count);
            let _ = floats(&mut ByteCursor(&bytes), &[count, 3]);
            let _ = unzstd(&mut ByteCursor(&bytes), 1 << 16);
        }
    }

    #[test]
    fn awkward_floats_come_back_and_decimal_ones_are_small() {
        round_trip_floats(&[
            vec![0.0, -0.0],
            vec![f64::NAN, f64::INFINITY],
            vec![1e300, 5e-324],
            vec![9.007199254740993e15],
        ]);
        let decimal: Vec<f64> = (0..1_000).map(|i| f64::from(i % 50) / 100.0).collect();
        assert!(round_trip_floats(&[decimal]) < 1_000);
    }
}
