//! Columns of numbers, compressed.
//!
//! ```text
//! integers    := 0 value:zigzag                 ; all the same (or none at all: value 0)
//!              | 1 delta:zigzag…                ; few of them: differences to the one before, the first to 0
//!              | 2 length:varint pco            ; standalone pco of i64
//!              | 3 length:varint pco            ; standalone pco of i32, when all fit
//! floats      := exponents:integers             ; one for each run: decimal places 0–15, or 255 for binary64
//!                predictors:integers            ; one for each run with decimal places: see predictor.rs
//!                firsts:integers                ; what each predictor starts from
//!                surprises:integers             ; of all runs with decimal places, one after the other
//!                exceptions:varint [places:integers bits:integers]  ; values in them that are no such decimal
//!                ( 0 bits:u64 | 2 length:varint pco ) ; of all other runs: all the same, or standalone pco of f64
//! ```
//!
//! A run (one series' values) whose values `v` are bit for bit `m ÷ 10^e` for integers `m` and one small `e` is kept as the
//! integers `m`: that is what measurements mostly are, and what compresses (VictoriaMetrics keeps floats so; the gain over
//! XOR is the factor 2–5). Few values that are not (a staleness marker, an infinity) are kept beside. The other runs stay
//! binary64.

use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, DeltaSpec};

use super::predictor::Predictor;
use crate::byte_cursor::{ByteCursor, Malformed, put_prefixed, put_signed, put_varint};

const SAME: u8 = 0;
const FEW: u8 = 1;
const PCO: u8 = 2;
const PCO_NARROW: u8 = 3;

/// Below this many numbers plain differences are tried too: pco's head takes some 30 bytes.
const FEW_MAX: usize = 256;

/// The exponent that says "binary64".
const BINARY: i64 = 255;

/// More decimal places than measurements have; 10^15 × 1 still fits 53 bits.
const EXPONENT_MAX: i64 = 15;

/// Integers up to this are exact in binary64.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

/// One value in so many may be no decimal, and its run is still kept as decimals.
const DECIMALS_OF_AN_EXCEPTION: usize = 16;

/// Integers as they were packed.
enum Unpacked {
    Narrow(Vec<i32>),
    Wide(Vec<i64>),
}

/// Writes integers.
pub(super) fn put_integers(out: &mut Vec<u8>, values: &[i64]) {
    put_packed(out, values, DeltaSpec::Auto);
}

/// Reads `count` integers.
pub(super) fn integers(cursor: &mut ByteCursor<'_>, count: usize) -> Result<Vec<i64>, Malformed> {
    Ok(match unpacked(cursor, count)? {
        Unpacked::Narrow(values) => values.into_iter().map(i64::from).collect(),
        Unpacked::Wide(values) => values,
    })
}

fn put_packed(out: &mut Vec<u8>, values: &[i64], delta: DeltaSpec) {
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
    let narrow: Option<Vec<i32>> = values.iter().map(|&value| i32::try_from(value).ok()).collect();
    let (form, dense) = match narrow {
        Some(narrow) => (PCO_NARROW, compress(&narrow, delta)),
        None => (PCO, compress(values, delta)),
    };
    if !few.is_empty() && few.len() <= dense.len() {
        out.push(FEW);
        out.extend(few);
    } else {
        out.push(form);
        put_prefixed(out, &dense);
    }
}

fn unpacked(cursor: &mut ByteCursor<'_>, count: usize) -> Result<Unpacked, Malformed> {
    Ok(match cursor.u8()? {
        SAME => Unpacked::Wide(vec![cursor.signed()?; count]),
        FEW => {
            if count > FEW_MAX {
                return Err(Malformed("a short column is too long"));
            }
            let mut before = 0i64;
            let values = (0..count).map(|_| {
                before = before.wrapping_add(cursor.signed()?);
                Ok(before)
            });
            Unpacked::Wide(values.collect::<Result<_, _>>()?)
        }
        PCO => Unpacked::Wide(decompress(cursor.prefixed()?, count)?),
        PCO_NARROW => Unpacked::Narrow(decompress(cursor.prefixed()?, count)?),
        _ => return Err(Malformed("a column has an unknown form")),
    })
}

/// Writes runs of floats.
pub(super) fn put_floats(out: &mut Vec<u8>, runs: &[&[f64]]) {
    let (mut exponents, mut predictors) = (Vec::with_capacity(runs.len()), Vec::new());
    let (mut firsts, mut surprises) = (Vec::new(), Vec::new());
    let (mut places, mut bits, mut decimals) = (Vec::new(), Vec::new(), 0);
    let mut binary = Vec::new();
    for run in runs {
        let Some(decimal) = DecimalRun::of(run) else {
            exponents.push(BINARY);
            binary.extend_from_slice(run);
            continue;
        };
        exponents.push(decimal.exponent);
        let predictor = Predictor::choose(&decimal.mantissas);
        predictors.push(predictor.number());
        firsts.extend_from_slice(&decimal.mantissas[..predictor.first_count(run.len())]);
        predictor.surprises(&decimal.mantissas, |surprise| surprises.push(surprise));
        for place in decimal.exceptions {
            places.push((decimals + place) as i64);
            bits.push(run[place].to_bits() as i64);
        }
        decimals += run.len();
    }
    put_integers(out, &exponents);
    put_integers(out, &predictors);
    put_integers(out, &firsts);
    put_packed(out, &surprises, DeltaSpec::NoOp);
    put_varint(out, places.len() as u64);
    if !places.is_empty() {
        put_integers(out, &places);
        put_integers(out, &bits);
    }
    let bits = binary.first().map_or(0, |value| value.to_bits());
    if binary.iter().all(|value| value.to_bits() == bits) {
        out.push(SAME);
        out.extend(bits.to_le_bytes());
    } else {
        out.push(PCO);
        put_prefixed(out, &compress(&binary, DeltaSpec::Auto));
    }
}

/// Reads runs of floats of these lengths.
pub(super) fn floats(cursor: &mut ByteCursor<'_>, lengths: &[usize]) -> Result<Vec<Vec<f64>>, Malformed> {
    let exponents = integers(cursor, lengths.len())?;
    if exponents.iter().any(|&e| e != BINARY && !(0..=EXPONENT_MAX).contains(&e)) {
        return Err(Malformed("a column has an unknown exponent"));
    }
    let decimal_lengths: Vec<usize> =
        exponents.iter().zip(lengths).filter(|&(&e, _)| e != BINARY).map(|(_, &length)| length).collect();
    let predictors = integers(cursor, decimal_lengths.len())?
        .into_iter()
        .map(Predictor::from_number)
        .collect::<Option<Vec<Predictor>>>()
        .ok_or(Malformed("a column has an unknown predictor"))?;
    let first_counts =
        predictors.iter().zip(&decimal_lengths).map(|(predictor, &length)| predictor.first_count(length));
    let first_count: usize = first_counts.sum();
    let decimals: usize = decimal_lengths.iter().sum();
    let firsts = integers(cursor, first_count)?;
    let surprises = unpacked(cursor, decimals - first_count)?;
    let exceptions = cursor.count(0, decimals)?;
    let mut excepted = if exceptions > 0 {
        let places = integers(cursor, exceptions)?;
        let bits = integers(cursor, exceptions)?;
        places.into_iter().zip(bits).peekable()
    } else {
        Vec::new().into_iter().zip(Vec::new()).peekable()
    };
    let binary_count = lengths.iter().sum::<usize>() - decimals;
    let binary = match cursor.u8()? {
        SAME => vec![f64::from_bits(cursor.u64()?); binary_count],
        PCO => decompress(cursor.prefixed()?, binary_count)?,
        _ => return Err(Malformed("a column has an unknown form")),
    };

    let (mut firsts, mut binary, mut surprised, mut decimals) = (&firsts[..], &binary[..], 0, 0);
    let mut predictors = predictors.into_iter();
    let mut runs = Vec::with_capacity(lengths.len());
    for (&exponent, &length) in exponents.iter().zip(lengths) {
        if exponent == BINARY {
            let (run, rest) = binary.split_at(length);
            binary = rest;
            runs.push(run.to_vec());
            continue;
        }
        let predictor = predictors.next().ok_or(Malformed("a column has too few predictors"))?;
        let own;
        (own, firsts) = firsts.split_at(predictor.first_count(length));
        let range = surprised..surprised + length - own.len();
        surprised = range.end;
        let mut run = match &surprises {
            Unpacked::Narrow(surprises) => restored(predictor, own, &surprises[range], length, exponent),
            Unpacked::Wide(surprises) => restored(predictor, own, &surprises[range], length, exponent),
        };
        while let Some((place, bits)) = excepted.next_if(|&(place, _)| place < (decimals + length) as i64) {
            let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(decimals));
            *place.and_then(|place| run.get_mut(place)).ok_or(Malformed("an exception is out of order"))? =
                f64::from_bits(bits as u64);
        }
        decimals += length;
        runs.push(run);
    }
    Ok(runs)
}

fn restored<T: Copy + Into<i64>>(
    predictor: Predictor,
    firsts: &[i64],
    surprises: &[T],
    length: usize,
    exponent: i64,
) -> Vec<f64> {
    let mut run = Vec::with_capacity(length);
    if exponent == 0 {
        predictor.restore(firsts, surprises, |mantissa| run.push(mantissa as f64));
    } else {
        let scale = power_of_ten(exponent);
        predictor.restore(firsts, surprises, |mantissa| run.push(mantissa as f64 / scale));
    }
    run
}

/// A run as integers and their common number of decimal places.
struct DecimalRun {
    exponent: i64,
    mantissas: Vec<i64>,
    /// Places of values that are none of the decimals; what stands there among the mantissas is of no matter.
    exceptions: Vec<usize>,
}

impl DecimalRun {
    /// The run, if its mantissas and exceptions give back every bit.
    fn of(run: &[f64]) -> Option<DecimalRun> {
        let exceptions_max = run.len() / DECIMALS_OF_AN_EXCEPTION + 1;
        let (mut exponent, mut exceptions) = (0, 0);
        for &value in run {
            match (exponent..=EXPONENT_MAX).find(|&exponent| decimal(value, exponent).is_some()) {
                Some(found) => exponent = found,
                // A value that fits few places fits more of them, as long as its mantissa does: hence a second look below.
                None => exceptions += 1,
            }
            if exceptions > exceptions_max {
                return None;
            }
        }
        let mut decimals = DecimalRun { exponent, mantissas: Vec::with_capacity(run.len()), exceptions: Vec::new() };
        for (place, &value) in run.iter().enumerate() {
            let before = decimals.mantissas.last().copied().unwrap_or(0);
            decimals.mantissas.push(decimal(value, exponent).unwrap_or_else(|| {
                decimals.exceptions.push(place);
                before
            }));
        }
        (decimals.exceptions.len() <= exceptions_max && decimals.exceptions.len() < run.len()).then_some(decimals)
    }
}

/// The integer that gives back this value when it is divided by ten to the exponent.
fn decimal(value: f64, exponent: i64) -> Option<i64> {
    let scale = power_of_ten(exponent);
    let mantissa = (value * scale).round();
    let fits = mantissa.abs() <= MANTISSA_MAX && (mantissa as i64 as f64 / scale).to_bits() == value.to_bits();
    fits.then_some(mantissa as i64)
}

/// Exact: powers of ten up to 10^22 are.
fn power_of_ten(exponent: i64) -> f64 {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    POWERS[exponent as usize]
}

fn compress<T: Number>(values: &[T], delta: DeltaSpec) -> Vec<u8> {
    let config = ChunkConfig::default().with_delta_spec(delta);
    simple_compress(values, &config).expect("the configuration is valid and memory takes all")
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
    use taffrail_collector::model::STALE;

    fn round_trip_floats(runs: &[Vec<f64>]) -> usize {
        let mut out = Vec::new();
        put_floats(&mut out, &runs.iter().map(Vec::as_slice).collect::<Vec<_>>());
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
    fn a_few_markers_and_infinities_do_not_keep_a_run_from_being_decimal() {
        let mut run: Vec<f64> = (0..1_000).map(|i| f64::from(i % 50) / 100.0).collect();
        let plain = round_trip_floats(&[run.clone()]);
        for (place, value) in [(0, STALE), (17, STALE), (500, f64::INFINITY), (999, -0.0)] {
            run[place] = value;
        }
        assert!(round_trip_floats(&[run]) < plain + 60);
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
