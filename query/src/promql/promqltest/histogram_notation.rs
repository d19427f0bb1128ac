//! How scripts write native histograms: `{{schema:1 count:3 sum:4 buckets:[1 2] offset:-1}}`.
//!
//! ```text
//! histogram := "{{" field… "}}"                   ; by blanks
//! field     := "schema:" n | "count:" x | "sum:" x | "z_bucket:" x | "z_bucket_w:" x
//!            | "buckets:[" x… "]" | "offset:" n | "n_buckets:[" x… "]" | "n_offset:" n
//!            | "custom_values:[" x… "]" | "counter_reset_hint:" ("unknown"|"reset"|"not_reset"|"gauge")
//! ```

use super::super::histogram::{CUSTOM_SCHEMA, Histogram, ResetHint};

/// A histogram, and whether it says what is known of restarts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WrittenHistogram {
    pub(crate) histogram: Histogram,
    pub(crate) says_hint: bool,
}

/// What stands between `{{` and `}}`.
pub(super) fn histogram(inside: &str) -> Result<WrittenHistogram, String> {
    let mut histogram = Histogram::default();
    let mut says_hint = false;
    let (mut positive, mut negative): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let (mut offset, mut n_offset) = (0, 0);
    let mut rest = inside.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(':').ok_or_else(|| format!("{rest:?} is no field of a histogram"))?;
        let (value, after) = if let Some(list) = after.trim_start().strip_prefix('[') {
            list.split_once(']').ok_or("a list does not end")?
        } else {
            let after = after.trim_start();
            after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()))
        };
        rest = after.trim_start();
        let number = || number(value);
        let whole = || value.parse::<i32>().map_err(|_| format!("{value:?} is no whole number"));
        let list = || value.split_whitespace().map(self::number).collect::<Result<Vec<f64>, String>>();
        match name.trim() {
            "schema" => histogram.schema = whole()?,
            "count" => histogram.count = number()?,
            "sum" => histogram.sum = number()?,
            "z_bucket" => histogram.zero_count = number()?,
            "z_bucket_w" => histogram.zero_threshold = number()?,
            "buckets" => positive = list()?,
            "n_buckets" => negative = list()?,
            "offset" => offset = whole()?,
            "n_offset" => n_offset = whole()?,
            "custom_values" => histogram.custom = list()?.into(),
            "counter_reset_hint" => {
                says_hint = true;
                histogram.hint = match value {
                    "unknown" => ResetHint::Unknown,
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    "gauge" => ResetHint::Gauge,
                    other => return Err(format!("{other:?} is no counter_reset_hint")),
                };
            }
            other => return Err(format!("a histogram has no {other:?}")),
        }
    }
    if histogram.schema != CUSTOM_SCHEMA && !(-4..=8).contains(&histogram.schema) {
        return Err(format!("{} is no schema: write -4 to 8, or -53", histogram.schema));
    }
    let buckets = |offset: i32, counts: Vec<f64>| {
        (offset..).zip(counts).filter(|(_, count)| *count != 0.0).collect::<Vec<(i32, f64)>>()
    };
    histogram.positive = buckets(offset, positive);
    histogram.negative = buckets(n_offset, negative);
    Ok(WrittenHistogram { histogram, says_hint })
}

/// A number as scripts write it: `NaN`, `Inf`, `0x1f` too.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let hex = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let value = match hex {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|value| value as f64),
        None => unsigned.replace('_', "").parse().ok(),
    };
    let value = value.filter(|_| text.len() - unsigned.len() <= 1).ok_or_else(|| format!("{text:?} is no number"))?;
    Ok(if text.starts_with('-') { -value } else { value })
}
